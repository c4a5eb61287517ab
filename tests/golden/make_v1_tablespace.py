"""Makes tests/golden/v1_tablespace: format 1 with a copy of a table's tablespace.

    python tests/golden/make_v1_tablespace.py

As with make_v1.py: run once, never to make a failing test pass.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tablevault.demo.server import PrivateServer  # noqa: E402
from tablevault.vault.manifest import write_manifest  # noqa: E402
from tablevault.vault.records import features_of  # noqa: E402
from tablevault.vault.store import open_store  # noqa: E402
from tablevault.vault.tablespace import write_tablespace  # noqa: E402
from tests.servers import Server  # noqa: E402
from tests.support.roundtrip import pattern, take  # noqa: E402

HERE = Path(__file__).resolve().parent / "v1_tablespace"
SCHEMA = "tv_golden"
CREATE = """
CREATE TABLE kept (id INT PRIMARY KEY, v VARCHAR(40), KEY (v));
INSERT INTO kept VALUES (1, 'a'), (2, NULL), (3, 'c');
ALTER TABLE kept ADD COLUMN later INT DEFAULT 7, ALGORITHM=INSTANT;
INSERT INTO kept VALUES (4, 'd', 4);
"""


def main() -> None:
    """Make the vault anew."""
    shutil.rmtree(HERE, ignore_errors=True)
    with PrivateServer() as private:
        server = Server.of("mariadb", private)
        server.sql(f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
        server.sql(CREATE, SCHEMA)
        taken = take(server, HERE, [pattern(SCHEMA, "kept")], name="golden")
        [entry] = taken.tables
        store = open_store(str(HERE))
        folder = private.data_directory / SCHEMA
        connection = server.connect(database=SCHEMA)
        connection.cursor().execute("FLUSH TABLES kept FOR EXPORT")
        source = os.open(folder / "kept.ibd", os.O_RDONLY)
        raw, cfg = (folder / "kept.ibd").read_bytes(), (folder / "kept.cfg").read_bytes()
        files = write_tablespace(
            store, taken.id, entry.definition.table, source, cfg, taken.server, "Dynamic"
        )
        os.close(source)
        connection.close()
    entries = (dataclasses.replace(entry, tablespace=files),)
    store.remove(f"{taken.id}/manifest.json")
    write_manifest(store, dataclasses.replace(taken, tables=entries, features=features_of(entries)))
    for hidden in HERE.glob(".*"):
        shutil.rmtree(hidden) if hidden.is_dir() else hidden.unlink()
    told = {
        "features": features_of(entries),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "cfg_sha256": hashlib.sha256(cfg).hexdigest(),
    }
    (HERE.parent / "v1_tablespace.json").write_text(
        json.dumps(told, indent=1, sort_keys=True) + "\n"
    )


if __name__ == "__main__":
    main()

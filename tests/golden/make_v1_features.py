"""Makes tests/golden/v1_features: format 1 with the features that came after tests/golden/v1.

    python tests/golden/make_v1_features.py

As with make_v1.py: run once, never to make a failing test pass.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tablevault.demo.server import PrivateServer  # noqa: E402
from tests.servers import Server  # noqa: E402
from tests.support.facts import facts, is_sequence, tables  # noqa: E402
from tests.support.roundtrip import pattern, take  # noqa: E402
from tests.support.values import SAMPLES  # noqa: E402

HERE = Path(__file__).resolve().parent / "v1_features"
SCHEMA = "tv_golden"
NAMES = ("geometries", "nullable", "counter", "versioned")
FEATURES = ("geometry-wkb", "nullable-keys", "sequences", "system-versioning")
CREATE = """
CREATE TABLE nullable (a INT, b VARCHAR(9), v INT, UNIQUE KEY both_of (a, b));
INSERT INTO nullable VALUES (1, 'x', 1), (1, NULL, 2), (NULL, NULL, 3), (NULL, NULL, 4),
  (2, 'y', 5);
CREATE SEQUENCE counter START WITH 7 INCREMENT BY 3 MAXVALUE 1000 NOCACHE;
DO NEXTVAL(counter);
SET timestamp = 1700000000.123;
CREATE TABLE versioned (id INT PRIMARY KEY, v VARCHAR(9)) WITH SYSTEM VERSIONING;
INSERT INTO versioned VALUES (1, 'a'), (2, 'b');
SET timestamp = 1700000001.456;
UPDATE versioned SET v = 'c' WHERE id = 1; DELETE FROM versioned WHERE id = 2;
"""


def checksums(server: Server, schema: str) -> dict[str, str]:
    """SHA-256 of every value in hexadecimal; of a sequence, of what it gives next."""
    found = {}
    for name in [name for name in NAMES if name in tables(server, schema)]:
        seen: object = (
            server.query(f"SELECT * FROM `{schema}`.`{name}`")
            if is_sequence(server, schema, name)
            else facts(server, schema, name).values
        )
        found[name] = hashlib.sha256(repr(seen).encode()).hexdigest()
    return found


def main() -> None:
    """Make the vault anew."""
    shutil.rmtree(HERE, ignore_errors=True)
    with PrivateServer() as private:
        server = Server.of("mariadb", private)
        server.sql(f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
        server.sql(CREATE + ";\n".join(SAMPLES[-1].statements(SCHEMA)) + ";", SCHEMA)
        names = [pattern(SCHEMA, name) for name in NAMES]
        taken = take(server, HERE, names, name="golden", chunk_bytes=2000)
        assert taken.features == FEATURES, taken.features
        known = checksums(server, SCHEMA)
    for hidden in HERE.glob(".*"):
        shutil.rmtree(hidden) if hidden.is_dir() else hidden.unlink()
    told = {"features": FEATURES, "tables": known}
    (HERE.parent / "v1_features.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()

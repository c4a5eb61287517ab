"""A committed snapshot of an older version comes back to the values it was made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.golden.make_v1 import checksums
from tests.servers import Server
from tests.support.roundtrip import put_back

GOLDEN = Path(__file__).parents[1] / "golden"


def test_a_vault_of_format_1_is_restored(mariadb: Server, database: str, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    shutil.copytree(GOLDEN / "v1", vault)
    put_back(mariadb, vault, "golden", into=database)
    known = json.loads((GOLDEN / "v1.json").read_text())["tables"]
    assert checksums(mariadb, database) == known

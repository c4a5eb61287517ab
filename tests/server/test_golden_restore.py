"""A committed snapshot of an older version comes back to the values it was made of.

On every server of its family; on the other one it is refused before anything is made.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tablevault.errors import TablevaultError, Unsupported
from tests.golden import make_v1_features
from tests.golden.make_v1 import checksums
from tests.servers import Server
from tests.support.facts import tables
from tests.support.roundtrip import put_back

GOLDEN = Path(__file__).parents[1] / "golden"


def test_a_vault_of_format_1_is_restored(server: Server, database: str, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    shutil.copytree(GOLDEN / "v1", vault)
    if server.family != "mariadb":
        with pytest.raises(Unsupported, match="is of a mariadb server"):
            put_back(server, vault, "golden", into=database)
        assert tables(server, database) == []
        return
    put_back(server, vault, "golden", into=database)
    known = json.loads((GOLDEN / "v1.json").read_text())["tables"]
    assert checksums(server, database) == known


def test_every_feature_of_format_1_is_restored(
    server: Server, database: str, tmp_path: Path
) -> None:
    vault = tmp_path / "vault"
    shutil.copytree(GOLDEN / "v1_features", vault)
    known = json.loads((GOLDEN / "v1_features.json").read_text())["tables"]
    patterns = tuple(f"tv_golden.{name}" for name in known)
    if server.family != "mariadb":
        with pytest.raises(Unsupported, match="is of a mariadb server"):
            put_back(server, vault, "golden", into=database)
        return
    if server.kind == "mariadb-new":  # it was made by 10.11, where current rows end in 2038
        with pytest.raises(TablevaultError, match="end in another year"):
            put_back(server, vault, "golden", into=database)
        del known["versioned"]
        patterns = tuple(f"tv_golden.{name}" for name in known)
    put_back(server, vault, "golden", into=database, patterns=patterns)
    assert make_v1_features.checksums(server, database) == known

"""What users have in their vaults stays readable: the committed snapshots of every version."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from tablevault.model import SOME_ROWS
from tablevault.ops.verify import verify
from tablevault.vault.catalog import list_snapshots, resolve
from tablevault.vault.records import KNOWN_FEATURES
from tablevault.vault.store import open_store
from tablevault.vault.tablespace import open_tablespace

GOLDEN = Path(__file__).parents[1] / "golden"


def test_a_vault_of_format_1_is_read_and_proven(vault: Path) -> None:
    known = json.loads((GOLDEN / "v1.json").read_text())["tables"]
    shutil.copytree(GOLDEN / "v1", vault)  # what is proven is remembered in it
    store = open_store(str(vault))
    [listed] = list_snapshots(store)
    assert listed.problem is None
    snapshot = resolve(store, "golden")
    rows = {entry.definition.table.name: entry.digest.rows for entry in snapshot.tables}
    assert rows == {name: int(text.split(":")[0]) for name, text in known.items()}
    result = verify(store, snapshot.id)
    assert result.findings == ()
    assert result.rows_checked == sum(rows.values())


def test_every_feature_of_format_1_is_read_and_proven(vault: Path) -> None:
    """A feature that is new wants a golden vault of its own; this one is not to be made anew."""
    known = json.loads((GOLDEN / "v1_features.json").read_text())
    tablespace = json.loads((GOLDEN / "v1_tablespace.json").read_text())
    assert {*known["features"], *tablespace["features"], SOME_ROWS} == KNOWN_FEATURES
    shutil.copytree(GOLDEN / "v1_features", vault)
    store = open_store(str(vault))
    snapshot = resolve(store, "golden")
    assert list(snapshot.features) == known["features"]
    assert {entry.definition.table.name for entry in snapshot.tables} == known["tables"].keys()
    result = verify(store, snapshot.id)
    assert result.findings == ()
    assert result.rows_checked > 10


def test_a_tablespace_of_format_1_is_read_and_proven(vault: Path) -> None:
    known = json.loads((GOLDEN / "v1_tablespace.json").read_text())
    shutil.copytree(GOLDEN / "v1_tablespace", vault)
    store = open_store(str(vault))
    snapshot = resolve(store, "golden")
    assert list(snapshot.features) == known["features"]
    result = verify(store, snapshot.id)
    assert (result.findings, result.tablespaces_checked) == ((), 1)
    read = open_tablespace(store, snapshot.id, snapshot.tables[0])
    whole = bytearray(read.facts.size_bytes)
    for at, block in read.blocks():
        whole[at : at + len(block)] = block
    assert hashlib.sha256(whole).hexdigest() == known["sha256"]
    assert hashlib.sha256(read.cfg).hexdigest() == known["cfg_sha256"]


def test_it_is_small() -> None:
    size = sum(path.stat().st_size for path in (GOLDEN / "v1").rglob("*") if path.is_file())
    assert 20_000 < size < 100_000

"""What users have in their vaults stays readable: the committed snapshots of every version."""

from __future__ import annotations

import json
from pathlib import Path

from tablevault.ops.verify import verify
from tablevault.vault.catalog import list_snapshots, resolve
from tablevault.vault.store import open_store

GOLDEN = Path(__file__).parents[1] / "golden"


def test_a_vault_of_format_1_is_read_and_proven() -> None:
    known = json.loads((GOLDEN / "v1.json").read_text())["tables"]
    store = open_store(str(GOLDEN / "v1"))
    [listed] = list_snapshots(store)
    assert listed.problem is None
    snapshot = resolve(store, "golden")
    rows = {entry.definition.table.name: entry.digest.rows for entry in snapshot.tables}
    assert rows == {name: int(text.split(":")[0]) for name, text in known.items()}
    result = verify(store, snapshot.id, depth="rows")
    assert result.findings == ()
    assert result.rows_checked == sum(rows.values())


def test_it_is_small() -> None:
    size = sum(path.stat().st_size for path in (GOLDEN / "v1").rglob("*") if path.is_file())
    assert 20_000 < size < 100_000

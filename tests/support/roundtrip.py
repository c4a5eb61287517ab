"""Snapshot, ruin, restore: the round that most tests on values and keys go through."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tablevault.model import Snapshot
from tablevault.ops.options import RestoreOptions, RestoreResult, SnapshotOptions
from tablevault.ops.restore import restore
from tablevault.ops.snapshot import snapshot
from tablevault.ops.verify import verify
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.facts import Facts, facts, quoted


def pattern(schema: str, name: str) -> str:
    """A table as an argument of the command line, taken literally."""
    return f"{quoted(schema)}.{quoted(name)}"


def take(server: Server, vault: Path, patterns: Sequence[str], **options: Any) -> Snapshot:
    """A snapshot, proven without a server."""
    store = open_store(str(vault), create=True)
    options = {"patterns": tuple(patterns), **options}
    taken = snapshot(server.options(), store, SnapshotOptions(**options))
    verified = verify(store, taken.id)
    assert verified.findings == ()
    assert verified.rows_checked == sum(entry.digest.rows for entry in taken.tables)
    return taken


def put_back(server: Server, vault: Path, snapshot_id: str, **options: Any) -> RestoreResult:
    """A restore that swaps, unless told otherwise."""
    wanted = dataclasses.replace(RestoreOptions(swap=True), **options)
    return restore(server.options(), open_store(str(vault)), snapshot_id, wanted, vault / ".runs")


def round_trip(
    server: Server, vault: Path, schema: str, names: Sequence[str], **options: Any
) -> dict[str, tuple[Facts, Facts]]:
    """Facts of each table before its snapshot and after its restore into the emptied table."""
    before = {name: facts(server, schema, name) for name in names}
    taken = take(server, vault, [pattern(schema, name) for name in names], **options)
    for name in names:
        server.sql(f"TRUNCATE {quoted(schema)}.{quoted(name)}")
    result = put_back(server, vault, taken.id)
    assert result.status == "swapped"
    return {name: (before[name], facts(server, schema, name)) for name in names}

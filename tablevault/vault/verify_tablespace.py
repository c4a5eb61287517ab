"""Proof of a kept tablespace, without a server: its three files, and every block of it."""

from __future__ import annotations

from collections.abc import Callable

from tablevault.errors import Interrupted, SnapshotUnusable
from tablevault.model import Finding, KeptFile, Snapshot, TableEntry
from tablevault.vault.store import MissingFile, Store, sha256_of
from tablevault.vault.tablespace import open_tablespace
from tablevault.vault.verify import ROWS


def check_tablespace(
    store: Store,
    snapshot: Snapshot,
    entry: TableEntry,
    depth: str = ROWS,
    stopped: Callable[[], bool] = lambda: False,
) -> list[Finding]:
    """Check the tablespace of a table: `files` presence, size and hash; `rows` every block too.

    A file whose hash is wrong is not unpacked: it would only be found damaged once more.
    Raises Interrupted once `stopped` says so.
    """
    assert entry.tablespace is not None
    files = entry.tablespace.files
    findings = [one for file in files for one in _check_file(store, snapshot, entry, file)]
    if depth != ROWS or findings:
        return findings
    try:
        for _ in open_tablespace(store, snapshot.id, entry).blocks(threads=1):
            if stopped():
                raise Interrupted(f"the check of {entry.tablespace.data.path} was stopped")
    except SnapshotUnusable as error:
        return [
            Finding(
                "damaged",
                error.message,
                table=entry.definition.table,
                path=entry.tablespace.data.path,
            )
        ]
    return []


def _check_file(
    store: Store, snapshot: Snapshot, entry: TableEntry, file: KeptFile
) -> list[Finding]:
    name = f"{snapshot.id}/{file.path}"
    try:
        size = store.size(name)
        if size == file.size_bytes and sha256_of(store, name)[0] == file.sha256:
            return []
    except MissingFile:
        kind, what = "missing", "is missing"
    else:
        kind, what = "damaged", "is damaged: its SHA-256 is not the manifest's"
        if size < file.size_bytes:
            kind, what = "truncated", f"is truncated: {size} bytes of {file.size_bytes}"
        elif size > file.size_bytes:
            what = f"is damaged: {size} bytes instead of {file.size_bytes}"
    table = entry.definition.table
    message = f"tablespace of table {table} ({file.path}) {what}"
    return [Finding(kind, message, table=table, path=file.path)]

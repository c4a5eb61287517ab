"""Proof of what lies in a vault, without a server: one function a chunk, findings as data.

Each function is independent of the others and safe to run in threads.  What it finds wrong it
returns; what keeps it from looking (no permission, an I/O error of the disk) it raises.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from tablevault import names
from tablevault.errors import SnapshotUnusable
from tablevault.model import Chunk, Finding, Snapshot, TableEntry
from tablevault.rows.kinds import specs_of
from tablevault.vault.catalog import MARK
from tablevault.vault.chunklist import read_chunks
from tablevault.vault.store import MissingFile, Store, sha256_of

FILES = "files"
ROWS = "rows"
_NAMED_SHARERS = 5


def check_list(
    store: Store, snapshot: Snapshot, entry: TableEntry
) -> tuple[list[Chunk], list[Finding]]:
    """The chunks of a table as far as its list can be trusted, and what is wrong with the list."""
    chunks: list[Chunk] = []
    try:
        chunks.extend(read_chunks(store, snapshot.id, entry))
    except SnapshotUnusable as error:
        kind = "missing" if isinstance(error, MissingFile) else "damaged"
        message = error.message
        if kind == "missing":
            message = f"chunk list of table {entry.definition.table} is missing"
        return [], [Finding(kind, message, table=entry.definition.table, path=entry.chunks_path)]
    return chunks, []


def check_chunk(
    store: Store, snapshot: Snapshot, entry: TableEntry, chunk: Chunk, depth: str = ROWS
) -> list[Finding]:
    """Check one chunk: `files` its presence, size and hash; `rows` also every row's digest.

    A file whose hash is wrong is not decoded: it would only be found damaged once more.
    """
    findings = _check_file(store, snapshot, entry, chunk)
    if depth == ROWS and not findings:
        findings = _check_rows(store, snapshot, entry, chunk)
    return _shared(store, snapshot, chunk, findings)


def foreign_files(
    store: Store, snapshot: Snapshot, chunks: Iterable[tuple[TableEntry, Sequence[Chunk]]]
) -> list[Finding]:
    """Files in the snapshot's folder that its manifest does not know.

    A table whose chunk list could not be read is passed over: nobody knows which files are its.
    """
    known, unclear = {names.MANIFEST, MARK}, []
    for entry, parts in chunks:
        known.add(entry.chunks_path)
        known.update(chunk.path for chunk in parts)
        if entry.tablespace is not None:
            known.update(file.path for file in entry.tablespace.files)
        if len(parts) != entry.chunk_count:
            unclear.append(f"{entry.path}/")
    start = len(snapshot.id) + 1
    return [
        Finding("foreign", f"{name} is not part of snapshot {snapshot.id}", path=name[start:])
        for name, _ in store.list(snapshot.id)
        if name[start:] not in known and not name[start:].startswith(tuple(unclear))
    ]


def _shared(
    store: Store, snapshot: Snapshot, chunk: Chunk, findings: list[Finding]
) -> list[Finding]:
    """The same, saying of whom else the file is: an incremental snapshot shares its files."""
    others = tuple(store.sharers(f"{snapshot.id}/{chunk.path}")) if findings else ()
    if not others:
        return findings
    named = ", ".join(others[:_NAMED_SHARERS])
    more = f" and {len(others) - _NAMED_SHARERS} more" if others[_NAMED_SHARERS:] else ""
    what = f"; the same file is in {named}{more}"
    return [
        dataclasses.replace(one, message=one.message + what, shared_with=others) for one in findings
    ]


def _check_file(store: Store, snapshot: Snapshot, entry: TableEntry, chunk: Chunk) -> list[Finding]:
    name = f"{snapshot.id}/{chunk.path}"
    try:
        size = store.size(name)
        if size == chunk.size_bytes and sha256_of(store, name)[0] == chunk.sha256:
            return []
    except MissingFile:
        return [_finding("missing", entry, chunk, "is missing")]
    if size < chunk.size_bytes:
        what = f"is truncated: {size} bytes of {chunk.size_bytes}"
        return [_finding("truncated", entry, chunk, what)]
    if size > chunk.size_bytes:
        what = f"is damaged: {size} bytes instead of {chunk.size_bytes}"
        return [_finding("damaged", entry, chunk, what)]
    return [_finding("damaged", entry, chunk, "is damaged: its SHA-256 is not the manifest's")]


def _check_rows(store: Store, snapshot: Snapshot, entry: TableEntry, chunk: Chunk) -> list[Finding]:
    # Not needed for a look at the files, and slow to import.
    from tablevault.rows.rowcodec import RowEncoder
    from tablevault.vault.chunk import ChunkReader

    definition = entry.definition
    specs = specs_of(definition.table, definition.columns, snapshot.server.family)
    encoder = RowEncoder(specs)
    findings = []
    try:
        with ChunkReader(store, snapshot.id, definition, chunk, specs) as reader:
            for index, group in enumerate(chunk.row_groups):
                try:
                    _, digest = encoder.encode(*reader.row_group(index), text=False)
                except ValueError as error:  # a cell that no value of the column can have
                    what = f"is damaged: row group {index}: {error}"
                    findings.append(_finding("damaged", entry, chunk, what))
                    continue
                if digest != group.digest:
                    what = f"row group {index} has another digest than the manifest"
                    findings.append(_finding("digest", entry, chunk, what))
    except SnapshotUnusable as error:
        findings.append(
            Finding("damaged", error.message, definition.table, chunk.index, chunk.path)
        )
    return findings


def _finding(kind: str, entry: TableEntry, chunk: Chunk, what: str) -> Finding:
    table = entry.definition.table
    message = f"chunk {chunk.index} of table {table} ({chunk.path}) {what}"
    return Finding(kind, message, table, chunk.index, chunk.path)

"""Results as values for `--json`: plain JSON types, exact where JSON readers are not.

Field names are public API (docs/OPERATIONS.md): added to, never renamed.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tablevault.model import Finding, Snapshot, TableEntry
    from tablevault.ops.options import RestoreResult, SwapResult, TableResult, VerifyResult
    from tablevault.vault.catalog import Listed

Record = dict[str, Any]


def snapshot_record(snapshot: Snapshot) -> Record:
    """A snapshot as a JSON object, short of definitions and chunks."""
    return {
        "snapshot": snapshot.id,
        "name": snapshot.name,
        "created": snapshot.created,
        "finished": snapshot.finished,
        "server": {**asdict(snapshot.server), "version": list(snapshot.server.version)},
        "lock": snapshot.lock,
        "binlog": asdict(snapshot.binlog),
        "partial": snapshot.partial,
        "rows": sum(entry.digest.rows for entry in snapshot.tables),
        "wire_bytes": sum(entry.wire_bytes for entry in snapshot.tables),
        "file_bytes": sum(entry.file_bytes for entry in snapshot.tables),
        "tables": [_entry_record(entry) for entry in snapshot.tables],
        "hints": list(snapshot.hints),
        "tool_version": snapshot.tool_version,
    }


def listed_record(item: Listed) -> Record:
    """A line of `list` as a JSON object; `state` is complete, incomplete or unusable."""
    if item.snapshot is not None:
        return {"state": "complete", **snapshot_record(item.snapshot)}
    state = "unusable" if item.complete else "incomplete"
    return {"snapshot": item.id, "state": state, "problem": str(item.problem)}


def restore_record(result: RestoreResult) -> Record:
    """A restore as a JSON object; `outcome` is "proven" or "swapped"."""
    return {
        "run": result.run,
        "snapshot": result.snapshot,
        "outcome": result.status,
        "seconds": result.seconds,
        "rows": sum(table.rows for table in result.tables),
        "tables": [_result_record(table) for table in result.tables],
        "hints": list(result.hints),
        "findings": [finding_record(finding) for finding in result.findings],
    }


def swap_record(result: SwapResult) -> Record:
    """The same as a JSON object; `outcome` is "swapped", "rolled back" or "cleaned"."""
    return {
        "run": result.run,
        "outcome": result.status,
        "seconds": result.seconds,
        "tables": [_result_record(table) for table in result.tables],
        "dropped": [str(table) for table in result.dropped],
        "hints": list(result.hints),
        "findings": [finding_record(finding) for finding in result.findings],
    }


def verify_record(result: VerifyResult) -> Record:
    """A verification as a JSON object."""
    return {
        "run": result.run,
        "snapshot": result.snapshot,
        "depth": result.depth,
        "chunks": result.chunks,
        "chunks_checked": result.chunks_checked,
        "rows_checked": result.rows_checked,
        "bytes_checked": result.bytes_checked,
        "seconds": result.seconds,
        "findings": [finding_record(finding) for finding in result.findings],
    }


def finding_record(finding: Finding) -> Record:
    """A finding as a JSON object."""
    return {**asdict(finding), "table": None if finding.table is None else str(finding.table)}


def _entry_record(entry: TableEntry) -> Record:
    key = entry.definition.key
    return {
        "table": str(entry.definition.table),
        "rows": entry.digest.rows,
        # exact integers above 2**53 do not survive every JSON reader
        "digest": {"rows": entry.digest.rows, "total": str(entry.digest.total)},
        "chunks": entry.chunk_count,
        "wire_bytes": entry.wire_bytes,
        "file_bytes": entry.file_bytes,
        "key": [column.name for column in key.columns] if key else None,
        "where": entry.where,
        "path": entry.path,
    }


def _result_record(table: TableResult) -> Record:
    return {
        "table": str(table.table),
        "rows": table.rows,
        "size_bytes": table.size_bytes,
        "seconds": table.seconds,
        "staging": None if table.staging is None else str(table.staging),
        "kept": None if table.kept is None else str(table.kept),
        "new_rows": table.new_rows,
        "carried": table.carried,
    }

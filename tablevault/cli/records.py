"""Results as values for `--json`: plain JSON types, exact where JSON readers are not.

Field names are public API (docs/OPERATIONS.md): added to, never renamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tablevault.cli.maintenance import CommandEnd
    from tablevault.model import Finding, Snapshot, TableEntry
    from tablevault.ops.drill import DrillResult
    from tablevault.ops.guard import GuardedTable, GuardResult
    from tablevault.ops.options import RestoreResult, SwapResult, TableResult, VerifyResult
    from tablevault.ops.verify_terms import VaultVerifyResult
    from tablevault.vault.catalog import Listed
    from tablevault.vault.memory import Memory
    from tablevault.vault.proofs import DrillProof

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
        "written_bytes": sum(entry.written_bytes for entry in snapshot.tables),
        "stored_bytes": sum(entry.stored_bytes for entry in snapshot.tables),
        "tables": [_entry_record(entry) for entry in snapshot.tables],
        "hints": list(snapshot.hints),
        "tool_version": snapshot.tool_version,
    }


def listed_record(item: Listed, drills: Sequence[DrillProof] = ()) -> Record:
    """A line of `list` as a JSON object; `state` is complete, incomplete or unusable.

    `drilled` is the last drill that has proven all of it, or null.
    """
    if item.snapshot is not None:
        whole = [proof for proof in drills if proof.whole and proof.snapshot == item.id]
        drilled = proof_record(whole[-1]) if whole else None
        return {"state": "complete", **snapshot_record(item.snapshot), "drilled": drilled}
    state = "unusable" if item.complete else "incomplete"
    return {"snapshot": item.id, "state": state, "problem": str(item.problem)}


def restore_record(result: RestoreResult) -> Record:
    """A restore as a JSON object; `outcome` is "proven" or "swapped"."""
    return {
        "run": result.run,
        "snapshot": result.snapshot,
        "outcome": result.status,
        "partition": result.partition,
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


def drill_record(result: DrillResult) -> Record:
    """A drill as a JSON object: what is kept of it, how long all of it took, what was odd."""
    proof = result.proof
    return {
        **proof_record(proof),
        "run": result.run,
        "snapshot": result.snapshot,
        "total_seconds": result.seconds,
        "hints": list(result.hints),
    }


def proof_record(proof: DrillProof) -> Record:
    """What a drill has proven as a JSON object; `restore_seconds` is of all rows of the tables."""
    return {
        "run": proof.run,
        "at": proof.at,
        "whole": proof.whole,
        "share": proof.share,
        "tables": list(proof.tables),
        "rows": proof.rows,
        "size_bytes": proof.size_bytes,
        "seconds": proof.seconds,
        "restore_seconds": proof.restore_s,
        "rate_bytes_s": proof.rate_bytes_s,
        "threads": proof.threads,
        "phases": dict(proof.phases),
        "server": {
            "family": proof.family,
            "version_text": proof.version,
            "address": proof.address,
            "uuid": proof.server_uuid,
        },
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
        "tablespaces": result.tablespaces,
        "tablespaces_checked": result.tablespaces_checked,
        "seconds": result.seconds,
        "findings": [finding_record(finding) for finding in result.findings],
    }


def verify_vault_record(result: VaultVerifyResult) -> Record:
    """A verification of a whole vault: one object a snapshot, and what is of none."""
    return {
        "run": result.run,
        "depth": result.depth,
        "snapshots": [verify_record(one) for one in result.snapshots],
        "seconds": result.seconds,
        "findings": [finding_record(finding) for finding in result.own_findings],
        "hints": list(result.hints),
    }


def verified_record(entry: TableEntry, memory: Memory) -> Record:
    """When the chunks of a table were last proven, in Unix seconds; 0 is never."""
    return {
        "table": str(entry.definition.table),
        "rows": list(memory.all_of(entry)),
        "files": list(memory.all_of(entry, "files")),
    }


def guard_record(result: GuardResult, end: CommandEnd | None, commands: list[str]) -> Record:
    """What a guard found as a JSON object; `status` is "failed" when only the command did."""
    command = None
    if end is not None:
        command = {
            "exit_code": end.code if end.signal is None else None,
            "signal": end.signal,
            "seconds": end.seconds,
            "interrupted": end.interrupted,
        }
    failed = not result.alarming and end is not None and end.code != 0
    return {
        **({"status": "interrupted" if end and end.interrupted else "failed"} if failed else {}),
        "run": result.run,
        "snapshot": result.snapshot,
        "command": command,
        "seconds": result.seconds,
        "tables": [_guarded_record(table) for table in result.tables],
        "unmet": [str(one) for one in result.unmet],
        "put_back": commands,
        "hints": list(result.hints),
    }


def finding_record(finding: Finding) -> Record:
    """A finding as a JSON object."""
    return {**asdict(finding), "table": None if finding.table is None else str(finding.table)}


def _guarded_record(table: GuardedTable) -> Record:
    return {
        "table": str(table.diff.table),
        "verdict": table.verdict,
        "unexpected": list(table.unexpected),
        "missing": table.diff.missing,
        "extra": table.diff.extra,
        "changed": table.diff.changed,
        "changed_columns": dict(table.diff.changed_columns),
        "schema": [str(difference) for difference in table.diff.schema],
    }


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
        "reused": asdict(entry.reused) if entry.reused else None,
        "tablespace": {
            "bytes": entry.tablespace.tablespace_bytes,
            "file_bytes": entry.tablespace.file_bytes,
        }
        if entry.tablespace
        else None,
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
        **({"indexes": table.indexes} if table.indexes else {}),
        **({"lane": table.lane} if table.lane else {}),
    }

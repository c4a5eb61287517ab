"""Verify: prove a snapshot without a server, chunk by chunk, in threads.

Damage is a finding; the check goes on to its end and then reports all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tablevault.errors import SnapshotUnusable
from tablevault.events import Observer, Reporter, silent
from tablevault.model import Chunk, Finding, Snapshot, TableEntry
from tablevault.names import new_run_id
from tablevault.ops.check_crew import CheckCrew, checks_of, tell_finding
from tablevault.ops.options import DEFAULT_THREADS, VerifyResult
from tablevault.ops.running import aside, reported
from tablevault.ops.selection import select_entries
from tablevault.vault import verify as checks
from tablevault.vault.catalog import resolve
from tablevault.vault.store import Store


def verify(
    store: Store,
    snapshot_text: str,
    *,
    depth: str = checks.ROWS,
    threads: int = DEFAULT_THREADS,
    patterns: Sequence[str] = (),
    budget_s: float | None = None,
    observer: Observer = silent,
    state_dir: Path | None = None,
) -> VerifyResult:
    """Check every chunk of a snapshot: `files` by size and hash, `rows` by decoding them too.

    With `budget_s` no chunk is begun after that time, and the result says how many were looked
    at.  Raises SnapshotUnusable when the manifest itself cannot be trusted.
    """
    reporter = Reporter(new_run_id(), observer)
    with reported(reporter, "verify", snapshot=snapshot_text, state_dir=state_dir) as ending:
        reporter.begin_phase("checking", depth)
        snapshot = aside(reporter, "reading the manifest", lambda: resolve(store, snapshot_text))
        entries = select_entries(snapshot, patterns)
        lists = aside(reporter, "reading the chunk lists", lambda: _lists(store, snapshot, entries))
        findings = [finding for _, found in lists for finding in found]
        if not patterns:
            parts = [(entry, chunks) for entry, (chunks, _) in zip(entries, lists, strict=True)]
            findings += aside(
                reporter,
                "looking for foreign files",
                lambda: checks.foreign_files(store, snapshot, parts),
            )
        for finding in findings:
            tell_finding(reporter, finding)
        todo = checks_of(entries, [chunks for chunks, _ in lists])
        crew = CheckCrew(reporter, store, snapshot, depth, threads, budget_s)
        done = crew.run(todo)
        findings += [finding for checked in done for finding in checked.findings]
        if findings:
            ending.status = "findings"
        return VerifyResult(
            run=reporter.run,
            snapshot=snapshot.id,
            depth=depth,
            chunks=len(todo),
            chunks_checked=len(done),
            rows_checked=sum(checked.check.chunk.digest.rows for checked in done),
            bytes_checked=sum(checked.check.chunk.size_bytes for checked in done),
            seconds=reporter.seconds,
            findings=tuple(findings),
        )


def check_files(
    reporter: Reporter,
    store: Store,
    snapshot: Snapshot,
    entries: Sequence[TableEntry],
    threads: int,
) -> None:
    """Size and hash of every file that a restore will read, before the server is touched.

    Raises SnapshotUnusable, naming the first that is wrong.
    """
    lists = aside(reporter, "reading the chunk lists", lambda: _lists(store, snapshot, entries))
    todo = checks_of(entries, [chunks for chunks, _ in lists])
    done = CheckCrew(reporter, store, snapshot, checks.FILES, threads).run(todo)
    findings = [finding for _, found in lists for finding in found]
    findings += [finding for checked in done for finding in checked.findings]
    if findings:
        raise SnapshotUnusable(
            findings[0].message + (f" (and {len(findings) - 1} more)" if findings[1:] else ""),
            hint="`tablevault verify` lists all that is damaged; restore from another snapshot",
        )


def _lists(
    store: Store, snapshot: Snapshot, entries: Sequence[TableEntry]
) -> list[tuple[list[Chunk], list[Finding]]]:
    return [checks.check_list(store, snapshot, entry) for entry in entries]

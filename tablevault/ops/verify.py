"""Verify: prove a snapshot without a server, chunk by chunk, in threads.

Damage is a finding; the check goes on to its end and then reports all of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tablevault.engine.pool import Pool
from tablevault.errors import SnapshotUnusable
from tablevault.events import ChunkDone, FindingMade, Observer, Reporter, TableProgress, silent
from tablevault.model import Chunk, Finding, Snapshot, TableEntry
from tablevault.names import new_run_id
from tablevault.ops.options import DEFAULT_THREADS, VerifyResult
from tablevault.ops.running import ProgressSampler, aside, reported
from tablevault.ops.selection import select_entries
from tablevault.vault import verify as checks
from tablevault.vault.catalog import resolve
from tablevault.vault.store import Store


@dataclass(frozen=True)
class _Check:
    """One chunk to look at."""

    number: int  # of its table
    entry: TableEntry
    chunk: Chunk


@dataclass(frozen=True)
class _Checked:
    check: _Check
    findings: tuple[Finding, ...]


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
        lists = [checks.check_list(store, snapshot, entry) for entry in entries]
        findings = [finding for _, found in lists for finding in found]
        if not patterns:
            parts = [(entry, chunks) for entry, (chunks, _) in zip(entries, lists, strict=True)]
            findings += checks.foreign_files(store, snapshot, parts)
        for finding in findings:
            _tell(reporter, finding)
        todo = [
            _Check(number, entry, chunk)
            for number, (entry, (chunks, _)) in enumerate(zip(entries, lists, strict=True))
            for chunk in chunks
        ]
        done = _check_all(reporter, store, snapshot, todo, depth, threads, budget_s)
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
    lists = [checks.check_list(store, snapshot, entry) for entry in entries]
    todo = [
        _Check(number, entry, chunk)
        for number, (entry, (chunks, _)) in enumerate(zip(entries, lists, strict=True))
        for chunk in chunks
    ]
    done = _check_all(reporter, store, snapshot, todo, checks.FILES, threads, None)
    findings = [finding for _, found in lists for finding in found]
    findings += [finding for checked in done for finding in checked.findings]
    if findings:
        raise SnapshotUnusable(
            findings[0].message + (f" (and {len(findings) - 1} more)" if findings[1:] else ""),
            hint="`tablevault verify` lists all that is damaged; restore from another snapshot",
        )


def _check_all(
    reporter: Reporter,
    store: Store,
    snapshot: Snapshot,
    todo: Sequence[_Check],
    depth: str,
    threads: int,
    budget_s: float | None,
) -> list[_Checked]:
    began_s = time.monotonic()
    done: list[_Checked] = []
    rows = [0] * (1 + max((check.number for check in todo), default=0))
    sizes = list(rows)
    totals = list(rows)
    for check in todo:
        totals[check.number] += check.chunk.size_bytes
    sampler = ProgressSampler(reporter)

    def work(_: None, check: _Check) -> _Checked | None:
        if budget_s is not None and time.monotonic() - began_s > budget_s:
            return None
        return _Checked(
            check, tuple(checks.check_chunk(store, snapshot, check.entry, check.chunk, depth))
        )

    def on_result(checked: _Checked | None) -> None:
        if checked is None:
            return
        done.append(checked)
        check = checked.check
        rows[check.number] += check.chunk.digest.rows
        sizes[check.number] += check.chunk.size_bytes
        for finding in checked.findings:
            _tell(reporter, finding)
        reporter.emit(
            ChunkDone(
                table=str(check.entry.definition.table),
                chunk=check.chunk.index,
                rows=check.chunk.digest.rows,
                size_bytes=check.chunk.size_bytes,
                proven=not checked.findings and depth == checks.ROWS,
            )
        )

    def on_tick() -> None:
        entries = {check.number: check.entry for check in todo}
        tables = [
            TableProgress(
                table=str(entry.definition.table),
                rows_done=rows[number],
                rows_total=entry.digest.rows,
                bytes_done=sizes[number],
                state="checking" if sizes[number] < totals[number] else "checked",
            )
            for number, entry in entries.items()
        ]
        sampler.show(tables, bytes_total=sum(totals))

    pool: Pool[None, _Check, _Checked | None] = Pool(
        [None] * threads, work, interrupt=lambda _: None
    )
    for check in todo:
        pool.add(check)
    pool.run(on_result, on_tick)
    return done


def _tell(reporter: Reporter, finding: Finding) -> None:
    reporter.emit(
        FindingMade(
            kind=finding.kind,
            message=finding.message,
            table=str(finding.table) if finding.table else None,
            chunk=finding.chunk,
        )
    )

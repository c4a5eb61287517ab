"""Verify: prove snapshots without a server, chunk by chunk, in threads.

Damage is a finding; the check goes on to its end and then reports all of it.  What was proven is
remembered beside the snapshot: a check that cannot cover all begins with the chunks that were
proven least recently.  The list of a table's chunks is read and checked each time.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tablevault.errors import LockedByRun, SnapshotUnusable, TablevaultError
from tablevault.events import Observer, Reporter, silent
from tablevault.model import Chunk, Finding, Snapshot, TableEntry
from tablevault.names import new_run_id
from tablevault.ops.check_crew import (
    Check,
    CheckCrew,
    Checked,
    checks_of,
    tablespace_checks,
    tell_finding,
)
from tablevault.ops.needed import damaged_journals
from tablevault.ops.options import VerifyResult
from tablevault.ops.running import Ending, aside, reported
from tablevault.ops.selection import select_entries
from tablevault.ops.verify_terms import Extent, VaultVerifyResult
from tablevault.vault import verify as checks
from tablevault.vault.catalog import list_snapshots, missing_manifests, resolve
from tablevault.vault.files import allow_locks
from tablevault.vault.memory import Memory
from tablevault.vault.store import Store


@dataclass(frozen=True)
class _Subject:
    """One snapshot that is checked."""

    snapshot: Snapshot
    entries: tuple[TableEntry, ...]
    chunks: tuple[tuple[Chunk, ...], ...]  # of each entry, as far as its list can be trusted
    memory: Memory
    findings: tuple[Finding, ...]  # of what was looked at before any chunk


def verify(
    store: Store,
    snapshot_text: str,
    extent: Extent | None = None,
    *,
    patterns: Sequence[str] = (),
    observer: Observer = silent,
    state_dir: Path | None = None,
) -> VerifyResult:
    """Check the chunks of a snapshot: `files` by size and hash, `rows` by decoding them too.

    The result says how many were looked at.  Raises SnapshotUnusable when the manifest itself
    cannot be trusted, UsageError for an extent that cannot be.
    """
    extent = extent or Extent()
    extent.require()
    reporter = Reporter(new_run_id(), observer)
    with reported(reporter, "verify", snapshot=snapshot_text, state_dir=state_dir) as ending:
        reporter.begin_phase("checking", extent.depth)
        snapshot = aside(reporter, "reading the manifest", lambda: resolve(store, snapshot_text))
        ending.reads(store, snapshot.id)
        subject = _subject(reporter, store, snapshot, patterns)
        [result], _ = _check(reporter, store, [subject], extent)
        _tell(ending, result.findings)
        return result


def verify_vault(
    store: Store,
    extent: Extent | None = None,
    *,
    observer: Observer = silent,
    state_dir: Path | None = None,
) -> VaultVerifyResult:
    """Check the chunks of all snapshots of a vault, the least recently proven ones first.

    A manifest that is damaged or missing is a finding here, as is a damaged journal of a run in
    `state_dir`; what was never completed, or is removed meanwhile, is passed over.
    Raises UsageError for an extent that cannot be.
    """
    extent = extent or Extent()
    extent.require()
    reporter = Reporter(new_run_id(), observer)
    with reported(reporter, "verify", state_dir=state_dir) as ending:
        reporter.begin_phase("checking", f"{extent.depth} of the whole vault")
        listed = aside(reporter, "reading the manifests", lambda: list_snapshots(store))
        own = [
            Finding("unusable", f"snapshot {item.id}: {item.problem}", path=f"{item.id}/")
            for item in listed
            if item.complete and item.snapshot is None
        ]
        own += [
            Finding("missing", f"snapshot {one} has no manifest any more", path=f"{one}/")
            for one in aside(reporter, "looking for manifests", lambda: missing_manifests(store))
        ]
        own += aside(reporter, "reading the journals", lambda: damaged_journals(state_dir))
        for finding in own:
            tell_finding(reporter, finding)
        allow_locks(len(listed))
        subjects = [
            _subject(reporter, store, item.snapshot, ())
            for item in listed
            if item.snapshot is not None and _held(ending, store, item.snapshot.id)
        ]
        results, hints = _check(reporter, store, subjects, extent)
        found = VaultVerifyResult(
            reporter.run, extent.depth, tuple(results), reporter.seconds, tuple(own), hints
        )
        _tell(ending, found.findings)
        return found


def check_files(
    reporter: Reporter,
    store: Store,
    snapshot: Snapshot,
    tables: Sequence[tuple[TableEntry, Sequence[Chunk]]],
    threads: int,
) -> None:
    """Size and hash of every file of `tables`, which a restore will read, before the server is
    touched.

    Raises SnapshotUnusable, naming the first that is wrong.
    """
    todo = checks_of(snapshot, [entry for entry, _ in tables], [chunks for _, chunks in tables])
    done = CheckCrew(reporter, store, Extent(checks.FILES, threads)).run(todo)
    findings = [finding for checked in done for finding in checked.findings]
    if findings:
        raise SnapshotUnusable(
            findings[0].message + (f" (and {len(findings) - 1} more)" if findings[1:] else ""),
            hint="`tablevault verify` lists all that is damaged; restore from another snapshot",
        )


def _tell(ending: Ending, findings: Sequence[Finding]) -> None:
    if findings:
        ending.status = "findings"


def _held(ending: Ending, store: Store, snapshot_id: str) -> bool:
    """Whether the snapshot is there to be read; one that is just removed is no damage."""
    try:
        ending.reads(store, snapshot_id)
    except (SnapshotUnusable, LockedByRun):
        return False
    return True


def _subject(
    reporter: Reporter, store: Store, snapshot: Snapshot, patterns: Sequence[str]
) -> _Subject:
    entries = select_entries(snapshot, patterns)

    def read() -> tuple[list[tuple[list[Chunk], list[Finding]]], Memory, list[Finding]]:
        lists = [checks.check_list(store, snapshot, entry) for entry in entries]
        found = [finding for _, findings in lists for finding in findings]
        if not patterns:
            parts = [(entry, chunks) for entry, (chunks, _) in zip(entries, lists, strict=True)]
            found += checks.foreign_files(store, snapshot, parts)
        memory = Memory(store, snapshot, time.time())
        for entry, (_, damage) in zip(entries, lists, strict=True):
            for place in range(entry.chunk_count if damage else 0):
                memory.forget(entry, place)
        return lists, memory, found

    lists, memory, findings = aside(reporter, f"reading the chunk lists of {snapshot.id}", read)
    for finding in findings:
        tell_finding(reporter, finding)
    chunks = tuple(tuple(chunks) for chunks, _ in lists)
    return _Subject(snapshot, entries, chunks, memory, tuple(findings))


def _check(
    reporter: Reporter, store: Store, subjects: Sequence[_Subject], extent: Extent
) -> tuple[list[VerifyResult], tuple[str, ...]]:
    """Check the chunks of `subjects` that the extent covers, the longest unproven ones first."""
    todo: list[tuple[int, Check]] = []
    for one in subjects:
        todo += [
            (one.memory.when(check.entry, check.place, extent.depth), check)
            for check in (
                *checks_of(one.snapshot, one.entries, one.chunks),
                *tablespace_checks(one.snapshot, one.entries),
            )
            if extent.covers(one.snapshot.id, check.path)
        ]
    todo.sort(key=lambda item: item[0])  # stable: of equals in the order of tables and keys
    crew = CheckCrew(reporter, store, extent)
    with ExitStack() as stack:
        hints: list[str] = []
        # also of a check that is interrupted: what it has proven is proven
        stack.callback(lambda: hints.extend(_remember(reporter, subjects, crew.done, extent.depth)))
        done = _by_snapshot(crew.run([check for _, check in todo]))
    for hint in hints:
        reporter.hint(hint)
    results = [_result(reporter, one, done[one.snapshot.id], extent.depth) for one in subjects]
    return results, tuple(hints)


def _by_snapshot(done: Sequence[Checked]) -> Mapping[str, list[Checked]]:
    found: defaultdict[str, list[Checked]] = defaultdict(list)
    for checked in done:
        found[checked.check.snapshot.id].append(checked)
    return found


def _remember(
    reporter: Reporter, subjects: Sequence[_Subject], done: Sequence[Checked], depth: str
) -> list[str]:
    """Keep what was found sound, and that what is damaged is proven no more: prune goes by it.

    What cannot be kept is proven again the next time.
    """
    hints = []
    parts = _by_snapshot(done)
    for one in subjects:
        mine = parts[one.snapshot.id]
        for checked in mine:
            entry, place = checked.check.entry, checked.check.place
            if checked.findings:
                one.memory.forget(entry, place)
            else:
                one.memory.note(entry, place, depth, checked.at)
        try:
            if mine or one.findings:
                one.memory.save(reporter.run)
        except TablevaultError as error:
            hints.append(f"what was proven could not be remembered: {error.message}")
    return hints[:1]


def _result(
    reporter: Reporter, subject: _Subject, mine: Sequence[Checked], depth: str
) -> VerifyResult:
    found = [finding for checked in mine for finding in checked.findings]
    return VerifyResult(
        run=reporter.run,
        snapshot=subject.snapshot.id,
        depth=depth,
        chunks=sum(len(chunks) for chunks in subject.chunks),
        chunks_checked=sum(1 for checked in mine if checked.check.chunk is not None),
        rows_checked=sum(checked.check.rows for checked in mine),
        bytes_checked=sum(checked.check.size_bytes for checked in mine),
        seconds=reporter.seconds,
        findings=(*subject.findings, *found),
        tablespaces=sum(1 for entry in subject.entries if entry.tablespace),
        tablespaces_checked=sum(1 for checked in mine if checked.check.chunk is None),
    )

"""Prune: remove the snapshots that no rule keeps, no run needs and nobody reads.

What goes is decided first and can be looked at.  Each removal is safe against death at any moment:
the mark of an incomplete snapshot first, then its manifest, and with it the snapshot is gone; what
is left carries the mark, is listed as incomplete, and is removed by the next prune or snapshot.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tablevault.errors import LockedByRun
from tablevault.events import Observer, Reporter, silent
from tablevault.model import Snapshot
from tablevault.names import new_run_id
from tablevault.ops.needed import needed_by_runs
from tablevault.ops.retention import Rules, kept_by_rules
from tablevault.ops.running import aside, reported
from tablevault.ops.table_globs import holds
from tablevault.vault.catalog import (
    Listed,
    clean_leftovers,
    list_snapshots,
    owner_text,
    remove_snapshot,
)
from tablevault.vault.claims import at_work
from tablevault.vault.kept_rows import forget_rows_of_others
from tablevault.vault.manifest import load_manifest
from tablevault.vault.memory import Memory
from tablevault.vault.proofs import drills, forget_others
from tablevault.vault.store import Lock, Store

_LOCK = "prune"
_TURN_WITHIN_S = 60.0
KEEP, REMOVE, REMOVED, BUSY, UNUSABLE = "keep", "remove", "removed", "busy", "unusable"


@dataclass(frozen=True)
class Verdict:
    """A snapshot, and what is, or was, done with it and why.

    `action`: keep, remove (it would be), removed, busy (a run reads it: next time), or unusable
    (it cannot be read by this version, so nothing is decided about it).
    """

    snapshot: str
    action: str
    why: str
    created: float = 0.0  # Unix seconds
    size_bytes: int = 0  # of its files


@dataclass(frozen=True)
class PruneResult:
    """What was decided about each snapshot, oldest first; without `executed` nothing was done."""

    run: str
    executed: bool
    verdicts: tuple[Verdict, ...]
    leftovers: tuple[str, ...]  # incomplete snapshots whose remains were removed
    seconds: float
    hints: tuple[str, ...] = ()
    freed_bytes: int = 0  # on disk, that went or would go: of files that no other snapshot has

    def of(self, *actions: str) -> tuple[Verdict, ...]:
        """The verdicts of some kinds."""
        return tuple(one for one in self.verdicts if one.action in actions)


def prune(
    store: Store,
    rules: Rules,
    state_dir: Path,
    observer: Observer = silent,
    *,
    execute: bool = False,
    now: float | None = None,
    claim: str | None = None,
) -> PruneResult:
    """Decide what the rules leave over, and with `execute` remove it.

    A snapshot with a table that a job is at work on stays for now; not so for `claim`, the one of
    the job that this is a step of, which also waits for another prune to end.

    Raises UsageError for rules that say nothing, CannotComplete for a journal that cannot be read,
    LockedByRun while another prune is at work; removals up to then hold.
    """
    rules.require()
    reporter = Reporter(new_run_id(), observer)
    began = time.time()
    with reported(reporter, "prune", state_dir=state_dir):
        reporter.begin_phase("planning", "manifests, proofs and journals")
        verdicts = aside(
            reporter,
            "reading the vault",
            lambda: _decide(store, rules, state_dir, began if now is None else now),
        )
        leftovers: tuple[str, ...] = ()
        if execute:
            reporter.begin_phase("pruning", f"{sum(v.action == REMOVE for v in verdicts)} to go")
            verdicts, leftovers, freed_bytes = aside(
                reporter,
                "removing files",
                lambda: _execute(store, verdicts, state_dir, began, claim),
            )
        else:
            going = [one.snapshot for one in verdicts if one.action == REMOVE]
            freed_bytes = aside(reporter, "adding up files", lambda: store.own_bytes(going))
        hints = tuple(_hint(one) for one in verdicts if one.action in (BUSY, UNUSABLE))
        for hint in hints:
            reporter.hint(hint)
        return PruneResult(
            reporter.run, execute, tuple(verdicts), leftovers, reporter.seconds, hints, freed_bytes
        )


def _decide(store: Store, rules: Rules, state_dir: Path, now: float) -> list[Verdict]:
    listed = [item for item in list_snapshots(store) if item.complete]
    known = [item.snapshot for item in listed if item.snapshot is not None]
    reasons = {
        **kept_by_rules(known, drills(store), rules, now, _verified(store, known)),
        **needed_by_runs(state_dir),
    }
    return [_verdict(item, reasons) for item in listed]


def _verified(store: Store, snapshots: Sequence[Snapshot]) -> dict[str, list[str]]:
    """The tables of each snapshot whose every digest was recomputed at some time."""
    found: dict[str, list[str]] = {}
    for one in snapshots:
        memory = Memory(store, one, time.time())
        found[one.id] = [
            str(entry.definition.table) for entry in one.tables if all(memory.all_of(entry))
        ]
    return found


def _verdict(item: Listed, reasons: dict[str, str]) -> Verdict:
    one = item.snapshot
    if one is None:
        return Verdict(item.id, UNUSABLE, str(item.problem))
    why = reasons.get(one.id)
    size_bytes = sum(entry.stored_bytes for entry in one.tables)
    if why is None:
        return Verdict(one.id, REMOVE, "no rule keeps it", one.created, size_bytes)
    return Verdict(one.id, KEEP, why, one.created, size_bytes)


def _execute(
    store: Store, verdicts: list[Verdict], state_dir: Path, began: float, claim: str | None
) -> tuple[list[Verdict], tuple[str, ...], int]:
    with _turn(store, _TURN_WITHIN_S if claim else 0.0):
        leftovers = tuple(clean_leftovers(store))
        done, freed_bytes = [], 0
        for one in verdicts:
            if one.action == REMOVE:
                own_bytes = store.own_bytes([one.snapshot])
                one = _removed(store, one, state_dir, began, claim)
                freed_bytes += own_bytes if one.action == REMOVED else 0
            done.append(one)
        forget_others(store, store.folders())
        forget_rows_of_others(state_dir, store.folders())
        return done, leftovers, freed_bytes


def _turn(store: Store, within_s: float) -> Lock:
    """The right to remove, which one prune at a time has."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return store.lock(_LOCK, owner_text())
        except LockedByRun:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.1)


def _removed(
    store: Store, one: Verdict, state_dir: Path, began: float, claim: str | None
) -> Verdict:
    """Remove one, unless somebody reads it or has begun to need it since it was decided."""
    worker = _at_work_on(store, one.snapshot, claim)
    if worker is not None:
        return Verdict(one.snapshot, BUSY, worker, one.created, one.size_bytes)

    def still_unneeded() -> bool:
        # the clock of the file system may be a little behind
        return one.snapshot not in needed_by_runs(state_dir, changed_since=began - 2.0)

    try:
        gone = remove_snapshot(store, one.snapshot, still_unneeded)
    except LockedByRun as error:
        return Verdict(one.snapshot, BUSY, error.message, one.created, one.size_bytes)
    if not gone:
        return Verdict(one.snapshot, BUSY, "a run needs it now", one.created, one.size_bytes)
    return Verdict(one.snapshot, REMOVED, one.why, one.created, one.size_bytes)


def _at_work_on(store: Store, snapshot_id: str, claim: str | None) -> str | None:
    """Which job is at work on a table of the snapshot, other than the one of `claim`."""
    others = [one for one in at_work(store) if one.name != claim]
    if not others:
        return None
    for entry in load_manifest(store, snapshot_id).tables:
        table = str(entry.definition.table)
        for one in others:
            if any(holds(group, table) for group in one.groups):
                return f"{one}, is at work on {table}"
    return None


def _hint(one: Verdict) -> str:
    if one.action == BUSY:
        return f"snapshot {one.snapshot} stays for now: {one.why}"
    return f"snapshot {one.snapshot} cannot be used and is left as it is: {one.why}"

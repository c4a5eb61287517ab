"""Guard: a snapshot, somebody's maintenance, and what it changed beside what it was to change.

Neither a command that fails nor an interruption keeps the comparison from being made: that is
when it is needed most.  Who is cut off in between still has the snapshot, and `end_guard`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from tablevault.events import Observer, Reporter, silent
from tablevault.model import Snapshot, TableName
from tablevault.mysql.catalog import resolve_tables
from tablevault.mysql.connect import ConnectOptions, Purpose
from tablevault.names import new_run_id
from tablevault.ops.consistent import Connections
from tablevault.ops.diff import diff
from tablevault.ops.diff_terms import EQUAL, GONE, DiffOptions, TableDiff
from tablevault.ops.expectation import Expectation, assert_meant, unexpected
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.repair_schema import undone_by_altering
from tablevault.ops.repair_terms import RepairOptions, few_enough
from tablevault.ops.running import aside
from tablevault.ops.selection import select_entries
from tablevault.ops.snapshot import snapshot
from tablevault.vault.catalog import reading, resolve
from tablevault.vault.store import Store

C = TypeVar("C")

UNCHANGED, EXPECTED, UNEXPECTED = "unchanged", "expected", "unexpected"


@dataclass(frozen=True)
class GuardOptions:
    """What to guard, and what is meant to change.

    `patterns` wins over those of `snapshot` and `diff`.
    """

    patterns: tuple[str, ...] = ()  # "schema.table", globs; none: every table of the account
    snapshot: SnapshotOptions = field(default_factory=SnapshotOptions)
    expectations: tuple[Expectation, ...] = ()
    reuse: str | None = None  # a snapshot to go by, if the tables are still as it has them
    diff: DiffOptions = field(default_factory=DiffOptions)


@dataclass(frozen=True)
class Guarded:
    """What a guard goes by: a snapshot, and which of its tables are meant (none: all)."""

    snapshot: Snapshot
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True)
class GuardedTable:
    """One table after the maintenance.

    `verdict` is "unchanged", "expected" or "unexpected"; `unexpected` says, each in a few words,
    what nobody expected.
    """

    diff: TableDiff
    verdict: str
    unexpected: tuple[str, ...] = ()

    @property
    def repairable(self) -> bool:
        """Whether putting back single rows is possible, and cheaper than restoring all of them."""
        found = self.diff
        few = few_enough(found.differing_rows, found.rows)
        # an ALTER takes all of it back, without values that would have to come row by row
        altered = undone_by_altering(found.schema, RepairOptions())
        whole = altered == found.schema and not found.not_compared
        return found.status != GONE and whole and bool(found.key) and few


@dataclass(frozen=True)
class GuardResult:
    """What a maintenance did to the guarded tables."""

    run: str  # of the diff
    snapshot: str
    seconds: float  # of the diff
    tables: tuple[GuardedTable, ...]
    unmet: tuple[Expectation, ...] = ()  # expected, and nothing of the kind was found
    hints: tuple[str, ...] = ()

    @property
    def alarming(self) -> tuple[GuardedTable, ...]:
        """The tables that changed in a way nobody expected."""
        return tuple(table for table in self.tables if table.verdict == UNEXPECTED)


def guard(
    target: ConnectOptions,
    store: Store,
    options: GuardOptions,
    maintenance: Callable[[Snapshot], C],
    observer: Observer = silent,
    *,
    state_dir: Path | None = None,
) -> tuple[C, GuardResult]:
    """Run `maintenance` between a snapshot and a diff; return its answer and what it changed.

    Raises what `snapshot` and `diff` raise, UsageError for an expectation of a table that is not
    guarded, before `maintenance` is called.  What `maintenance` raises is for it to catch: the
    diff is to be made whatever came of it.
    """
    before = begin_guard(target, store, options, observer, state_dir=state_dir)
    with reading(store, before.snapshot.id):
        answer = maintenance(before.snapshot)
    return answer, end_guard(
        target,
        store,
        before.snapshot.id,
        replace(options, patterns=before.patterns),
        observer,
        state_dir=state_dir,
    )


def begin_guard(
    target: ConnectOptions,
    store: Store,
    options: GuardOptions,
    observer: Observer = silent,
    *,
    state_dir: Path | None = None,
) -> Guarded:
    """The snapshot to go by: one that is there and still true, or a new one.

    Raises what `snapshot` raises, UsageError for an expectation of a table that is not guarded.
    """
    tables = _names_of(target, options.patterns, Reporter(new_run_id(), observer))
    assert_meant(options.expectations, tables)
    if options.reuse is not None:
        names = tuple(map(str, tables))
        before = resolve(store, options.reuse)
        held = {entry.definition.table for entry in before.tables}
        compared = replace(options.diff, patterns=names)
        if held.issuperset(tables) and not before.partial:
            found = diff(target, store, before.id, compared, observer, state_dir=state_dir)
            if found.equal:
                return Guarded(before, names)
    wanted = replace(options.snapshot, patterns=options.patterns)
    return Guarded(snapshot(target, store, wanted, observer, state_dir=state_dir))


def end_guard(
    target: ConnectOptions,
    store: Store,
    snapshot_text: str,
    options: GuardOptions,
    observer: Observer = silent,
    *,
    state_dir: Path | None = None,
) -> GuardResult:
    """Compare the guarded tables with the snapshot, and what differs with what was expected."""
    before = resolve(store, snapshot_text)
    entries = select_entries(before, options.patterns)
    assert_meant(options.expectations, [entry.definition.table for entry in entries])
    compared = replace(options.diff, patterns=options.patterns)
    found = diff(target, store, before.id, compared, observer, state_dir=state_dir)
    return GuardResult(
        run=found.run,
        snapshot=found.snapshot,
        seconds=found.seconds,
        tables=judge(found.tables, options.expectations),
        unmet=_unmet(found.tables, options.expectations),
        hints=found.hints,
    )


def judge(
    tables: Sequence[TableDiff], expectations: Sequence[Expectation]
) -> tuple[GuardedTable, ...]:
    """The verdict on each table."""
    judged = []
    for table in tables:
        beyond = unexpected(table, expectations)
        verdict = UNCHANGED if table.status == EQUAL else UNEXPECTED if beyond else EXPECTED
        judged.append(GuardedTable(table, verdict, beyond))
    return tuple(judged)


def _unmet(
    tables: Sequence[TableDiff], expectations: Sequence[Expectation]
) -> tuple[Expectation, ...]:
    """The expectations of tables of which none has changed at all."""
    changed = [table.table for table in tables if table.status != EQUAL]
    return tuple(one for one in expectations if not any(one.names(table) for table in changed))


def _names_of(
    target: ConnectOptions, patterns: Sequence[str], reporter: Reporter
) -> tuple[TableName, ...]:
    """The tables that are to be guarded, as they are called on the server."""
    with ExitStack() as stack:
        connections = Connections(stack)

        def ask() -> tuple[TableName, ...]:
            return tuple(resolve_tables(connections.open(target, Purpose.CONTROL), patterns))

        return aside(reporter, "looking which tables to guard", ask, connections.abort)

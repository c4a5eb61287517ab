"""Diff: what differs between a snapshot and the live tables, schema first, then rows.

While digests agree no row leaves the server.  Differences are data: the diff goes to its end and
then says all of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tablevault.errors import CannotComplete
from tablevault.events import FindingMade, Observer, Reporter, silent
from tablevault.model import Chunk, Snapshot, TableDef, TableEntry
from tablevault.mysql import catalog, ddl, relations
from tablevault.mysql.connect import Connection, ConnectOptions, Purpose
from tablevault.names import new_run_id
from tablevault.ops.consistent import Connections
from tablevault.ops.diff_crew import Comparer, DiffCrew, TableTally
from tablevault.ops.diff_kept import Keeper
from tablevault.ops.diff_plan import Comparison, compare_tables
from tablevault.ops.diff_terms import (
    DIFFERS,
    EQUAL,
    GONE,
    DiffOptions,
    DiffResult,
    OnDifferences,
    TableDiff,
)
from tablevault.ops.running import aside, reported
from tablevault.ops.schema_diff import SchemaDifference, schema_differences
from tablevault.ops.selection import select_entries
from tablevault.vault.catalog import resolve
from tablevault.vault.chunklist import read_chunks
from tablevault.vault.store import Store


@dataclass(frozen=True)
class _Look:
    """One table as it was found before any row was read."""

    entry: TableEntry
    schema: tuple[SchemaDifference, ...]
    comparison: Comparison | None  # None: there is no table of that name
    chunks: tuple[Chunk, ...] = ()


def diff(
    target: ConnectOptions,
    store: Store,
    snapshot_text: str,
    options: DiffOptions,
    observer: Observer = silent,
    *,
    state_dir: Path | None = None,
    on_differences: OnDifferences | None = None,
) -> DiffResult:
    """Compare tables of a snapshot with the live ones; the result counts what differs.

    With a `state_dir` the rows that differ are kept there for a repair.
    `on_differences` is given every row that differs, as it is found, from several threads.
    Raises UsageError, SnapshotUnusable before the server is touched; CannotComplete when a table
    is altered meanwhile or for a DDL that waits; ServerUnavailable when the server is lost.
    """
    snapshot = resolve(store, snapshot_text)
    entries = select_entries(snapshot, options.patterns)
    reporter = Reporter(new_run_id(), observer)
    names = [str(entry.definition.table) for entry in entries]
    with reported(
        reporter, "diff", snapshot=snapshot.id, tables=names, state_dir=state_dir
    ) as ending:
        ending.reads(store, snapshot.id)
        with ExitStack() as stack:
            keeper = None
            if state_dir is not None and not options.columns:
                keeper = stack.enter_context(Keeper(state_dir, snapshot, on_differences))
            result = compare(
                target, store, snapshot, entries, options, reporter, keeper or on_differences
            )
        if not result.equal:
            ending.status = "findings"
        return result


def compare(
    target: ConnectOptions,
    store: Store,
    snapshot: Snapshot,
    entries: Sequence[TableEntry],
    options: DiffOptions,
    reporter: Reporter,
    on_differences: OnDifferences | Keeper | None = None,
) -> DiffResult:
    """The diff as a step of a run that `reporter` tells of.  Raises as `diff`.

    A Keeper is told of the end as well.
    """
    began_s = time.monotonic()
    with ExitStack() as stack:
        connections = Connections(stack)
        reporter.begin_phase("planning", "definitions and chunk lists")
        control, looks = aside(
            reporter,
            "reading definitions",
            lambda: _look(target, store, connections, snapshot, entries, options),
            connections.abort,
        )
        _tell_schema(reporter, looks)
        began = time.time()
        what = "1 table" if len(looks) == 1 else f"{len(looks)} tables"
        reporter.begin_phase("comparing", what)
        tallies = _compare_rows(
            target, store, connections, snapshot, looks, options, reporter, stack, on_differences
        )
        aside(
            reporter,
            "looking at the definitions again",
            lambda: _assert_unaltered(control, looks),
            connections.abort,
        )
        tables = tuple(_table_diff(look, tallies) for look in looks)
        result = DiffResult(
            run=reporter.run,
            snapshot=snapshot.id,
            began=began,
            ended=time.time(),
            seconds=time.monotonic() - began_s,
            tables=tables,
            hints=tuple(hint for table in tables for hint in table.hints),
        )
        if isinstance(on_differences, Keeper):
            comparisons = [look.comparison for look in looks if look.comparison]
            hints = aside(
                reporter,
                "keeping what was found",
                lambda: on_differences.finish(result, comparisons, control.server),
            )
            result = replace(result, hints=(*result.hints, *hints))
        return result


def _look(
    target: ConnectOptions,
    store: Store,
    connections: Connections,
    snapshot: Snapshot,
    entries: Sequence[TableEntry],
    options: DiffOptions,
) -> tuple[Connection, list[_Look]]:
    """Definitions of both sides; a connection that stays for control."""
    wanted = [
        (number, entry, tuple(read_chunks(store, snapshot.id, entry)))
        for number, entry in enumerate(entries)
        if options.numbers is None or number in options.numbers
    ]
    control = connections.open(target, Purpose.CONTROL)
    # keys that become literals are read as they are stored, not as utf8mb4
    planner = connections.open(target, Purpose.DIGEST)
    tables = [entry.definition.table for _, entry, _ in wanted]
    there = [table for table in tables if relations.exists(control, table)]
    found = catalog.table_definitions(control, there)
    live = {definition.table: definition for definition in found}
    looks = []
    for number, entry, chunks in wanted:
        now: TableDef | None = live.get(entry.definition.table)
        schema = schema_differences(entry.definition, now)
        compared = None
        if now is not None:
            compared = compare_tables(planner, snapshot, number, entry, now, options.columns)
        looks.append(_Look(entry, schema, compared, chunks))
    return control, looks


def _tell_schema(reporter: Reporter, looks: Sequence[_Look]) -> None:
    for look in looks:
        for difference in look.schema:
            table = str(look.entry.definition.table)
            reporter.emit(FindingMade(kind="schema", message=str(difference), table=table))
        for hint in look.comparison.hints if look.comparison else ():
            reporter.hint(hint)


def _compare_rows(
    target: ConnectOptions,
    store: Store,
    connections: Connections,
    snapshot: Snapshot,
    looks: Sequence[_Look],
    options: DiffOptions,
    reporter: Reporter,
    stack: ExitStack,
    on_differences: OnDifferences | None,
) -> dict[int, TableTally]:
    todo = [(look.comparison, look.chunks) for look in looks if look.comparison is not None]
    if not todo:
        return {}
    comparers = []
    for _ in range(options.threads):
        connection = aside(
            reporter,
            "connecting",
            lambda: connections.open(target, Purpose.DIGEST),
            connections.abort,
        )
        comparers.append(Comparer(connection, store, snapshot, options, on_differences))
        stack.callback(comparers[-1].close)
    crew = DiffCrew(
        target,
        comparers,
        todo,
        reporter,
        options,
        lambda: connections.open(target, Purpose.CONTROL),
    )
    crew.run()
    return crew.tallies


def _assert_unaltered(control: Connection, looks: Sequence[_Look]) -> None:
    """Raise CannotComplete when a table is another one than when it was looked at first."""
    compared = [look.comparison.live for look in looks if look.comparison is not None]
    now = catalog.identity_now(control, [definition.table for definition in compared])
    for definition in compared:
        then = (definition.identity, ddl.normalise(definition.create_sql))
        if now.get(definition.table) != then:
            raise CannotComplete(
                f"table {definition.table} was altered or replaced during the diff",
                hint="begin it again when the other session is done",
            )


def _table_diff(look: _Look, tallies: dict[int, TableTally]) -> TableDiff:
    table = look.entry.definition.table
    comparison = look.comparison
    if comparison is None:
        return TableDiff(table, GONE, look.schema, rows=look.entry.digest.rows)
    tally = tallies[comparison.number]
    names = tuple(column.name for column in comparison.columns)
    differs = look.schema or tally.missing or tally.extra or tally.changed
    by_column = sorted(tally.by_column.items(), key=lambda item: (-item[1], item[0]))
    return TableDiff(
        table=table,
        status=DIFFERS if differs else EQUAL,
        schema=look.schema,
        rows=look.entry.digest.rows,
        live_rows=tally.live_rows,
        missing=tally.missing,
        extra=tally.extra,
        changed=tally.changed,
        changed_columns=tuple((names[at], count) for at, count in by_column),
        columns=names,
        not_compared=comparison.not_compared,
        key=tuple(names[at] for at in comparison.identity),
        examples=tuple(tally.examples),
        hints=comparison.hints,
    )

"""Diff of two snapshots, without a server: definitions, digests of the manifests, then rows.

Only stretches of a table whose digests differ are read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tablevault.engine.pool import Pool
from tablevault.errors import SnapshotUnusable
from tablevault.events import FindingMade, Observer, Reporter, TableProgress, silent
from tablevault.model import Snapshot, TableEntry
from tablevault.names import new_run_id
from tablevault.ops.diff_findings import Findings
from tablevault.ops.diff_pairs import Pair, Stretch, pair_of, stretches_of
from tablevault.ops.diff_stretches import StretchComparer
from tablevault.ops.diff_terms import DIFFERS, EQUAL, GONE, DiffOptions, DiffResult, TableDiff
from tablevault.ops.running import ProgressSampler, aside, reported
from tablevault.ops.schema_diff import SchemaDifference, schema_differences
from tablevault.ops.selection import select_entries
from tablevault.vault.catalog import resolve
from tablevault.vault.chunklist import read_chunks
from tablevault.vault.store import Store


@dataclass
class _Tally:
    """What has been found in one pair so far."""

    pair: Pair
    schema: tuple[SchemaDifference, ...]
    stretches: tuple[Stretch, ...]
    examples: int
    found: Findings = field(init=False)
    rows: int = 0  # of the first snapshot, known to agree or compared

    def __post_init__(self) -> None:
        self.found = Findings(None, self.examples)
        self.rows = self.pair.rows - sum(stretch.rows for stretch in self.stretches)

    def add(self, stretch: Stretch, found: Findings) -> None:
        self.rows += stretch.rows
        self.found.add(found)

    @property
    def progress(self) -> TableProgress:
        entry = self.pair.before.entry
        complete = self.rows == entry.digest.rows
        return TableProgress(
            table=str(entry.definition.table),
            rows_done=self.rows,
            rows_total=entry.digest.rows,
            bytes_done=entry.wire_bytes * self.rows // max(1, entry.digest.rows),
            state="compared" if complete else "comparing",
        )


def second_snapshot(store: Store, snapshot_text: str, words: Sequence[str]) -> str | None:
    """The snapshot that the first of `words` names, if it does and is no table of the first one."""
    if not words or "." in words[0]:
        return None
    tables = {entry.definition.table.name for entry in resolve(store, snapshot_text).tables}
    if words[0] in tables:
        return None
    try:
        return resolve(store, words[0]).id
    except SnapshotUnusable:
        return None


def diff_snapshots(
    store: Store,
    first_text: str,
    second_text: str,
    options: DiffOptions,
    observer: Observer = silent,
    *,
    state_dir: Path | None = None,
) -> DiffResult:
    """Compare tables of a snapshot with those of another one, without a server.

    "Missing" is what only the first one has, "extra" what only the second one has.  Raises
    UsageError for a table that the first one lacks, SnapshotUnusable for damage.
    """
    first, second = resolve(store, first_text), resolve(store, second_text)
    entries = select_entries(first, options.patterns)
    reporter = Reporter(new_run_id(), observer)
    names = [str(entry.definition.table) for entry in entries]
    began = time.time()
    with reported(reporter, "diff", snapshot=first.id, tables=names, state_dir=state_dir) as ending:
        for one in (first, second):
            ending.reads(store, one.id)
        reporter.begin_phase("planning", "definitions and chunk lists")
        tallies = aside(
            reporter,
            "reading the chunk lists",
            lambda: _tallies(store, first, second, entries, options.examples),
        )
        for tally in tallies:
            for difference in tally.schema:
                table = str(difference.table)
                reporter.emit(FindingMade(kind="schema", message=str(difference), table=table))
        reporter.begin_phase("comparing", f"{len(tallies)} tables")
        _compare(reporter, store, first, second, tallies, options)
        known = {tally.pair.before.entry.definition.table: _table_diff(tally) for tally in tallies}
        tables = tuple(known.get(entry.definition.table) or _gone(entry) for entry in entries)
        if any(table.status != EQUAL for table in tables):
            ending.status = "findings"
        return DiffResult(
            run=reporter.run,
            snapshot=first.id,
            other=second.id,
            began=began,
            ended=time.time(),
            seconds=reporter.seconds,
            tables=tables,
            hints=tuple(_hints(first, second, options, tallies)),
        )


def _tallies(
    store: Store, first: Snapshot, second: Snapshot, entries: Sequence[TableEntry], examples: int
) -> list[_Tally]:
    theirs = {entry.definition.table: entry for entry in second.tables}
    tallies = []
    for number, before in enumerate(entries):
        after = theirs.get(before.definition.table)
        if after is None:
            continue
        pair = pair_of(number, first, before, second, after)
        stretches: tuple[Stretch, ...] = ()
        if not pair.recorded or before.digest != after.digest:
            lists = [
                list(read_chunks(store, snapshot.id, entry))
                for snapshot, entry in ((first, before), (second, after))
            ]
            stretches = stretches_of(pair, *lists)
        schema = schema_differences(before.definition, after.definition)
        tallies.append(_Tally(pair, schema, stretches, examples))
    return tallies


def _compare(
    reporter: Reporter,
    store: Store,
    first: Snapshot,
    second: Snapshot,
    tallies: Sequence[_Tally],
    options: DiffOptions,
) -> None:
    by_number = {tally.pair.number: tally for tally in tallies}
    sampler = ProgressSampler(reporter)

    def on_result(result: tuple[Stretch, Findings]) -> None:
        by_number[result[0].pair.number].add(*result)

    def on_tick() -> None:
        total = sum(tally.pair.before.entry.wire_bytes for tally in tallies)
        sampler.show([tally.progress for tally in tallies], bytes_total=total)

    with ExitStack() as stack:
        workers = [
            StretchComparer(store, first, second, options.examples) for _ in range(options.threads)
        ]
        for worker in workers:
            stack.callback(worker.close)
        pool: Pool[StretchComparer, Stretch, tuple[Stretch, Findings]] = Pool(
            workers,
            lambda worker, stretch: worker.work(stretch),
            interrupt=lambda worker: worker.stop(),
        )
        todo = [stretch for tally in tallies for stretch in tally.stretches]
        for stretch in sorted(todo, key=lambda one: -one.rows):
            pool.add(stretch)
        pool.run(on_result, on_tick)
        on_tick()


def _table_diff(tally: _Tally) -> TableDiff:
    pair, found = tally.pair, tally.found
    by_column = sorted(found.by_column.items(), key=lambda item: (-item[1], item[0]))
    differs = tally.schema or found.missing or found.extra or found.changed
    return TableDiff(
        table=pair.before.entry.definition.table,
        status=DIFFERS if differs else EQUAL,
        schema=tally.schema,
        rows=pair.rows,
        live_rows=pair.after.entry.digest.rows,
        missing=found.missing,
        extra=found.extra,
        changed=found.changed,
        changed_columns=tuple((pair.columns[at], count) for at, count in by_column),
        columns=pair.columns,
        not_compared=pair.not_compared,
        key=tuple(pair.columns[at] for at in pair.before.identity),
        examples=tuple(found.examples),
    )


def _gone(entry: TableEntry) -> TableDiff:
    schema = schema_differences(entry.definition, None)
    return TableDiff(entry.definition.table, GONE, schema, rows=entry.digest.rows)


def _hints(
    first: Snapshot, second: Snapshot, options: DiffOptions, tallies: Sequence[_Tally]
) -> Iterator[str]:
    for tally in tallies:
        before, after = tally.pair.before.entry, tally.pair.after.entry
        if before.where != after.where:
            yield f"table {before.definition.table}: the snapshots have different filters"
        for column in tally.pair.shown_otherwise:
            yield (
                f"column `{column}` of {before.definition.table} has another type in {second.id}: "
                "its values are compared as the text that each type shows"
            )
    if not options.patterns:
        known = {entry.definition.table for entry in first.tables}
        others = [str(e.definition.table) for e in second.tables if e.definition.table not in known]
        if others:
            yield f"not compared, only {second.id} has them: {', '.join(others)}"

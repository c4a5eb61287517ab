"""The crew of a diff: workers at the ranges of all tables, and a coordinator that tells of it.

Each task is one short consistent read: together they are no single instant, which would need a
lock, but no undo piles up on the server, and a DDL waits for one range at most.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tablevault.engine.pool import Pool
from tablevault.events import ChunkDone, Reporter, TableDone, TablePlanned, TableProgress, Waiting
from tablevault.model import Chunk, Snapshot
from tablevault.mysql import sql_tables
from tablevault.mysql.connect import Connection, ConnectOptions
from tablevault.mysql.source import RowSource
from tablevault.ops.diagnosis import Doing
from tablevault.ops.diff_buckets import WholeComparer, WholeTask
from tablevault.ops.diff_findings import Findings
from tablevault.ops.diff_plan import Comparison
from tablevault.ops.diff_ranges import Habit, RangeComparer, RangeTask
from tablevault.ops.diff_sides import SnapshotSide
from tablevault.ops.diff_terms import DiffOptions, Example, OnDifferences
from tablevault.ops.giving_way import ddl_watch, yield_to_ddl
from tablevault.ops.governor import Governor
from tablevault.ops.lookout import Lookout
from tablevault.ops.running import ProgressSampler, first_tick_s
from tablevault.ops.strains import of_server
from tablevault.ops.watchdog import Watchdog
from tablevault.vault.store import Store

Task = RangeTask | WholeTask


@dataclass
class TableTally:
    """What has been found in one table so far."""

    comparison: Comparison
    tasks: int
    done: int = 0
    rows: int = 0  # of the snapshot, compared
    bytes: int = 0
    live_rows: int = 0
    missing: int = 0
    extra: int = 0
    changed: int = 0
    by_column: Counter[int] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)

    def add(self, task: Task, found: Findings) -> None:
        """Note what a task found."""
        self.done += 1
        self.rows += task.rows
        self.bytes += task.wire_bytes
        self.live_rows += found.live_rows
        self.missing += found.missing
        self.extra += found.extra
        self.changed += found.changed
        self.by_column.update(found.by_column)
        self.examples += found.examples

    @property
    def progress(self) -> TableProgress:
        complete = self.done == self.tasks
        return TableProgress(
            table=str(self.comparison.table),
            rows_done=self.rows,
            rows_total=self.comparison.entry.digest.rows,
            bytes_done=self.bytes,
            state="compared" if complete else "comparing" if self.done else "waiting",
        )


class Comparer:
    """A worker: one connection, one open file, and counters that others may look at."""

    def __init__(
        self,
        connection: Connection,
        store: Store,
        snapshot: Snapshot,
        options: DiffOptions,
        on_differences: OnDifferences | None,
    ) -> None:
        self.connection = connection
        self.task: Task | None = None
        self.pause_s = 0.0  # before each task; set by the coordinator when the server is pressed
        self._source: RowSource | None = None
        self._rows_before = 0
        self._habits: dict[int, Habit] = {}
        self._side = SnapshotSide(store, snapshot)
        self._options = options
        self._on_differences = on_differences

    @property
    def rows_read(self) -> int:
        """Rows that came over the wire so far: it moves while a long range is read."""
        source = self._source
        return self._rows_before + (source.rows_seen if source else 0)

    def work(self, task: Task) -> tuple[Task, Findings]:
        """Compare one task's rows as of one instant."""
        time.sleep(self.pause_s)
        self.task = task
        connection = self.connection
        findings = Findings(task.comparison, self._options.examples, self._on_differences)
        try:
            connection.execute(sql_tables.BEGIN_CONSISTENT_READ)
            if isinstance(task, RangeTask):
                habit = self._habits.setdefault(task.comparison.number, Habit())
                RangeComparer(connection, self._side, task, findings, self._reads, habit).run()
            else:
                WholeComparer(connection, self._side, task, findings, self._reads).run()
            connection.execute(sql_tables.END_CONSISTENT_READ)
        finally:
            self.task = None
        return task, findings

    def close(self) -> None:
        """Close the file at hand."""
        self._side.close()

    def _reads(self, source: RowSource) -> None:
        self._rows_before = self.rows_read
        self._source = source


class DiffCrew:
    """Compares every range of every table."""

    def __init__(
        self,
        target: ConnectOptions,
        comparers: Sequence[Comparer],
        comparisons: Sequence[tuple[Comparison, Sequence[Chunk]]],
        reporter: Reporter,
        options: DiffOptions,
        open_connection: Callable[[], Connection],
    ) -> None:
        """`open_connection` serves the lookout."""
        self._comparers = comparers
        self._reporter = reporter
        self._options = options
        self._tasks = [task for one, chunks in comparisons for task in tasks_of(one, chunks)]
        counts = Counter(task.comparison.number for task in self._tasks)
        self.tallies = {one.number: TableTally(one, counts[one.number]) for one, _ in comparisons}
        self._sampler = ProgressSampler(reporter)
        self._governor = Governor(reporter, emergency=options.emergency)
        self._stopping_since: float | None = None
        self._lookout = Lookout(open_connection, self._connection_ids, list)
        self._watchdog = Watchdog(
            reporter, self._lookout, self._doing, stalled_after_s=options.stalled_after_s
        )
        self._ddl = ddl_watch(target, [one.live.table for one, _ in comparisons])
        self._pool: Pool[Comparer, Task, tuple[Task, Findings]] = Pool(
            comparers,
            lambda comparer, task: comparer.work(task),
            interrupt=lambda comparer: comparer.connection.abort(),
        )

    def run(self) -> None:
        """Compare everything.  Raises the first error, CannotComplete to give way to a DDL."""
        for tally in self.tallies.values():
            entry = tally.comparison.entry
            self._reporter.emit(
                TablePlanned(
                    table=str(tally.comparison.table),
                    rows=entry.digest.rows,
                    size_bytes=entry.wire_bytes,
                )
            )
        for task in self._tasks:
            # a whole table is one long task: it must not be the last to begin
            self._pool.add(task, priority=float(isinstance(task, RangeTask)))
        with self._lookout.poller, self._ddl:
            self._pool.run(
                self._on_result,
                self._on_tick,
                first_tick_s=first_tick_s(self._reporter),
                on_stopping=self._on_stopping,
            )
            self._on_tick()

    def _on_result(self, result: tuple[Task, Findings]) -> None:
        task, found = result
        tally = self.tallies[task.comparison.number]
        tally.add(task, found)
        del tally.examples[3 * self._options.examples :]
        table = str(task.comparison.table)
        if isinstance(task, RangeTask):
            self._reporter.emit(
                ChunkDone(
                    table=table,
                    chunk=task.chunk.index,
                    row_group=task.group,
                    rows=task.rows,
                    size_bytes=task.wire_bytes,
                    proven=not (found.missing or found.extra or found.changed),
                    worker=self._pool.spent.worker,
                    seconds=self._pool.spent.seconds,
                )
            )
        if tally.done == tally.tasks:
            self._reporter.emit(
                TableDone(
                    table=table,
                    rows=tally.rows,
                    size_bytes=tally.bytes,
                    seconds=self._reporter.seconds,
                )
            )

    def _on_tick(self) -> None:
        """Twice a second: a sample, pressure, stillness, and whether a DDL waits for us."""
        yield_to_ddl(self._reporter, self._ddl.latest, self._options.ddl_wait_s, "diff")
        tallies = list(self.tallies.values())
        self._sampler.show(
            [tally.progress for tally in tallies],
            bytes_total=sum(tally.comparison.entry.wire_bytes for tally in tallies),
        )
        self._press()
        read = sum(comparer.rows_read for comparer in self._comparers)
        self._watchdog.tick((sum(tally.done for tally in tallies), read))

    def _press(self) -> None:
        self._governor.tick([*of_server(self._lookout.view.pressure)])
        for comparer in self._comparers:
            comparer.pause_s = self._governor.pause_s

    def _on_stopping(self) -> None:
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()
        waited_s = time.monotonic() - self._stopping_since
        self._reporter.emit(Waiting(what="the workers to stop", seconds=waited_s))

    def _connection_ids(self) -> list[int]:
        return [comparer.connection.id for comparer in self._comparers]

    def _doing(self) -> list[Doing]:
        return [
            Doing.on(comparer.connection, number, f"comparing {task.comparison.table}")
            for number, comparer in enumerate(self._comparers, 1)
            if (task := comparer.task) is not None  # it ends in its own thread
        ]


def tasks_of(comparison: Comparison, chunks: Sequence[Chunk]) -> list[Task]:
    """The tasks of one table: its row groups where an index has their ranges, else itself."""
    if comparison.index is None:
        return [WholeTask(comparison, tuple(chunks))]
    return [
        RangeTask(comparison, chunk, group)
        for chunk in chunks
        for group in (range(len(chunk.row_groups)) if chunk.row_groups else [None])
    ]

"""The crew of a snapshot: readers at the chunks of all tables, and a coordinator that tells of it.

Chunks are planned while others are read: the planner walks the keys on a connection of its own,
a few chunks ahead.  Of a table with a base all parts are compared first, and what is unchanged is
taken over.  The coordinator samples counters and runs neither SQL nor file I/O itself.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tablevault.engine.plan import ranges_between
from tablevault.engine.pool import Pool
from tablevault.events import ChunkDone, Reporter, TableDone, TablePlanned
from tablevault.model import EVERYWHERE, Chunk, KeyRange, TableName
from tablevault.mysql import engines, keywalk
from tablevault.mysql.connect import ConnectOptions
from tablevault.names import table_folder
from tablevault.ops.base import Base, Bases
from tablevault.ops.consistent import ConsistentRead
from tablevault.ops.giving_way import ddl_watch, yield_to_ddl
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.reading import ChunksRead, ChunkTask, Reader, TablePlan, plan_table
from tablevault.ops.rows_held import RowsHeld
from tablevault.ops.running import ProgressSampler
from tablevault.ops.table_read import TableRead
from tablevault.ops.unchanged import Compared, CompareTask, Comparison, Kept, compare
from tablevault.vault.reuse import take_over
from tablevault.vault.store import Store


@dataclass(frozen=True)
class TakeTask:
    """A chunk of the base that becomes chunk `index`."""

    plan: TablePlan
    base: Base
    chunk: Chunk
    index: int


@dataclass(frozen=True)
class ChunkTaken:
    """What a TakeTask became; `linked` unless the vault cannot, then it is a copy."""

    read: ChunksRead
    linked: bool


Task = ChunkTask | CompareTask | TakeTask
Result = ChunksRead | Compared | ChunkTaken


class ReadCrew:
    """Reads every chunk of every table, the largest tables first."""

    def __init__(
        self,
        target: ConnectOptions,
        store: Store,
        snapshot_id: str,
        options: SnapshotOptions,
        reporter: Reporter,
        read: ConsistentRead,
        bases: Bases,
        later_bytes: int = 0,
    ) -> None:
        """`later_bytes` are of tablespaces, packed when all is read: they count in the whole."""
        family = read.control.server.family
        plans = [
            plan_table(
                number,
                definition,
                family,
                options.where,
                read.doubts.get(definition.table, ()),
            )
            for number, definition in enumerate(read.definitions)
        ]
        self.tables = [
            TableRead(plan, time.monotonic(), Comparison(plan, base) if base else None)
            for plan, base in ((plan, bases.fitting(plan)) for plan in plans)
        ]
        self.hints = list(bases.hints)
        self._copying = False
        self._later_bytes = later_bytes
        self._store = store
        self._snapshot_id = snapshot_id
        self._options = options
        self._reporter = reporter
        self._planner = read.planner
        self._readers = [Reader(connection) for connection in read.readers]
        self._sampler = ProgressSampler(reporter)
        self._held = RowsHeld(
            read.lock,
            [p.number for p in plans if not engines.transactional(p.definition.engine)],
        )

        self._ddl = ddl_watch(target, [plan.table for plan in plans])
        self._pool: Pool[Reader, Task, Result] = Pool(
            self._readers,
            self._work,
            interrupt=lambda reader: reader.connection.abort(),
        )

    def run(self) -> None:
        """Read everything.  Raises the first error, and CannotComplete to give way to a DDL."""
        for hint in self.hints:
            self._reporter.hint(hint)
        for table in self.tables:
            definition = table.plan.definition
            self._reporter.emit(
                TablePlanned(
                    table=str(table.plan.table),
                    rows=definition.estimated_rows,
                    size_bytes=definition.estimated_bytes,
                )
            )
        with self._ddl:
            self._pool.feed(self._tasks(), self._stop_planning)
            self._pool.run(self._on_result, self._on_tick)
            self._on_tick()

    def _work(self, reader: Reader, task: Task) -> Result:
        """A worker's part, in its thread."""
        if isinstance(task, CompareTask):
            return compare(reader.connection, self._store, task)
        if isinstance(task, TakeTask):
            folder = table_folder(task.plan.table)
            chunk, linked = take_over(
                self._store,
                task.base.snapshot.id,
                task.chunk,
                self._snapshot_id,
                folder,
                task.index,
            )
            result: Result = ChunkTaken(ChunksRead(task.plan, (chunk,)), linked)
        else:
            result = reader.read(task, self._store, self._snapshot_id, self._options)
        self._held.done(task.plan.number)
        return result

    def _tasks(self) -> Iterator[Task]:
        """The tasks of all tables; runs in the feeder's thread, a few tasks ahead."""
        largest_first = sorted(
            self.tables,
            key=lambda t: (
                # a table without a key is one long task: it must not be the last to begin
                t.plan.definition.key is not None,
                -t.plan.definition.estimated_bytes,
            ),
        )
        held = [one for one in largest_first if one.plan.number in self._held.tables]
        others = [one for one in largest_first if one.plan.number not in self._held.tables]
        for tables in (held, others):  # somebody may wait for those that are held
            for table in tables:
                if table.comparison is not None:
                    yield from table.comparison.tasks
            for table in tables:
                yield from self._reading(table)
                table.planned = True
                self._held.done(table.plan.number)

    def _reading(self, table: TableRead) -> Iterator[Task]:
        """What brings the rows of a table into the vault, in key order."""
        plan = table.plan
        for index, item in enumerate(self._items(table)):
            table.tasks += 1
            self._held.expect(plan.number)
            if isinstance(item, KeyRange):
                yield ChunkTask(plan, index, item)
            else:
                base, chunk = item
                yield TakeTask(plan, base, chunk, index)

    def _items(self, table: TableRead) -> Iterator[KeyRange | tuple[Base, Chunk]]:
        """The ranges that are read and the chunks that are taken over, in key order."""
        key, comparison = table.plan.definition.key, table.comparison
        wanted = self._options.chunk_bytes
        if comparison is not None:
            for item in comparison.plan_reading(table.chunk_rows(wanted)):
                if isinstance(item, Kept):
                    yield from ((comparison.base, chunk) for chunk in item.chunks)
                elif key is None or item.range.nulls or item.step is None:
                    yield item.range
                else:
                    yield from self._walked(table, item.step, item.range)
        elif key is None:
            yield KeyRange()
        else:
            if key.nullable:
                yield KeyRange(nulls=True)
            yield from self._walked(table)

    def _walked(
        self, table: TableRead, step: int | None = None, within: KeyRange = EVERYWHERE
    ) -> Iterator[KeyRange]:
        boundaries = keywalk.walk(
            self._planner,
            table.plan.definition,
            lambda: step or table.chunk_rows(self._options.chunk_bytes),
            within,
        )
        return ranges_between(boundaries, within)

    def _stop_planning(self) -> None:
        self._planner.abort()
        for table in self.tables:
            if table.comparison is not None:
                table.comparison.abort()

    def _on_result(self, result: Result) -> None:
        if isinstance(result, Compared):
            table = self.tables[result.task.plan.number]
            if result.damage:
                base = result.task.base.snapshot.id
                self._hint(f"not taken over from snapshot {base}, but read anew: {result.damage}")
            assert table.comparison is not None
            table.comparison.add(result)
            return
        taken = isinstance(result, ChunkTaken)
        if isinstance(result, ChunkTaken):
            if not result.linked and not self._copying:
                self._copying = True
                self._hint("the vault's file system makes no hard links: chunks are copied")
            result = result.read
        table = self.tables[result.plan.number]
        table.add(result, taken=taken)
        for chunk in result.chunks:
            self._reporter.emit(
                ChunkDone(
                    table=str(table.plan.table),
                    chunk=chunk.index,
                    rows=chunk.digest.rows,
                    size_bytes=chunk.wire_bytes,
                    worker=self._pool.spent.worker,
                    seconds=self._pool.spent.seconds,
                    taken=taken,
                )
            )

    def _hint(self, message: str) -> None:
        self.hints.append(message)
        self._reporter.hint(message)

    def _on_tick(self) -> None:
        yield_to_ddl(self._reporter, self._ddl.latest, self._options.ddl_wait_s)
        for table in self.tables:
            if table.complete and not table.told:
                table.told = True
                self._reporter.emit(
                    TableDone(
                        table=str(table.plan.table),
                        rows=table.rows,
                        size_bytes=table.bytes,
                        seconds=time.monotonic() - table.began,
                    )
                )
        shown = [table.progress(self._readers) for table in self.tables]
        self._sampler.show(shown, bytes_total=self._bytes_total)

    def show_packing(self, packed: Mapping[TableName, tuple[int, int]]) -> None:
        """Show the progress when all is read: bytes packed of each tablespace, and of how many."""
        shown = []
        for table in self.tables:
            one = table.progress(())
            if table.plan.table in packed:
                done, size_bytes = packed[table.plan.table]
                state = "done" if done >= size_bytes else "packing" if done else "waiting"
                one = dataclasses.replace(one, bytes_done=one.bytes_done + done, state=state)
            shown.append(one)
        self._sampler.show(shown, bytes_total=self._bytes_total)

    @property
    def _bytes_total(self) -> int:
        return sum(table.work_bytes for table in self.tables) + self._later_bytes

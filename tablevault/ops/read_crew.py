"""The crew of a snapshot: readers at the chunks of all tables, and a coordinator that tells of it.

Chunks are planned while others are read: the planner walks the keys on a connection of its own,
a few chunks ahead.  The coordinator samples counters and runs neither SQL nor file I/O itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tablevault.engine.plan import chunk_rows, ranges_between
from tablevault.engine.pool import Pool
from tablevault.events import ChunkDone, Reporter, TableDone, TablePlanned, TableProgress
from tablevault.model import Chunk, KeyRange
from tablevault.mysql import keywalk
from tablevault.mysql.connect import ConnectOptions
from tablevault.ops.consistent import ConsistentRead
from tablevault.ops.giving_way import ddl_watch, yield_to_ddl
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.reading import ChunksRead, ChunkTask, Reader, TablePlan, plan_table
from tablevault.ops.running import ProgressSampler
from tablevault.vault.store import Store


@dataclass
class TableRead:
    """What has become of one table so far."""

    plan: TablePlan
    began: float  # monotonic seconds
    chunks: list[Chunk] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    tasks: int = 0  # planned so far
    done: int = 0
    planned: bool = False  # no more tasks will come
    told: bool = False  # that it is complete

    def add(self, result: ChunksRead) -> None:
        """Note what a task became."""
        self.chunks += result.chunks
        self.rows += sum(chunk.digest.rows for chunk in result.chunks)
        self.bytes += sum(chunk.wire_bytes for chunk in result.chunks)
        self.done += 1

    @property
    def complete(self) -> bool:
        return self.planned and self.done == self.tasks

    @property
    def expected_bytes(self) -> int:
        """Wire bytes of the whole table: estimated, from what was read as soon as there is some."""
        if self.complete:
            return self.bytes
        estimated = self.plan.definition.estimated_bytes
        if self.rows:
            estimated = int(self.bytes / self.rows * self.plan.definition.estimated_rows)
        return max(estimated, self.bytes)

    def chunk_rows(self, chunk_bytes: int) -> int:
        """Rows for the next chunk, by the size of those read, or by the server's estimate."""
        if self.rows:
            return chunk_rows(chunk_bytes, self.rows, self.bytes)
        definition = self.plan.definition
        return chunk_rows(chunk_bytes, definition.estimated_rows, definition.estimated_bytes)

    def progress(self, readers: Sequence[Reader]) -> TableProgress:
        """How far it is, with what the readers have of unfinished chunks."""
        live = [one.live for one in readers]
        ours = [one for one in live if one is not None and one[0] == self.plan.number]
        rows = self.rows + sum(one[1] for one in ours)
        return TableProgress(
            table=str(self.plan.table),
            rows_done=rows,
            rows_total=rows if self.complete else max(rows, self.plan.definition.estimated_rows),
            bytes_done=self.bytes + sum(one[2] for one in ours),
            state="read" if self.complete else "reading" if self.tasks else "waiting",
        )


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
    ) -> None:
        family = read.control.server.family
        plans = [
            plan_table(number, definition, family, options.where)
            for number, definition in enumerate(read.definitions)
        ]
        self.tables = [TableRead(plan, time.monotonic()) for plan in plans]
        self._options = options
        self._reporter = reporter
        self._planner = read.planner
        self._readers = [Reader(connection) for connection in read.readers]
        self._sampler = ProgressSampler(reporter)
        self._ddl = ddl_watch(target, [plan.table for plan in plans])
        self._pool: Pool[Reader, ChunkTask, ChunksRead] = Pool(
            self._readers,
            lambda reader, task: reader.read(task, store, snapshot_id, options),
            interrupt=lambda reader: reader.connection.abort(),
        )

    def run(self) -> None:
        """Read everything.  Raises the first error, and CannotComplete to give way to a DDL."""
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
            self._pool.feed(self._chunk_tasks(), self._planner.abort)
            self._pool.run(self._on_result, self._on_tick)
            self._on_tick()

    def _chunk_tasks(self) -> Iterator[ChunkTask]:
        """The chunks of all tables; runs in the feeder's thread, a few chunks ahead."""
        largest_first = sorted(
            self.tables,
            # a table without a key is one long task: it must not be the last to begin
            key=lambda t: (t.plan.definition.key is not None, -t.plan.definition.estimated_bytes),
        )
        for table in largest_first:
            for index, key_range in enumerate(self._ranges(table)):
                table.tasks += 1
                yield ChunkTask(table.plan, index, key_range)
            table.planned = True

    def _ranges(self, table: TableRead) -> Iterator[KeyRange]:
        if table.plan.definition.key is None:
            return iter([KeyRange()])
        return ranges_between(
            keywalk.walk(
                self._planner,
                table.plan.definition,
                lambda: table.chunk_rows(self._options.chunk_bytes),
            )
        )

    def _on_result(self, result: ChunksRead) -> None:
        table = self.tables[result.task.plan.number]
        table.add(result)
        for chunk in result.chunks:
            self._reporter.emit(
                ChunkDone(
                    table=str(table.plan.table),
                    chunk=chunk.index,
                    rows=chunk.digest.rows,
                    size_bytes=chunk.wire_bytes,
                )
            )

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
        self._sampler.show(shown, bytes_total=sum(table.expected_bytes for table in self.tables))

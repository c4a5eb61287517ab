"""Snapshot: the tables as they stand at one instant, into files, the manifest last.

All workers read inside one consistent read.  What fails, is killed or is cut off leaves no
snapshot: the manifest is what makes one, and it is written when everything else is on disk.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import tablevault
from tablevault.engine.plan import chunk_rows, ranges_between
from tablevault.engine.poller import Poller
from tablevault.engine.pool import Pool
from tablevault.errors import CannotComplete, UsageError
from tablevault.events import (
    ChunkDone,
    Observer,
    Reporter,
    TableDone,
    TablePlanned,
    TableProgress,
    Waiting,
    silent,
)
from tablevault.model import Chunk, KeyRange, Snapshot, TableDef, TableEntry, TableName
from tablevault.mysql import keywalk, watch
from tablevault.mysql import session as sessions
from tablevault.mysql.connect import Connection, ConnectOptions, Purpose, connect
from tablevault.names import new_snapshot_id, valid_snapshot_name
from tablevault.ops.consistent import (
    Connections,
    ConsistentRead,
    assert_unaltered,
    choose_tables,
    open_consistent_read,
)
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.reading import ChunksRead, ChunkTask, Reader, TablePlan, plan_table
from tablevault.ops.running import ProgressSampler, aside, reported
from tablevault.vault.catalog import SnapshotBeingWritten, begin_snapshot, clean_leftovers
from tablevault.vault.chunklist import write_chunk_list
from tablevault.vault.store import Store

_DDL_POLL_S = 1.0


@dataclass
class _Table:
    """What has become of one table so far."""

    plan: TablePlan
    began: float  # monotonic seconds
    chunks: list[Chunk] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    tasks: int = 0  # planned so far
    done: int = 0
    planned: bool = False  # no more tasks will come

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


def snapshot(
    target: ConnectOptions,
    store: Store,
    options: SnapshotOptions,
    observer: Observer = silent,
    *,
    state_dir: Path | None = None,
) -> Snapshot:
    """Take a consistent snapshot of the tables that `options` name; return its manifest.

    With `state_dir` it can be watched while it is taken; the run's id is the snapshot's.
    Raises UsageError, Unsupported before anything is read; CannotComplete for DDL, a lock that
    did not come, a full disk.  In every such case there is no snapshot.
    """
    if options.name is not None and not valid_snapshot_name(options.name):
        raise UsageError(
            f"{options.name!r} cannot be the name of a snapshot",
            hint="use letters, digits, dot, dash and underscore",
        )
    snapshot_id = new_snapshot_id(options.name)
    reporter = Reporter(snapshot_id, observer)
    with (
        reported(reporter, "snapshot", snapshot=snapshot_id, state_dir=state_dir),
        ExitStack() as stack,
    ):
        reporter.begin_phase("planning", "tables and keys")
        for leftover in clean_leftovers(store):
            reporter.hint(f"removed the remains of snapshot {leftover}, which was never completed")
        connections = Connections(stack)
        control, definitions = aside(
            reporter,
            "reading definitions",
            lambda: _look(target, connections, options),
            connections.abort,
        )
        writing = stack.enter_context(begin_snapshot(store, snapshot_id))
        reporter.begin_phase("locking", options.lock)
        read = aside(
            reporter,
            "waiting for the snapshot lock",
            lambda: open_consistent_read(target, connections, control, definitions, options),
            connections.abort,
        )
        for hint in read.hints:
            reporter.hint(hint)
        family = control.server.family
        plans = [
            plan_table(number, definition, family, options.where)
            for number, definition in enumerate(read.definitions)
        ]
        reporter.begin_phase("reading", f"{len(plans)} tables, lock {read.lock.kind}")
        tables = _read_all(target, store, snapshot_id, options, reporter, read, plans)
        reporter.begin_phase("sealing", "definitions, chunk lists, manifest")
        return aside(
            reporter,
            "sealing the snapshot",
            lambda: _seal(store, writing, options, read, tables),
            connections.abort,
        )


def _look(
    target: ConnectOptions, connections: Connections, options: SnapshotOptions
) -> tuple[Connection, tuple[TableDef, ...]]:
    control = connections.open(target, Purpose.CONTROL)
    return control, choose_tables(control, options)


def _read_all(
    target: ConnectOptions,
    store: Store,
    snapshot_id: str,
    options: SnapshotOptions,
    reporter: Reporter,
    read: ConsistentRead,
    plans: Sequence[TablePlan],
) -> list[_Table]:
    """Read every chunk of every table, the largest tables first; return them in their order."""
    tables = [_Table(plan, time.monotonic()) for plan in plans]
    for plan in plans:
        definition = plan.definition
        reporter.emit(
            TablePlanned(
                table=str(plan.table),
                rows=definition.estimated_rows,
                size_bytes=definition.estimated_bytes,
            )
        )
    readers = [Reader(connection) for connection in read.readers]
    pool: Pool[Reader, ChunkTask, ChunksRead] = Pool(
        readers,
        lambda reader, task: reader.read(task, store, snapshot_id, options),
        interrupt=lambda reader: reader.connection.abort(),
    )
    sampler = ProgressSampler(reporter)

    def on_result(result: ChunksRead) -> None:
        table = tables[result.task.plan.number]
        table.add(result)
        for chunk in result.chunks:
            reporter.emit(
                ChunkDone(
                    table=str(table.plan.table),
                    chunk=chunk.index,
                    rows=chunk.digest.rows,
                    size_bytes=chunk.wire_bytes,
                )
            )
        if table.complete:
            reporter.emit(
                TableDone(
                    table=str(table.plan.table),
                    rows=table.rows,
                    size_bytes=table.bytes,
                    seconds=time.monotonic() - table.began,
                )
            )

    with _ddl_watch(target, [plan.table for plan in plans]) as waiting:

        def on_tick() -> None:
            _yield_to_ddl(reporter, waiting.latest, options.ddl_wait_s)
            shown = [table.progress(readers) for table in tables]
            sampler.show(shown, bytes_total=sum(table.expected_bytes for table in tables))

        pool.feed(_chunk_tasks(read, tables, options), read.planner.abort)
        pool.run(on_result, on_tick)
        on_tick()
    return tables


def _chunk_tasks(
    read: ConsistentRead, tables: Sequence[_Table], options: SnapshotOptions
) -> Iterator[ChunkTask]:
    """The chunks of all tables.  Runs in the feeder's thread, a few chunks ahead of the readers."""
    largest_first = sorted(
        tables,
        # a table without a key is one long task: it must not be the last to begin
        key=lambda t: (t.plan.definition.key is not None, -t.plan.definition.estimated_bytes),
    )
    for table in largest_first:
        plan = table.plan
        if plan.definition.key is None:
            ranges: Iterator[KeyRange] = iter([KeyRange()])
        else:
            walk = keywalk.walk(
                read.planner,
                plan.definition,
                lambda table=table: table.chunk_rows(options.chunk_bytes),  # type: ignore[misc]
            )
            ranges = ranges_between(walk)
        index = -1
        for index, key_range in enumerate(ranges):
            table.tasks += 1
            yield ChunkTask(plan, index, key_range)
        table.planned = True


def _ddl_watch(target: ConnectOptions, tables: Sequence[TableName]) -> Poller[watch.Sighting]:
    """Which DDL waits for the metadata locks that our reading holds, by a connection apart."""
    opened: list[Connection] = []

    def ask() -> watch.Sighting:
        if not opened:
            opened.append(connect(target, Purpose.CONTROL))
        return watch.ddl_waiting_on(opened[0], tables)

    def close() -> None:
        for connection in opened:
            connection.close()

    return Poller(ask, every_s=_DDL_POLL_S, close=close)


def _yield_to_ddl(reporter: Reporter, seen: watch.Sighting | None, patience_s: float) -> None:
    """Give way: behind a DDL that waits for us, the application's own statements queue up."""
    for session in seen.sessions if seen else ():
        reporter.emit(
            Waiting(
                what="a DDL waits for this snapshot",
                seconds=session.seconds,
                blockers=(str(session),),
            )
        )
        if session.seconds > patience_s:
            raise CannotComplete(
                f"the snapshot gave way to a DDL that waited for it: {session}",
                hint="take it again when the DDL is done, or raise --ddl-wait",
            )


def _seal(
    store: Store,
    writing: SnapshotBeingWritten,
    options: SnapshotOptions,
    read: ConsistentRead,
    tables: Sequence[_Table],
) -> Snapshot:
    """Prove that nothing was altered meanwhile, then write the manifest: the snapshot exists."""
    assert_unaltered(read.control, read.definitions)
    entries = tuple(_write_list(store, writing.id, table) for table in tables)
    manifest = Snapshot(
        id=writing.id,
        name=options.name,
        created=read.instant,
        finished=time.time(),
        server=read.control.server,
        lock=read.lock.kind,
        binlog=read.binlog,
        tables=entries,
        hints=read.hints,
        tool_version=tablevault.__version__,
        session=sessions.digest_settings(read.readers[0].session),
    )
    # Last of all: from this write on there is a snapshot, and every file of it is on disk.
    writing.commit(manifest)
    return manifest


def _write_list(store: Store, snapshot_id: str, table: _Table) -> TableEntry:
    chunks = sorted(table.chunks, key=lambda chunk: chunk.index)
    plan = table.plan
    return write_chunk_list(store, snapshot_id, plan.definition, chunks, where=plan.where)

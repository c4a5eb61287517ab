"""Reading chunks: from one connection's row stream to files of the vault.

A chunk task is a plain value and its work a function of it and of a worker.  A keyed chunk becomes
one file; a table without a usable key is one stream that is cut into as many files as it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tablevault.engine.plan import row_group_ranges
from tablevault.model import Chunk, KeyRange, TableDef, TableName
from tablevault.mysql import sql
from tablevault.mysql.connect import Connection
from tablevault.mysql.source import RowSource
from tablevault.mysql.sql_doubts import Doubt
from tablevault.ops.doubtful import refuse_in_range
from tablevault.ops.options import SnapshotOptions
from tablevault.rows.kinds import ColumnSpec, specs_of
from tablevault.vault.chunk import ChunkWriter
from tablevault.vault.store import Store

MOST_NULL_BYTES = 16 << 20  # of rows with a NULL in the key: they are one row group


@dataclass(frozen=True)
class TablePlan:
    """What reading a table needs: its definition, the specs of its stored columns, its filter."""

    number: int
    definition: TableDef
    specs: tuple[ColumnSpec, ...]
    where: str | None = None
    doubts: tuple[Doubt, ...] = ()  # what each chunk's rows are asked before they are read

    @property
    def table(self) -> TableName:
        return self.definition.table

    @property
    def key_positions(self) -> tuple[int, ...]:
        """Where the key's columns stand among the stored ones."""
        key = self.definition.key
        names = [spec.name for spec in self.specs]
        return tuple(names.index(part.name) for part in key.columns) if key else ()


def plan_table(
    number: int,
    definition: TableDef,
    family: str,
    where: str | None,
    doubts: tuple[Doubt, ...] = (),
) -> TablePlan:
    """Raises Unsupported, by table and column, when a column cannot come back exactly."""
    specs = specs_of(definition.table, definition.columns, family)
    # the one row of a sequence has none of the columns that a filter is about
    return TablePlan(number, definition, specs, None if definition.sequence else where, doubts)


@dataclass(frozen=True)
class ChunkTask:
    """One key range of one table, or the whole stream of a table without a key."""

    plan: TablePlan
    index: int
    range: KeyRange


@dataclass(frozen=True)
class ChunksRead:
    """What a task became: chunks in the vault."""

    plan: TablePlan
    chunks: tuple[Chunk, ...]


class Reader:
    """A worker: its connection inside the consistent read, and counters others may look at."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.table: int | None = None
        self._source: RowSource | None = None

    @property
    def live(self) -> tuple[int, int, int] | None:
        """Table number, rows and wire bytes of the task at hand; None while idle."""
        table, source = self.table, self._source
        if table is None or source is None:
            return None
        return table, source.rows_seen, source.bytes_seen

    def read(
        self, task: ChunkTask, store: Store, snapshot: str, options: SnapshotOptions
    ) -> ChunksRead:
        """Read the rows of `task` into files; nothing stays of a file that is not complete.

        Raises Unsupported when a value among them could not come back exactly.
        """
        plan = task.plan
        definition = plan.definition
        if plan.doubts:
            refuse_in_range(self.connection, definition, plan.doubts, task.range, plan.where)
        statement = sql.select_rows(
            plan.table,
            plan.specs,
            definition.columns,
            definition.key,
            task.range,
            plan.where,
            engine=definition.engine,
        )
        if task.range.nulls:  # one row group, whatever it takes: no key could part it
            limit_bytes = 8 * MOST_NULL_BYTES
            source = RowSource(self.connection, statement, plan.specs, (), limit_bytes=limit_bytes)
        else:
            source = RowSource(self.connection, statement, plan.specs, plan.key_positions)
        self.table, self._source = plan.number, source

        def new_file(index: int) -> ChunkWriter:
            return ChunkWriter(
                store,
                snapshot,
                definition,
                plan.specs,
                index=index,
                key_range=task.range,
                compression_level=options.compression_level,
            )

        try:
            if definition.key is None:
                chunks = stream_chunks(source, new_file, options.chunk_bytes)
                return ChunksRead(plan, tuple(chunks))
            return ChunksRead(plan, (_keyed(source, new_file(task.index), task.range),))
        finally:
            self.table, self._source = None, None


def _keyed(source: RowSource, file: ChunkWriter, key_range: KeyRange) -> Chunk:
    """One key range, one file; its row groups meet where the next one's first key stands."""
    with file:
        for batch in source:
            file.add(batch)
        return file.close(row_group_ranges(key_range, file.first_keys))


def stream_chunks(
    source: RowSource, new_file: Callable[[int], ChunkWriter], chunk_bytes: int
) -> list[Chunk]:
    """A table without a key: its rows in the order in which they come, proven as a whole."""
    chunks: list[Chunk] = []
    batches = iter(source)
    batch = next(batches, None)
    while batch is not None:
        with new_file(len(chunks)) as file:
            size_bytes = 0
            while batch is not None and size_bytes < chunk_bytes:
                file.add(batch)
                size_bytes += batch.wire_bytes
                batch = next(batches, None)
            chunks.append(file.close())
    return chunks

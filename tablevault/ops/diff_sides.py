"""The two sides of a comparison as lines of text: a row group of the snapshot, rows of the server.

A row group is checked against its digest in the manifest before anything is said of the live
table: a damaged snapshot must not pass for damage there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from tablevault.model import Chunk, Digest, KeyValue, Snapshot, TableEntry
from tablevault.mysql import sql_compare
from tablevault.mysql.connect import Connection
from tablevault.mysql.source import RowSource
from tablevault.ops.diff_plan import Comparison
from tablevault.rows.buffers import ColumnBuffers
from tablevault.rows.kinds import ColumnSpec, DigestClass, Kind, Storage, specs_of
from tablevault.rows.matching import lines_of
from tablevault.rows.rowcodec import RowEncoder
from tablevault.rows.subset import rows_from, some_columns
from tablevault.rows.text import split_text
from tablevault.vault.chunk import ChunkReader, damaged
from tablevault.vault.store import Store

_BATCH_BYTES = 4 << 20  # of live rows held at a time
_SPARSE = 100  # rows apart, from which on they are cheaper one by one
HASH = ColumnSpec("hash", Kind.UINT, Storage.UINT, DigestClass.FIXED, width=4)


class Layout(Protocol):
    """Which columns of a snapshot's files are compared, and how they become text."""

    @property
    def entry(self) -> TableEntry: ...
    @property
    def specs(self) -> tuple[ColumnSpec, ...]: ...
    @property
    def positions(self) -> tuple[int, ...]: ...
    @property
    def identity(self) -> tuple[int, ...]: ...


class SnapshotGroup:
    """The compared columns of one row group, and what can be told of any stretch of its rows."""

    def __init__(
        self,
        comparison: Layout,
        columns: list[ColumnBuffers],
        exact: ColumnBuffers,
        rows: int,
        hashes: memoryview | None = None,
    ) -> None:
        """`hashes` are those of the compared columns, where they are known."""
        self.rows = rows
        self._comparison = comparison
        self._encoder = RowEncoder(comparison.specs)
        self._columns, self._exact = some_columns(columns, exact, rows, comparison.positions)
        self._hashes = hashes

    def digest(self, start: int, stop: int) -> Digest:
        """Of the compared columns of the rows from `start` to `stop`."""
        return _sum(self.hashes()[start:stop])

    def lines(self, start: int, stop: int) -> list[bytes]:
        """These rows as lines."""
        columns, exact = rows_from(self._columns, self._exact, start)
        text, _ = self._encoder.encode(columns, exact, stop - start)
        return lines_of(text or b"")

    def some_lines(self, rows: Sequence[int]) -> list[bytes]:
        """Some rows as lines; `rows` ascend."""
        if not rows:
            return []
        first, stop = rows[0], rows[-1] + 1
        if len(rows) * _SPARSE < stop - first:
            return [line for row in rows for line in self.lines(row, row + 1)]
        lines = self.lines(first, stop)
        return [lines[row - first] for row in rows]

    def key(self, row: int) -> KeyValue:
        """The key of one row."""
        columns, exact = rows_from(self._columns, self._exact, row)
        text, _ = self._encoder.encode(columns, exact, 1)
        ((*values,),) = split_text(text or b"")
        return tuple(values[at] or b"" for at in self._comparison.identity)

    def hashed_keys(self, start: int, stop: int) -> list[bytes]:
        """These rows as lines of their key and their hash."""
        identity = self._comparison.identity
        columns, exact = some_columns(self._columns, self._exact, self.rows, identity)
        columns, exact = rows_from(columns, exact, start)
        encoder = RowEncoder([*(self._comparison.specs[at] for at in identity), HASH])
        columns = [*columns, ColumnBuffers(None, None, self.hashes(), 0, start)]
        text, _ = encoder.encode(columns, exact, stop - start)
        return lines_of(text or b"")

    def hashes(self, positions: Sequence[int] = ()) -> memoryview:
        """The hash of each row: of the compared columns, or of some of them."""
        if positions:
            encoder = RowEncoder([self._comparison.specs[at] for at in positions])
            columns, exact = some_columns(self._columns, self._exact, self.rows, positions)
            return _hashes(encoder, columns, exact, self.rows)
        if self._hashes is None:
            self._hashes = _hashes(self._encoder, self._columns, self._exact, self.rows)
        return self._hashes


class SnapshotSide:
    """The files of a snapshot, one open at a time."""

    def __init__(self, store: Store, snapshot: Snapshot) -> None:
        self._store = store
        self._snapshot = snapshot
        self._open: tuple[str, ChunkReader] | None = None

    def group(self, comparison: Layout, chunk: Chunk, number: int) -> SnapshotGroup:
        """Read one row group.  Raises SnapshotUnusable when it is not what was recorded."""
        definition = comparison.entry.definition
        specs = specs_of(definition.table, definition.columns, self._snapshot.server.family)
        columns, exact, rows = self._reader(comparison, chunk).row_group(number)
        try:
            hashes = _hashes(RowEncoder(specs), columns, exact, rows)
        except ValueError as error:  # a cell that no value of the column can have
            raise damaged(definition.table, chunk, f"row group {number}: {error}") from error
        if _sum(hashes) != chunk.row_groups[number].digest:
            what = f"row group {number} has another digest than the manifest"
            raise damaged(definition.table, chunk, what)
        known = hashes if comparison.specs == specs else None
        return SnapshotGroup(comparison, columns, exact, rows, known)

    def _reader(self, comparison: Layout, chunk: Chunk) -> ChunkReader:
        if self._open is None or self._open[0] != chunk.path:
            self.close()
            definition = comparison.entry.definition
            specs = specs_of(definition.table, definition.columns, self._snapshot.server.family)
            reader = ChunkReader(self._store, self._snapshot.id, definition, chunk, specs)
            self._open = (chunk.path, reader)
        return self._open[1]

    def close(self) -> None:
        """Close the open file, if one is."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


def live_lines(
    conn: Connection, comparison: Comparison, condition: str, on_source: Callable[[RowSource], None]
) -> Iterator[list[bytes]]:
    """The compared columns of the live rows that meet `condition`, as lines, batch by batch."""
    statement = sql_compare.compared_rows(
        comparison.rows, comparison.pieces, condition, comparison.index
    )
    return _read(conn, statement, comparison.reading, comparison.writing, on_source)


def live_hashes(
    conn: Connection, comparison: Comparison, condition: str, on_source: Callable[[RowSource], None]
) -> Iterator[list[bytes]]:
    """The live rows as `SnapshotGroup.hashed_keys` has those of the snapshot, batch by batch."""
    assert comparison.index is not None
    key = [comparison.columns[at] for at in comparison.identity]
    statement = sql_compare.hashed_rows(
        comparison.rows,
        comparison.pieces,
        [column.piece for column in key],
        conn.server.family,
        condition,
        comparison.index,
    )
    reading = [*(column.reading for column in key), HASH]
    writing = [*(column.writing for column in key), HASH]
    return _read(conn, statement, reading, writing, on_source)


def _read(
    conn: Connection,
    statement: str,
    reading: Sequence[ColumnSpec],
    writing: Sequence[ColumnSpec],
    on_source: Callable[[RowSource], None],
) -> Iterator[list[bytes]]:
    encoder = RowEncoder(writing)
    with RowSource(conn, statement, reading, limit_bytes=_BATCH_BYTES) as source:
        on_source(source)
        for batch in source:
            text, _ = encoder.encode(batch.columns, batch.exact, batch.rows)
            yield lines_of(text or b"")


def _hashes(
    encoder: RowEncoder, columns: Sequence[ColumnBuffers], exact: ColumnBuffers, rows: int
) -> memoryview:
    return memoryview(encoder.hashes(columns, exact, rows)).cast("I")


def _sum(hashes: memoryview) -> Digest:
    return Digest(len(hashes), len(hashes), sum(hashes))

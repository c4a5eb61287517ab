"""Parts of a row group's buffers: some of its columns, or rows from one on; data is not copied."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tablevault.rows.buffers import ColumnBuffers

_HEADER = struct.Struct("<HI")


def rows_from(
    columns: Sequence[ColumnBuffers], exact: ColumnBuffers, start: int
) -> tuple[list[ColumnBuffers], ColumnBuffers]:
    """The same buffers, beginning with row `start`."""
    moved = [
        ColumnBuffers(one.validity, one.offsets, one.data, one.null_count, one.offset + start)
        for one in (*columns, exact)
    ]
    return moved[:-1], moved[-1]


def some_columns(
    columns: Sequence[ColumnBuffers], exact: ColumnBuffers, rows: int, positions: Sequence[int]
) -> tuple[list[ColumnBuffers], ColumnBuffers]:
    """The columns at `positions`, which the exact column then counts from 0.

    Raises ValueError for an exact column that is malformed.
    """
    chosen = [columns[position] for position in positions]
    if list(positions) == list(range(len(columns))) or exact.null_count == rows:
        return chosen, exact
    return chosen, _renumbered(exact, rows, {old: new for new, old in enumerate(positions)})


def _renumbered(exact: ColumnBuffers, rows: int, numbers: dict[int, int]) -> ColumnBuffers:
    cells = _cells(exact, rows)
    data, ends, validity, nulls = bytearray(), [0], bytearray((rows + 7) // 8), 0
    for row, cell in enumerate(cells):
        values = _values(cell) if cell is not None else []
        kept = sorted((numbers[at], value) for at, value in values if at in numbers)
        for at, value in kept:
            data += _HEADER.pack(at, len(value)) + value
        ends.append(len(data))
        nulls += not kept
        validity[row // 8] |= bool(kept) << (row % 8)
    return ColumnBuffers(bytes(validity), struct.pack(f"<{rows + 1}i", *ends), bytes(data), nulls)


def _cells(column: ColumnBuffers, rows: int) -> list[bytes | None]:
    first = column.offset
    assert column.offsets is not None
    offsets = struct.unpack_from(f"<{rows + 1}i", column.offsets, 4 * first)
    bits = memoryview(column.validity) if column.validity is not None else None
    data = memoryview(column.data)
    return [
        bytes(data[offsets[row] : offsets[row + 1]])
        if bits is None or bits[(first + row) // 8] >> ((first + row) % 8) & 1
        else None
        for row in range(rows)
    ]


def _values(cell: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(cell):
        if len(cell) - at < _HEADER.size:
            raise ValueError("a cell of exact values is malformed")
        position, size = _HEADER.unpack_from(cell, at)
        at += _HEADER.size
        if size > len(cell) - at:
            raise ValueError("a cell of exact values is malformed")
        found.append((position, cell[at : at + size]))
        at += size
    return found

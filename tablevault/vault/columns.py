"""Between the codec's buffers and Arrow's record batches: the same memory, seen by both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from tablevault.rows.buffers import ColumnBuffers, RowBatch

if TYPE_CHECKING:
    from typing_extensions import Buffer

_EMPTY = b""


def to_record_batch(batch: RowBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch as Arrow sees it, without a copy; the extra column is the schema's last."""
    arrays = [
        _array(column, field.type, batch.rows)
        for column, field in zip([*batch.columns, batch.exact], schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def from_table(table: pa.Table, schema: pa.Schema) -> tuple[list[ColumnBuffers], ColumnBuffers]:
    """The stored columns and the extra one of a row group, without a copy where it is one piece.

    Dictionary-encoded and large variants are cast to the type of `schema`.  Raises pa.ArrowInvalid
    when that is impossible.
    """
    columns = [
        _buffers(_one_array(table.column(index), field.type)) for index, field in enumerate(schema)
    ]
    return columns[:-1], columns[-1]


def _array(column: ColumnBuffers, kind: pa.DataType, rows: int) -> pa.Array:
    buffers = [_arrow_buffer(column.validity)]
    if column.offsets is not None:
        buffers.append(pa.py_buffer(column.offsets))
    buffers.append(pa.py_buffer(column.data))
    return pa.Array.from_buffers(
        kind, rows, buffers, null_count=column.null_count, offset=column.offset
    )


def _arrow_buffer(buffer: Buffer | None) -> pa.Buffer | None:
    return None if buffer is None else pa.py_buffer(buffer)


def _one_array(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    if column.type != kind:
        column = column.cast(kind)
    if column.num_chunks == 1:
        return column.chunk(0)
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):  # more than 2 GiB of text in one row group
        raise pa.ArrowInvalid("a row group's column is larger than 2 GiB")
    return combined


def _buffers(array: pa.Array) -> ColumnBuffers:
    found = array.buffers()
    validity = found[0] if array.null_count else None
    offsets = None
    if len(found) == 3:
        # Arrow may leave out the offsets of an empty array; the codec wants n + 1 of them.
        offsets = found[1] if found[1] is not None else bytes(4 * (len(array) + 1))
    data = found[-1] if found[-1] is not None else _EMPTY
    return ColumnBuffers(validity, offsets, data, array.null_count, array.offset)

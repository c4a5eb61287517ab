"""From a column's spec to its Arrow field: the types another Parquet reader will see.

Every field is nullable, also that of a NOT NULL column: a value that the natural type cannot hold
(a zero date, say) is NULL there, and its bytes are in the one extra column.  The metadata of a
field carries what MySQL calls the column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from tablevault.model import Column
from tablevault.rows.kinds import ColumnSpec, Kind, Storage

EXACT_COLUMN = "__tablevault_exact"

_SIGNED = {1: pa.int8, 2: pa.int16, 4: pa.int32, 8: pa.int64}
_UNSIGNED = {1: pa.uint8, 2: pa.uint16, 4: pa.uint32, 8: pa.uint64}


def arrow_type(spec: ColumnSpec) -> pa.DataType:
    """The Arrow type whose buffers are those of the spec's storage."""
    match spec.storage:
        case Storage.INT:
            return _SIGNED[spec.width]()
        case Storage.UINT:
            return _UNSIGNED[spec.width]()
        case Storage.DECIMAL:
            # decimal64 would save half the memory, but readers before 2025 refuse its schema;
            # on disk the values are integers either way (chunk.py).
            return pa.decimal128(spec.precision, spec.scale)
        case Storage.FLOAT:
            return pa.float32()
        case Storage.DOUBLE:
            return pa.float64()
        case Storage.DATE:
            return pa.date32()
        case Storage.DATETIME:
            return pa.timestamp("us", tz="UTC" if spec.kind is Kind.TIMESTAMP else None)
        case Storage.TIME:
            return pa.duration("us")
        case Storage.TEXT | Storage.TABLE | Storage.WIDE:
            return pa.utf8()
        case Storage.BYTES:
            return pa.binary()


def exact_column_name(names: Iterable[str]) -> str:
    """The name of the extra column: `__tablevault_exact`, with `_` added until it is free."""
    taken = {name.casefold() for name in names}
    name = EXACT_COLUMN
    while name.casefold() in taken:
        name += "_"
    return name


def stored_columns(columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns that have data, in order: those `rows.kinds.specs_of` makes specs of."""
    return tuple(column for column in columns if not column.generated)


def arrow_schema(specs: Sequence[ColumnSpec], columns: Sequence[Column]) -> pa.Schema:
    """The schema of every part of a table: its stored columns, then the extra one.

    `columns` are the stored ones, one for each spec.
    """
    fields = [
        pa.field(spec.name, arrow_type(spec), nullable=True, metadata=_field_metadata(spec, column))
        for spec, column in zip(specs, columns, strict=True)
    ]
    exact = pa.field(
        exact_column_name(spec.name for spec in specs),
        pa.binary(),
        nullable=True,
        metadata={"tablevault.kind": "exact"},
    )
    return pa.schema([*fields, exact])


def _field_metadata(spec: ColumnSpec, column: Column) -> Mapping[str, str]:
    facts = {
        "tablevault.kind": spec.kind.value,
        "tablevault.mysql_type": column.column_type,
        "tablevault.charset": column.charset,
        "tablevault.collation": column.collation,
        "tablevault.not_null": None if column.nullable else "true",
    }
    return {name: value for name, value in facts.items() if value is not None}

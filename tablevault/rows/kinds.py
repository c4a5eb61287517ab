"""What a column *is*: one kind a column decides its SQL expression, its buffer and its Arrow type.

`spec_of` is the only place where a server type becomes a kind.  The rooms above look the kind up:
`mysql/sql.py` for the expression that is selected and hashed, the codec for the buffer, and
`vault/types.py` for the Arrow type.  What no kind can bring back byte for byte is refused here,
by the name of the column, before anything starts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from tablevault.errors import Unsupported
from tablevault.model import Column, TableName
from tablevault.rows.charsets import multi_byte, single_byte


class Storage(IntEnum):
    """How the codec keeps a value; the numbers are repeated in rowcodec.pyx."""

    INT = 1  # signed little-endian integer of `width` bytes
    UINT = 2  # unsigned little-endian integer of `width` bytes
    DECIMAL = 3  # signed integer of `width` (8 or 16) bytes, scaled by 10**scale
    FLOAT = 4  # IEEE single; the text is that of the double of the same value
    DOUBLE = 5  # IEEE double
    DATE = 6  # int32, days since 1970-01-01
    DATETIME = 7  # int64, microseconds since 1970-01-01 00:00:00
    TIME = 8  # int64, microseconds, signed
    BYTES = 9  # int32 offsets and bytes, as they are
    TEXT = 10  # int32 offsets and bytes that are valid UTF-8
    TABLE = 11  # single-byte charset, transcoded to UTF-8 by `charset_table`
    WIDE = 12  # multi-byte charset, transcoded to UTF-8 by `wide_charset`


class DigestClass(IntEnum):
    """How a value enters the canonical row (docs/FORMAT.md, Digest)."""

    FIXED = 1  # its text, in the head
    TEXT = 2  # byte length in the head, bytes in the tail
    LOB = 3  # byte length and CRC32 in the head


class Kind(StrEnum):
    """The kinds; the names are part of the format."""

    INT = "int"
    UINT = "uint"
    DECIMAL = "decimal"
    DECIMAL_TEXT = "decimal_text"  # above 38 digits: decimal256 misleads readers
    FLOAT = "float"
    DOUBLE = "double"
    DATE = "date"
    DATETIME = "datetime"
    TIMESTAMP = "timestamp"
    TIME = "time"
    YEAR = "year"
    BIT = "bit"
    TEXT = "text"  # CHAR, VARCHAR
    LONG_TEXT = "long_text"  # TINYTEXT .. LONGTEXT
    BINARY = "binary"  # BINARY, VARBINARY
    BLOB = "blob"
    ENUM = "enum"
    SET = "set"
    JSON = "json"
    GEOMETRY = "geometry"
    UUID = "uuid"  # MariaDB
    INET4 = "inet4"  # MariaDB
    INET6 = "inet6"  # MariaDB
    VECTOR = "vector"  # little-endian singles, the wire form of both families


@dataclass(frozen=True)
class ColumnSpec:
    """Everything the codec needs to know of one column."""

    name: str
    kind: Kind
    storage: Storage
    digest: DigestClass
    width: int = 0  # bytes of a fixed-width value
    scale: int = 0  # digits after the point, or of the fraction of a second
    pad: int = 0  # characters to zero-pad to (ZEROFILL, YEAR); 0: none
    precision: int = 0  # decimal digits in all; a DOUBLE with one has exactly `scale` decimals
    text_width: int = 0  # DOUBLE, FLOAT: characters beyond which the server writes an exponent
    charset_table: tuple[int, ...] | None = None  # 256 code points, -1 where undefined
    wide_charset: str = ""  # a name that charsets.multi_byte knows


_INT_WIDTHS = {"tinyint": 1, "smallint": 2, "mediumint": 4, "int": 4, "integer": 4, "bigint": 8}
_GEOMETRIES = frozenset(
    {"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring"}
    | {"multipolygon", "geometrycollection", "geomcollection"}
)
# MySQL's CONVERT gives a DOUBLE 24 characters before it turns to an exponent, CAST of a FLOAT 22;
# MariaDB has no such limit (both tried with random values of all magnitudes).
_MYSQL_TEXT_WIDTHS = {Kind.DOUBLE: 24, Kind.FLOAT: 22}
_UTF8 = frozenset({"utf8mb4", "utf8mb3", "utf8", "ascii"})
_ZEROFILL_WIDTH = re.compile(r"\((\d+)(?:,(\d+))?\).*zerofill", re.IGNORECASE)


def spec_of(column: Column) -> ColumnSpec:
    """The spec of one stored (not generated) column.

    Raises Unsupported when this version has no exact representation for the type.
    """
    kind = column.data_type.lower()
    if kind in _INT_WIDTHS:
        return _integer(column, _INT_WIDTHS[kind])
    if kind == "decimal":
        return _decimal(column)
    if kind in ("text", "tinytext", "mediumtext", "longtext"):
        return _text(column, Kind.LONG_TEXT, DigestClass.LOB)
    if kind in ("char", "varchar"):
        return _text(column, Kind.TEXT, DigestClass.TEXT)
    if kind in ("enum", "set"):
        return _text(column, Kind(kind), DigestClass.TEXT)
    if kind in ("blob", "tinyblob", "mediumblob", "longblob"):
        return ColumnSpec(column.name, Kind.BLOB, Storage.BYTES, DigestClass.LOB)
    if kind in _GEOMETRIES:
        return ColumnSpec(column.name, Kind.GEOMETRY, Storage.BYTES, DigestClass.LOB)
    fraction = column.scale or 0
    fixed = DigestClass.FIXED
    match kind:
        case "float":
            return ColumnSpec(column.name, Kind.FLOAT, Storage.FLOAT, fixed, width=4)
        case "double":
            return _double(column)
        case "date":
            return ColumnSpec(column.name, Kind.DATE, Storage.DATE, fixed, width=4)
        case "datetime" | "timestamp":
            return ColumnSpec(
                column.name, Kind(kind), Storage.DATETIME, fixed, width=8, scale=fraction
            )
        case "time":
            return ColumnSpec(column.name, Kind.TIME, Storage.TIME, fixed, width=8, scale=fraction)
        case "year":
            pad = 2 if column.column_type.lower().startswith("year(2)") else 4
            return ColumnSpec(column.name, Kind.YEAR, Storage.UINT, fixed, width=2, pad=pad)
        case "bit":
            return ColumnSpec(column.name, Kind.BIT, Storage.BYTES, DigestClass.TEXT)
        case "binary" | "varbinary":
            return ColumnSpec(column.name, Kind.BINARY, Storage.BYTES, DigestClass.TEXT)
        case "json":
            return ColumnSpec(column.name, Kind.JSON, Storage.TEXT, DigestClass.LOB)
        case "uuid" | "inet4" | "inet6":
            return ColumnSpec(column.name, Kind(kind), Storage.TEXT, DigestClass.TEXT)
        case "vector":
            return ColumnSpec(column.name, Kind.VECTOR, Storage.BYTES, DigestClass.LOB)
    raise Unsupported(
        f"column `{column.name}` has type {column.column_type}, which this version cannot "
        "bring back exactly",
        hint="leave the table out, or see docs/FORMAT.md for the supported types",
    )


def specs_of(table: TableName, columns: Sequence[Column], family: str) -> tuple[ColumnSpec, ...]:
    """The specs of a table's stored columns, in order; generated columns are left out.

    `family` is that of the server whose text the codec reads and writes: the families differ in
    where they turn to exponents.  Raises Unsupported, naming table and column.
    """
    specs, refused = [], []
    for column in columns:
        if not column.generated:
            try:
                specs.append(spec_of(column))
            except Unsupported as error:
                refused.append(error)
    if refused:
        told = Unsupported.of_all(refused)
        raise Unsupported(f"table {table}: {told.message}", hint=told.hint)
    widths = _MYSQL_TEXT_WIDTHS if family == "mysql" else {}
    return tuple(replace(spec, text_width=widths.get(spec.kind, 0)) for spec in specs)


def _integer(column: Column, width: int) -> ColumnSpec:
    text = column.column_type.lower()
    unsigned = "unsigned" in text or "zerofill" in text
    zerofill = _ZEROFILL_WIDTH.search(text)
    return ColumnSpec(
        column.name,
        Kind.UINT if unsigned else Kind.INT,
        Storage.UINT if unsigned else Storage.INT,
        DigestClass.FIXED,
        width=width,
        pad=int(zerofill.group(1)) if zerofill else 0,
    )


def _decimal(column: Column) -> ColumnSpec:
    precision, scale = column.precision or 10, column.scale or 0
    if precision > 38:
        return ColumnSpec(column.name, Kind.DECIMAL_TEXT, Storage.TEXT, DigestClass.FIXED)
    zerofill = "zerofill" in column.column_type.lower()
    return ColumnSpec(
        column.name,
        Kind.DECIMAL,
        Storage.DECIMAL,
        DigestClass.FIXED,
        width=16,
        scale=scale,
        precision=precision,
        pad=precision + (1 if scale else 0) if zerofill else 0,
    )


def _double(column: Column) -> ColumnSpec:
    zerofill = "zerofill" in column.column_type.lower()
    return ColumnSpec(
        column.name,
        Kind.DOUBLE,
        Storage.DOUBLE,
        DigestClass.FIXED,
        width=8,
        scale=column.scale or 0,
        precision=0 if column.scale is None else column.precision or 0,  # DOUBLE(M,D)
        pad=(column.precision or 0) if zerofill else 0,
    )


def _text(column: Column, kind: Kind, digest: DigestClass) -> ColumnSpec:
    charset = (column.charset or "").lower()
    if charset in _UTF8:
        return ColumnSpec(column.name, kind, Storage.TEXT, digest)
    table = single_byte(charset)
    if table is not None:
        return ColumnSpec(column.name, kind, Storage.TABLE, digest, charset_table=table)
    if multi_byte(charset) is not None:
        return ColumnSpec(column.name, kind, Storage.WIDE, digest, wide_charset=charset)
    # any other charset is kept as its bytes: exact, and restored by the charset of the column
    return ColumnSpec(column.name, kind, Storage.BYTES, digest)

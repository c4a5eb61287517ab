"""How a live table gives the values of a snapshot's columns, whatever has become of them.

A column that was retyped is compared by the text that it had before: numbers and times go
through CAST, but only where it loses nothing, and text through UTF-8 when its charset changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tablevault.model import Column, Key, KeyRange
from tablevault.mysql.sql import force_index, quote_name, select_expression, where_clause
from tablevault.mysql.sql_digest import Piece, hash_of
from tablevault.rows.kinds import ColumnSpec, Kind, Storage

_INTEGERS = frozenset({Kind.INT, Kind.UINT})
_NUMBERS = _INTEGERS | {Kind.DECIMAL, Kind.DECIMAL_TEXT, Kind.FLOAT, Kind.DOUBLE, Kind.YEAR}
_MOMENTS = frozenset({Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP})
_RECODED = frozenset({Storage.TEXT, Storage.TABLE, Storage.WIDE})  # UTF-8 in Parquet


def as_before(
    before: ColumnSpec, column: Column, live: ColumnSpec, live_column: Column
) -> tuple[ColumnSpec, Piece]:
    """How the snapshot's cells become text, and by which expression the live column gives it.

    `before` and `column` are the snapshot's.  The spec is `before` itself unless the column's
    charset is another one now.
    """
    value, spec = select_expression(live), before
    if not _same_text(before, column, live, live_column):
        name = quote_name(live.name)
        if _other_charset(before, column, live_column):
            spec = replace(before, storage=Storage.TEXT, charset_table=None, wide_charset="")
            value = f"CONVERT({name} USING utf8mb4)"
        else:
            value = _cast(before, column, live, name)
    return spec, Piece(value, before.digest, live_column.nullable)


def compared_rows(
    rows: str, pieces: Sequence[Piece], condition: str, key: Key | None = None
) -> str:
    """Read the compared columns of `rows`, which is what FROM names.

    `condition` is a whole ` WHERE ...`, or nothing.

    In no order: none is needed, and sorting would cost.
    """
    selected = ", ".join(piece.value for piece in pieces)
    return f"SELECT {selected} FROM {rows}{force_index(key)}{condition}"


def hashed_rows(
    rows: str,
    pieces: Sequence[Piece],
    identity: Sequence[Piece],
    family: str,
    condition: str,
    key: Key,
) -> str:
    """Read of each row its key and its hash, of which the digest is the sum; in no order."""
    selected = ", ".join([*(piece.value for piece in identity), hash_of(pieces, family)])
    return f"SELECT {selected} FROM {rows}{force_index(key)}{condition}"


def condition_of(
    columns: Sequence[Column],
    key: Key | None,
    range: KeyRange | None,
    where: str | None,
    further: str = "",
) -> str:
    """` WHERE ...` of a range, of the snapshot's own filter and of a further condition."""
    text = where_clause(columns, key, range, where)
    if not further:
        return text
    return f"{text} AND {further}" if text else f" WHERE {further}"


def _same_text(before: ColumnSpec, column: Column, live: ColumnSpec, live_column: Column) -> bool:
    """Whether equal values have equal text in both."""
    if column.charset != live_column.charset:
        return False
    if before.kind in _INTEGERS and live.kind in _INTEGERS:
        return before.pad == live.pad
    if before.kind is Kind.TIMESTAMP or before.kind is Kind.DATETIME:
        return live.kind in (Kind.TIMESTAMP, Kind.DATETIME) and before.scale == live.scale
    if before.kind in (Kind.FLOAT, Kind.DOUBLE):
        shown = (before.precision, before.scale if before.precision else 0, before.pad)
        found = (live.precision, live.scale if live.precision else 0, live.pad)
        return live.kind in (Kind.FLOAT, Kind.DOUBLE) and shown == found
    if before.kind in _NUMBERS or before.kind in _MOMENTS or before.kind is Kind.TIME:
        return (before.kind, before.scale, before.pad) == (live.kind, live.scale, live.pad)
    return before.charset_table == live.charset_table


def _other_charset(before: ColumnSpec, column: Column, live_column: Column) -> bool:
    charsets = (column.charset, live_column.charset)
    known = all(charset and charset != "binary" for charset in charsets)
    return known and charsets[0] != charsets[1] and before.storage in _RECODED


def _cast(before: ColumnSpec, column: Column, live: ColumnSpec, name: str) -> str:
    """The live column's text as the snapshot's type shows it, where nothing is lost by that."""
    as_it_is = f"CONVERT({select_expression(live)} USING binary)"
    numbers = before.kind in _NUMBERS and live.kind in _NUMBERS
    moments = before.kind in _MOMENTS and live.kind in _MOMENTS
    times = before.kind is Kind.TIME and live.kind is Kind.TIME
    if not (numbers or moments or times):
        return as_it_is
    cast = f"CAST({name} AS {_type(before, column)})"
    shown = f"CONVERT({cast} USING binary)"
    if before.pad:
        shown = f"LPAD({shown}, {before.pad:d}, '0')"
    return f"IF({cast} = {name}, {shown}, {as_it_is})"


def _type(spec: ColumnSpec, column: Column) -> str:
    match spec.kind:
        case Kind.INT:
            return "SIGNED"
        case Kind.UINT | Kind.YEAR:
            return "UNSIGNED"
        case Kind.DECIMAL | Kind.DECIMAL_TEXT:
            return f"DECIMAL({column.precision or 10:d},{column.scale or 0:d})"
        case Kind.FLOAT | Kind.DOUBLE:
            return "DOUBLE"
        case Kind.DATE:
            return "DATE"
        case Kind.TIME:
            return f"TIME({spec.scale:d})"
        case _:
            return f"DATETIME({spec.scale:d})"

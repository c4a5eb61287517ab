"""Keys as SQL: literals of key values, half-open ranges, order, and which keys are usable.

`(a, b) >= (x, y)` makes both servers scan the whole index, even under FORCE INDEX; nested
`a > x OR (a = x AND b >= y)` is a range on both, of exactly the rows in it.  A literal in another
charset or collation than its column's is a full scan as well, so each literal says its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tablevault.model import Column, Key, KeyColumn, KeyRange, KeyValue
from tablevault.rows.charsets import single_byte
from tablevault.rows.kinds import ColumnSpec, Kind, spec_of

_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")
_TEMPORAL = re.compile(rb"-?[0-9][0-9:. -]*")
_FLOATING = re.compile(rb"-?[0-9.]+(?:e[-+]?[0-9]+)?", re.IGNORECASE)
_ADDRESS = re.compile(rb"[0-9a-fA-F:.-]+")  # and a UUID
_COLLATION = re.compile(r"[A-Za-z0-9_]+")
_MEMBER = re.compile(r"'((?:[^']|'')*)'")

_NUMBERS = frozenset({Kind.INT, Kind.UINT, Kind.DECIMAL, Kind.DECIMAL_TEXT, Kind.YEAR})
_TEMPORALS = frozenset({Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME})
_FLOATS = frozenset({Kind.FLOAT, Kind.DOUBLE})
_NAMED_BY_TEXT = frozenset({Kind.UUID, Kind.INET4, Kind.INET6})
_ORDERED = _NUMBERS | _TEMPORALS | _NAMED_BY_TEXT | {Kind.BIT, Kind.TEXT, Kind.BINARY}
_MEMBER_CODECS = {"utf8mb4": "utf-8", "utf8mb3": "utf-8", "utf8": "utf-8", "ascii": "ascii"}


def quote_name(name: str) -> str:
    """An identifier in backticks."""
    return f"`{name.replace('`', '``')}`"


def usable_in_key(column: Column, *, nullable: bool = False) -> bool:
    """Whether ranges over this column are exact, and ranges for the optimizer too.

    Not so: FLOAT and DOUBLE (no exact literal), SET (ordered by its bits, and neither server
    makes a range of that), TEXT and BLOB (indexed by prefix only), columns that may be NULL
    unless `nullable`.
    """
    if column.generated or (column.nullable and not nullable):
        return False
    kind = spec_of(column).kind
    return kind in _ORDERED or (kind is Kind.ENUM and bool(_members(column)))


def order_by(key: Key) -> str:
    """The key's columns in its own order."""
    return ", ".join(_ordered(part) for part in key.columns)


def value_literal(spec: ColumnSpec, column: Column, raw: bytes) -> str:
    """The wire text of a value as a literal of the column's own type, charset and collation.

    Raises ValueError for bytes that the server would not have sent for such a column.
    """
    kind = spec.kind
    if kind in _NUMBERS:
        return _checked(_NUMBER, raw, column)
    if kind in _TEMPORALS:
        return f"'{_checked(_TEMPORAL, raw, column)}'"
    if kind in _FLOATS:  # as text: the number -0 is the integer 0
        return f"'{_checked(_FLOATING, raw, column)}'"
    if kind in _NAMED_BY_TEXT:  # a binary string would be taken for the inner form
        return f"'{_checked(_ADDRESS, raw, column)}'"
    if kind is Kind.BIT:
        return str(int.from_bytes(raw))
    if kind is Kind.JSON:
        return f"_utf8mb4 X'{raw.hex()}'"
    charset, collation = column.charset, column.collation
    if not charset or charset == "binary" or not collation:
        return f"X'{raw.hex()}'"
    if not _COLLATION.fullmatch(charset) or not _COLLATION.fullmatch(collation):
        raise ValueError(f"column {column.name}: charset {charset!r}, collation {collation!r}")
    return f"_{charset} X'{raw.hex()}' COLLATE {collation}"


def range_predicate(key: Key, columns: Sequence[Column], range: KeyRange) -> str:
    """`lo <= key < hi` in key order, expanded; empty for the range open at both ends."""
    by_name = {column.name: column for column in columns}
    nullable = nullable_columns(key, columns)
    if range.nulls:
        return f"({' OR '.join(f'{name} IS NULL' for name in nullable)})"
    parts = [f"{name} IS NOT NULL" for name in nullable]
    if range.lo is not None:
        parts.append(_beyond(key, by_name, range.lo, upper=False, inclusive=True))
    if range.hi is not None:
        parts.append(_beyond(key, by_name, range.hi, upper=True, inclusive=False))
    return " AND ".join(parts)


def after_predicate(key: Key, columns: Sequence[Column], value: KeyValue) -> str:
    """`key > value` in key order, expanded; without rows that have a NULL in it."""
    by_name = {column.name: column for column in columns}
    parts = [f"{name} IS NOT NULL" for name in nullable_columns(key, columns)]
    return " AND ".join([*parts, _beyond(key, by_name, value, upper=False, inclusive=False)])


def rows_predicate(key: Key, columns: Sequence[Column], values: Sequence[KeyValue]) -> str:
    """The key is one of `values`: for some hundreds of them a range each on both servers."""
    by_name = {column.name: column for column in columns}
    parts = [(by_name[part.name], spec_of(by_name[part.name])) for part in key.columns]
    rows = (
        " AND ".join(
            f"{quote_name(column.name)} = {value_literal(spec, column, raw)}"
            for (column, spec), raw in zip(parts, value, strict=True)
        )
        for value in values
    )
    return f"(({') OR ('.join(rows)}))"


def nullable_columns(key: Key, columns: Sequence[Column]) -> list[str]:
    """The columns of the key, quoted, that may be NULL; none of most keys."""
    if not key.nullable:
        return []
    by_name = {column.name: column for column in columns}
    return [quote_name(part.name) for part in key.columns if by_name[part.name].nullable]


def _beyond(
    key: Key, columns: dict[str, Column], value: KeyValue, *, upper: bool, inclusive: bool
) -> str:
    """The key is after (`upper`: before) `value`, or at it when `inclusive`."""
    if len(value) != len(key.columns):
        raise ValueError(f"key `{key.name}` has {len(key.columns)} columns, not {len(value)}")
    text = ""
    for part, raw in reversed(list(zip(key.columns, value, strict=True))):
        column = columns[part.name]
        name, literal = quote_name(part.name), value_literal(spec_of(column), column, raw)
        less = upper != part.descending
        strictly = _strictly(name, column, raw, literal, less=less)
        if text:
            text = f"({strictly} OR ({name} = {literal} AND {text}))"
        elif not inclusive:
            text = strictly
        elif column.data_type.lower() == "enum":
            text = f"({strictly} OR {name} = {literal})"
        else:
            text = f"{name} {'<=' if less else '>='} {literal}"
    return text


def _strictly(name: str, column: Column, raw: bytes, literal: str, *, less: bool) -> str:
    if column.data_type.lower() != "enum":
        return f"{name} {'<' if less else '>'} {literal}"
    # Index order of an ENUM is that of its ordinals, and neither server makes a range of
    # `e > 3`; a list of the members on that side is one.
    members = [b"", *_members(column)]  # '' is ordinal 0, the error value
    at = members.index(raw)
    side = members[:at] if less else members[at + 1 :]
    if not side:
        return "FALSE"
    spec = spec_of(column)
    return f"{name} IN ({', '.join(value_literal(spec, column, member) for member in side)})"


def _members(column: Column) -> tuple[bytes, ...]:
    """An ENUM's members as wire text, in order; empty when they cannot be told for sure."""
    texts = [found.replace("''", "'") for found in _MEMBER.findall(column.column_type)]
    charset = (column.charset or "").lower()
    try:
        table = single_byte(charset)
        if table is not None:
            codes = {table[byte]: byte for byte in reversed(range(256))}  # the first has it
            members = tuple(bytes(codes[ord(char)] for char in text) for text in texts)
        else:
            members = tuple(text.encode(_MEMBER_CODECS[charset]) for text in texts)
    except (KeyError, UnicodeEncodeError):
        return ()
    # a member '' cannot be told from the error value; a '?' may stand for what
    # information_schema cannot say, a backslash for itself or for an escape; and a list too
    # long is no cheap range any more
    unclear = any(b"?" in member or b"\\" in member for member in members)
    unsure = b"" in members or unclear or len(members) > 500
    return () if unsure else members


def _ordered(part: KeyColumn) -> str:
    return f"{quote_name(part.name)} DESC" if part.descending else quote_name(part.name)


def _checked(pattern: re.Pattern[bytes], raw: bytes, column: Column) -> str:
    if not pattern.fullmatch(raw):
        raise ValueError(f"column {column.name}: not a value of {column.column_type}: {raw!r}")
    return raw.decode("ascii")

"""Values whose text does not say which value it is: SQL that finds them before a snapshot starts.

Each is a property of a column that definitions alone cannot rule out, so the rows are asked, and
only where the definition makes it possible at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tablevault.model import Column, TableName
from tablevault.mysql.sql import quote_table, stored
from tablevault.mysql.sql_ranges import quote_name

_MEMBER = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_ESCAPED = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "Z": "\x1a", "b": "\b"}
_COLLATION = re.compile(r"[A-Za-z0-9_]+")
_FOUR_BYTES = frozenset({"utf8mb4", "utf16", "utf16le", "utf32"})
_MOST_MEMBERS = 500  # beyond, comparing them by the server's collation is no cheap question


@dataclass(frozen=True)
class Doubt:
    """A condition that no row may meet, and what it means when one does."""

    condition: str
    means: str
    hint: str
    slow: bool = False  # every value must be parsed for it


def members(column: Column) -> tuple[str, ...]:
    """The members of an ENUM or SET, in order, as information_schema shows them."""
    return tuple(
        _ESCAPED.sub(lambda sign: _ESCAPES.get(sign[1], sign[1]) if sign[1] else "'", text)
        for text in _MEMBER.findall(column.column_type)
    )


def find(table: TableName, conditions: Sequence[str]) -> str:
    """A row when one meets any of the conditions."""
    return f"SELECT 1 FROM {quote_table(table)} WHERE {' OR '.join(conditions)} LIMIT 1"


def doubts(columns: Iterable[Column], family: str) -> Iterator[Doubt]:
    """What must be asked of the rows of a table with these columns."""
    for column in stored(columns):
        name = quote_name(column.name)
        if column.data_type == "json" and family == "mysql":
            yield _typed_json(name)
        if column.data_type in ("enum", "set"):
            yield from _unshown(column, name)
        if column.data_type == "enum" and "" in members(column):
            yield Doubt(
                f"{name} = 0",
                f"ENUM {name} holds the error value (index 0), which cannot be told from its "
                "member '' and so not be brought back exactly",
                "give these rows a member, as in: UPDATE ... SET col = '' WHERE col = 0",
            )
        if column.data_type in ("float", "double") and column.scale is not None:
            digits = column.precision or 0
            largest = f"{10**digits - 1}e-{column.scale}"
            yield Doubt(
                f"ROUND(ABS({name}), {column.scale}) > {largest}",
                f"column {name} holds a number of more digits than {column.column_type} has "
                "(the server rounded it up), which cannot be loaded again",
                "make the column wider by a digit",
            )


def _typed_json(name: str) -> Doubt:
    """JSON of MySQL may hold a DATE, a BLOB, a DECIMAL: their text is that of other values."""
    again = f"CAST(CAST({name} AS CHAR CHARACTER SET utf8mb4) AS JSON)"
    return Doubt(
        f"{name} <> {again} OR CONVERT({name} USING binary) <> CONVERT({again} USING binary)",
        f"JSON {name} holds a value that its text does not give again: a date, a time, binary "
        "data or a decimal number made by CAST ... AS JSON",
        "store such values as JSON text: UPDATE ... SET col = CAST(CAST(col AS CHAR) AS JSON)",
        slow=True,
    )


def _unshown(column: Column, name: str) -> Iterator[Doubt]:
    """Both servers write definitions in three-byte UTF-8, a `?` for each character beyond it."""
    if column.charset in _FOUR_BYTES and "?" in column.column_type:
        yield Doubt(
            f"HEX(CONVERT({name} USING utf8mb4)) REGEXP '^(..)*F[0-4]'",
            f"an ENUM or SET has a member with a four-byte character (column {name}), which the "
            "server does not show in its definitions, and so cannot be made again",
            "rename that member, or make the column a VARCHAR",
        )


def members_alike(column: Column) -> str | None:
    """The positions, from 1, of members that equal an earlier one by the column's collation.

    None where that cannot be, or would be too long a question.  A lax sql_mode lets such
    definitions in; a text is then always taken for the first of them.
    """
    charset, collation = column.charset, column.collation
    if column.data_type not in ("enum", "set") or not charset or not collation:
        return None
    if charset == "binary" or collation.endswith("_bin"):
        return None
    texts = members(column)
    named = _COLLATION.fullmatch(charset) and _COLLATION.fullmatch(collation)
    if not named or not 1 < len(texts) <= _MOST_MEMBERS:
        return None
    rows = " UNION ALL ".join(
        f"SELECT {at} AS i, CONVERT(_utf8mb4 X'{text.encode().hex()}' USING {charset}) "
        f"COLLATE {collation} AS m"
        for at, text in enumerate(texts, 1)
    )
    return (
        "SELECT i FROM (SELECT i, MIN(i) OVER (PARTITION BY m) AS earliest "
        f"FROM ({rows}) AS listed) AS grouped WHERE i <> earliest"
    )


def alike(column: Column, positions: Sequence[int]) -> Doubt:
    """The doubt that such members (`members_alike`) leave."""
    name = quote_name(column.name)
    if column.data_type == "set":
        condition = f"{name} & {sum(1 << (at - 1) for at in positions)} <> 0"
    else:
        condition = f"{name} + 0 IN ({', '.join(map(str, positions))})"
    kind = column.data_type.upper()
    return Doubt(
        condition,
        f"{kind} {name} holds a member that equals an earlier one by collation "
        f"{column.collation}, and would come back as that one",
        "rename one of the two members",
    )

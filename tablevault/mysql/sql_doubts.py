"""Values whose text does not say which value it is: SQL that finds them before a snapshot starts.

Each is a property of a column that definitions alone cannot rule out, so the rows are asked, and
only where the definition makes it possible at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tablevault.model import Column, Key, KeyRange, TableDef
from tablevault.mysql.sql import column_list, force_index, rows_of, select, stored, where_clause
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
    slow: bool = False  # every value must be taken apart for it


def members(column: Column) -> tuple[str, ...]:
    """The members of an ENUM or SET, in order, as information_schema shows them."""
    return tuple(
        _ESCAPED.sub(lambda sign: _ESCAPES.get(sign[1], sign[1]) if sign[1] else "'", text)
        for text in _MEMBER.findall(column.column_type)
    )


def find(
    definition: TableDef,
    conditions: Sequence[str],
    key: Key | None = None,
    range: KeyRange | None = None,
    where: str | None = None,
) -> str:
    """A row when one of those in `range` that `where` lets through meets any of the conditions."""
    among = where_clause(definition.columns, key, range, where) or " WHERE TRUE"
    return (
        f"{select(definition.engine)} 1 FROM {rows_of(definition.table, definition.columns)}"
        f"{force_index(key)}{among} "
        f"AND ({' OR '.join(conditions)}) LIMIT 1"
    )


def find_early(definition: TableDef, condition: str, rows: int, where: str | None = None) -> str:
    """The same for a condition on JSON among the first `rows` rows, whichever these are."""
    asked = column_list(one for one in definition.columns if one.data_type == "json")
    some = (
        f"SELECT {asked} FROM {rows_of(definition.table, definition.columns)}"
        f"{where_clause(definition.columns, None, None, where)} LIMIT {rows}"
    )
    return f"SELECT 1 FROM ({some}) AS early WHERE {condition} LIMIT 1"


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
    """JSON of MySQL may hold a DATE, a BLOB, a DECIMAL: their text is that of other values.

    Two values may differ in nothing but JSON_TYPE (DECIMAL 1.5 and DOUBLE 1.5 compare equal and
    are written alike), so every value at every depth is asked for its type.  Not by EXISTS: MySQL
    9.7 takes that for a semijoin, forgets that the inner table depends on the row, and finds
    nothing.
    """
    within = (
        f"(SELECT COUNT(*) FROM JSON_TABLE({name}, '{path}' COLUMNS (v JSON PATH '$')) AS found "
        f"WHERE {_not_as_written('v')})"
        for path in ("$**.*", "$**[*]")
    )
    return Doubt(
        f"{_not_as_written(name)} OR {' + '.join(within)} > 0",
        f"JSON {name} holds a value of a type that its text does not give again: a date, a time, "
        "binary data, a DECIMAL, or an integer whose sign is not that of its text, made by SQL "
        "(CAST, JSON_OBJECT)",
        "give such values the types of their text: ALTER TABLE ... MODIFY col LONGTEXT, and back "
        "to JSON (an UPDATE with the same text leaves them as they are: they compare equal)",
        slow=True,
    )


def _not_as_written(value: str) -> str:
    """Whether a JSON value, containers aside, has another type than its text read as JSON.

    Text gives UNSIGNED INTEGER above 2**32 - 1 (9.7), INTEGER below; SQL gives what it was told.
    """
    plain = "'OBJECT', 'ARRAY', 'STRING', 'DOUBLE', 'BOOLEAN', 'NULL'"
    again = f"JSON_TYPE(CAST(CAST({value} AS CHAR) AS JSON))"
    return (
        f"CASE WHEN JSON_TYPE({value}) IN ('INTEGER', 'UNSIGNED INTEGER') "
        f"THEN JSON_TYPE({value}) <> {again} ELSE JSON_TYPE({value}) NOT IN ({plain}) END"
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

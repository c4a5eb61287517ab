"""SQL text: quoting, reading rows, loading rows.  Pure functions, no connection.

Statements are for the session that `session.py` sets: backslash escapes on, and an ASCII-compatible
connection charset.  Keys and ranges are in `sql_ranges.py`, the digest in `sql_digest.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tablevault.model import Column, Key, KeyRange, TableName
from tablevault.mysql.sql_ranges import order_by, quote_name, range_predicate, value_literal
from tablevault.rows.kinds import ColumnSpec, Kind

__all__ = [
    "closes_what_it_opens",
    "column_list",
    "enum_columns",
    "force_index",
    "insert_prefix",
    "insert_row",
    "load_data",
    "quote_name",
    "quote_table",
    "quote_text",
    "select_expression",
    "select_rows",
    "stored",
]

_FROM_CHARACTERS = frozenset({Kind.UUID, Kind.INET4, Kind.INET6})
_MEMBER = re.compile(r"'((?:[^']|'')*)'")
_PARENTHESES = re.compile(  # and what may hold some that mean nothing
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`|--\s[^\n]*|\#[^\n]*|/\*.*?\*/|[()]""",
    re.DOTALL,
)
_TOKEN = re.compile(r"[A-Za-z0-9_.-]{8,}")


def quote_table(table: TableName) -> str:
    """Schema and name in backticks."""
    return f"{quote_name(table.schema)}.{quote_name(table.name)}"


def quote_text(text: str) -> str:
    """A string literal; for a session whose sql_mode lacks NO_BACKSLASH_ESCAPES."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("\0", "\\0")
    return f"'{escaped}'"


def stored(columns: Iterable[Column]) -> tuple[Column, ...]:
    """The columns that hold data: in the order and number of `rows.kinds.specs_of`."""
    return tuple(column for column in columns if not column.generated)


def column_list(columns: Iterable[Column]) -> str:
    """The stored columns, quoted and comma separated."""
    return ", ".join(quote_name(column.name) for column in stored(columns))


def enum_columns(columns: Iterable[Column]) -> tuple[str, ...]:
    """The ENUM columns without a member ''.

    There '' on the wire is the error value, ordinal 0, that a lax sql_mode let in.
    """
    return tuple(
        column.name
        for column in stored(columns)
        if column.data_type == "enum" and "" not in _MEMBER.findall(column.column_type)
    )


def select_expression(spec: ColumnSpec) -> str:
    """What the snapshot selects for a column: the very expression that the digest hashes.

    MySQL's text protocol and its CONVERT differ in how they print FLOAT and DOUBLE, so both ask
    for the converted form; FLOAT as the double of the same value, as its own text has 6 digits.
    """
    name = quote_name(spec.name)
    if spec.kind is Kind.DOUBLE:
        return f"CONVERT({name} USING binary)"
    if spec.kind is Kind.FLOAT:
        return f"CONVERT(CAST({name} AS DOUBLE) USING binary)"
    return name


def force_index(key: Key | None) -> str:
    """` FORCE INDEX (key)`, or nothing without a key."""
    return f" FORCE INDEX ({quote_name(key.name)})" if key else ""


def where_clause(
    columns: Sequence[Column], key: Key | None, range: KeyRange | None, where: str | None
) -> str:
    """` WHERE ...` for a key range and a filter as the user wrote it, or nothing.

    The filter stands on lines of its own: a comment at its end must not swallow what follows.
    """
    parts = []
    if key is not None and range is not None:
        parts.append(range_predicate(key, columns, range))
    if where:
        parts.append(f"(\n{where}\n)")
    text = " AND ".join(part for part in parts if part)
    return f" WHERE {text}" if text else ""


def closes_what_it_opens(where: str) -> bool:
    """Whether a filter's parentheses match: one too many would end those put around it."""
    depth = 0
    for sign in _PARENTHESES.finditer(where):
        depth += (sign[0] == "(") - (sign[0] == ")")
        if depth < 0:
            return False
    return depth == 0


def select_rows(
    table: TableName,
    specs: Sequence[ColumnSpec],
    columns: Sequence[Column],
    key: Key | None = None,
    range: KeyRange | None = None,
    where: str | None = None,
) -> str:
    """Read the stored columns of the rows in `range`, in key order.

    `specs` are those of the stored columns; `columns` all of the table's.  Without a key the
    rows come in whatever order the server has them.
    """
    selected = ", ".join(select_expression(spec) for spec in specs)
    text = f"SELECT {selected} FROM {quote_table(table)}{force_index(key)}"
    text += where_clause(columns, key, range, where)
    return f"{text} ORDER BY {order_by(key)}" if key else text


def load_data(table: TableName, specs: Sequence[ColumnSpec], token: str, family: str) -> str:
    """LOAD DATA LOCAL of the codec's text (tabs, newlines, backslashes, `\\N`).

    The bytes are taken as they are (CHARACTER SET binary).  MySQL makes no JSON from binary
    strings and MariaDB takes them for the inner form of a UUID or an address, so these go
    through a variable that says what they are.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"not a load token: {token!r}")
    targets, assignments = [], []
    for index, spec in enumerate(specs):
        name = quote_name(spec.name)
        if spec.kind in _FROM_CHARACTERS or (spec.kind is Kind.JSON and family == "mysql"):
            targets.append(f"@v{index}")
            assignments.append(f"{name} = CONVERT(@v{index} USING utf8mb4)")
        else:
            targets.append(name)
    text = (
        f"LOAD DATA LOCAL INFILE '{token}' INTO TABLE {quote_table(table)} CHARACTER SET binary "
        r"FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' "
        f"({', '.join(targets)})"
    )
    return f"{text} SET {', '.join(assignments)}" if assignments else text


def insert_prefix(table: TableName, specs: Sequence[ColumnSpec]) -> str:
    """`INSERT INTO t (columns) VALUES `, to be followed by `insert_row`s and commas."""
    names = ", ".join(quote_name(spec.name) for spec in specs)
    return f"INSERT INTO {quote_table(table)} ({names}) VALUES "


def insert_row(
    specs: Sequence[ColumnSpec], columns: Sequence[Column], values: Sequence[bytes | None]
) -> str:
    """One row of an INSERT from the wire text of its values.

    Text goes in as binary strings, which are stored as they are: MySQL warns of literals in a
    charset that it calls deprecated, and any warning fails a load.
    """
    cells = (
        "NULL" if value is None else _insert_literal(spec, column, value)
        for spec, column, value in zip(specs, stored(columns), values, strict=True)
    )
    return f"({', '.join(cells)})"


def _insert_literal(spec: ColumnSpec, column: Column, value: bytes) -> str:
    as_bytes = column.charset is not None and spec.kind is not Kind.JSON
    return f"X'{value.hex()}'" if as_bytes else value_literal(spec, column, value)

"""SQL text: quoting, reading rows, loading rows.  Pure functions, no connection.

Statements are for the session that `session.py` sets: backslash escapes on, and an ASCII-compatible
connection charset.  Keys and ranges are in `sql_ranges.py`, the digest in `sql_digest.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tablevault.model import Column, Key, KeyRange, TableName
from tablevault.mysql.engines import transactional
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
    "rounding_columns",
    "rows_of",
    "select",
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


def rows_of(table: TableName, columns: Iterable[Column]) -> str:
    """The table as a FROM names it, with all of its rows: of a versioned one, its history too."""
    history = any(column.system_time for column in columns)
    return f"{quote_table(table)} FOR SYSTEM_TIME ALL" if history else quote_table(table)


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


def rounding_columns(columns: Sequence[Column]) -> tuple[str, ...]:
    """The columns of which a "Data truncated" warning tells nothing that would be lost.

    No statement stores the error value of an ENUM without one, and what the server computes for a
    generated column (a quotient for a DECIMAL, say) it rounds with one each time.
    """
    return (*enum_columns(columns), *(one.name for one in columns if one.generated))


def select(engine: str) -> str:
    """SELECT; of a table that we keep locked it must not queue behind the writers that wait."""
    return "SELECT" if transactional(engine) else "SELECT HIGH_PRIORITY"


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
    *,
    engine: str = "InnoDB",
) -> str:
    """Read the stored columns of the rows in `range`, in key order.

    `specs` are those of the stored columns; `columns` all of the table's.  Without a key the
    rows come in whatever order the server has them.
    """
    selected = ", ".join(select_expression(spec) for spec in specs)
    text = f"{select(engine)} {selected} FROM {rows_of(table, columns)}{force_index(key)}"
    text += where_clause(columns, key, range, where)
    return f"{text} ORDER BY {order_by(key)}" if key else text


def counting_column(columns: Iterable[Column]) -> str | None:
    """The name of the AUTO_INCREMENT column."""
    return next((column.name for column in columns if column.auto_increment), None)


def load_data(
    table: TableName,
    specs: Sequence[ColumnSpec],
    token: str,
    family: str,
    counting: str | None = None,
    empty: Sequence[ColumnSpec] = (),
) -> str:
    """LOAD DATA LOCAL of the codec's text (tabs, newlines, backslashes, `\\N`).

    Columns of the table that are `empty` are not in the text and become NULL.

    The bytes are taken as they are (CHARACTER SET binary).  MySQL makes no JSON from binary
    strings and MariaDB takes them for the inner form of a UUID or an address, so these go
    through a variable that says what they are.  Beside such a one MariaDB gives a 0 of the
    AUTO_INCREMENT column (`counting`) a new number, whatever the sql_mode, unless it is assigned.
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
    counts = next((i for i, spec in enumerate(specs) if spec.name == counting), None)
    if assignments and counts is not None:
        targets[counts] = f"@v{counts}"
        assignments.append(f"{quote_name(specs[counts].name)} = @v{counts}")
    assignments += [f"{quote_name(spec.name)} = NULL" for spec in empty]
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

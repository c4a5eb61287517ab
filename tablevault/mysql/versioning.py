"""System-versioned tables of MariaDB: their hidden columns, and what of them cannot come back.

Every row has the time from which and up to which it was current; history is the rows whose time
has ended.  Both times are data here: they are read, hashed and loaded like any other column.
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise

from tablevault.errors import Unsupported
from tablevault.model import Column, Key, KeyColumn, ServerInfo, TableName
from tablevault.mysql import ddl_parse

TIMES = {b"ROW START": "start", b"ROW END": "end"}  # GENERATION_EXPRESSION → Column.system_time
_INSERTS_HISTORY = (10, 11, 0)  # the first version with system_versioning_insert_history
_LONG_TIMES = (11, 5, 0)  # current rows end in 2106, not in 2038
_IMPLICIT = (
    Column("row_start", "timestamp(6)", "timestamp", False, scale=6, system_time="start"),
    Column("row_end", "timestamp(6)", "timestamp", False, scale=6, system_time="end"),
)


def with_times(table: TableName, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns of a versioned table, the two included that the server hides from its schema.

    Raises Unsupported where transactions, not times, say what was current.
    """
    times = [column for column in columns if column.system_time]
    if any(column.data_type != "timestamp" for column in times):
        raise Unsupported(
            f"table {table} is system-versioned by transaction ids, which another table of the "
            "server explains",
            hint="leave the table out, or version it by TIMESTAMP(6) columns",
        )
    return columns if times else columns + _IMPLICIT


def takes_history(version: tuple[int, ...]) -> bool:
    """Whether such a server takes rows with times of their own."""
    return version >= _INSERTS_HISTORY


def require_restorable(table: TableName, create_sql: str, server: ServerInfo) -> None:
    """Raise Unsupported for a versioned table whose history would not come back as it is."""
    if not takes_history(server.version):
        raise Unsupported(
            f"table {table} is system-versioned, and MariaDB takes no history back before 10.11",
            hint="leave the table out, or upgrade the server",
        )
    tokens = list(ddl_parse.tokenize(ddl_parse.parse(create_sql).tail))
    by_number = any(
        first.says("SYSTEM_TIME") and second.says("LIMIT") for first, second in pairwise(tokens)
    )
    if by_number:
        raise Unsupported(
            f"table {table} is partitioned BY SYSTEM_TIME LIMIT: which partition a row of its "
            "history is in could not be brought back",
            hint="leave the table out, or partition it BY SYSTEM_TIME INTERVAL",
        )


def whole_key(key: Key | None, columns: tuple[Column, ...]) -> Key | None:
    """The key as the server keeps it: each unique key of a versioned table ends with row_end."""
    end = next((column.name for column in columns if column.system_time == "end"), None)
    if key is None or end is None or end in {part.name for part in key.columns}:
        return key
    return dataclasses.replace(key, columns=(*key.columns, KeyColumn(end)))


def same_end_of_time(version: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether rows that are current on one server are so on the other, by their row_end."""
    return (version >= _LONG_TIMES) == (other >= _LONG_TIMES)

"""Partitions of live tables: whether one can be exchanged, and which rows a table holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tablevault.errors import CannotComplete, UsageError
from tablevault.model import TableName
from tablevault.mysql import ddl_spelling, relations, sql_partitions
from tablevault.mysql.identity import identities

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection


def require(conn: Connection, table: TableName, partition: str) -> None:
    """Raise UsageError, naming those that there are, unless the table has the partition.

    Of a table with subpartitions, one of these is to be named.
    """
    rows = conn.query(sql_partitions.names(table))
    names = [relations.text(sub if sub is not None else name) for name, sub in rows]
    if not names:
        raise UsageError(f"table {table} has no partitions", hint="restore it without --partition")
    if partition not in names:  # in another case it would do for one server, but not for MariaDB
        kind = "subpartitions" if rows[0][1] is not None else "partitions"
        raise UsageError(
            f"table {table} has no partition {partition}", hint=f"its {kind}: {', '.join(names)}"
        )


def require_alike(conn: Connection, table: TableName, create_sql: str) -> None:
    """Raise CannotComplete unless the live table is defined as it was: else no partition fits."""
    here = relations.definition(conn, table)
    named = conn.server.family != "mysql"
    if here is None or not ddl_spelling.alike(create_sql, here, constraint_names=named):
        raise CannotComplete(
            f"table {table} is not defined as in the snapshot: no partition can be exchanged",
            hint="compare them with `tablevault diff`, or restore the whole table",
        )


def mark(conn: Connection, table: TableName) -> str:
    """What tells which rows a table holds, whatever its name: it changes with an exchange.

    Raises CannotComplete where the server does not say.
    """
    found = identities(conn, [table]).get(table, "")
    if not found.startswith("innodb:"):
        raise CannotComplete(
            f"InnoDB's id of table {table} is not to be seen, by which a run that died tells "
            "whether a partition was exchanged",
            hint="grant PROCESS; the table must be of InnoDB, its schema's name in ASCII",
        )
    return found

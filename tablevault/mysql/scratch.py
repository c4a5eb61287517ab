"""Schemas made for a rehearsal: created only where there is none, dropped only when bare."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tablevault.errors import CannotComplete, StatementFailed
from tablevault.mysql.connect import Connection
from tablevault.mysql.sql import quote_text
from tablevault.mysql.sql_ranges import quote_name
from tablevault.mysql.sql_tables import schema_exists

_EXISTS = 1007
_MAY_NOT = frozenset({1044, 1045, 1142, 1227})
# What a schema may hold: tables, views and sequences; routines; events.  Triggers go by tables.
_HOLDS = (
    ("TABLES", "TABLE_SCHEMA", "TABLE_NAME"),
    ("ROUTINES", "ROUTINE_SCHEMA", "ROUTINE_NAME"),
    ("EVENTS", "EVENT_SCHEMA", "EVENT_NAME"),
)


class Refused(CannotComplete):
    """A schema was not made: the name is taken, or the account may not."""


def create(connection: Connection, schema: str) -> None:
    """Create a schema that must not be there.

    Raises Refused, and nothing has changed, when it is or the account may not.
    """
    try:
        connection.execute(f"CREATE DATABASE {quote_name(schema)}")
    except StatementFailed as error:
        if error.errno == _EXISTS:
            raise Refused(
                f"schema {schema} is there already, and not of this run",
                hint="look whose it is; it was not touched",
            ) from error
        if error.errno in _MAY_NOT:
            raise Refused(
                f"the account may not create schema {schema} to rehearse in",
                hint="GRANT SELECT, INSERT, CREATE, ALTER, DROP, REFERENCES ON "
                "`\\_tv\\_drill\\_%`.* TO the account",
            ) from error
        raise


def exists(connection: Connection, schema: str) -> bool:
    """Whether there is a schema of that name."""
    return connection.one(schema_exists(schema)) is not None


def held(connection: Connection, schema: str) -> tuple[str, ...]:
    """The names of what a schema holds; what the account may not see is not among them."""
    return tuple(
        (name or b"").decode("utf-8", "surrogateescape")
        for view, of_schema, named in _HOLDS
        for (name,) in connection.query(
            f"SELECT {named} FROM information_schema.{view} "
            f"WHERE {of_schema} = {quote_text(schema)} ORDER BY {named}"
        )
    )


def drop_statement(schema: str) -> str:
    """What drops a schema, for one that was looked at before."""
    return f"DROP DATABASE IF EXISTS {quote_name(schema)}"


def named_alike(connection: Connection, start: str) -> Sequence[str]:
    """The schemas whose names begin with `start`."""
    rows: Collection[Sequence[bytes | None]] = list(
        connection.query(
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA "
            f"WHERE LEFT(SCHEMA_NAME, {len(start):d}) = {quote_text(start)} ORDER BY SCHEMA_NAME"
        )
    )
    return [(row[0] or b"").decode("utf-8", "surrogateescape") for row in rows]

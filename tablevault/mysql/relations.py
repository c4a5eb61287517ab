"""Foreign keys as the live tables have them, both ways, and rows that have lost their parent.

Read from SHOW CREATE TABLE, which says all of a foreign key; information_schema only tells which
tables to ask.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tablevault.errors import StatementFailed
from tablevault.model import Key, TableName
from tablevault.mysql import ddl, ddl_parse, sql_relations, sql_tables
from tablevault.mysql.sql import quote_name

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

_TIMED_OUT = frozenset({3024, 1969})
_ABSENT = frozenset({1146, 1049})
# no such column, no such key, collations that do not mix
_UNCOMPARABLE = frozenset({1054, 1176, 1267, 1271})
A = TypeVar("A")


@dataclass(frozen=True)
class Link:
    """A foreign key of `child`; `clause` is its text with the parent's schema spelled out."""

    child: TableName
    name: str
    columns: tuple[str, ...]
    parent: TableName
    parent_columns: tuple[str, ...]
    clause: str

    def __str__(self) -> str:
        return f"`{self.name}` of {self.child} to {self.parent}"

    def same_as(self, other: Link) -> bool:
        """Whether both are one foreign key between the same tables."""
        return (self.child, self.name, self.columns, self.parent, self.parent_columns) == (
            other.child,
            other.name,
            other.columns,
            other.parent,
            other.parent_columns,
        )


def links_in(create_sql: str, child: TableName, *, schema: str | None = None) -> tuple[Link, ...]:
    """The foreign keys in a definition, as those of `child`.

    `schema` is that of parents without one; it defaults to the child's.
    """
    links = []
    for key in ddl.foreign_keys(create_sql):
        parent = TableName(key.parent_schema or schema or child.schema, key.parent)
        links.append(
            Link(
                child=child,
                name=key.name,
                columns=key.columns,
                parent=parent,
                parent_columns=key.parent_columns,
                clause=key.referencing(parent).text,
            )
        )
    return tuple(links)


def links_of(conn: Connection, table: TableName) -> tuple[Link, ...]:
    """The foreign keys that a table has now; none when it is not there."""
    # under LOCK TABLES the server does not say that a table is missing, but that it is not locked
    create_sql = definition(conn, table) if exists(conn, table) else None
    return () if create_sql is None else links_in(create_sql, table)


def links_to(conn: Connection, tables: Iterable[TableName]) -> tuple[Link, ...]:
    """The foreign keys that reference one of `tables` now, their own ones too.

    Those of tables that the account may not see are not among them.
    """
    wanted = frozenset(tables)
    if not wanted:
        return ()
    found: list[Link] = []
    for schema, name in conn.query(sql_relations.children_of(sorted(wanted))):
        child = TableName(text(schema), text(name))
        found += [link for link in links_of(conn, child) if link.parent in wanted]
    return tuple(found)


def definition(conn: Connection, table: TableName) -> str | None:
    """SHOW CREATE TABLE; None when there is no such table."""
    try:
        row = conn.one(sql_tables.show_create_table(table))
    except StatementFailed as error:
        if error.errno in _ABSENT:
            return None
        raise
    return None if row is None else text(row[1])


def exists(conn: Connection, table: TableName) -> bool:
    """Whether there is anything of that name."""
    return conn.one(sql_tables.table_type(table)) is not None


def is_sequence(conn: Connection, table: TableName) -> bool:
    """Whether there is a sequence of that name."""
    row = conn.one(sql_tables.table_type(table))
    return row is not None and row[0] == b"SEQUENCE"


def number(conn: Connection, statement: str) -> int | None:
    """The one number that a statement answers with."""
    row = conn.one(statement)
    return int(row[0]) if row and row[0] is not None else None


@dataclass(frozen=True)
class Orphans:
    """Rows of `link.child` without a parent; `count` is None when the time was not enough."""

    link: Link
    count: int | None
    example: str = ""

    def __str__(self) -> str:
        if self.count is None:
            return f"foreign key {self.link}: orphans were not counted within the time limit"
        rows = "1 row has" if self.count == 1 else f"{self.count:,} rows have"
        shown = f", such as ({', '.join(self.link.columns)}) = ({self.example})"
        return f"foreign key {self.link}: {rows} no parent{shown if self.example else ''}"


def find_orphans(
    conn: Connection, link: Link, child: TableName, parent: TableName, seconds: float
) -> Orphans | None:
    """Orphans of `link` if `child` and `parent` stood in its places; None when there are none."""
    there = parent if exists(conn, parent) else None
    arguments = (child, link.columns, there, link.parent_columns)
    try:
        with_limit = sql_relations.time_limit(conn.server.family, seconds)
        conn.execute(with_limit)
        count = number(conn, sql_relations.count_orphans(*arguments)) or 0
        if count == 0:
            return None
        row = conn.one(sql_relations.orphan_example(*arguments)) or ()
    except StatementFailed as error:
        if error.errno in _TIMED_OUT | _UNCOMPARABLE:
            return Orphans(link, None)
        raise
    finally:
        if not conn.closed:
            conn.execute(sql_relations.time_limit(conn.server.family, 0))
    return Orphans(link, count, ", ".join(text(value)[:60] for value in row))


def count_lacking(
    conn: Connection, table: TableName, other: TableName, key: Key, seconds: float
) -> int | None:
    """How many rows of `table` have a key that `other` lacks; None when that cannot be told."""
    statement = sql_relations.count_lacking(table, other, key)
    return bounded(conn, seconds, lambda: number(conn, statement))


def count_rows(conn: Connection, table: TableName, seconds: float) -> int | None:
    """The rows of a table; None when the time was not enough."""
    return bounded(conn, seconds, lambda: number(conn, sql_tables.count_rows(table)))


def bounded(conn: Connection, seconds: float, ask: Callable[[], A]) -> A | None:
    """What `ask` answers within `seconds` a statement; None later, or when keys do not compare."""
    try:
        conn.execute(sql_relations.time_limit(conn.server.family, seconds))
        return ask()
    except StatementFailed as error:
        if error.errno in _TIMED_OUT | _UNCOMPARABLE:
            return None
        raise
    finally:
        if not conn.closed:
            conn.execute(sql_relations.time_limit(conn.server.family, 0))


def text(value: bytes | None) -> str:
    """A raw value as text, whatever its bytes."""
    return "" if value is None else value.decode("utf-8", "surrogateescape")


def without_links(create_sql: str) -> str:
    """A definition without its foreign keys: that of a staging table."""
    table = ddl.parse(create_sql)
    kept = tuple(e for e in table.elements if e.role is not ddl.Role.FOREIGN_KEY)
    return dataclasses.replace(table, elements=kept).render(quote_name(table.name))


def nameless(link: Link, parent: TableName) -> str:
    """The clause of `link`, to another parent and with a name of the server's choice."""
    (key,) = ddl.foreign_keys(f"CREATE TABLE `t` (\n  {link.clause}\n)")
    clause = key.referencing(parent).text
    return clause[clause.upper().index("FOREIGN KEY", _after_name(clause)) :]


def named(link: Link, clause: str) -> str:
    """A nameless clause with the name of `link`."""
    return f"CONSTRAINT {quote_name(link.name)} {clause}" if link.name else clause


def _after_name(clause: str) -> int:
    first = list(ddl_parse.tokenize(clause))[:2]
    return first[1].end if first[0].says("CONSTRAINT") else 0

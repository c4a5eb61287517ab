"""SQL text of the preflight: figures about server, tables and sessions.  Pure functions.

Every one only reads, and from tables of metadata alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tablevault.model import TableName
from tablevault.mysql.sql import quote_text

_SINGLY = 20  # up to so many tables are asked for one by one

GLOBAL_VARIABLES = "SHOW GLOBAL VARIABLES"
GLOBAL_STATUS = "SHOW GLOBAL STATUS"
ENGINES = "SELECT ENGINE, SUPPORT FROM information_schema.ENGINES"
COLLATIONS = "SELECT COLLATION_NAME FROM information_schema.COLLATIONS"
DISKS = "SELECT Path, Available, Total FROM information_schema.DISKS"  # a plugin of MariaDB
GRANTS_TO_ALL = "SHOW GRANTS FOR PUBLIC"  # MariaDB 10.11 and later
GROUP_MEMBERS = (
    "SELECT COUNT(*) FROM performance_schema.replication_group_members "
    "WHERE MEMBER_STATE <> 'OFFLINE'"
)
LONG_TRANSACTIONS = (
    "SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, NOW()) "
    "FROM information_schema.INNODB_TRX "
    "WHERE trx_started < NOW() - INTERVAL {seconds:d} SECOND ORDER BY trx_started LIMIT 20"
)


def parse_disks(rows: Iterable[Sequence[bytes | None]]) -> list[tuple[str, int, int]]:
    """Mount points with their free and all bytes; the server counts in KiB."""
    return [
        (
            (path or b"").decode("utf-8", "surrogateescape"),
            int(free or 0) << 10,
            int(all_ or 0) << 10,
        )
        for path, free, all_ in rows
    ]


def limit_statements(family: str, seconds: int) -> str:
    """No question of ours may keep the server longer than this."""
    if family == "mariadb":
        return f"SET SESSION max_statement_time = {seconds:d}"
    return f"SET SESSION max_execution_time = {seconds * 1000:d}"


def long_transactions(seconds: int) -> str:
    """Connection and age of transactions that are open for longer than that."""
    return LONG_TRANSACTIONS.format(seconds=seconds)


def places(tables: Sequence[TableName]) -> list[str]:
    """Conditions that together cover `tables`, and little else.

    MariaDB answers an equality by opening one table, anything else by opening all of the schema.
    """
    if len(tables) <= _SINGLY:
        return [
            f"TABLE_SCHEMA = {quote_text(table.schema)} AND TABLE_NAME = {quote_text(table.name)}"
            for table in tables
        ]
    schemas = sorted({table.schema for table in tables})
    return [f"TABLE_SCHEMA = {quote_text(schema)}" for schema in schemas]


def table_facts(place: str) -> str:
    """Schema, name, type, engine, rows, bytes of data, bytes of indexes, create options."""
    return (
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH, "
        "INDEX_LENGTH, CREATE_OPTIONS FROM information_schema.TABLES "
        f"WHERE {place}"
    )


def columns(place: str) -> str:
    """Schema, table, column, its type in full, base type, NULL or not, charset, expression."""
    return (
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, IS_NULLABLE, "
        "CHARACTER_SET_NAME, COLLATION_NAME, GENERATION_EXPRESSION "
        f"FROM information_schema.COLUMNS WHERE {place} ORDER BY TABLE_NAME, ORDINAL_POSITION"
    )


def indexes(place: str) -> str:
    """Schema, table, index, type, not unique, column, prefix length, order, by position."""
    return (
        "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, INDEX_TYPE, NON_UNIQUE, COLUMN_NAME, "
        "SUB_PART, COLLATION FROM information_schema.STATISTICS "
        f"WHERE {place} ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
    )


def foreign_keys(schemas: Iterable[str]) -> str:
    """Child schema, child, parent schema, parent, name of foreign keys from or to the schemas."""
    listed = _listed(schemas)
    return (
        "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME, "
        "CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS "
        f"WHERE CONSTRAINT_SCHEMA IN ({listed}) OR UNIQUE_CONSTRAINT_SCHEMA IN ({listed})"
    )


def triggers(schemas: Iterable[str]) -> str:
    """Schema, table and name of triggers that the account may see."""
    return (
        "SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME "
        f"FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA IN ({_listed(schemas)})"
    )


def row_versions(schemas: Iterable[str]) -> str:
    """MySQL 8.0.29+: tables with rows of more than one version (INSTANT ADD or DROP COLUMN)."""
    likes = " OR ".join(f"NAME LIKE {quote_text(_like(schema) + '/%')}" for schema in schemas)
    return (
        "SELECT NAME FROM information_schema.INNODB_TABLES "
        f"WHERE TOTAL_ROW_VERSIONS > 0 AND ({likes or 'FALSE'})"
    )


def derived_tables(schemas: Iterable[str]) -> str:
    """Schema, name and bytes of tables named as runs name theirs."""
    return (
        "SELECT TABLE_SCHEMA, TABLE_NAME, COALESCE(DATA_LENGTH + INDEX_LENGTH, 0) "
        "FROM information_schema.TABLES "
        f"WHERE TABLE_SCHEMA IN ({_listed(schemas)}) AND TABLE_NAME LIKE '\\_tv\\_%'"
    )


def _listed(schemas: Iterable[str]) -> str:
    return ", ".join(quote_text(schema) for schema in schemas) or "NULL"


def _like(text: str) -> str:
    return text.replace("%", "\\%").replace("_", "\\_")


def set_global(name: str, value: int | str) -> str:
    """The statement that a remedy advises; it is never run here."""
    return f"SET GLOBAL {name} = {value}"

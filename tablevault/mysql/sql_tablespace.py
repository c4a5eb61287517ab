"""SQL text about InnoDB tablespaces: to look at one, to take its file away, to take in another."""

from __future__ import annotations

from tablevault.model import TableName
from tablevault.mysql.identity import file_name
from tablevault.mysql.sql import quote_table, quote_text

UNLOCK = "UNLOCK TABLES"


def flush_for_export(table: TableName) -> str:
    """Let the table's file be whole and at rest until `UNLOCK`."""
    return f"FLUSH TABLES {quote_table(table)} FOR EXPORT"


def discard(table: TableName) -> str:
    """Take away the table's file, and all rows with it."""
    return f"ALTER TABLE {quote_table(table)} DISCARD TABLESPACE"


def take_in(table: TableName) -> str:
    """Make the file that lies in the place of the discarded one the table's own."""
    return f"ALTER TABLE {quote_table(table)} IMPORT TABLESPACE"


def space_id(table: TableName, family: str) -> str:
    """The id of the table's tablespace, as the server knows it; needs PROCESS."""
    source = "INNODB_SYS_TABLES" if family == "mariadb" else "INNODB_TABLES"
    return (
        f"SELECT SPACE FROM information_schema.{source} "
        f"WHERE NAME = {quote_text(file_path(table) or '')}"
    )


def row_format(table: TableName) -> str:
    """How InnoDB lays the rows out: Dynamic, Compact, ..."""
    return (
        "SELECT ROW_FORMAT FROM information_schema.TABLES WHERE "
        f"TABLE_SCHEMA = {quote_text(table.schema)} AND TABLE_NAME = {quote_text(table.name)}"
    )


def file_path(table: TableName) -> str | None:
    """Where in its data directory the server keeps the table, without the suffix.

    None for names with letters beyond ASCII, whose spelling only the server knows.

    >>> file_path(TableName("shop", "a-b"))
    'shop/a@002db'
    """
    folder, file = file_name(table.schema), file_name(table.name)
    return None if folder is None or file is None else f"{folder}/{file}"

"""SQL text about whole tables: consistent reads, staging, indexes, the cut-over, its undo."""

from __future__ import annotations

from collections.abc import Sequence

from tablevault.model import Column, Key, KeyRange, TableName
from tablevault.mysql.sql import quote_table, quote_text, rows_of, where_clause
from tablevault.mysql.sql_ranges import quote_name

BEGIN_CONSISTENT_READ = "START TRANSACTION WITH CONSISTENT SNAPSHOT"
END_CONSISTENT_READ = "COMMIT"


def alter_table(table: TableName, clause: str) -> str:
    """One ALTER with one clause, such as `ADD KEY ...`."""
    return f"ALTER TABLE {quote_table(table)} {clause}"


def drop_table(table: TableName) -> str:
    """Drop a table that this run created, whether or not it is there."""
    return f"DROP TABLE IF EXISTS {quote_table(table)}"


def rename_tables(pairs: Sequence[tuple[TableName, TableName]]) -> str:
    """All renames in one statement: nobody sees a moment between them."""
    moves = ", ".join(f"{quote_table(old)} TO {quote_table(new)}" for old, new in pairs)
    return f"RENAME TABLE {moves}"


def delete_range(
    table: TableName, columns: Sequence[Column], key: Key | None, range: KeyRange, limit: int
) -> str:
    """Delete at most `limit` rows of a key range."""
    where = where_clause(columns, key, range, None)
    return f"DELETE FROM {quote_table(table)}{where} LIMIT {limit:d}"


def analyze_table(table: TableName) -> str:
    """Fresh statistics, so that the first queries after the swap have a plan."""
    return f"ANALYZE TABLE {quote_table(table)}"


def count_by_index(table: TableName, columns: Sequence[Column], index: str) -> str:
    """The rows that a scan of one index finds."""
    return f"SELECT COUNT(*) FROM {rows_of(table, columns)} FORCE INDEX ({quote_name(index)})"


def count_rows(table: TableName) -> str:
    """The rows of a table by whatever way the server likes."""
    return f"SELECT COUNT(*) FROM {quote_table(table)}"


def visible_index(family: str, version: tuple[int, ...]) -> str:
    """The condition on STATISTICS that an index may be named in FORCE INDEX.

    INVISIBLE on MySQL, IGNORED on MariaDB (from 10.6): to either the server says there is none.
    """
    if family == "mysql":
        return "IS_VISIBLE = 'YES'"
    return "IGNORED = 'NO'" if version >= (10, 6, 0) else "1"


def countable_indexes(table: TableName, visible: str) -> str:
    """The names of a table's B-tree indexes: those by which rows can be counted.

    `visible` is the condition that `visible_index` gives.
    """
    return (
        "SELECT DISTINCT INDEX_NAME FROM information_schema.STATISTICS "
        f"WHERE {_is(table)} AND INDEX_TYPE = 'BTREE' AND {visible} ORDER BY INDEX_NAME"
    )


def ordering(table: TableName, visible: str) -> str:
    """The parts of a table's B-tree indexes: index, column, A or D, prefix length.

    `visible` is the condition that `visible_index` gives.
    """
    return (
        "SELECT INDEX_NAME, COLUMN_NAME, COLLATION, SUB_PART FROM information_schema.STATISTICS "
        f"WHERE {_is(table)} AND INDEX_TYPE = 'BTREE' AND {visible} "
        "ORDER BY INDEX_NAME, SEQ_IN_INDEX"
    )


def show_create_table(table: TableName) -> str:
    """The definition, as the server writes it."""
    return f"SHOW CREATE TABLE {quote_table(table)}"


def table_type(table: TableName) -> str:
    """BASE TABLE, VIEW, ...; no row when there is nothing of that name."""
    return f"SELECT TABLE_TYPE FROM information_schema.TABLES WHERE {_is(table)}"


def schema_exists(schema: str) -> str:
    """A row when the schema is there."""
    return f"SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {quote_text(schema)}"


def next_auto_increment(table: TableName) -> str:
    """The next value a table would issue; NULL when it has no AUTO_INCREMENT column."""
    return f"SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE {_is(table)}"


def set_auto_increment(table: TableName, value: int) -> str:
    """Raise the next value a table issues; the server never lowers it below its rows."""
    return f"ALTER TABLE {quote_table(table)} AUTO_INCREMENT = {value:d}"


def sequence_row(table: TableName) -> str:
    """What a sequence gives next, its bounds, its step, and how often it has begun anew."""
    return (
        "SELECT next_not_cached_value, minimum_value, maximum_value, increment, cycle_count "
        f"FROM {quote_table(table)}"
    )


def advance_sequence(table: TableName, value: int, cycle: int, *, used: bool) -> str:
    """Let a sequence go on at `value`, or behind it, in that cycle; it is never set back."""
    return f"SELECT SETVAL({quote_table(table)}, {value:d}, {used:d}, {cycle:d})"


def _is(table: TableName) -> str:
    return f"TABLE_SCHEMA = {quote_text(table.schema)} AND TABLE_NAME = {quote_text(table.name)}"

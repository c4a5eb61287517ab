"""SQL text about what ties tables together: foreign keys, triggers, locks, rows of one table that
another one lacks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tablevault.model import Column, Key, TableName
from tablevault.mysql.session import DEFINING_SQL_MODE
from tablevault.mysql.sql import force_index, quote_name, quote_table, quote_text

_BYTES = frozenset({"binary", "varbinary", "bit", "tinyblob", "blob", "mediumblob", "longblob"})
SEEN_AS = "tv_seen"
UNLOCK = "UNLOCK TABLES"
NOTHING = "DO 0"  # takes up a kill that came too late for the statement it was meant for
DEFINING = f"SET SESSION sql_mode = '{DEFINING_SQL_MODE}'"
UNCHECKED = "SET SESSION foreign_key_checks = 0"


def children_of(tables: Iterable[TableName]) -> str:
    """The tables with a foreign key that references one of `tables`: schema, name.

    One question for all of them: MariaDB opens every table of the server to answer it.
    """
    wanted = ", ".join(f"({_texts((table.schema, table.name))})" for table in tables)
    return (
        "SELECT DISTINCT CONSTRAINT_SCHEMA, TABLE_NAME "
        "FROM information_schema.REFERENTIAL_CONSTRAINTS "
        f"WHERE (UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME) IN ({wanted}) "
        "ORDER BY CONSTRAINT_SCHEMA, TABLE_NAME"
    )


def holders_of_key_names(schema: str, names: Iterable[str]) -> str:
    """Which tables of a schema have foreign keys of these names: table, name."""
    return (
        "SELECT TABLE_NAME, CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS "
        f"WHERE CONSTRAINT_SCHEMA = {quote_text(schema)} AND CONSTRAINT_NAME IN ({_texts(names)})"
    )


def drop_keys(table: TableName, names: Iterable[str]) -> str:
    """Drop foreign keys in one ALTER, which changes nothing but the dictionary."""
    clauses = ", ".join(f"DROP FOREIGN KEY {quote_name(name)}" for name in names)
    return f"ALTER TABLE {quote_table(table)} {clauses}"


def add_keys(table: TableName, clauses: Iterable[str]) -> str:
    """Add foreign keys in one ALTER; in place, so it needs foreign_key_checks = 0."""
    added = ", ".join(f"ADD {clause}" for clause in clauses)
    return f"ALTER TABLE {quote_table(table)} {added}, ALGORITHM=INPLACE"


def lock_write(tables: Iterable[TableName], seen: TableName | None = None) -> str:
    """Lock tables against everybody else's reading and writing.

    `seen` is one of them that a statement names a second time, as `SEEN_AS`.
    """
    locks = [f"{quote_table(table)} WRITE" for table in tables]
    if seen is not None:
        locks.append(f"{quote_table(seen)} AS {SEEN_AS} READ")
    return f"LOCK TABLES {', '.join(locks)}"


def create_like(table: TableName, model: TableName) -> str:
    """An empty table of the same shape, without foreign keys and triggers."""
    return f"CREATE TABLE {quote_table(table)} LIKE {quote_table(model)}"


def trigger_names(table: TableName) -> str:
    """A table's triggers in the order in which they fire."""
    return (
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS "
        f"WHERE EVENT_OBJECT_SCHEMA = {quote_text(table.schema)} "
        f"AND EVENT_OBJECT_TABLE = {quote_text(table.name)} "
        "ORDER BY ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER"
    )


def holders_of_trigger_names(schema: str, names: Iterable[str]) -> str:
    """Which tables of a schema have triggers of these names: table, name."""
    return (
        "SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS "
        f"WHERE TRIGGER_SCHEMA = {quote_text(schema)} AND TRIGGER_NAME IN ({_texts(names)})"
    )


def show_trigger(schema: str, name: str) -> str:
    """Name, sql_mode, text, charset and collation of a trigger."""
    return f"SHOW CREATE TRIGGER {quote_name(schema)}.{quote_name(name)}"


def drop_trigger(schema: str, name: str) -> str:
    """Drop a trigger, whether or not it is there."""
    return f"DROP TRIGGER IF EXISTS {quote_name(schema)}.{quote_name(name)}"


def trigger_session(sql_mode: str, charset: str, collation: str) -> tuple[str, str]:
    """The session under which a trigger was made, which it keeps for life."""
    mode = f"SET SESSION sql_mode = {quote_text(sql_mode)}"
    text = (
        f"SET SESSION character_set_client = {quote_text(charset)}, "
        f"SESSION collation_connection = {quote_text(collation)}"
    )
    return mode, text


def usual_session() -> tuple[str, str]:
    """Back from a trigger's session to the one in which definitions are repeated."""
    return trigger_session(DEFINING_SQL_MODE, "utf8mb4", "utf8mb4_bin")


def time_limit(family: str, seconds: float) -> str:
    """Bound the SELECTs of this session; 0 ends the bound."""
    if family == "mysql":
        return f"SET SESSION max_execution_time = {int(seconds * 1000):d}"
    return f"SET SESSION max_statement_time = {seconds:.3f}"


def count_orphans(
    child: TableName,
    columns: Sequence[str],
    parent: TableName | None,
    parent_columns: Sequence[str],
) -> str:
    """How many rows of `child` reference no row of `parent`; all, when there is no parent."""
    return f"SELECT COUNT(*) {_orphans(child, columns, parent, parent_columns)}"


def orphan_example(
    child: TableName,
    columns: Sequence[str],
    parent: TableName | None,
    parent_columns: Sequence[str],
) -> str:
    """The referencing values of one of them."""
    names = ", ".join(f"c.{quote_name(name)}" for name in columns)
    return f"SELECT {names} {_orphans(child, columns, parent, parent_columns)} LIMIT 1"


def _orphans(
    child: TableName,
    columns: Sequence[str],
    parent: TableName | None,
    parent_columns: Sequence[str],
) -> str:
    # a key with a NULL in it references nothing
    conditions = [f"c.{quote_name(name)} IS NOT NULL" for name in columns]
    if parent is not None:
        pairs = zip(parent_columns, columns, strict=True)
        matched = " AND ".join(f"p.{quote_name(p)} = c.{quote_name(c)}" for p, c in pairs)
        conditions.append(f"NOT EXISTS (SELECT 1 FROM {quote_table(parent)} p WHERE {matched})")
    return f"FROM {quote_table(child)} c WHERE {' AND '.join(conditions)}"


def lacking(table: TableName, other: TableName, key: Sequence[str], alias: str = "t") -> str:
    """`NOT EXISTS ...`: the row of `table` (called `alias`) has a key that `other` lacks."""
    matched = " AND ".join(f"o.{quote_name(name)} = {alias}.{quote_name(name)}" for name in key)
    return f"NOT EXISTS (SELECT 1 FROM {quote_table(other)} o WHERE {matched})"


def count_lacking(table: TableName, other: TableName, key: Key) -> str:
    """How many rows of `table` have a key that `other` lacks.

    As a join on the key of both: left alone, MariaDB materialises the other table by whatever
    index is smallest, at more than three times the cost (measured on 600,000 rows).  What was not
    found is not told by IS NULL, which holds for a zero date where the column is NOT NULL.
    """
    names = [quote_name(part.name) for part in key.columns]
    matched = " AND ".join(f"o.{name} = t.{name}" for name in names)
    return (
        f"SELECT COUNT(*) FROM {quote_table(table)} t{force_index(key)} "
        f"LEFT JOIN {quote_table(other)} o{force_index(key)} ON {matched} "
        f"WHERE NOT (o.{names[0]} <=> t.{names[0]})"
    )


def hashed_keys(key: Key, columns: Sequence[Column]) -> str:
    """A row's key as one text; texts come with their lengths, so that no two keys read alike."""
    texts = {column.name for column in columns if column.charset is not None}
    bytes_ = {column.name for column in columns if column.data_type in _BYTES}
    parts = []
    for part in key.columns:
        name = quote_name(part.name)
        if part.name in texts | bytes_:
            parts.append(f"LENGTH({name})")
        if part.name in texts:
            name = f"CONVERT({name} USING binary)"
        parts.append(name)
    return f"CONCAT_WS('|', {', '.join(parts)})"


def key_digest(table: TableName, keys: str, index: str = "") -> str:
    """Rows and order-independent digest of a table's keys (`hashed_keys`): equal for equal sets.

    A fifth of the cost of the join.  Without an `index` none is forced: of InnoDB every index has
    the key's columns, and the server takes the smallest.  Of a table that is not in memory that
    is a small part to read.
    """
    force = f" FORCE INDEX ({quote_name(index)})" if index else ""
    return (
        f"SELECT COUNT(*), COALESCE(SUM(CRC32(CRC32({keys}))), 0) FROM {quote_table(table)}{force}"
    )


def last_write(table: TableName) -> str:
    """Unix seconds of the last change to an InnoDB table, and now; NULL: not known.

    No row where that cannot be relied on: of partitions each is forgotten by itself.  MySQL keeps
    such figures for a day unless the session says otherwise, as ours do.
    """
    return (
        "SELECT UNIX_TIMESTAMP(UPDATE_TIME), UNIX_TIMESTAMP() FROM information_schema.TABLES "
        f"WHERE TABLE_SCHEMA = {quote_text(table.schema)} "
        f"AND TABLE_NAME = {quote_text(table.name)} AND ENGINE = 'InnoDB' "
        "AND CREATE_OPTIONS NOT LIKE '%partitioned%'"
    )


def transactions_since(second: int) -> str:
    """How many open transactions are as old as that, or older; their times are the system's."""
    return (
        "SELECT COUNT(*) FROM information_schema.INNODB_TRX "
        f"WHERE CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') <= FROM_UNIXTIME({second:d})"
    )


def lacking_key_at(
    table: TableName, other: TableName, key: Sequence[str], order: str, where: str, skip: int
) -> str:
    """The key of the row that comes `skip` rows after the first one that `other` lacks."""
    names = ", ".join(quote_name(name) for name in key)
    conditions = " AND ".join(part for part in (where, lacking(table, other, key)) if part)
    return (
        f"SELECT {names} FROM {quote_table(table)} t WHERE {conditions} "
        f"ORDER BY {order} LIMIT 1 OFFSET {skip:d}"
    )


def copy_lacking(
    table: TableName, other: TableName, key: Sequence[str], columns: Sequence[str], where: str
) -> str:
    """Copy the rows of `table` within `where` whose key `other` lacks into `other`."""
    names = ", ".join(quote_name(name) for name in columns)
    conditions = " AND ".join(part for part in (where, lacking(table, other, key)) if part)
    return (
        f"INSERT INTO {quote_table(other)} ({names}) "
        f"SELECT {names} FROM {quote_table(table)} t WHERE {conditions}"
    )


def stored_columns(table: TableName) -> str:
    """The columns that hold data, in order, with which of them have a default or count."""
    return (
        "SELECT COLUMN_NAME FROM information_schema.COLUMNS "
        f"WHERE TABLE_SCHEMA = {quote_text(table.schema)} "
        f"AND TABLE_NAME = {quote_text(table.name)} "
        "AND COALESCE(GENERATION_EXPRESSION, '') = '' ORDER BY ORDINAL_POSITION"
    )


def _texts(names: Iterable[str]) -> str:
    return ", ".join(quote_text(name) for name in names)

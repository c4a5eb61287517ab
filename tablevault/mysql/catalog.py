"""What the server says of its tables: columns, keys, definitions, identity.

Read in bulk from information_schema, a few statements a schema and two a table, so that
thousands of tables take seconds.  Whatever cannot be brought back is refused here, by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tablevault.errors import CannotComplete, StatementFailed, Unsupported
from tablevault.model import Column, Key, KeyColumn, TableDef, TableName, TriggerSettings
from tablevault.mysql import ddl, sql_tables, versioning
from tablevault.mysql.identity import identities
from tablevault.mysql.sql import quote_name, quote_table, quote_text
from tablevault.mysql.sql_ranges import usable_in_key
from tablevault.mysql.tables import resolve_tables
from tablevault.rows.kinds import specs_of

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection, Row

__all__ = ["identity_now", "resolve_tables", "table_definition", "table_definitions"]

_SINGLY = 20  # up to so many tables of a schema are asked for one by one
_DENIED = frozenset({1044, 1142, 1143, 1227, 1370})

_COLUMNS = (
    "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, IS_NULLABLE, CHARACTER_SET_NAME, "
    "COLLATION_NAME, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, "
    "GENERATION_EXPRESSION, EXTRA, PRIVILEGES FROM information_schema.COLUMNS WHERE {} "
    "ORDER BY TABLE_NAME, ORDINAL_POSITION"
)
_TABLES = (
    "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COLLATION, TABLE_ROWS, DATA_LENGTH "
    "FROM information_schema.TABLES WHERE {}"
)
_INDEXES = (
    "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, COLLATION, SUB_PART, INDEX_TYPE, {visible} "
    "FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND {} "
    "ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
)
_TRIGGERS = (
    "SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS "
    "WHERE {} "
    "ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER"
)


def table_definition(conn: Connection, table: TableName, *, identity: bool = True) -> TableDef:
    """One table's definition; see `table_definitions`."""
    return table_definitions(conn, [table], identity=identity)[0]


def table_definitions(
    conn: Connection,
    tables: Sequence[TableName],
    refused: list[Unsupported] | None = None,
    *,
    identity: bool = True,
    nullable_keys: bool = False,
) -> list[TableDef]:
    """The definitions of `tables`, in their order, as they are at this moment.

    Raises Unsupported for tables that cannot be brought back exactly, all at once (a list in
    `refused` takes the errors instead, and the tables are left out), CannotComplete for one that
    is gone or whose definition the account may not see.  Identities cost a look at all tables of
    the server, so who asks for tables one by one goes without (`identity`).  With
    `nullable_keys` a unique key that lets NULLs in is taken where there is no better one.
    """
    found: list[Unsupported] = []
    definitions: dict[TableName, TableDef] = {}
    known = identities(conn, tables) if identity else {}
    for schema, names in _by_schema(tables).items():
        facts = _Facts(conn, schema, names)
        for name in names:
            table = TableName(schema, name)
            try:
                definitions[table] = _definition(
                    conn, table, facts, known.get(table, ""), nullable_keys
                )
            except Unsupported as error:
                found.append(error)
    if refused is not None:
        refused += found
    elif found:
        raise Unsupported.of_all(found)
    return [definitions[table] for table in tables if table in definitions]


def identity_now(conn: Connection, tables: Sequence[TableName]) -> dict[TableName, tuple[str, str]]:
    """Identity and normalised definition of each table that still exists.

    To be compared with what the same call gave under the lock: error 1412 is no DDL detector.
    """
    known = identities(conn, tables)
    found = {}
    for table in tables:
        try:
            create_sql = _show_create(conn, table)
        except StatementFailed as error:
            if error.errno != 1146:
                raise
            continue
        found[table] = (known.get(table, ""), ddl.normalise(create_sql))
    return found


class _Facts:
    """The rows of information_schema for some tables of one schema, by table name."""

    def __init__(self, conn: Connection, schema: str, names: Sequence[str]) -> None:
        visible = sql_tables.visible_index(conn.server.family, conn.server.version)
        indexes = _INDEXES.replace("{visible}", visible)
        self.columns = _grouped(conn, _COLUMNS, schema, names)
        self.tables = _grouped(conn, _TABLES, schema, names)
        self.indexes = _grouped(conn, indexes, schema, names)
        self.triggers: dict[str, list[str]] = defaultdict(list)
        triggers = _grouped(conn, _TRIGGERS, schema, names, "EVENT_OBJECT_")
        for table, rows in triggers.items():
            self.triggers[table] = [_text(trigger) for (trigger,) in rows]


def _grouped(
    conn: Connection, statement: str, schema: str, names: Sequence[str], prefix: str = "TABLE_"
) -> dict[str, list[Row]]:
    """Rows by table name, the first column, which is dropped from them.

    `prefix` is how the view calls what it tells of: TABLE_SCHEMA and TABLE_NAME, mostly.
    MariaDB answers an equality by opening one table, an IN by opening all of the schema.
    """
    name_column = "TABLE_NAME" if prefix == "TABLE_" else f"{prefix}TABLE"
    in_schema = f"{prefix}SCHEMA = {quote_text(schema)}"
    conditions = [in_schema]
    if len(names) <= _SINGLY:
        conditions = [f"{in_schema} AND {name_column} = {quote_text(name)}" for name in names]
    wanted = set(names)
    grouped: dict[str, list[Row]] = defaultdict(list)
    for condition in conditions:
        for name, *row in conn.query(statement.replace("{}", condition)):
            if _text(name) in wanted:
                grouped[_text(name)].append(tuple(row))
    return grouped


def _definition(
    conn: Connection, table: TableName, facts: _Facts, table_identity: str, nullable_keys: bool
) -> TableDef:
    if table.name not in facts.tables:
        raise CannotComplete(f"table {table} is gone")
    kind, engine, collation, rows, size = facts.tables[table.name][0]
    versioned = kind == b"SYSTEM VERSIONED"
    if kind not in (b"BASE TABLE", b"SEQUENCE") and not versioned:
        raise Unsupported(f"{table} is no base table but a {_text(kind).lower()}")
    for row in facts.columns[table.name]:
        if b"select" not in (row[-1] or b""):
            raise CannotComplete(
                f"the account may not read column `{_text(row[0])}` of {table}",
                hint="grant SELECT on the table",
            )
    columns = tuple(_column(row) for row in facts.columns[table.name])
    create_sql = _show_create(conn, table)
    if versioned:
        columns = versioning.with_times(table, columns)
        versioning.require_restorable(table, create_sql, conn.server)
    specs_of(table, columns, conn.server.family)  # raises for what cannot be brought back
    key = choose_key(columns, facts.indexes[table.name], nullable=nullable_keys)
    counts = any(column.auto_increment for column in columns)
    shown = [_show_trigger(conn, table, name) for name in facts.triggers[table.name]]
    return TableDef(
        table=table,
        create_sql=create_sql,
        columns=columns,
        key=versioning.whole_key(key, columns),
        engine=_text(engine),
        collation=_text(collation),
        identity=table_identity,
        estimated_rows=int(rows or 0),
        estimated_bytes=int(size or 0),
        triggers=tuple(text for text, _ in shown),
        trigger_settings=tuple(settings for _, settings in shown),
        sequence=kind == b"SEQUENCE",
        auto_increment=(ddl.auto_increment(create_sql) or 1) if counts else None,
    )


def _column(row: Row) -> Column:
    name, column_type, data_type, nullable, charset, collation = row[:6]
    precision, scale, fraction, generation, extra = row[6:11]
    if scale is None:
        scale = fraction
    return Column(
        name=_text(name),
        column_type=_text(column_type),
        data_type=_text(data_type).lower(),
        nullable=nullable == b"YES",
        charset=_text(charset) or None,
        collation=_text(collation) or None,
        precision=None if precision is None else int(precision),
        scale=None if scale is None else int(scale),
        # EXTRA would match DEFAULT_GENERATED, too
        generated=bool(generation) and generation not in versioning.TIMES,
        auto_increment=b"auto_increment" in (extra or b"").lower(),
        system_time=versioning.TIMES.get(generation or b""),
    )


def choose_key(
    columns: Sequence[Column], indexes: Iterable[Row], *, nullable: bool = False
) -> Key | None:
    """PRIMARY if ranges over it are exact, else the smallest unique key that is as good.

    With `nullable`, one that lets NULLs in if there is no other.  `indexes` are the rows of unique
    keys: name, column, A or D, prefix length, type, visible.
    """
    by_name = {column.name: column for column in columns}
    parts: dict[str, list[KeyColumn]] = defaultdict(list)
    unusable: set[str] = set()
    for index, column, direction, prefix, kind, visible in indexes:
        name = _text(index)
        part = by_name.get(_text(column))  # None for an expression
        plain = prefix is None and kind == b"BTREE" and visible == b"1"
        if plain and part is not None and usable_in_key(part, nullable=nullable):
            parts[name].append(KeyColumn(part.name, direction == b"D"))
        else:
            unusable.add(name)
    lax = {
        name for name, some in parts.items() if any(by_name[part.name].nullable for part in some)
    }
    keys = [Key(name, tuple(p), name in lax) for name, p in parts.items() if name not in unusable]
    return min(keys, key=lambda key: _key_rank(key, by_name), default=None)


def _key_rank(key: Key, columns: dict[str, Column]) -> tuple[bool, bool, int, int, str]:
    texts = sum(columns[part.name].charset is not None for part in key.columns)
    return key.nullable, key.name != "PRIMARY", len(key.columns), texts, key.name


def _show_create(conn: Connection, table: TableName) -> str:
    try:
        row = conn.one(f"SHOW CREATE TABLE {quote_table(table)}")
    except StatementFailed as error:
        if error.errno not in _DENIED:
            raise
        raise CannotComplete(
            f"the account may not see the definition of {table}", hint="grant SELECT on it"
        ) from None
    if row is None:
        raise CannotComplete(f"table {table} is gone")
    return _text(row[1])


def _show_trigger(conn: Connection, table: TableName, name: str) -> tuple[str, TriggerSettings]:
    quoted = f"{quote_name(table.schema)}.{quote_name(name)}"
    try:
        row = conn.one(f"SHOW CREATE TRIGGER {quoted}")
    except StatementFailed as error:
        if error.errno not in _DENIED:
            raise
        row = None
    if row is None or row[2] is None:
        raise CannotComplete(
            f"the account may not see trigger `{name}` of {table}", hint="grant TRIGGER on it"
        )
    return _text(row[2]), TriggerSettings(_text(row[1]), _text(row[3]), _text(row[4]))


def _by_schema(tables: Iterable[TableName]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for table in tables:
        grouped[table.schema].append(table.name)
    return grouped


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "surrogateescape")

"""Figures of a server for the preflight: each asked once, quickly, and missed without an error.

What the account may not see, or the server does not have, is None; `unseen` says why.  No
question takes longer than a few seconds, whatever the server is at.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tablevault.errors import ConnectionLost, StatementFailed
from tablevault.model import Column, TableName
from tablevault.mysql import catalog, sql_doctor, versioning, watch
from tablevault.mysql import server as servers

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection, Row

LIMIT_S = 3  # for one statement, by the server
_SILENCE_S = 5.0  # for one statement, when the server does not keep to it
BUDGET_S = 10.0  # for all


@dataclass
class TableFacts:
    """A live table as information_schema has it."""

    table: TableName
    kind: str = ""  # BASE TABLE, VIEW, ...
    engine: str = ""
    rows: int = 0
    data_bytes: int = 0
    index_bytes: int = 0
    options: str = ""  # CREATE_OPTIONS
    columns: list[Column] = field(default_factory=list)
    indexes: dict[str, str] = field(default_factory=dict)  # name → BTREE, FULLTEXT, ...
    key: str | None = None  # what a snapshot would walk

    @property
    def has_primary_key(self) -> bool:
        return "PRIMARY" in self.indexes


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key by the tables it connects."""

    child: TableName
    parent: TableName
    name: str


class Inspector:
    """Asks one connection; the answers are kept."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.server = connection.server
        self.unseen: dict[str, str] = {}  # statement, or what was asked for → why
        self._deadline = time.monotonic() + BUDGET_S
        self.ask(sql_doctor.limit_statements(self.server.family, LIMIT_S))

    @property
    def mariadb(self) -> bool:
        return self.server.family == "mariadb"

    @property
    def late(self) -> bool:
        """Whether the time for questions is over: no more are asked."""
        return time.monotonic() > self._deadline

    def ask(self, statement: str) -> list[Row] | None:
        """The rows, or None when they may not be seen or did not come in time."""
        if self.late:
            self.unseen[statement] = "the server answers too slowly"
            return None
        try:
            return self.connection.query(statement, timeout_s=_SILENCE_S)
        except (StatementFailed, ConnectionLost) as error:
            self.unseen[statement] = error.message
            return None

    @cached_property
    def settings(self) -> dict[str, str]:
        """All global variables, by lowercase name."""
        rows = self.ask(sql_doctor.GLOBAL_VARIABLES) or []
        return {text(row[0]).lower(): text(row[1]) for row in rows}

    @cached_property
    def status(self) -> dict[str, str]:
        """All status counters, by lowercase name."""
        rows = self.ask(sql_doctor.GLOBAL_STATUS) or []
        return {text(row[0]).lower(): text(row[1]) for row in rows}

    def number(self, name: str) -> int | None:
        """A setting that is a number; None where the server does not have it."""
        value = self.settings.get(name, "")
        return int(value) if value.isdigit() else None

    def is_on(self, name: str) -> bool:
        """Whether a setting is there and is neither OFF nor 0."""
        return self.settings.get(name, "OFF").upper() not in ("OFF", "0", "NO", "")

    @cached_property
    def privileges(self) -> servers.Privileges | None:
        """What the account may do, its roles and what all may do included; None when unseen."""
        try:
            held = servers.privileges(self.connection)
        except (StatementFailed, ConnectionLost) as error:
            self.unseen["privileges"] = error.message
            return None
        if self.mariadb and self.server.version >= (10, 11, 0):
            rows = self.ask(sql_doctor.GRANTS_TO_ALL)
            if rows:
                held = _joined(held, servers.parse_grants(text(row[0]) for row in rows))
        return held

    @cached_property
    def engines(self) -> frozenset[str] | None:
        """The engines that are available, in lower case."""
        rows = self.ask(sql_doctor.ENGINES)
        if rows is None:
            return None
        return frozenset(text(row[0]).lower() for row in rows if row[1] in (b"YES", b"DEFAULT"))

    @cached_property
    def collations(self) -> frozenset[str] | None:
        """The collations by name, in lower case."""
        rows = self.ask(sql_doctor.COLLATIONS)
        return None if rows is None else frozenset(text(row[0]).lower() for row in rows)

    def disks(self) -> list[tuple[str, int, int]] | None:
        """Mount points, their free and all bytes, where MariaDB's plugin DISKS is loaded."""
        rows = self.ask(sql_doctor.DISKS) if self.mariadb else None
        return None if rows is None else sql_doctor.parse_disks(rows)

    def in_group(self) -> bool:
        """Whether the server is a member of a group (MySQL group replication)."""
        if "group_replication_group_name" not in self.settings:
            return False
        rows = self.ask(sql_doctor.GROUP_MEMBERS)
        return bool(rows and int(rows[0][0] or 0))

    def tables(self, wanted: Sequence[TableName]) -> dict[TableName, TableFacts]:
        """The facts of those of `wanted` that exist."""
        names, places = set(wanted), sql_doctor.places(wanted)
        found: dict[TableName, TableFacts] = {}
        for schema, name, kind, engine, rows, data, index, options in self._ask_each(
            sql_doctor.table_facts, places
        ):
            table = TableName(text(schema), text(name))
            if table in names:
                found[table] = TableFacts(
                    table,
                    text(kind),
                    text(engine),
                    int(rows or 0),
                    int(data or 0),
                    int(index or 0),
                    text(options),
                )
        self._add_columns(found, places)
        self._add_indexes(found, places)
        return found

    def _ask_each(self, statement: Callable[[str], str], places: Sequence[str]) -> Iterator[Row]:
        for place in places:
            yield from self.ask(statement(place)) or []

    def _add_columns(self, found: dict[TableName, TableFacts], places: Sequence[str]) -> None:
        rows = self._ask_each(sql_doctor.columns, places)
        for schema, table, name, full, base, nullable, charset, collation, generation in rows:
            facts = found.get(TableName(text(schema), text(table)))
            if facts is not None:
                facts.columns.append(
                    Column(
                        name=text(name),
                        column_type=text(full),
                        data_type=text(base).lower(),
                        nullable=nullable == b"YES",
                        charset=text(charset) or None,
                        collation=text(collation) or None,
                        generated=bool(generation) and generation not in versioning.TIMES,
                        system_time=versioning.TIMES.get(generation or b""),
                    )
                )

    def _add_indexes(self, found: dict[TableName, TableFacts], places: Sequence[str]) -> None:
        unique: dict[TableName, list[Row]] = defaultdict(list)
        rows = self._ask_each(sql_doctor.indexes, places)
        for schema, table, name, kind, repeats, column, prefix, order in rows:
            facts = found.get(TableName(text(schema), text(table)))
            if facts is None:
                continue
            facts.indexes[text(name)] = text(kind)
            if repeats == b"0":
                unique[facts.table].append((name, column, order, prefix, kind, b"1"))
        for one, parts in unique.items():
            key = catalog.choose_key(found[one].columns, parts, nullable=True)
            found[one].key = key.name if key else None

    def foreign_keys(self, tables: Sequence[TableName]) -> list[ForeignKey] | None:
        """The foreign keys from and to `tables`; None when they may not be seen."""
        rows = self.ask(sql_doctor.foreign_keys(schemas_of(tables)))
        if rows is None:
            return None
        wanted = set(tables)
        keys = [
            ForeignKey(
                TableName(text(row[0]), text(row[1])),
                TableName(text(row[2]), text(row[3])),
                text(row[4]),
            )
            for row in rows
        ]
        return [key for key in keys if key.child in wanted or key.parent in wanted]

    def triggers(self, tables: Sequence[TableName]) -> list[tuple[TableName, str]]:
        """Table and name of the triggers of `tables`, as far as the account sees them."""
        wanted = set(tables)
        rows = self.ask(sql_doctor.triggers(schemas_of(tables))) or []
        found = [(TableName(text(row[0]), text(row[1])), text(row[2])) for row in rows]
        return [one for one in found if one[0] in wanted]

    def derived_tables(self, schemas: Sequence[str]) -> list[tuple[TableName, int]]:
        """Tables named as runs of tablevault name theirs, and their bytes."""
        rows = self.ask(sql_doctor.derived_tables(schemas)) or []
        return [(TableName(text(r[0]), text(r[1])), int(r[2] or 0)) for r in rows]

    def row_versions(self, tables: Sequence[TableName]) -> list[str]:
        """Of `tables`, those with INSTANT-changed columns (MySQL 8.0.29 and later)."""
        rows = self.ask(sql_doctor.row_versions(schemas_of(tables))) or []
        names = {f"{table.schema}/{table.name}": str(table) for table in tables}
        return [names[text(row[0])] for row in rows if text(row[0]) in names]

    def long_transactions(self, seconds: int) -> list[str] | None:
        """Transactions open for longer, one line each; None when they may not be seen."""
        rows = self.ask(sql_doctor.long_transactions(seconds))
        if rows is None:
            return None
        return [f"connection {text(row[0])}, {text(row[1])} s" for row in rows]

    def lock_holders(self, tables: Sequence[TableName]) -> list[str] | None:
        """Who holds a metadata lock on one of `tables`; None where locks are not to be seen."""
        try:
            held = watch.holders(self.connection, tables)
        except ConnectionLost:
            return None
        return None if held is None else [str(session) for session in held]

    @cached_property
    def history_length(self) -> int | None:
        """How many undo logs wait to be purged; None when it may not be seen."""
        try:
            counters = watch.status_counters(self.connection)
        except ConnectionLost:
            return None
        return counters.get("Innodb_history_list_length")


def listed_disks(connection: Connection) -> list[tuple[str, int, int]]:
    """As `Inspector.disks`, of a server that has the plugin.  Raises StatementFailed elsewhere."""
    return sql_doctor.parse_disks(connection.query(sql_doctor.DISKS))


def schemas_of(tables: Iterable[TableName]) -> list[str]:
    """The schemas of tables, each once, sorted."""
    return sorted({table.schema for table in tables})


def text(value: bytes | None) -> str:
    """A value as text; NULL as the empty string."""
    return "" if value is None else value.decode("utf-8", "surrogateescape")


def _joined(one: servers.Privileges, other: servers.Privileges) -> servers.Privileges:
    schemas, tables = dict(one.schemas), dict(one.tables)
    for pattern, held in other.schemas.items():
        schemas[pattern] = schemas.get(pattern, frozenset()) | held
    for table, held in other.tables.items():
        tables[table] = tables.get(table, frozenset()) | held
    return servers.Privileges(one.everywhere | other.everywhere, schemas, tables, one.revoked)

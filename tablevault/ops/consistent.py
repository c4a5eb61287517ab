"""One instant for all workers and all tables: the lock, the transactions, the position in the log.

The lock is held only while every connection opens its consistent read and the binary log's
position is read.  Definitions and identities are compared before, under it and at the end: no
error of the server tells reliably that a table was replaced or altered meanwhile.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from tablevault.errors import CannotComplete, Unsupported, UsageError
from tablevault.model import BinlogPosition, KeyRange, TableDef, TableName
from tablevault.mysql import catalog, ddl, identity, keywalk, locks, sql, sql_doubts, sql_tables
from tablevault.mysql import server as servers
from tablevault.mysql.connect import Connection, ConnectOptions, Purpose, connect
from tablevault.ops.options import SnapshotOptions

_ONE_INSTANT = frozenset({"innodb", "rocksdb", "tokudb"})  # engines with consistent reads
_MOST_ROWS_PARSED = 1_000_000  # JSON: 8 microseconds each, on top of the reading


@dataclass
class Connections:
    """All connections of a snapshot.  `abort` ends whatever any of them is doing."""

    stack: ExitStack
    opened: list[Connection] = field(default_factory=list)

    def open(self, target: ConnectOptions, purpose: Purpose) -> Connection:
        """One more connection, closed with the others."""
        connection = connect(target, purpose)
        self.opened.append(connection)
        self.stack.callback(connection.close)
        return connection

    def abort(self) -> None:
        """From any thread; neither waits nor raises."""
        for connection in self.opened:
            connection.abort()


@dataclass(frozen=True)
class ConsistentRead:
    """Connections that all see the same instant, and what was true at it."""

    control: Connection
    readers: tuple[Connection, ...]
    planner: Connection
    definitions: tuple[TableDef, ...]
    lock: locks.HeldLock
    binlog: BinlogPosition
    instant: float  # Unix seconds
    hints: tuple[str, ...]


def choose_tables(control: Connection, options: SnapshotOptions) -> tuple[TableDef, ...]:
    """The definitions of the tables that the patterns name, each with a key the server can use.

    Raises UsageError when there are none, Unsupported for what cannot come back exactly.
    """
    if options.where is not None and not sql.closes_what_it_opens(options.where):
        raise UsageError(f"--where: the parentheses of {options.where!r} do not match")
    tables = catalog.resolve_tables(control, options.patterns)
    if not tables:
        raise UsageError("there are no tables to snapshot", hint="name them as schema.table")
    refused: list[Unsupported] = []
    definitions = catalog.table_definitions(control, tables, refused)
    for definition in definitions:
        if all(column.generated for column in definition.columns):
            refused.append(
                Unsupported(
                    f"table {definition.table} has generated columns only: its rows hold no data",
                    hint="leave the table out",
                )
            )
        if definition.engine.lower() not in _ONE_INSTANT:
            refused.append(
                Unsupported(
                    f"table {definition.table} has engine {definition.engine}, whose rows cannot "
                    "be read as of one instant",
                    hint="leave it out, or convert it to InnoDB",
                )
            )
    if refused:
        raise Unsupported.of_all(refused)
    return tuple(definitions)


def open_consistent_read(
    target: ConnectOptions,
    connections: Connections,
    control: Connection,
    before: Sequence[TableDef],
    options: SnapshotOptions,
) -> ConsistentRead:
    """Open every reader at one instant, under the gentlest lock that `options` allow.

    Raises LockNotGranted after `lock_wait_s`, with nothing left that blocks the application, and
    CannotComplete when a table was altered or replaced since it was looked at.
    """
    readers = [connections.open(target, Purpose.READ) for _ in range(options.threads)]
    planner = connections.open(target, Purpose.READ)
    locker = connections.open(target, Purpose.CONTROL)
    tables = [definition.table for definition in before]
    lock = locks.acquire(
        locker,
        options.lock,
        tables,
        options.lock_wait_s,
        servers.privileges(control),
        lambda: connections.open(target, Purpose.CONTROL),
    )
    try:
        for connection in (*readers, planner):
            connection.execute(sql_tables.BEGIN_CONSISTENT_READ)
        instant = time.time()
        binlog, hint = servers.binlog_position(control)
        identities = identity.identities(control, tables)
    finally:
        lock.release_reads()
    for definition in before:
        if identities.get(definition.table) != definition.identity:
            raise _altered(definition.table)
    value_hints = _refuse_doubtful_values(planner, before)
    usable, key_hints = _with_usable_keys(planner, before, options)
    return ConsistentRead(
        control=control,
        readers=tuple(readers),
        planner=planner,
        definitions=usable,
        lock=lock,
        binlog=binlog,
        instant=instant,
        hints=(*lock.hints, *([hint] if hint else []), *value_hints, *key_hints),
    )


def assert_unaltered(control: Connection, definitions: Sequence[TableDef]) -> None:
    """Raise CannotComplete when a table is not what it was when it was looked at first."""
    now = catalog.identity_now(control, [definition.table for definition in definitions])
    for definition in definitions:
        then = (definition.identity, ddl.normalise(definition.create_sql))
        if now.get(definition.table) != then:
            raise _altered(definition.table)


def _with_usable_keys(
    planner: Connection, definitions: Sequence[TableDef], options: SnapshotOptions
) -> tuple[tuple[TableDef, ...], list[str]]:
    """Drop a key whose ranges the server would not read as ranges: then one cursor reads all."""
    usable: list[TableDef] = []
    hints = []
    for definition in definitions:
        if definition.key is not None:
            first = keywalk.lowest_boundary(planner, definition)
            if first is not None:
                verdict = keywalk.check_range(
                    planner, definition, KeyRange(first, None), options.where
                )
                if not verdict.usable:
                    hints.append(
                        f"table {definition.table} is read by one thread: {verdict.reason}"
                    )
                    definition = dataclasses.replace(definition, key=None)
        elif definition.estimated_bytes > options.chunk_bytes:
            hints.append(f"table {definition.table} has no usable key: it is read by one thread")
        usable.append(definition)
    return tuple(usable), hints


def _refuse_doubtful_values(planner: Connection, definitions: Sequence[TableDef]) -> list[str]:
    """Values that would come back as others, which is not to be seen in definitions.

    Raises Unsupported, naming all of them; returns hints about what was too much to look at.
    """
    refused, hints = [], []
    for definition in definitions:
        doubts = [
            *sql_doubts.doubts(definition.columns, planner.server.family),
            *_members_alike(planner, definition),
        ]
        if definition.estimated_rows > _MOST_ROWS_PARSED and any(doubt.slow for doubt in doubts):
            hints.append(
                f"table {definition.table} has too many rows to look for JSON values made by "
                "CAST of a date or of binary data, which come back as strings"
            )
            doubts = [doubt for doubt in doubts if not doubt.slow]
        conditions = [doubt.condition for doubt in doubts]
        if not doubts or planner.one(sql_doubts.find(definition.table, conditions)) is None:
            continue
        refused += [
            Unsupported(f"table {definition.table}: {doubt.means}", hint=doubt.hint)
            for doubt in doubts
            if planner.one(sql_doubts.find(definition.table, [doubt.condition])) is not None
        ]
    if refused:
        raise Unsupported.of_all(refused)
    return hints


def _members_alike(planner: Connection, definition: TableDef) -> Iterator[sql_doubts.Doubt]:
    for column in definition.columns:
        question = None if column.generated else sql_doubts.members_alike(column)
        positions = [int(row[0] or 0) for row in planner.query(question)] if question else []
        if positions:
            yield sql_doubts.alike(column, positions)


def _altered(table: TableName) -> CannotComplete:
    return CannotComplete(
        f"table {table} was altered or replaced while the snapshot was taken",
        hint="take it again when no ALTER, RENAME or TRUNCATE runs",
    )

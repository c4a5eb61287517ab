"""One instant for all workers and all tables: the lock, the transactions, the position in the log.

The lock is held only while every connection opens its consistent read and the binary log's
position is read.  Definitions and identities are compared before, under it and at the end: no
error of the server tells reliably that a table was replaced or altered meanwhile.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from tablevault.errors import CannotComplete, Unsupported, UsageError
from tablevault.model import BinlogPosition, KeyRange, TableDef, TableName
from tablevault.mysql import (
    catalog,
    ddl,
    engines,
    identity,
    keywalk,
    locks,
    sql,
    sql_tables,
    tablespaces,
)
from tablevault.mysql import server as servers
from tablevault.mysql.connect import Connection, ConnectOptions, Purpose, connect
from tablevault.mysql.sql_doubts import Doubt
from tablevault.ops.doubtful import refuse_doubtful_values
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.reading import MOST_NULL_BYTES
from tablevault.ops.tablespace_copies import TablespaceCopies
from tablevault.vault.catalog import moment

_LOCKED_BYTES_S = 40 << 20  # what a table is read with at least, for saying how long it may be
_SHOWN = 8


@dataclass
class Connections:
    """All connections of a snapshot.  `abort` ends whatever any of them is doing."""

    stack: ExitStack
    opened: list[Connection] = field(default_factory=list)
    aborted: bool = False

    def open(self, target: ConnectOptions, purpose: Purpose) -> Connection:
        """One more connection, closed with the others."""
        connection = connect(target, purpose)
        self.opened.append(connection)
        self.stack.callback(connection.close)
        if self.aborted:  # while it connected: there was nothing to abort then
            connection.abort()
        return connection

    def abort(self) -> None:
        """From any thread; neither waits nor raises."""
        self.aborted = True
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
    doubts: Mapping[TableName, tuple[Doubt, ...]]  # to be asked chunk by chunk


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
    definitions = catalog.table_definitions(control, tables, refused, nullable_keys=True)
    for definition in definitions:
        if all(column.generated for column in definition.columns):
            refused.append(
                Unsupported(
                    f"table {definition.table} has generated columns only: its rows hold no data",
                    hint="leave the table out",
                )
            )
        if not engines.readable(definition.engine):
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


def lock_notice(definitions: Sequence[TableDef], options: SnapshotOptions) -> str | None:
    """Which tables nobody can write to while they are read, and for how long about."""
    bare = [one for one in definitions if not engines.transactional(one.engine)]
    if not bare:
        return None
    names = ", ".join(f"{one.table} ({one.engine})" for one in bare[:_SHOWN])
    if len(bare) > _SHOWN:
        names += f" and {len(bare) - _SHOWN} more"
    if options.lock == locks.LockMode.NONE:
        return f"without transactions, and not locked, as asked for: {names}"
    seconds = 1 + sum(one.estimated_bytes for one in bare) // _LOCKED_BYTES_S
    return (
        f"without transactions, and so locked while they are read, first of all, for about "
        f"{seconds} s: {names}; reading goes on, who writes to them waits"
    )


def open_consistent_read(
    target: ConnectOptions,
    connections: Connections,
    control: Connection,
    before: Sequence[TableDef],
    options: SnapshotOptions,
    copies: TablespaceCopies | None = None,
) -> ConsistentRead:
    """Open every reader at one instant, under the gentlest lock that `options` allow.

    Under the same lock `copies` are taken, which lengthens it; where it cannot be had they are
    given up.  Raises LockNotGranted after `lock_wait_s`, with nothing left that blocks the
    application, and CannotComplete when a table was altered or replaced since it was looked at.
    """
    readers = [connections.open(target, Purpose.READ) for _ in range(options.threads)]
    planner = connections.open(target, Purpose.READ)
    tables = [definition.table for definition in before]
    lock = _locked(target, connections, control, before, options, copies)
    try:
        for connection in (*readers, planner):
            connection.execute(sql_tables.BEGIN_CONSISTENT_READ)
        instant = moment()
        binlog, hint = servers.binlog_position(control)
        identities = identity.identities(control, tables)
        for definition in before:
            if identities.get(definition.table) != definition.identity:
                raise _altered(definition.table)
        if copies is not None and copies.tables:
            prepared = tablespaces.prepared_transactions(control)
            if prepared:
                copies.give_up(
                    f"{prepared} prepared XA transactions may have rows in the files that are not "
                    "committed (XA RECOVER lists them)"
                )
            else:
                copies.take(lock.alive)
    finally:
        lock.release_reads()
    doubts = refuse_doubtful_values(planner, before, options.where)
    usable, key_hints = _with_usable_keys(planner, before, options)
    return ConsistentRead(
        control=control,
        readers=tuple(readers),
        planner=planner,
        definitions=usable,
        lock=lock,
        binlog=binlog,
        instant=instant,
        hints=(
            *lock.hints,
            *([hint] if hint else []),
            *key_hints,
        ),
        doubts=doubts,
    )


def _locked(
    target: ConnectOptions,
    connections: Connections,
    control: Connection,
    before: Sequence[TableDef],
    options: SnapshotOptions,
    copies: TablespaceCopies | None,
) -> locks.HeldLock:
    """The lock; that of an export as long as there is something to copy and it can be had."""
    privileges = servers.privileges(control)

    def acquire(mode: str, exported: Sequence[TableName] = ()) -> locks.HeldLock:
        return locks.acquire(
            connections.open(target, Purpose.CONTROL),
            mode,
            [one.table for one in before],
            options.lock_wait_s,
            privileges,
            lambda: connections.open(target, Purpose.CONTROL),
            without_transactions=[
                one.table for one in before if not engines.transactional(one.engine)
            ],
            exported=exported,
        )

    if copies is not None and copies.tables:
        try:
            held = acquire(locks.LockMode.EXPORT, copies.tables)
        except CannotComplete as error:
            copies.give_up(error.message)
        else:
            copies.locked()
            return held
    return acquire(options.lock)


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
        keyless = definition.key is None
        if definition.key is not None and definition.key.nullable:
            size_bytes = keywalk.null_bytes(planner, definition)
            if size_bytes > MOST_NULL_BYTES:
                hints.append(
                    f"table {definition.table} is read by one thread: {size_bytes >> 20} MiB of "
                    f"its rows have a NULL in key `{definition.key.name}`, and there is no other"
                )
                definition = dataclasses.replace(definition, key=None)
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
        elif keyless and definition.estimated_bytes > options.chunk_bytes:
            hints.append(f"table {definition.table} has no usable key: it is read by one thread")
        usable.append(definition)
    return tuple(usable), hints


def _altered(table: TableName) -> CannotComplete:
    return CannotComplete(
        f"table {table} was altered or replaced while the snapshot was taken",
        hint="take it again when no ALTER, RENAME or TRUNCATE runs",
    )

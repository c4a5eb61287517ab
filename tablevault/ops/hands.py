"""The connections of a cut-over, and how one statement of it is run: bounded, told, journalled.

Where RENAME works under LOCK TABLES (MySQL from 8.0.13) one connection locks and does everything.
Elsewhere a second one, `guard`, locks the tables that reference the moving ones, and only them,
while the first renames.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from tablevault.errors import ConnectionLost, StatementFailed
from tablevault.model import TableName
from tablevault.mysql import server as servers
from tablevault.mysql import sql_relations, watch
from tablevault.mysql.connect import Connection, ConnectOptions, connect
from tablevault.mysql.watchdog import Watchdog
from tablevault.ops.narrator import Narrator
from tablevault.vault.journal import Journal

TRY_S = 1.0  # how long one statement may wait: what waits for a table's lock blocks its readers
NOT_NOW = frozenset({1205, 1317, 3024, 1969, 1213})  # lock wait, killed by us, deadlock
_RENAMES_LOCKED = (8, 0, 13)
_NOT_TOGETHER = 1785
_SHOWN = 5
_NAMED = 20  # tables of one step
_SILENT_S = 3600  # dropping a large table, or looking for orphans, may take long, not for ever
R = TypeVar("R")


@dataclass
class Hands:
    """Four connections: `main` acts, `guard` holds, `looker` looks, the watchdog kills."""

    main: Connection
    guard: Connection
    looker: Connection
    watchdog: Watchdog
    journal: Journal
    narrator: Narrator
    ids: tuple[int, ...]
    privileges: servers.Privileges
    tables: Sequence[TableName] = ()  # whose locks are needed: for telling who holds them
    _stack: ExitStack = field(default_factory=ExitStack)

    def may_lock(self, tables: Iterable[TableName]) -> bool:
        """Whether the account may LOCK TABLES all of these."""
        return all(self.privileges.has("LOCK TABLES", table.schema) for table in tables)

    def abort(self) -> None:
        """From any thread: end what is being done at once."""
        for connection in (self.main, self.guard, self.looker):
            connection.abort()

    def close(self) -> None:
        """Release the connections; never raises."""
        self._stack.close()

    def __enter__(self) -> Hands:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def run(self, connection: Connection, what: str, statement: str) -> None:
        """Run a statement that may wait for a lock, TRY_S a lock; journal it before and after.

        Raises StatementFailed with a number in NOT_NOW when the lock did not come.
        """
        self.step(what, lambda: connection.execute(statement))

    def lock(
        self, connection: Connection, tables: Sequence[TableName], seen: TableName | None = None
    ) -> bool:
        """Lock tables for writing, all within TRY_S.  Raises as `run`; then none is locked.

        `seen` is one of them that a statement reads besides, under another name.
        False where MySQL locks none of them: under enforce_gtid_consistency it locks no tables with
        and without transactions together.
        """
        what = f"locking {listed([str(table) for table in tables])}"
        statement = sql_relations.lock_write(tables, seen)
        try:
            self.step(what, lambda: self._within(connection, what, statement))
        except StatementFailed as error:
            self.unlock(connection)
            if error.errno == _NOT_TOGETHER:
                return False
            raise
        return True

    def unlock(self, connection: Connection) -> None:
        """Give back what `lock` took; harmless when there is nothing."""
        if not connection.closed:
            with suppress(ConnectionLost):  # the server has given it back then
                connection.execute(sql_relations.UNLOCK)

    def step(self, what: str, call: Callable[[], R]) -> R:
        """A step of the cut-over: in the journal before it begins and after it has ended."""
        self.narrator.doing(what)
        self.journal.append("cut-over", step=what, done=False)
        result = call()
        self.journal.append("cut-over", step=what, done=True)
        return result

    def _within(self, connection: Connection, what: str, statement: str) -> None:
        """The server's own limit counts for each table of a LOCK TABLES; this one for all."""
        began = time.monotonic()

        def look(looking: Connection) -> tuple[str, ...]:
            lines = self.blockers(looking)
            self.narrator.doing(what, began, lines)
            return lines

        self.watchdog.seen = ()
        with ExitStack() as stack:
            limit = stack.enter_context(self.watchdog.limit(connection.id, TRY_S, look))
            try:
                connection.execute(statement)
            finally:
                stack.close()  # only now it is certain whether it has fired
                if limit.fired and not connection.closed:
                    self._absorb_kill(connection)
        if limit.fired:
            raise StatementFailed(f"{what}: not within {TRY_S:g} s", errno=1317, transient=True)

    def _absorb_kill(self, connection: Connection) -> None:
        """Let a kill that came too late hit a statement that does nothing."""
        with suppress(StatementFailed):
            connection.execute(sql_relations.NOTHING)

    def blockers(self, looking: Connection) -> tuple[str, ...]:
        """Who holds the tables, or may hold them, one line a session."""
        lines: list[str] = []
        for table in self.tables:
            sighting = watch.blockers(looking, table, ignore=self.ids)
            lines += [line for line in sighting.lines if line not in lines]
        return tuple(lines[:_SHOWN])


def listed(names: Sequence[str]) -> str:
    """The first of them, and how many more: what is said twice a second may not grow with all."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def open_hands(
    target: ConnectOptions, journal: Journal, narrator: Narrator, *, log_bin: bool
) -> Hands:
    """Open the connections; their sessions check no foreign keys and repeat old definitions."""
    stack = ExitStack()
    try:

        def one(acting: bool) -> Connection:
            connection = connect(target, no_binlog=acting and not log_bin, lock_wait_s=int(TRY_S))
            stack.callback(connection.close)
            connection.limit_silence(_SILENT_S)
            if acting:
                connection.execute(sql_relations.DEFINING)  # for life: it only repeats definitions
                connection.execute(sql_relations.UNCHECKED)
            return connection

        main = one(acting=True)
        server = main.server
        renames_locked = server.family == "mysql" and server.version >= _RENAMES_LOCKED
        privileges = servers.privileges(main)
        guard = main if renames_locked else one(acting=True)
        looker, killer = one(acting=False), one(acting=False)
    except BaseException:
        stack.close()
        raise
    ids = list(dict.fromkeys(one.id for one in (main, guard, looker, killer)))
    journal.append(
        "connections", ids=ids, server_started=server.started_at, server_uuid=server.uuid
    )
    return Hands(
        main=main,
        guard=guard,
        looker=looker,
        watchdog=Watchdog(killer),
        journal=journal,
        narrator=narrator,
        ids=tuple(ids),
        privileges=privileges,
        _stack=stack,
    )

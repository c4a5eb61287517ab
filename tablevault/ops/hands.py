"""The connections of a cut-over, and how one statement of it is run: bounded, told, journalled.

Where RENAME works under LOCK TABLES (MySQL from 8.0.13) one connection locks and does everything.
Elsewhere a second one, `guard`, locks the tables that reference the moving ones, and only them,
while the first renames.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from tablevault.errors import StatementFailed, TablevaultError
from tablevault.model import TableName
from tablevault.mysql import server as servers
from tablevault.mysql import session as sessions
from tablevault.mysql import sql_relations, watch
from tablevault.mysql.connect import Connection, ConnectOptions, connect
from tablevault.mysql.watchdog import Watchdog
from tablevault.ops.narrator import Narrator
from tablevault.vault.journal import Journal

TRY_S = 1.0  # how long one statement may wait: what waits for a table's lock blocks its readers
_SERVER_TRY_S = 2  # the server's own limit, should ours fail
NOT_NOW = frozenset({1205, 1317, 3024, 1969, 1213})  # lock wait, killed by us, deadlock
_RENAMES_LOCKED = (8, 0, 13)
_SHOWN = 5
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
    may_lock: bool  # the account has LOCK TABLES
    tables: Sequence[TableName] = ()  # whose locks are needed: for telling who holds them
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def locks_all(self) -> bool:
        """Whether everything is done under one LOCK TABLES."""
        return self.main is self.guard

    def abort(self) -> None:
        """From any thread: end what is being done at once."""
        for connection in (self.main, self.guard, self.looker):
            connection.abort()

    def close(self) -> None:
        """Release the connections; never raises."""
        self._stack.close()

    def run(
        self, connection: Connection, what: str, statement: str, *, steps: bool = True
    ) -> None:
        """Run a statement that may wait for a lock, TRY_S at most; journal it before and after.

        Raises StatementFailed with a number in NOT_NOW when the lock did not come.
        """

        def call() -> None:
            connection.execute(statement)

        if steps:
            self.step(what, lambda: self.bounded(connection, what, call))
        else:
            self.bounded(connection, what, call)

    def step(self, what: str, call: Callable[[], R]) -> R:
        """A step of the cut-over: in the journal before it begins and after it has ended."""
        self.narrator.doing(what)
        self.journal.append("cut-over", step=what, done=False)
        result = call()
        self.journal.append("cut-over", step=what, done=True)
        return result

    def bounded(self, connection: Connection, what: str, call: Callable[[], R]) -> R:
        """Run `call`, which makes `connection` wait, for TRY_S at most."""
        began = time.monotonic()

        def look(looking: Connection) -> tuple[str, ...]:
            lines = self.blockers(looking)
            self.narrator.doing(what, began, lines)
            return lines

        self.watchdog.seen = ()
        with self.watchdog.limit(connection.id, TRY_S, look) as limit:
            try:
                return call()
            finally:
                fired = limit
        raise AssertionError(fired)  # pragma: no cover - the block above returns or raises

    def absorb_kill(self, connection: Connection) -> None:
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


def open_hands(
    target: ConnectOptions, journal: Journal, narrator: Narrator, *, log_bin: bool
) -> Hands:
    """Open the connections; their sessions check no foreign keys and repeat old definitions."""
    stack = ExitStack()
    try:

        def one(acting: bool) -> Connection:
            connection = connect(
                target, no_binlog=acting and not log_bin, lock_wait_s=_SERVER_TRY_S
            )
            stack.callback(connection.close)
            if acting:
                stack.enter_context(sessions.defining(connection))
                connection.execute(sql_relations.UNCHECKED)
            return connection

        main = one(acting=True)
        server = main.server
        renames_locked = server.family == "mysql" and server.version >= _RENAMES_LOCKED
        may_lock = servers.privileges(main).has("LOCK TABLES") or _may_lock_somewhere(main)
        guard = main if renames_locked and may_lock else one(acting=True)
        looker, killer = one(acting=False), one(acting=False)
    except BaseException:
        stack.close()
        raise
    connections = dict.fromkeys((main, guard, looker, killer))
    return Hands(
        main=main,
        guard=guard,
        looker=looker,
        watchdog=Watchdog(killer),
        journal=journal,
        narrator=narrator,
        ids=tuple(connection.id for connection in connections),
        may_lock=may_lock,
        _stack=stack,
    )

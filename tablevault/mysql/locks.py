"""The lock under which all readers begin at one instant, and what keeps DDL out afterwards.

Taken by a coordinator's connection that reads no rows itself.  Every wait is bounded twice: by
`lock_wait_timeout`, and by a second connection that kills the statement.  A lock that does not
come is given up whole, so that nothing of ours is left in the application's way.

- MariaDB: BACKUP STAGE.  Waits neither for open transactions nor for long queries; commits stand
  still only while the readers begin.
- MySQL: LOCK INSTANCE FOR BACKUP against DDL and LOCK TABLES READ for the instant.
- LOCK TABLES READ alone: waits for open writers of the tables, and writers wait behind it, so it
  is tried for a few seconds at a time.
- FLUSH TABLES WITH READ LOCK: only on demand, and only while no older query runs: behind one,
  MySQL leaves the application's reads blocked even after it was given up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tablevault.errors import LockNotGranted, StatementFailed, TablevaultError
from tablevault.model import TableName
from tablevault.mysql import watch
from tablevault.mysql.lock_choice import (
    LockKind,
    LockMode,
    choose,
    non_transactional_tables,
)
from tablevault.mysql.sql import quote_table
from tablevault.mysql.watchdog import Watchdog

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection
    from tablevault.mysql.server import Privileges

__all__ = ["HeldLock", "LockKind", "LockMode", "acquire", "choose"]

ATTEMPT_S = 3  # how long writers may have to queue behind one try
PAUSE_S = 1.0  # and how long they then go freely
_GIVEN_UP = frozenset({1205, 1317, 3024, 1969})  # timed out, interrupted, killed


_END = "BACKUP STAGE END"
_Undo = tuple["Connection", str]  # where, and the statement that gives back


@dataclass
class HeldLock:
    """A lock that is held: first for the instant, then (`keeps_ddl_out`) against DDL only."""

    kind: LockKind
    why: str  # one clause for the person: why this one
    hints: tuple[str, ...] = ()
    _connections: list[Connection] = field(default_factory=list, repr=False)
    _instant: list[_Undo] = field(default_factory=list, repr=False)
    _ddl: list[_Undo] = field(default_factory=list, repr=False)  # while acquiring: all there is
    _block_ddl_on: Connection | None = field(default=None, repr=False)

    @property
    def keeps_ddl_out(self) -> bool:
        """Whether DDL is kept waiting until release_all(); of use after release_reads()."""
        return bool(self._ddl)

    def settle(
        self,
        *,
        instant: list[_Undo],
        ddl: list[_Undo] | None = None,
        block_ddl_on: Connection | None = None,
    ) -> None:
        """Acquired: what gives back the instant, what the rest, and where to block DDL after."""
        self._instant, self._ddl, self._block_ddl_on = instant, ddl or [], block_ddl_on

    def release_reads(self) -> None:
        """Let the application commit again: to be called as soon as every reader has begun."""
        _run(self._instant)
        conn, self._block_ddl_on = self._block_ddl_on, None
        if conn is None or conn.closed:
            return
        try:
            conn.execute(f"SET SESSION lock_wait_timeout = {ATTEMPT_S}")
            conn.execute("BACKUP STAGE START")
            self._ddl = [(conn, _END)]
            conn.execute("BACKUP STAGE BLOCK_DDL")
        except TablevaultError as error:
            _run(self._ddl)
            self.hints += (
                f"DDL is not kept out during the snapshot, only noticed: {error.message}",
            )

    def release_all(self) -> None:
        """Give everything back; may be called twice, and instead of release_reads()."""
        self._block_ddl_on = None
        _run(self._instant)
        _run(self._ddl)
        for connection in self._connections:
            connection.close()
        self._connections = []

    def alive(self) -> bool:
        """Whether what is left of the lock is still held: a lost connection has dropped it."""
        return all(conn.alive() for conn, _ in (*self._instant, *self._ddl))

    def __enter__(self) -> HeldLock:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release_all()


def _run(statements: list[_Undo]) -> None:
    while statements:
        connection, statement = statements.pop(0)
        try:
            connection.execute(statement)
        except TablevaultError:
            connection.close()  # the server gives back what a closed connection held


def acquire(
    conn: Connection,
    mode: LockMode | str,
    tables: Sequence[TableName],
    wait_s: float,
    privileges: Privileges,
    open_connection: Callable[[], Connection],
    *,
    keep_ddl_out: bool = True,
) -> HeldLock:
    """Take the gentlest lock that `mode` and the account allow, within `wait_s` seconds.

    `conn` holds the lock and can hardly be used for anything else meanwhile.  With
    `keep_ddl_out` DDL is kept waiting until release_all() where that costs nobody else anything.
    Raises LockNotGranted naming who was in the way; CannotComplete when the account may take no
    lock that makes a consistent snapshot.
    """
    kind, why, hints = choose(conn, LockMode(mode), tables, privileges)
    held = HeldLock(kind, why, hints)
    if kind is LockKind.NONE:
        return held
    attempt = _Attempt(conn, held, tuple(tables), wait_s, open_connection, keep_ddl_out)
    try:
        with Watchdog(open_connection()) as attempt.watchdog:
            _TAKE[kind](attempt)
    except BaseException:
        held.release_all()
        raise
    return held


@dataclass
class _Attempt:
    """One acquisition: what it has, and until when."""

    conn: Connection
    held: HeldLock
    tables: tuple[TableName, ...]
    wait_s: float
    open_connection: Callable[[], Connection]
    keep_ddl_out: bool
    watchdog: Watchdog = field(init=False)
    began: float = field(default_factory=time.monotonic)

    @property
    def remaining_s(self) -> float:
        return max(0.0, self.began + self.wait_s - time.monotonic())

    def second(self) -> Connection:
        """Another connection that holds a part of the lock."""
        connection = self.open_connection()
        self.held._connections.append(connection)
        return connection

    def run(self, conn: Connection, statement: str, undo: str) -> None:
        """Run a statement that waits, within what time is left; `undo` ends it, come what may."""
        self.held._ddl.insert(0, (conn, undo))
        if not self._try(conn, statement, self.remaining_s):
            self.give_up(statement)

    def run_gently(self, statement: str, undo: str) -> None:
        """As `run`, for a statement behind which the application queues: a few seconds a try."""
        self.held._ddl.insert(0, (self.conn, undo))
        while not self._try(self.conn, statement, min(ATTEMPT_S, self.remaining_s)):
            self._undo(undo)
            if self.remaining_s <= PAUSE_S:
                self.give_up(statement)
            time.sleep(PAUSE_S)

    def _try(self, conn: Connection, statement: str, limit_s: float) -> bool:
        limit_s = max(1.0, limit_s)
        # the server's timeout is whole seconds and a table, not a statement: the watchdog is exact
        conn.execute(f"SET SESSION lock_wait_timeout = {int(limit_s) + 2}")
        with self.watchdog.limit(conn.id, limit_s, self._blockers) as limit:
            try:
                conn.execute(statement)
            except StatementFailed as error:
                if error.errno not in _GIVEN_UP:
                    raise
                return False
        return not limit.fired

    def _undo(self, undo: str) -> None:
        try:
            self.conn.execute(undo)
        except StatementFailed:  # a kill that came too late for the statement it was meant for
            self.conn.execute(undo)

    def _blockers(self, looking: Connection) -> tuple[str, ...]:
        own = [c.id for c, _ in self.held._ddl]
        lines: list[str] = []
        for table in self.tables[:20]:
            sighting = watch.blockers(looking, table, ignore=[looking.id, *own])
            lines += [line for line in sighting.lines if line not in lines]
            if sighting.hint or len(lines) >= 5:
                break
        return tuple(lines[:5])

    def give_up(self, statement: str) -> None:
        blockers = self.watchdog.seen
        what = " ".join(statement.split()[:4])
        who = f"; in the way: {'; '.join(blockers)}" if blockers else ""
        raise LockNotGranted(
            f"{what} was not granted within {self.wait_s:g} s{who}",
            hint="wait for these sessions to end, or give --lock-wait more seconds; nothing of "
            "this attempt is left on the server",
        )


def _take_backup_stage(attempt: _Attempt) -> None:
    """Up to BLOCK_COMMIT for the instant; then, where DDL is to be kept out, BLOCK_DDL again.

    Stages go forward only, so there is a moment between the two: DDL that slips in is noticed by
    definition and identity.  (FTWRL under BLOCK_DDL would leave no such moment, but waits for
    every write under way, and new ones wait behind it.)
    """
    conn, held = attempt.conn, attempt.held
    again = attempt.keep_ddl_out
    others = non_transactional_tables(conn) if again else 0
    if others:
        again = False
        held.hints += (
            f"DDL is not kept out during the snapshot, only noticed: the server has {others} "
            "tables of engines without transactions, which could not be written to meanwhile",
        )
    attempt.run(conn, "BACKUP STAGE START", _END)
    attempt.run(conn, "BACKUP STAGE BLOCK_COMMIT", _END)
    held.settle(instant=[(conn, _END)], block_ddl_on=conn if again else None)


def _take_instance_and_tables(attempt: _Attempt) -> None:
    """Two connections: UNLOCK TABLES gives back the instance lock of its own connection, too."""
    second = attempt.second()
    attempt.run(second, "LOCK INSTANCE FOR BACKUP", "UNLOCK INSTANCE")
    _take_tables(attempt)
    ddl, instant = (second, "UNLOCK INSTANCE"), (attempt.conn, "UNLOCK TABLES")
    if attempt.keep_ddl_out:
        attempt.held.settle(instant=[instant], ddl=[ddl])
    else:
        attempt.held.settle(instant=[instant, ddl])


def _take_tables(attempt: _Attempt) -> None:
    listed = ", ".join(f"{quote_table(table)} READ" for table in attempt.tables)
    attempt.run_gently(f"LOCK TABLES {listed}", "UNLOCK TABLES")
    attempt.held.settle(instant=[(attempt.conn, "UNLOCK TABLES")])


def _take_ftwrl(attempt: _Attempt) -> None:
    while True:
        older = watch.running_queries(attempt.conn, 1)
        if not older.sessions:
            break
        if attempt.remaining_s <= PAUSE_S:
            attempt.watchdog.seen = older.lines[:5]
            attempt.give_up("FLUSH TABLES WITH READ LOCK")
        time.sleep(PAUSE_S)
    attempt.run_gently("FLUSH TABLES WITH READ LOCK", "UNLOCK TABLES")
    attempt.held.settle(instant=[(attempt.conn, "UNLOCK TABLES")])


_TAKE: dict[LockKind, Callable[[_Attempt], None]] = {
    LockKind.BACKUP_STAGE: _take_backup_stage,
    LockKind.INSTANCE_AND_TABLES: _take_instance_and_tables,
    LockKind.TABLES: _take_tables,
    LockKind.FTWRL: _take_ftwrl,
}

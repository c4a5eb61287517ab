"""The lock under which all readers begin at one instant, and what keeps DDL out afterwards.

Taken by a coordinator's connection that reads no rows itself.  Every wait is bounded twice: by
`lock_wait_timeout`, and by a second connection that kills the statement.  A lock that does not
come is given up whole, so that nothing of ours is left in the application's way.

- MariaDB: BACKUP STAGE.  Waits neither for open transactions nor for long queries; commits stand
  still only while the readers begin.
- MySQL: LOCK INSTANCE FOR BACKUP against DDL and LOCK TABLES READ for the instant.
- LOCK TABLES READ alone: waits for open writers of the tables, and writers wait behind it, so it
  is tried for a few seconds at a time.
- Tables without transactions are locked by a connection of their own until they are read.  Not
  under BACKUP STAGE: it would wait for the very writers that wait for these tables.
- FLUSH TABLES WITH READ LOCK: only on demand, and only while no older query runs: behind one,
  MySQL leaves the application's reads blocked even after it was given up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tablevault.errors import LockNotGranted, StatementFailed
from tablevault.model import TableName
from tablevault.mysql import watch
from tablevault.mysql.held_lock import STAGE_END, HeldLock, Undo
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
_DENIED = frozenset({1044, 1045, 1142, 1227, 1370})
_GIVEN_UP = frozenset({1205, 1317, 3024, 1969})  # timed out, interrupted, killed


def acquire(
    conn: Connection,
    mode: LockMode | str,
    tables: Sequence[TableName],
    wait_s: float,
    privileges: Privileges,
    open_connection: Callable[[], Connection],
    *,
    keep_ddl_out: bool = True,
    without_transactions: Sequence[TableName] = (),
) -> HeldLock:
    """Take the gentlest lock that `mode` and the account allow, within `wait_s` seconds.

    `conn` holds the lock and can hardly be used for anything else meanwhile.  With
    `keep_ddl_out` DDL is kept waiting until release_all() where that costs nobody else anything.
    Those of `tables` that are `without_transactions` stay locked until release_rows().
    Raises LockNotGranted naming who was in the way; CannotComplete when the account may take no
    lock that makes a consistent snapshot.
    """
    bare = tuple(without_transactions)
    kind, why, hints = choose(conn, LockMode(mode), tables, privileges, bare)
    held = HeldLock(kind, why, hints)
    if kind is LockKind.NONE:
        return held
    attempt = _Attempt(conn, held, tuple(tables), bare, wait_s, open_connection, keep_ddl_out)
    try:
        return _taken(attempt)
    except StatementFailed as error:
        if mode != LockMode.AUTO or kind is LockKind.TABLES or error.errno not in _DENIED:
            raise
    # a service may grant RELOAD and still forbid what RELOAD is for
    hint = f"the server forbids {kind} to this account: DDL is not kept out, only noticed"
    attempt.held = HeldLock(LockKind.TABLES, f"the server forbids {kind}", (*hints, hint))
    return _taken(attempt)


def _taken(attempt: _Attempt) -> HeldLock:
    held = attempt.held
    try:
        with Watchdog(attempt.open_connection()) as attempt.watchdog:
            _TAKE[held.kind](attempt)
    except BaseException:
        held.release_all()
        raise
    return held


Step = tuple["Connection", str, str]  # where, a statement that waits, and what takes it back


@dataclass
class _Attempt:
    """One acquisition: what it has, and until when."""

    conn: Connection
    held: HeldLock
    tables: tuple[TableName, ...]
    bare: tuple[TableName, ...]  # of these, those without transactions
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

    def run_gently(self, *steps: Step) -> None:
        """As `run`, for statements behind which the application queues: a few seconds a try.

        All of them are granted within one try, or none is kept: who waits for one may be in the
        way of another.
        """
        for conn, _, undo in steps:
            self.held._ddl.insert(0, (conn, undo))
        while not self._try_all(steps):
            for conn, _, undo in steps:
                self._undo(conn, undo)
            if self.remaining_s <= PAUSE_S:
                self.give_up(steps[0][1])
            time.sleep(PAUSE_S)

    def _try_all(self, steps: Sequence[Step]) -> bool:
        until = time.monotonic() + min(ATTEMPT_S, self.remaining_s)
        return all(self._try(conn, text, until - time.monotonic()) for conn, text, _ in steps)

    def _try(self, conn: Connection, statement: str, limit_s: float) -> bool:
        limit_s = max(1.0, limit_s)
        # the server's timeout is whole seconds and a table, not a statement: the watchdog is exact
        conn.execute(f"SET SESSION lock_wait_timeout = {int(limit_s) + 2}")
        with self.watchdog.limit(conn.id, limit_s, self._blockers) as limit:
            try:
                conn.execute(statement)
            except StatementFailed as error:
                if error.errno in _DENIED:
                    self.held._ddl.pop(0)  # it was not given: to give it back is an error, too
                if error.errno not in _GIVEN_UP:
                    raise
                return False
        return not limit.fired

    def _undo(self, conn: Connection, undo: str) -> None:
        try:
            conn.execute(undo)
        except StatementFailed:  # a kill that came too late for the statement it was meant for
            conn.execute(undo)

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
    attempt.run(conn, "BACKUP STAGE START", STAGE_END)
    attempt.run(conn, "BACKUP STAGE BLOCK_COMMIT", STAGE_END)
    held.settle(instant=[(conn, STAGE_END)], block_ddl_on=conn if again else None)


def _take_instance_and_tables(attempt: _Attempt) -> None:
    """Two connections: UNLOCK TABLES gives back the instance lock of its own connection, too."""
    second = attempt.second()
    attempt.run(second, "LOCK INSTANCE FOR BACKUP", "UNLOCK INSTANCE")
    instant, rows = _lock_tables(attempt)
    ddl = (second, "UNLOCK INSTANCE")
    if attempt.keep_ddl_out:
        attempt.held.settle(instant=instant, ddl=[ddl], rows=rows)
    else:
        attempt.held.settle(instant=[*instant, ddl], rows=rows)


def _take_tables(attempt: _Attempt) -> None:
    instant, rows = _lock_tables(attempt)
    attempt.held.settle(instant=instant, rows=rows)


def _lock_tables(attempt: _Attempt) -> tuple[list[Undo], list[Undo]]:
    """What gives back the tables with transactions, and those without: each has a connection."""
    others = [table for table in attempt.tables if table not in attempt.bare]
    steps, rows = [], []
    if attempt.bare:
        steps = [_lock_read(attempt.second(), attempt.bare)]
        rows = [(conn, undo) for conn, _, undo in steps]
    if others:
        steps.append(_lock_read(attempt.conn, others))
    attempt.run_gently(*steps)
    return [(conn, undo) for conn, _, undo in steps if conn is attempt.conn], rows


def _lock_read(conn: Connection, tables: Sequence[TableName]) -> Step:
    listed = ", ".join(f"{quote_table(table)} READ" for table in tables)
    return conn, f"LOCK TABLES {listed}", "UNLOCK TABLES"


def _take_ftwrl(attempt: _Attempt) -> None:
    while True:
        older = watch.running_queries(attempt.conn, 1)
        if not older.sessions:
            break
        if attempt.remaining_s <= PAUSE_S:
            attempt.watchdog.seen = older.lines[:5]
            attempt.give_up("FLUSH TABLES WITH READ LOCK")
        time.sleep(PAUSE_S)
    attempt.run_gently((attempt.conn, "FLUSH TABLES WITH READ LOCK", "UNLOCK TABLES"))
    rows: list[Undo] = []
    if attempt.bare:  # nobody writes now, so that this one is there at once
        conn, text, undo = _lock_read(attempt.second(), attempt.bare)
        attempt.run(conn, text, undo)
        rows = [(conn, undo)]
    attempt.held.settle(instant=[(attempt.conn, "UNLOCK TABLES")], rows=rows)


_TAKE: dict[LockKind, Callable[[_Attempt], None]] = {
    LockKind.BACKUP_STAGE: _take_backup_stage,
    LockKind.INSTANCE_AND_TABLES: _take_instance_and_tables,
    LockKind.TABLES: _take_tables,
    LockKind.FTWRL: _take_ftwrl,
}

"""One acquisition of a snapshot's lock: every statement bounded, and all taken back or none."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tablevault.errors import LockNotGranted, StatementFailed
from tablevault.model import TableName
from tablevault.mysql import watch
from tablevault.mysql.held_lock import HeldLock
from tablevault.mysql.watchdog import Watchdog

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection
    from tablevault.mysql.server import Privileges

ATTEMPT_S = 3  # how long writers may have to queue behind one try
PAUSE_S = 1.0  # and how long they then go freely
DENIED = frozenset({1044, 1045, 1142, 1227, 1370})
_GIVEN_UP = frozenset({1205, 1317, 3024, 1969})  # timed out, interrupted, killed

Step = tuple["Connection", str, str]  # where, a statement that waits, and what takes it back


@dataclass
class Attempt:
    """One acquisition: what it has, and until when."""

    conn: Connection
    held: HeldLock
    tables: tuple[TableName, ...]
    bare: tuple[TableName, ...]  # of these, those without transactions
    exported: tuple[TableName, ...]  # and those whose files are copied
    wait_s: float
    privileges: Privileges
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
        while failed := self._first_refused(steps):
            for conn, _, undo in steps:
                self._undo(conn, undo)
            if self.remaining_s <= PAUSE_S:
                self.give_up(failed)
            time.sleep(PAUSE_S)

    def _first_refused(self, steps: Sequence[Step]) -> str | None:
        """Run them all within one try; the statement that was not granted, if one was not."""
        until = time.monotonic() + min(ATTEMPT_S, self.remaining_s)
        for conn, text, _ in steps:
            if not self._try(conn, text, until - time.monotonic()):
                return text
        return None

    def _try(self, conn: Connection, statement: str, limit_s: float) -> bool:
        limit_s = max(1.0, limit_s)
        # the server's timeout is whole seconds and a table, not a statement: the watchdog is exact
        conn.execute(f"SET SESSION lock_wait_timeout = {int(limit_s) + 2}")
        with self.watchdog.limit(conn.id, limit_s, self._blockers) as limit:
            try:
                conn.execute(statement)
            except StatementFailed as error:
                if error.errno in DENIED:
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

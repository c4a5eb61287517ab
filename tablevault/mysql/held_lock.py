"""A snapshot lock that is held, and how each part of it is given back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tablevault.errors import CannotComplete, TablevaultError
from tablevault.mysql.lock_choice import LockKind

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

STAGE_END = "BACKUP STAGE END"
STAGES = (("BACKUP STAGE START", "BACKUP STAGE BLOCK_DDL"), STAGE_END)  # and what ends them
INSTANCE = (("LOCK INSTANCE FOR BACKUP",), "UNLOCK INSTANCE")
DDL_WAIT_S = 3  # how long DDL under way may keep the block against it waiting
_QUEUE_S = 0.05  # in which a statement that was sent has come to wait
Undo = tuple["Connection", str]  # where, and the statement that gives back


@dataclass
class HeldLock:
    """A lock that is held: first for the instant, then (`keeps_ddl_out`) against DDL only.

    Tables without transactions stay locked against writing until release_rows().
    """

    kind: LockKind
    why: str  # one clause for the person: why this one
    hints: tuple[str, ...] = ()
    _connections: list[Connection] = field(default_factory=list, repr=False)
    _instant: list[Undo] = field(default_factory=list, repr=False)
    _ddl: list[Undo] = field(default_factory=list, repr=False)  # while acquiring: all there is
    _rows: list[Undo] = field(default_factory=list, repr=False)
    _block_ddl_on: Connection | None = field(default=None, repr=False)

    @property
    def keeps_ddl_out(self) -> bool:
        """Whether DDL is kept waiting until release_all(); of use after release_reads()."""
        return bool(self._ddl)

    def settle(
        self,
        *,
        instant: list[Undo],
        ddl: list[Undo] | None = None,
        rows: list[Undo] | None = None,
        block_ddl_on: Connection | None = None,
    ) -> None:
        """Acquired: what gives back the instant, what the rest, and where to block DDL then."""
        self._instant, self._ddl, self._rows = instant, ddl or [], rows or []
        self._block_ddl_on = block_ddl_on

    def release_reads(self) -> None:
        """Let the application commit again: to be called as soon as every reader has begun."""
        conn, self._block_ddl_on = self._block_ddl_on, None
        if conn is None or conn.closed:
            _run(self._instant)
        elif conn.server.family == "mysql":
            with ThreadPoolExecutor(1) as aside:
                blocked = aside.submit(self._block_ddl, conn, INSTANCE)
                time.sleep(_QUEUE_S)  # first in the queue: else a DDL that waits would slip in
                _run(self._instant)
            blocked.result()
        else:
            _run(self._instant)
            self._block_ddl(conn, STAGES)

    def _block_ddl(self, conn: Connection, how: tuple[Sequence[str], str]) -> None:
        """Keep DDL out from here on; where that does not come in time, say so."""
        statements, undo = how
        try:
            conn.execute(f"SET SESSION lock_wait_timeout = {DDL_WAIT_S}")
            self._ddl = [(conn, undo)]
            for statement in statements:
                conn.execute(statement)
        except TablevaultError as error:
            _run(self._ddl)
            self.hints += (
                f"DDL is not kept out during the snapshot, only noticed: {error.message}",
            )

    def release_rows(self) -> None:
        """Let tables without transactions be written to again: their rows have been read.

        Raises CannotComplete when the lock was lost before: they may have been written to.
        """
        while self._rows:
            connection, statement = self._rows.pop(0)
            try:
                connection.execute(statement)
            except TablevaultError as error:
                raise CannotComplete(
                    "the lock on the tables without transactions was lost while they were read: "
                    f"{error.message}",
                    hint="take the snapshot again",
                ) from error

    def release_all(self) -> None:
        """Give everything back; may be called twice, and instead of release_reads()."""
        self._block_ddl_on = None
        _run(self._instant)
        _run(self._ddl)
        _run(self._rows)
        for connection in self._connections:
            connection.close()
        self._connections = []

    def alive(self) -> bool:
        """Whether what is left of the lock is still held: a lost connection has dropped it."""
        return all(conn.alive() for conn, _ in (*self._instant, *self._ddl, *self._rows))

    def __enter__(self) -> HeldLock:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release_all()


def _run(statements: list[Undo]) -> None:
    while statements:
        connection, statement = statements.pop(0)
        try:
            connection.execute(statement)
        except TablevaultError:
            connection.close()  # the server gives back what a closed connection held

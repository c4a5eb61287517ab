"""How long tables without transactions stay locked: until the last row of the last one is read."""

from __future__ import annotations

import threading
from collections.abc import Collection

from tablevault.mysql.held_lock import HeldLock


class RowsHeld:
    """Counts what is still to be read of these tables; whoever reads the last of it unlocks."""

    def __init__(self, lock: HeldLock, tables: Collection[int]) -> None:
        self.tables = frozenset(tables)
        self._lock = lock
        self._open = len(self.tables)  # each is open until it is planned
        self._mutex = threading.Lock()

    def expect(self, table: int) -> None:
        """One more part of a table is to be read."""
        if table in self.tables:
            with self._mutex:
                self._open += 1

    def done(self, table: int) -> None:
        """A part was read, or all parts are planned.  Raises CannotComplete for a lock lost."""
        if table not in self.tables:
            return
        with self._mutex:
            self._open -= 1
            last = self._open == 0
        if last:
            self._lock.release_rows()

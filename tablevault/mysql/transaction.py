"""One bounded transaction on a connection that otherwise commits each statement by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tablevault.errors import TablevaultError

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection


class Transaction:
    """Rolls back whatever `commit` was not reached for; the first error is the one that is told."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._committed = False

    def __enter__(self) -> Transaction:
        self._conn.execute("START TRANSACTION")
        return self

    def commit(self) -> None:
        """Keep what was done so far; the transaction is over."""
        self._conn.execute("COMMIT")
        self._committed = True

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._committed or self._conn.closed:
            return
        if error is not None and not isinstance(error, Exception):
            self._conn.abort()  # interrupted: the server rolls back by itself, do not wait for it
            return
        try:
            self._conn.execute("ROLLBACK")
        except TablevaultError:
            self._conn.close()

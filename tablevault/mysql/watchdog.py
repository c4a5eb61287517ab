"""A second connection that ends a statement of ours when its time is up.

`lock_wait_timeout` counts for each table of a statement, and not for all that a statement may
wait for; KILL QUERY does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tablevault.errors import StatementFailed, TablevaultError

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

_LOOK_TIMEOUT_S = 5.0


@dataclass
class Limit:
    """One bounded statement; `fired` says that it was killed, or its connection lost."""

    fired: bool = False


class Watchdog:
    """Kills statements of other connections by its own; `seen` is what it last saw in the way."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._lock = threading.Lock()
        self.seen: tuple[str, ...] = ()

    @contextmanager
    def limit(
        self,
        connection_id: int,
        limit_s: float,
        look: Callable[[Connection], tuple[str, ...]] | None = None,
    ) -> Iterator[Limit]:
        """Kill what `connection_id` runs when the block lasts longer than `limit_s` seconds.

        Just before, `look` is asked who is in the way.  A kill that comes too late may hit the
        connection's next statement: when `fired` is set, undo the lock whatever the answer was.
        """
        limit = Limit()
        done = threading.Event()
        thread = threading.Thread(
            target=self._wait, args=(connection_id, limit_s, look, limit, done), daemon=True
        )
        thread.start()
        try:
            yield limit
        finally:
            with self._lock:
                done.set()
            thread.join()

    def _wait(
        self,
        connection_id: int,
        limit_s: float,
        look: Callable[[Connection], tuple[str, ...]] | None,
        limit: Limit,
        done: threading.Event,
    ) -> None:
        if done.wait(limit_s):
            return
        if look is not None:
            try:
                self.seen = look(self._conn)
            except TablevaultError:
                self.seen = ()
        with self._lock:
            if done.is_set():
                return
            limit.fired = True
            try:
                self._conn.query(f"KILL QUERY {connection_id}", timeout_s=_LOOK_TIMEOUT_S)
            except StatementFailed:
                pass  # it ended by itself meanwhile
            except TablevaultError:
                limit.fired = True  # lock_wait_timeout is left to end it

    def __enter__(self) -> Watchdog:
        return self

    def __exit__(self, *exc: object) -> None:
        self._conn.close()

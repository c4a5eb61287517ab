"""What is tried again, how often, and after how long: bounded, and said each time.

A conflict (deadlock, lock wait) is over in a moment and is tried a few times.  A server that is
away may be starting again, with a crash recovery before it, so it is given minutes, anew each time
that it was there in between; but a step that ends the connection again and again is given up.
Everything else fails at once, an account that is no longer let in as well: trying it again would
only let the others run on for nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from tablevault.errors import (
    AccountRefused,
    ConnectionLost,
    ServerUnavailable,
    StatementFailed,
    TablevaultError,
)

CONFLICT_TRIES = 8
LOST_TRIES = 8
AWAY_S = 180.0  # a crash recovery with a large redo log takes its time
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0


class Patience:
    """The bounded patience of one task; begins anew with the next one."""

    def __init__(self, clock: Callable[[], float], *, away_s: float = AWAY_S) -> None:
        self._clock = clock
        self._away_s = away_s
        self._away_since: float | None = None
        self._losses = 0
        self.attempts = 0

    def delay_s(self, error: TablevaultError) -> float | None:
        """Seconds to wait before the next try after `error`; None when there is to be none."""
        self.attempts += 1
        delay_s = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0**self.attempts)
        if isinstance(error, AccountRefused):
            return None
        if isinstance(error, ServerUnavailable):
            now = self._clock()
            if isinstance(error, ConnectionLost):  # it was there until now
                self._losses += 1
                self._away_since = now
                return delay_s if self._losses < LOST_TRIES else None
            if self._away_since is None:
                self._away_since = now
            return delay_s if now - self._away_since < self._away_s else None
        self._away_since = None
        if isinstance(error, StatementFailed) and error.transient:
            return delay_s if self.attempts < CONFLICT_TRIES else None
        return None

"""How long nothing has moved, and when to say so louder.  Pure: figures and a clock go in.

A restore is never silent: from the first still second on it says what is waited for; a stall is
said when the threshold is passed, and again each time the time has doubled.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

SAY_AFTER_S = 1.0
STALLED_AFTER_S = 20.0


@dataclass(frozen=True)
class Still:
    """Nothing has moved for `seconds`.  `stall` numbers a stall that is due to be said, from 1."""

    seconds: float
    stall: int | None = None


class Stillness:
    """Watches figures that must change; any change begins the time anew."""

    def __init__(self, *, stalled_after_s: float = STALLED_AFTER_S) -> None:
        self._stalled_after_s = stalled_after_s
        self._figures: Hashable = None
        self._since: float | None = None
        self._said = 0

    def observe(self, now_s: float, figures: Hashable) -> Still | None:
        """What to say at `now_s` (monotonic seconds) when the figures are these; None: it moves."""
        if self._since is None or figures != self._figures:
            self._figures, self._since, self._said = figures, now_s, 0
            return None
        seconds = now_s - self._since
        if seconds < SAY_AFTER_S:
            return None
        if seconds >= self._stalled_after_s * 2.0**self._said:
            self._said += 1
            return Still(seconds, self._said)
        return Still(seconds)

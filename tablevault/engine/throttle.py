"""Pressure control as arithmetic: slow down before the server stalls, speed up when it is free.

The figure that counts is the fullest of the server's bounded resources.  Above the high mark the
pause between blocks doubles, below the low mark it halves; between the two it stays, so that it
does not swing.
"""

from __future__ import annotations

# InnoDB flushes ahead from about 7/8 of its redo log and, while it keeps up, hovers there by
# design; at the full mark it stops every writer, the application's too.  A mark of 0.8 made a
# restore on a small redo log five times slower for nothing.
HIGH_MARK = 0.94
LOW_MARK = 0.90
FIRST_PAUSE_S = 0.01  # after each block of about 1 MiB
LONGEST_PAUSE_S = 0.25


class Throttle:
    """The pause that loaders make after each block; 0 while there is no pressure."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled
        self.pause_s = 0.0

    def feel(self, pressure: float | None) -> float:
        """Take one sample, 0 (free) to 1 (full), None when unknown; return the pause."""
        if not self._enabled or pressure is None:
            self.pause_s = 0.0
        elif pressure > HIGH_MARK:
            self.pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, self.pause_s * 2))
        elif pressure < LOW_MARK:
            self.pause_s = self.pause_s / 2 if self.pause_s > FIRST_PAUSE_S else 0.0
        return self.pause_s

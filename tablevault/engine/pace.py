"""A rate that several workers keep together: each piece waits until those before are paid for."""

from __future__ import annotations

import threading


class Pace:
    """At most `rate_s` units a second, on average; without a rate nobody waits."""

    def __init__(self, rate_s: float | None) -> None:
        self._rate_s = rate_s
        self._free_at_s = 0.0
        self._asking = threading.Lock()

    def wait_s(self, now_s: float, units: float) -> float:
        """How long to wait before a piece of so many units, which is counted as begun then.

        Safe for threads.  `now_s` is monotonic.
        """
        if self._rate_s is None:
            return 0.0
        with self._asking:
            begins_s = max(now_s, self._free_at_s)
            self._free_at_s = begins_s + units / self._rate_s
            return begins_s - now_s

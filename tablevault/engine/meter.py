"""Rates and remaining times from sampled counters, without a thread or a clock of their own.

The remaining time is work left over the mean of two rates, that of the whole run and that of the
last half minute: the one is steady, the other knows of now.  It is smoothed, so that it neither
jumps nor sits: what a person plans by must move steadily.
"""

from __future__ import annotations

from collections import deque

_WINDOW_S = 30.0
_MIN_SPAN_S = 1.0
_SMOOTHING = 0.3  # weight of the newest estimate


class Meter:
    """Progress of one amount of work towards a total that may still be corrected."""

    def __init__(self, expected_rate_s: float = 0.0) -> None:
        """`expected_rate_s` is gone by until there is one of this run's own; 0 is unknown."""
        self._expected_rate_s = expected_rate_s
        self._samples: deque[tuple[float, float]] = deque()
        self._first: tuple[float, float] | None = None
        self._remaining_s: float | None = None

    def sample(self, now_s: float, done: float) -> None:
        """Note that `done` units were done at `now_s` (monotonic seconds)."""
        self._samples.append((now_s, done))
        if self._first is None:
            self._first = (now_s, done)
        while len(self._samples) > 2 and now_s - self._samples[0][0] > _WINDOW_S:
            self._samples.popleft()

    @property
    def rate_s(self) -> float:
        """Units a second over the window; 0 before there is anything to go by."""
        return self._since(self._samples[0]) if self._samples else 0.0

    def _since(self, first: tuple[float, float]) -> float:
        (began, at_first), (ended, at_last) = first, self._samples[-1]
        return (at_last - at_first) / (ended - began) if ended - began >= _MIN_SPAN_S else 0.0

    def remaining_s(self, total: float) -> float | None:
        """Seconds until `total`, smoothed; None while nothing is known."""
        recent = self.rate_s
        if recent <= 0.0 or self._first is None:
            if self._remaining_s is None and self._samples and self._expected_rate_s > 0.0:
                return max(0.0, total - self._samples[-1][1]) / self._expected_rate_s
            return self._remaining_s
        rate = (recent + self._since(self._first)) / 2
        newest = max(0.0, total - self._samples[-1][1]) / rate
        previous = self._remaining_s
        if previous is None and self._expected_rate_s > 0.0:
            previous = max(0.0, total - self._samples[-1][1]) / self._expected_rate_s
        self._remaining_s = (
            newest if previous is None else previous + _SMOOTHING * (newest - previous)
        )
        return self._remaining_s

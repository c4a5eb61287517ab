"""From time and numbers to places in a drawing, and the round values to write beside it.  Pure."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400)
_DAY_S = 86400
_BREAK = 14.0  # units between two sittings


@dataclass(frozen=True)
class TimeAxis:
    """Time from left to right over `spans` of Unix seconds; what lies between them is cut out."""

    spans: tuple[tuple[float, float], ...]
    left: float
    right: float

    @property
    def _scale(self) -> float:
        seconds = sum(end - begin for begin, end in self.spans)
        width = self.right - self.left - _BREAK * (len(self.spans) - 1)
        return max(1.0, width) / max(seconds, 1e-3)

    def x(self, moment: float) -> float:
        """Where a moment is; one that was cut out is at the break."""
        x = self.left
        for begin, end in self.spans:
            if moment <= end:
                return x + max(0.0, moment - begin) * self._scale
            x += (end - begin) * self._scale + _BREAK
        return self.right

    def breaks(self) -> list[float]:
        """The middles of what was cut out."""
        return [self.x(end) + _BREAK / 2 for _, end in self.spans[:-1]]

    def ticks(self, apart: float = 70.0) -> list[tuple[float, str]]:
        """Round moments at least `apart` units from each other, and their words."""
        step = next((s for s in _STEPS_S if s * self._scale >= apart), 0)
        days = 1
        while not step and days * _DAY_S * self._scale < apart:
            days *= 2
        step = step or days * _DAY_S
        form = "%d %b" if step >= _DAY_S else "%H:%M" if step >= 60 else "%H:%M:%S"
        found: list[tuple[float, str]] = []
        for begin, end in self.spans:
            offset = time.localtime(begin).tm_gmtoff
            at = math.ceil((begin + offset) / step) * step - offset
            while at <= end:
                x = self.x(at)
                if not found or x - found[-1][0] >= apart * 0.8:
                    found.append((x, time.strftime(form, time.localtime(at))))
                at += step
        return found


def round_top(largest: float) -> float:
    """A round number that is not below `largest`, to end an axis with.

    >>> round_top(83), round_top(0.31), round_top(0)
    (100.0, 0.4, 1.0)
    """
    if largest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    return next(m * power for m in (1, 2, 4, 5, 8, 10) if m * power >= largest * 0.9999)


def round_time(largest_s: float) -> float:
    """The same in seconds, as clocks round.

    >>> round_time(337), round_time(3)
    (600, 5)
    """
    return next((s for s in _STEPS_S if s >= largest_s), round_top(largest_s))


def binned(
    spans: Sequence[tuple[float, float, float]], begin: float, end: float, bins: int
) -> list[float]:
    """Amounts a second in `bins` equal parts of time, each amount spread over its own span.

    `spans` are (from, to, amount).

    >>> binned([(0, 2, 6.0), (3, 3, 4.0)], 0, 4, 4)
    [3.0, 3.0, 0.0, 4.0]
    """
    width = max(end - begin, 1e-6) / bins
    sums = [0.0] * bins
    for start, stop, amount in spans:
        first = min(bins - 1, max(0, int((start - begin) / width)))
        last = min(bins - 1, max(first, int((stop - begin) / width)))
        if first == last:
            sums[first] += amount
            continue
        for number in range(first, last + 1):
            low, high = begin + number * width, begin + (number + 1) * width
            share = (min(stop, high) - max(start, low)) / (stop - start)
            sums[number] += amount * max(0.0, share)
    return [amount / width for amount in sums]

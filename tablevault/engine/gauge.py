"""The server's own progress figures, made honest: they never go back and never begin where the
last step ended.

MariaDB's figure of an online index build belongs to the whole server and still shows the end of
the build before when the next one begins; MySQL's work estimate is corrected on the way.
"""

from __future__ import annotations

from collections.abc import Hashable

_STALE = 0.98  # a first reading above this is that of an earlier build


class Gauge:
    """Fractions done of steps, by key; each only grows."""

    def __init__(self) -> None:
        self._stale: set[Hashable] = set()
        self._fractions: dict[Hashable, float] = {}

    def read(self, key: Hashable, fraction: float | None) -> float:
        """Note a reading (0 to 1) of step `key` and return how far it is."""
        if fraction is None:
            return self._fractions.get(key, 0.0)
        if key not in self._fractions:
            self._fractions[key] = 0.0
            if fraction >= _STALE:
                self._stale.add(key)
        if key in self._stale:
            if fraction >= _STALE:
                return 0.0
            self._stale.discard(key)
        self._fractions[key] = max(self._fractions[key], min(1.0, fraction))
        return self._fractions[key]

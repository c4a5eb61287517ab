"""The governor of an operation: workers go slower, or wait, before a server is in trouble.

The coordinator calls `tick`.  What strains a server is said with its figure and its limit; what
holds workers is said each time, and ends the run, resumable, when it lasts too long.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from tablevault.engine.throttle import Strain, Throttle
from tablevault.errors import CannotComplete
from tablevault.events import Reporter, Throttled, Waiting

_SAY_EVERY_S = 10.0


class Governor:
    """What workers are told: `pause_s` after each block, `holds` before anything new."""

    def __init__(self, reporter: Reporter, *, emergency: bool, patience_s: float = 0.0) -> None:
        """`patience_s`: how long workers may be held before the run stops."""
        self._reporter = reporter
        self._emergency = emergency
        self._patience_s = patience_s
        self._throttle = Throttle()
        self._said: tuple[Strain, bool] | None = None  # the strain that was said, and if it held
        self._said_at_s = 0.0
        self._held_since_s: float | None = None

    @property
    def pause_s(self) -> float:
        """The pause after each block."""
        return self._throttle.pause_s

    @property
    def holds(self) -> bool:
        """Whether nothing new is to be begun."""
        return self._throttle.holds is not None

    def tick(self, strains: Sequence[Strain], *, waiting: bool = False) -> None:
        """Take a sample; `waiting` tells whether a worker is held.

        Raises CannotComplete when workers have been held for longer than there is patience.
        """
        if self._emergency:
            return
        now_s = time.monotonic()
        strain = self._throttle.feel(strains)
        self._say(strain, strains, now_s)
        if not self.holds:
            self._held_since_s = None
        if not (waiting and strain is not None and self.holds):
            return
        if self._held_since_s is None:
            self._held_since_s = now_s
        held_s = now_s - self._held_since_s
        if held_s > self._patience_s:
            raise CannotComplete(
                f"nothing new was begun for {held_s:.0f} s: {strain.what}: {strain.figure}, "
                f"the limit is {strain.limit}",
                hint=strain.remedy,
            )
        self._reporter.emit(
            Waiting(
                what=strain.what,
                seconds=held_s,
                blockers=(f"{strain.figure}, the limit is {strain.limit}",),
            )
        )

    def _say(self, strain: Strain | None, strains: Sequence[Strain], now_s: float) -> None:
        said = self._said
        if strain is None:
            if said is not None:
                self._said = None
                now = next((one for one in strains if one.what == said[0].what), said[0])
                self._emit(now, held=False)
            return
        news = said is None or (said[0].what, said[1]) != (strain.what, self.holds)
        if news or now_s - self._said_at_s > _SAY_EVERY_S:
            self._said, self._said_at_s = (strain, self.holds), now_s
            self._emit(strain, held=self.holds)

    def _emit(self, strain: Strain, *, held: bool) -> None:
        self._reporter.emit(
            Throttled(
                what=strain.what,
                figure=strain.figure,
                limit=strain.limit,
                pause_s=self._throttle.pause_s,
                held=held,
            )
        )

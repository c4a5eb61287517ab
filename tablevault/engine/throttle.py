"""Pressure control as arithmetic: slow down before the server stalls, speed up when it is free.

Most strains slow loaders down: above its limit the pause after each block doubles, below its
relief it halves; between the two it stays, so that it does not swing.  Some hold them: nothing new
is begun from the limit until the relief, because going on slowly would only come there later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FIRST_PAUSE_S = 0.01  # after each block of about 1 MiB
LONGEST_PAUSE_S = 0.25


@dataclass(frozen=True)
class Strain:
    """One bounded thing of a server, as it is now; at `level` 1 it is at its limit."""

    what: str  # "the redo log"
    figure: str  # "96 % full"
    limit: str  # "94 %"
    level: float
    relief: float = 0.8  # below this level it is no strain any more
    holds: bool = False
    remedy: str = ""


class Throttle:
    """What loaders make of all strains: `pause_s` after each block, and what `holds` them."""

    def __init__(self) -> None:
        self.pause_s = 0.0
        self.holds: Strain | None = None

    def feel(self, strains: Sequence[Strain]) -> Strain | None:
        """Take one sample of all that is known; return the strain that counts, None if none does.

        What is not among `strains` is unknown, and strains nobody.
        """
        self.holds = self._holding([one for one in strains if one.holds])
        slowing = max(
            (one for one in strains if not one.holds), key=lambda one: one.level, default=None
        )
        if slowing is None:
            self.pause_s = 0.0
        elif slowing.level > 1.0:
            self.pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, self.pause_s * 2))
        elif slowing.level < slowing.relief:
            self.pause_s = self.pause_s / 2 if self.pause_s > FIRST_PAUSE_S else 0.0
        return self.holds or (slowing if self.pause_s else None)

    def _holding(self, strains: Sequence[Strain]) -> Strain | None:
        over = [one for one in strains if one.level > 1.0]
        if over:
            return max(over, key=lambda one: one.level)
        held = self.holds
        return next(
            (one for one in strains if held and one.what == held.what and one.level >= one.relief),
            None,
        )

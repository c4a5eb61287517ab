"""The watchdog: no second of a restore in silence, and every stall with its cause.

The coordinator calls `tick`; nothing here waits, asks the server or touches a file.  What is known
of the server comes from the lookout's latest view.
"""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Callable, Hashable, Sequence

from tablevault.engine.stillness import STALLED_AFTER_S, Still, Stillness
from tablevault.errors import CannotComplete
from tablevault.events import Reporter, Stalled, Waiting
from tablevault.ops.diagnosis import Diagnosis, Doing, diagnose
from tablevault.ops.lookout import Lookout, View

WARN, CANCEL, ABORT = "warn", "cancel", "abort"
_ACT_FROM_SEVERITY = 2  # a stall is said once before anything is done about it
_RECENT_S = 5.0  # whether the server works is told from the last seconds, not since the beginning


class Watchdog:
    """Speaks when nothing moves.  `doing` tells what the workers do, `cancel` ends a statement."""

    def __init__(
        self,
        reporter: Reporter,
        lookout: Lookout,
        doing: Callable[[], Sequence[Doing]],
        *,
        action: str = WARN,
        stalled_after_s: float = STALLED_AFTER_S,
        cancel: Callable[[int], None] = lambda connection: None,
        dump_stacks: Callable[[], None] = faulthandler.dump_traceback,
    ) -> None:
        self._reporter = reporter
        self._lookout = lookout
        self._doing = doing
        self._action = action
        self._cancel = cancel
        self._dump_stacks = dump_stacks
        self._stillness = Stillness(stalled_after_s=stalled_after_s)
        self._before: View | None = None  # of some seconds ago
        self._newer: View | None = None

    def tick(self, figures: Hashable, *, suspects: bool = False) -> None:
        """Look whether `figures` moved since the last tick, and say what is to be said.

        `suspects`: the lookout shall look deep also while they move.
        Raises CannotComplete when the action is "abort" and the stall lasts.
        """
        still = self._stillness.observe(time.monotonic(), figures)
        self._lookout.deep = suspects or still is not None
        if still is None:
            self._before = self._newer = None
            return
        view = self._lookout.view
        if self._before is None or self._newer is None:
            self._before = self._newer = view
        elif view.at_s - self._newer.at_s > _RECENT_S:
            self._before, self._newer = self._newer, view
        if still.stall is None:
            self._say_waiting(still)
            return
        diagnosis = diagnose(view, self._before, self._doing())
        self._say_stalled(still.seconds, still.stall, diagnosis)
        self._act(still, diagnosis)

    def _say_waiting(self, still: Still) -> None:
        busy = [one for one in self._doing() if one.what]
        if busy and all(one.pausing for one in busy):
            what = "another try after " + "; ".join(sorted({one.pausing for one in busy}))
        else:
            what = "; ".join(sorted({one.what for one in busy})) or "the workers"
        self._reporter.emit(
            Waiting(what=what, seconds=still.seconds, blockers=self._lookout.view.blockers)
        )

    def _say_stalled(self, seconds: float, severity: int, diagnosis: Diagnosis) -> None:
        self._reporter.emit(
            Stalled(
                cause=diagnosis.cause,
                remedy=diagnosis.remedy,
                seconds=seconds,
                severity=severity,
                evidence=diagnosis.evidence,
            )
        )
        if diagnosis.own_fault:
            self._dump_stacks()

    def _act(self, still: Still, diagnosis: Diagnosis) -> None:
        if self._action == WARN or (still.stall or 0) < _ACT_FROM_SEVERITY:
            return
        if self._action == ABORT:
            raise CannotComplete(
                f"nothing moved for {still.seconds:.0f} s: {diagnosis.cause}",
                hint=diagnosis.remedy,
            )
        # the worker whose statement runs longest is the one that is stuck; its task is tried again
        stuck = max(self._doing(), key=lambda one: one.seconds, default=None)
        if stuck is not None and stuck.statement:
            self._cancel(stuck.connection)

"""Telling from a thread of one's own: the coordinator alone emits, so it says what this one does.

A cut-over runs beside the coordinator.  It leaves its events here and names what it is at; the
coordinator passes them on twice a second, and says what is waited for when there are none.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import TypeVar

from tablevault.engine.pool import TICK_S, run_aside
from tablevault.events import Event, Hint, Reporter, Waiting

R = TypeVar("R")


class Narrator:
    """What a working thread has to tell; `hints` are all hints so far, for the result."""

    def __init__(self, doing: str = "working") -> None:
        self.hints: list[str] = []
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._doing: tuple[str, float, tuple[str, ...]] = (doing, time.monotonic(), ())
        self._named: tuple[str, ...] = ()

    def say(self, event: Event) -> None:
        """Leave an event for the coordinator."""
        self._events.put(event)

    def hint(self, message: str) -> None:
        """Say an oddity now, and once more in the result."""
        if message not in self.hints:
            self.hints.append(message)
            self.say(Hint(message=message))

    def doing(self, what: str, since: float | None = None, blockers: tuple[str, ...] = ()) -> None:
        """From here on this is what takes the time (`since`: monotonic seconds).

        Who is in the way is an event of its own: a wait may be over before the next tick, which
        other events may take besides.
        """
        self._doing = (what, time.monotonic() if since is None else since, blockers)
        if blockers and blockers != self._named:
            self.say(self._waiting())
        self._named = blockers or self._named

    def run(self, reporter: Reporter, call: Callable[[], R], interrupt: Callable[[], None]) -> R:
        """Run `call` in a thread while this one emits; `interrupt` must end it at once."""

        def tick() -> None:
            if not self._pass_on(reporter):
                reporter.emit(self._waiting())

        try:
            first_s = max(0.0, TICK_S - reporter.quiet_s)
            return run_aside(call, on_tick=tick, interrupt=interrupt, first_tick_s=first_s)
        finally:
            self._pass_on(reporter)

    def _waiting(self) -> Waiting:
        what, since, blockers = self._doing
        return Waiting(what=what, seconds=time.monotonic() - since, blockers=blockers)

    def _pass_on(self, reporter: Reporter) -> bool:
        told = False
        while not self._events.empty():
            reporter.emit(self._events.get())
            told = True
        return told

"""Drawing a run from its events: bars on a terminal, lines elsewhere, nothing with `-q`.

An observer here may never be the reason why a run fails: a terminal that is gone, in the middle
of the clean-up after its hang-up, is simply not drawn on any more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol, TextIO

from tablevault.cli import units, wording
from tablevault.cli.output import write_line
from tablevault.events import (
    Event,
    FindingMade,
    Observer,
    PhaseBegan,
    Progress,
    Retrying,
    Waiting,
)

PLAIN_INTERVAL_S = 5.0
MAX_FINDING_LINES = 20
MIN_WAIT_S = 1.0  # a wait of less is worth no line


class Drawing(Protocol):
    """An observer that has to be taken off the screen at the end."""

    def __call__(self, event: Event) -> None: ...
    def close(self) -> None: ...


class NoProgress:
    """Draws nothing."""

    def __call__(self, event: Event) -> None:
        pass

    def close(self) -> None:
        pass


def fan_out(observers: Sequence[Observer]) -> Observer:
    """One observer that passes each event to all, in order."""

    def observe(event: Event) -> None:
        for observer in observers:
            observer(event)

    return observe


def choose_progress(stream: TextIO | None, *, quiet: bool, verbose: int) -> Drawing:
    """The drawing that fits the stream."""
    if quiet or stream is None:
        return NoProgress()
    if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from tablevault.cli.bars import BarProgress

        return BarProgress(stream, verbose=verbose)
    return PlainProgress(stream, verbose=verbose)


class LineGate:
    """Which events are worth a line now: repeated waits and floods of findings are thinned.

    Of tries after the same error one stands for all workers: all meet it when the server is away.
    """

    def __init__(self, interval_s: float = PLAIN_INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._said: dict[type[Event], tuple[str, float]] = {}  # of each kind the last, and when
        self._findings = 0

    def passes(self, event: Event) -> bool:
        """Whether the event's lines are to be printed."""
        if isinstance(event, Waiting):
            if event.seconds < MIN_WAIT_S and not event.blockers:
                return False
            return not self._said_just_now(event, event.what)
        if isinstance(event, Retrying):
            return not self._said_just_now(event, event.cause)
        if isinstance(event, FindingMade):
            self._findings += 1
            return self._findings <= MAX_FINDING_LINES  # the result has them all
        return True

    def _said_just_now(self, event: Event, what: str) -> bool:
        """Whether the last line of this kind said the same; otherwise this one is it."""
        said, at = self._said.get(type(event), (None, 0.0))
        if what == said and 0 <= event.time - at < self._interval_s:
            return True
        self._said[type(event)] = (what, event.time)
        return False


class PlainProgress:
    """Lines with the time of day: at every phase, and every few seconds in between."""

    def __init__(
        self, stream: TextIO, *, verbose: int = 0, interval_s: float = PLAIN_INTERVAL_S
    ) -> None:
        self._stream = stream
        self._verbose = verbose
        self._interval_s = interval_s
        self._gate = LineGate(interval_s)
        self._shown_at: float | None = None
        self._alive = True

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            shown_at = self._shown_at
            if shown_at is None or not 0 <= event.time - shown_at < self._interval_s:
                self._shown_at = event.time
                self._print(event, wording.progress_line(event))
        elif self._gate.passes(event):
            for line in wording.event_lines(event, self._verbose):
                self._print(event, line)
            if isinstance(event, PhaseBegan):
                self._shown_at = event.time  # the phase's own line counts

    def close(self) -> None:
        """Nothing is left behind by lines."""

    def _print(self, event: Event, line: str) -> None:
        if self._alive:
            self._alive = write_line(self._stream, f"{units.clock(event.time)} {line}")

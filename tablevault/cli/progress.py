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
        self._waiting_for = ""
        self._waited_at = 0.0
        self._tried_after = ""
        self._tried_at = 0.0
        self._findings = 0

    def passes(self, event: Event) -> bool:
        """Whether the event's lines are to be printed."""
        if isinstance(event, Waiting):
            if event.seconds < MIN_WAIT_S and not event.blockers:
                return False
            if event.what == self._waiting_for and self._recent(event, self._waited_at):
                return False
            self._waiting_for, self._waited_at = event.what, event.time
        elif isinstance(event, Retrying):
            if event.cause == self._tried_after and self._recent(event, self._tried_at):
                return False
            self._tried_after, self._tried_at = event.cause, event.time
        elif isinstance(event, FindingMade):
            self._findings += 1
            return self._findings <= MAX_FINDING_LINES  # the result has them all
        return True

    def _recent(self, event: Event, then: float) -> bool:
        return 0 <= event.time - then < self._interval_s


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

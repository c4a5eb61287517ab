"""Typed events: the one way an operation tells the world how it goes.

An operation emits from its coordinating thread only, so observers need no locks.  The command
line draws them, `--events` writes them as JSON lines (`to_record`), a program may pass its own
observer; the default is silence.  An observer that fails aborts the run: nothing is lost quietly.
The class names and fields are public API (docs/OPERATIONS.md).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar


@dataclass(frozen=True, kw_only=True)
class Event:
    """What every event carries; stamped by the `Reporter`."""

    time: float = 0.0  # Unix seconds
    run: str = ""
    phase: str = ""
    percent: float | None = None  # of the whole run, where it is known


@dataclass(frozen=True, kw_only=True)
class RunBegan(Event):
    """The first event of a run."""

    operation: str
    snapshot: str | None = None
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PhaseBegan(Event):
    """A named phase began: locking, planning, reading, loading, proving, indexing, swapping."""

    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class TablePlanned(Event):
    """What is expected of a table, before or while it is read (estimates)."""

    table: str
    rows: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class TableProgress:
    """How far one table is; part of `Progress`, no event of its own."""

    table: str
    rows_done: int
    rows_total: int
    bytes_done: int
    state: str = ""  # "reading", "loading", "indexing `k1`", "done"


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """Counters sampled by the coordinator, about twice a second, whatever the workers do."""

    rows_done: int
    rows_total: int
    bytes_done: int
    bytes_total: int
    rate_bytes_s: float  # over the last seconds
    remaining_s: float | None
    tables: tuple[TableProgress, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ChunkDone(Event):
    """A chunk was read or taken over (snapshot), or a row group loaded and proven (restore).

    A row group that is proven late is told twice: when it is loaded, and when it is `proven`.
    """

    table: str
    chunk: int
    row_group: int | None = None
    rows: int = 0
    size_bytes: int = 0
    proven: bool = False
    worker: int | None = None  # which of the run's workers did it, from 0
    seconds: float = 0.0  # that it worked on it, its tries and its waiting for others included
    taken: bool = False  # over from an earlier snapshot, where it was proven to be the same


@dataclass(frozen=True, kw_only=True)
class TableDone(Event):
    """A table is complete in the sense of the operation."""

    table: str
    rows: int
    size_bytes: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Waiting(Event):
    """Nothing moves, and this is why: said again while it lasts."""

    what: str
    seconds: float
    blockers: tuple[str, ...] = ()  # "connection 42 (app@web1), 61 s: UPDATE ..."


@dataclass(frozen=True, kw_only=True)
class Stalled(Event):
    """Nothing has moved for long: the probable cause, its remedy, and what was seen.

    Said again each time the time has doubled; `severity` grows with it, from 1.
    """

    cause: str
    remedy: str
    seconds: float
    severity: int
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Throttled(Event):
    """Loaders go slower, or begin nothing new, to spare a server; said again while it lasts.

    `what` is at `figure`, and `limit` is where it begins to count.  When it is over it is said
    once more, with neither `pause_s` nor `held`.
    """

    what: str
    figure: str
    limit: str
    pause_s: float  # after each MiB or so that a loader sends
    held: bool = False


@dataclass(frozen=True, kw_only=True)
class Retrying(Event):
    """A step failed in a way that may pass, and is tried again."""

    what: str
    cause: str
    attempt: int
    delay_s: float


@dataclass(frozen=True, kw_only=True)
class Hint(Event):
    """An oddity the person should know of; the run goes on."""

    message: str


@dataclass(frozen=True, kw_only=True)
class FindingMade(Event):
    """A check found something; the check goes on to its end."""

    kind: str
    message: str
    table: str | None = None
    chunk: int | None = None


@dataclass(frozen=True, kw_only=True)
class RunEnded(Event):
    """The last event of a run: `status` is "ok", "findings", "failed" or "interrupted"."""

    status: str
    seconds: float
    message: str = ""
    hint: str | None = None


Observer = Callable[[Event], None]


def silent(event: Event) -> None:
    """The default observer."""


E = TypeVar("E", bound=Event)


class Reporter:
    """Stamps events with time, run, phase and percent, and hands them to the observer.

    `percent` never goes backwards within a run.  Not safe for several threads: the coordinator
    alone may call it.
    """

    def __init__(self, run: str, observer: Observer = silent) -> None:
        self.run = run
        self.phase = ""
        self.percent: float | None = None
        self._observers = [observer]
        self._began = self._said = time.monotonic()

    def add(self, observer: Observer) -> None:
        """Show every event from here on to one more observer, after the others."""
        self._observers.append(observer)

    @property
    def seconds(self) -> float:
        """Seconds since the reporter was made."""
        return time.monotonic() - self._began

    @property
    def quiet_s(self) -> float:
        """Seconds since it last said anything."""
        return time.monotonic() - self._said

    def emit(self, event: E) -> E:
        """Stamp `event` and show it; return it as shown."""
        if event.percent is not None:
            self.percent = max(self.percent or 0.0, min(100.0, event.percent))
        stamped = dataclasses.replace(
            event, time=time.time(), run=self.run, phase=self.phase, percent=self.percent
        )
        for observer in self._observers:
            observer(stamped)
        self._said = time.monotonic()
        return stamped

    def begin_phase(self, phase: str, detail: str = "") -> None:
        """Enter a named phase."""
        self.phase = phase
        self.emit(PhaseBegan(detail=detail))

    def hint(self, message: str) -> None:
        """Report an oddity."""
        self.emit(Hint(message=message))


def to_record(event: Event) -> dict[str, Any]:
    """The event as one JSON object: its fields and `type`, the class name."""
    record = {"type": type(event).__name__, **vars(event)}
    if isinstance(event, Progress):  # `asdict` takes ten times as long, with thousands of tables
        record["tables"] = tuple(dict(vars(table)) for table in event.tables)
    return record

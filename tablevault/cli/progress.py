"""Drawing a run from its events: bars on a terminal, lines elsewhere, nothing with `-q`.

An observer here may never be the reason why a run fails: a terminal that is gone, in the middle
of the clean-up after its hang-up, is simply not drawn on any more.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from tablevault.cli import units, wording
from tablevault.cli.output import write_line
from tablevault.events import (
    Event,
    FindingMade,
    Observer,
    PhaseBegan,
    Progress,
    RunEnded,
    TableProgress,
    Waiting,
)

if TYPE_CHECKING:
    from tqdm import tqdm

PLAIN_INTERVAL_S = 5.0
MAX_TABLE_BARS = 5
MAX_FINDING_LINES = 20
_FRESH_S = 1.5  # how long a Waiting holds the overall line
_MIN_BAR_CHARS = 8
_MAX_BAR_CHARS = 40
_PHASE_CHARS = 9


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
        return BarProgress(stream, verbose=verbose)
    return PlainProgress(stream, verbose=verbose)


class LineGate:
    """Which events are worth a line now: repeated waits and floods of findings are thinned."""

    def __init__(self, interval_s: float = PLAIN_INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._waiting_for = ""
        self._waited_at = 0.0
        self._findings = 0

    def passes(self, event: Event) -> bool:
        """Whether the event's lines are to be printed."""
        if isinstance(event, Waiting):
            again = event.what == self._waiting_for
            if again and 0 <= event.time - self._waited_at < self._interval_s:
                return False
            self._waiting_for, self._waited_at = event.what, event.time
        elif isinstance(event, FindingMade):
            self._findings += 1
            return self._findings <= MAX_FINDING_LINES  # the result has them all
        return True


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


class BarProgress:
    """One overall bar, one for each active table, and the lines above them."""

    def __init__(
        self,
        stream: TextIO,
        *,
        verbose: int = 0,
        terminal_size: Callable[[], os.terminal_size] | None = None,
    ) -> None:
        self._stream = stream
        self._verbose = verbose
        self._size = terminal_size or (lambda: _terminal_size(stream))
        self._gate = LineGate(interval_s=10.0)
        self._bars: list[tqdm[Any]] = []  # the overall one first
        self._phase = ""
        self._progress: Progress | None = None
        self._waiting: Waiting | None = None
        self._began: float | None = None
        self._alive = True

    def __call__(self, event: Event) -> None:
        if not self._alive:
            return
        try:
            self._observe(event)
        except (OSError, ValueError):  # the terminal is gone, or its stream closed
            self._alive = False

    def close(self) -> None:
        """Take the bars off the screen; the lines stay."""
        try:
            while self._bars:
                self._bars.pop().close()
        except (OSError, ValueError):
            self._alive = False

    def _observe(self, event: Event) -> None:
        self._began = event.time if self._began is None else self._began
        if isinstance(event, Progress):
            self._progress = event
            if self._waiting and event.time - self._waiting.time > _FRESH_S:
                self._waiting = None
        elif isinstance(event, Waiting):
            self._waiting = event
        elif isinstance(event, PhaseBegan):
            self._phase, self._waiting = event.phase, None
        if not isinstance(event, (PhaseBegan, Progress)) and self._gate.passes(event):
            for line in wording.event_lines(event, self._verbose):
                self._above(f"{units.clock(event.time)} {line}")
        if isinstance(event, RunEnded):
            self.close()
        elif isinstance(event, (Progress, Waiting, PhaseBegan)):
            self._draw(event.time)

    def _draw(self, now: float) -> None:
        width, height = self._size()
        active = wording.active_tables(self._progress) if self._progress else []
        active = active[: max(0, min(MAX_TABLE_BARS, height - 2))]
        while len(self._bars) < 1 + len(active):
            self._bars.append(self._new_bar(len(self._bars)))
        while len(self._bars) > 1 + len(active):
            self._bars.pop().close()
        self._draw_overall(self._bars[0], width, now)
        for bar, table in zip(self._bars[1:], active, strict=True):
            _draw_table(bar, width, table)

    def _draw_overall(self, bar: tqdm[Any], width: int, now: float) -> None:
        progress, waiting = self._progress, self._waiting
        percent = progress.percent if progress else None
        phase = (self._phase or "starting").ljust(_PHASE_CHARS)
        if waiting is not None:
            figures = [wording.waiting_text(waiting)]
        elif progress is not None:
            figures = [*wording.progress_figures(progress), _tables_done(progress)]
        else:
            figures = [units.whole_duration(now - (self._began or now))]
        _show(bar, width, phase, percent, figures)

    def _new_bar(self, position: int) -> tqdm[Any]:
        from tqdm import tqdm

        tqdm.monitor_interval = 0  # no thread of its own: the events come often enough
        encoding = (getattr(self._stream, "encoding", None) or "ascii").lower().replace("-", "")
        return tqdm(
            total=1000,
            position=position,
            leave=False,
            file=self._stream,
            ascii=encoding != "utf8",
            bar_format=" ",  # nothing is drawn before the first figures are there
            mininterval=0,
        )

    def _above(self, line: str) -> None:
        if not self._bars:
            self._alive = write_line(self._stream, line)
            return
        self._bars[0].write(line, file=self._stream)
        self._stream.flush()


def _draw_table(bar: tqdm[Any], width: int, table: TableProgress) -> None:
    percent = min(100.0, 100.0 * table.rows_done / table.rows_total) if table.rows_total else None
    state = units.printable(table.state)
    figures = [units.count(table.rows_done, "row"), state]
    _show(bar, width, f"  {units.printable(table.table)}", percent, figures)


def _show(
    bar: tqdm[Any], width: int, left: str, percent: float | None, figures: Sequence[str]
) -> None:
    """Give a bar its line: as much of text and bar as the width has room for."""
    from tqdm.utils import disp_len, disp_trim

    share = "     " if percent is None else f"{wording.percentage(percent):>3} %"
    right = wording.GAP.join(figure for figure in figures if figure)
    room = width - disp_len(left) - len(share) - disp_len(right) - 6
    if percent is None or room < _MIN_BAR_CHARS:
        line = disp_trim(wording.GAP.join((left, share.strip(), right)), max(1, width))
        bar.bar_format = _literal(line)
    else:
        bar.ncols = width - max(0, room - _MAX_BAR_CHARS)
        bar.bar_format = f"{_literal(left)} {share} |{{bar}}| {_literal(right)}"
    bar.n = round(10 * (percent or 0))
    bar.refresh()


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _tables_done(progress: Progress) -> str:
    total = len(progress.tables)
    done = sum(table.state == "done" for table in progress.tables)
    return f"{units.count(done)} of {units.count(total, 'table')}" if total > 1 else ""


def _terminal_size(stream: TextIO) -> os.terminal_size:
    """Columns that may be written to without wrapping, and lines."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        columns, lines = shutil.get_terminal_size()
    # A terminal that does not know its size says 0; writing into the last column may wrap.
    return os.terminal_size(((columns or 80) - 1, lines or 24))

"""Progress on a terminal: an overall bar, one for each active table, and the lines above them.

How many bars and how much of each line fit is decided anew at every drawing, so a terminal may be
tiny or change its size.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from tablevault.cli import units, wording
from tablevault.cli.output import write_line
from tablevault.cli.progress import LineGate
from tablevault.events import Event, PhaseBegan, Progress, RunEnded, TableProgress, Waiting

if TYPE_CHECKING:
    from tqdm import tqdm

MAX_TABLE_BARS = 5
_FRESH_S = 1.5  # how long a Waiting holds the overall line
_MIN_BAR_CHARS = 8
_MAX_BAR_CHARS = 40
_PHASE_CHARS = 9


class BarProgress:
    """Draws with tqdm; silent once the terminal is gone."""

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
        self._encoding = (stream.encoding or "ascii").lower().replace("-", "")
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
            self._draw_table(bar, width, table)

    def _draw_table(self, bar: tqdm[Any], width: int, table: TableProgress) -> None:
        done, total = table.rows_done, table.rows_total
        percent = min(100.0, 100.0 * done / total) if total else None
        figures = [units.count(done, "row"), units.printable(table.state)]
        self._show(bar, width, f"  {units.printable(table.table)}", percent, figures)

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
        self._show(bar, width, phase, percent, figures)

    def _show(
        self,
        bar: tqdm[Any],
        width: int,
        left: str,
        percent: float | None,
        figures: Sequence[str],
    ) -> None:
        """Give a bar its line: as much of text and bar as the width has room for."""
        from tqdm.utils import disp_len, disp_trim

        left = self._as_shown(left)
        right = self._as_shown(wording.GAP.join(figure for figure in figures if figure))
        share = "     " if percent is None else f"{wording.percentage(percent):>3} %"
        room = width - disp_len(left) - len(share) - disp_len(right) - 6
        if percent is None or room < _MIN_BAR_CHARS:
            line = wording.GAP.join(part for part in (left, share.strip(), right) if part)
            bar.bar_format = _literal(disp_trim(line, max(1, width)))
        else:
            bar.ncols = width - max(0, room - _MAX_BAR_CHARS)
            bar.bar_format = f"{_literal(left)} {share} |{{bar}}| {_literal(right)}"
        bar.n = round(10 * (percent or 0))
        bar.refresh()

    def _as_shown(self, text: str) -> str:
        # What the encoding lacks is written as an escape, which is longer than the character.
        return text.encode(self._encoding, "backslashreplace").decode(self._encoding)

    def _new_bar(self, position: int) -> tqdm[Any]:
        from tqdm import tqdm

        tqdm.monitor_interval = 0  # no thread of its own: the events come often enough
        return tqdm(
            total=1000,
            position=position,
            nrows=MAX_TABLE_BARS + 3,  # how many fit is decided in _draw
            leave=False,
            file=self._stream,
            ascii=self._encoding != "utf8",
            bar_format=" ",  # nothing is drawn before the first figures are there
            mininterval=0,
        )

    def _above(self, line: str) -> None:
        if not self._bars:
            self._alive = write_line(self._stream, line)
            return
        self._bars[0].write(line, file=self._stream)
        self._stream.flush()


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _tables_done(progress: Progress) -> str:
    total = len(progress.tables)
    done = sum(table.state in wording.FINISHED for table in progress.tables)
    return f"{units.count(done)} of {units.count(total, 'table')}" if total > 1 else ""


def _terminal_size(stream: TextIO) -> os.terminal_size:
    """Columns that may be written to without wrapping, and lines."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        columns, lines = shutil.get_terminal_size()
    # A terminal that does not know its size says 0; writing into the last column may wrap.
    return os.terminal_size(((columns or 80) - 1, lines or 24))

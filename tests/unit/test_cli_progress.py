"""What a run looks like: lines, bars on terminals of every kind, the events file."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tablevault.cli import wording
from tablevault.cli.events_file import EventsFile
from tablevault.cli.progress import (
    MAX_FINDING_LINES,
    LineGate,
    NoProgress,
    PlainProgress,
    choose_progress,
    fan_out,
)
from tablevault.errors import CannotComplete, UsageError
from tablevault.events import (
    Event,
    FindingMade,
    Hint,
    PhaseBegan,
    Progress,
    Retrying,
    RunBegan,
    RunEnded,
    TableDone,
    TableProgress,
    Waiting,
)
from tests.terminal import Screen, run_on_terminal

T0 = 1_700_000_000.0


def table(name: str, state: str = "reading") -> TableProgress:
    return TableProgress(table=name, rows_done=1, rows_total=2, bytes_done=3, state=state)


def progress(at: float, done: int = 42, **changes: object) -> Progress:
    values: dict[str, object] = {
        "time": T0 + at,
        "phase": "reading",
        "percent": float(done),
        "rows_done": 1_234_567,
        "rows_total": 3_000_000,
        "bytes_done": 1,
        "bytes_total": 2,
        "rate_bytes_s": 83e6,
        "remaining_s": 12.2,
        "tables": (table("shop.orders"),),
    }
    return Progress(**{**values, **changes})  # type: ignore[arg-type]


def lines(*events: Event, verbose: int = 0) -> list[str]:
    stream = io.StringIO()
    plain = PlainProgress(stream, verbose=verbose)
    for event in events:
        plain(event)
    return stream.getvalue().splitlines()


def test_a_plain_line_has_all_figures() -> None:
    (line,) = lines(progress(0))
    assert re.fullmatch(r"\d\d:\d\d:\d\d .*", line)
    assert line[9:] == ("reading  42 %  1,234,567 rows  83.0 MB/s  remaining 12 s  shop.orders")


def test_what_is_unknown_is_left_out() -> None:
    (line,) = lines(
        progress(0, percent=None, rows_done=0, rows_total=0, rate_bytes_s=0, remaining_s=None)
    )
    assert line[9:] == "reading  shop.orders"


def test_lines_come_every_five_seconds_whatever_the_rate_of_events() -> None:
    shown = lines(*(progress(half / 2) for half in range(61)))  # 30 s, twice a second
    assert len(shown) == 7


def test_a_clock_that_is_set_back_does_not_silence() -> None:
    assert len(lines(progress(100), progress(0), progress(1))) == 2


def test_every_phase_has_its_line_and_resets_the_interval() -> None:
    shown = lines(
        progress(0),
        PhaseBegan(time=T0 + 4, phase="proving", detail="in SQL"),
        progress(5, phase="proving"),
        progress(9, phase="proving"),
    )
    assert [line[9:16] for line in shown] == ["reading", "proving", "proving"]
    assert "in SQL" in shown[1]


def test_less_than_whole_never_reads_100() -> None:
    assert "99 %" in lines(progress(0, percent=99.97))[0]


def test_many_active_tables_are_folded_and_done_ones_not_named() -> None:
    tables = tuple(table(f"s.t{i}", "done" if i == 0 else "indexing 1/2") for i in range(9))
    (line,) = lines(progress(0, tables=tables))
    assert line.endswith("s.t1 (indexing 1/2), s.t2 (indexing 1/2), and 6 more")


def test_waits_are_thinned_but_never_dropped() -> None:
    waits = [
        Waiting(
            time=T0 + second, what="waiting for a lock", seconds=second, blockers=("connection 4",)
        )
        for second in range(1, 13)
    ]
    shown = lines(*waits, Waiting(time=T0 + 13, what="waiting for another lock", seconds=1))
    assert [line[9:] for line in shown if "waiting for" in line] == [
        "waiting for a lock, 1 s",
        "waiting for a lock, 6 s",
        "waiting for a lock, 11 s",
        "waiting for another lock, 1 s",
    ]
    assert sum("blocked by connection 4" in line for line in shown) == 3


def test_one_try_stands_for_all_workers_that_met_the_same_error() -> None:
    tries = [
        Retrying(
            time=T0 + second,
            what=f"chunk {worker}",
            cause="no server" if second else f"connection {worker} lost",
            attempt=second + 1,
            delay_s=1.0,
        )
        for second in range(8)
        for worker in (1, 2)
    ]
    assert [line[9:] for line in lines(*tries)] == [
        "trying again in 1.0 s (attempt 1): chunk 1: connection 1 lost",
        "trying again in 1.0 s (attempt 1): chunk 2: connection 2 lost",
        "trying again in 1.0 s (attempt 2): chunk 1: no server",
        "trying again in 1.0 s (attempt 7): chunk 1: no server",
    ]


def test_a_moment_is_worth_no_line() -> None:
    assert lines(Waiting(time=T0, what="asking the server", seconds=0.6)) == []


def test_hints_retries_and_ends_are_said() -> None:
    shown = lines(
        RunBegan(time=T0, run="R1", operation="restore", snapshot="S1"),
        Retrying(time=T0, what="chunk 3", cause="deadlock", attempt=2, delay_s=0.5),
        Hint(time=T0, message="no index progress"),
        RunEnded(time=T0, status="failed", seconds=3.0, message="not repeated here"),
    )
    assert [line[9:] for line in shown] == [
        "restore  snapshot S1  run R1",
        "trying again in 0.5 s (attempt 2): chunk 3: deadlock",
        "hint: no index progress",
        "failed after 3.0 s",
    ]


def test_tables_done_are_for_the_curious() -> None:
    done = TableDone(time=T0, table="s.t", rows=1, size_bytes=10, seconds=1)
    assert lines(done) == []
    assert lines(done, verbose=1)[0][9:] == "done  s.t  1 row  10 B  1.0 s"


def test_a_flood_of_findings_is_cut() -> None:
    finding = FindingMade(time=T0, kind="damaged", message="bad", table="s.t", chunk=3)
    shown = lines(*[finding] * 1000)
    assert len(shown) == MAX_FINDING_LINES
    assert shown[0][9:] == "damaged: s.t chunk 3: bad"


@pytest.mark.parametrize("kind", wording._LINES)
def test_no_event_can_move_the_cursor(kind: type[Event]) -> None:
    evil = "a\x1b[2J\r\nb"
    texts = (
        "operation",
        "snapshot",
        "table",
        "what",
        "figure",
        "limit",
        "cause",
        "remedy",
        "message",
        "detail",
        "kind",
    )
    fields = {name: evil for name in kind.__dataclass_fields__ if name in texts}
    numbers = {
        name: 1
        for name in kind.__dataclass_fields__
        if name
        in (
            "rows",
            "size_bytes",
            "seconds",
            "chunk",
            "attempt",
            "delay_s",
            "severity",
            "pause_s",
        )
    }
    for name in {"blockers", "evidence"} & kind.__dataclass_fields__.keys():
        fields[name] = (evil,)  # type: ignore[assignment]
    extra = {"status": "ok"} if kind is RunEnded else {}
    event = kind(time=T0, **fields, **numbers, **extra)  # type: ignore[arg-type]
    for line in wording.event_lines(event, verbose=2):
        assert line.isprintable(), line


def test_a_terminal_that_is_gone_is_no_reason_to_fail() -> None:
    class Gone(io.StringIO):
        written = 0

        def write(self, text: str) -> int:
            self.written += 1
            raise OSError(5, "Input/output error")

    gone = Gone()
    plain = PlainProgress(gone)
    for at in range(0, 100, 10):
        plain(progress(at))
    assert gone.written == 1


def test_the_drawing_fits_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    assert isinstance(choose_progress(stream, quiet=True, verbose=0), NoProgress)
    assert isinstance(choose_progress(None, quiet=False, verbose=0), NoProgress)
    assert isinstance(choose_progress(stream, quiet=False, verbose=0), PlainProgress)
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(choose_progress(stream, quiet=False, verbose=0), PlainProgress)


def test_observers_are_called_in_order() -> None:
    seen: list[str] = []
    fan_out([lambda event: seen.append("a"), lambda event: seen.append("b")])(Hint(message="x"))
    assert seen == ["a", "b"]


def test_a_gate_is_open_for_what_is_not_thinned() -> None:
    gate = LineGate()
    assert all(gate.passes(Hint(message="same")) for _ in range(100))


# ---- the events file


def test_events_are_on_disk_as_they_happen(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for run in ("R1", "R2"):  # a second run appends
        events = EventsFile(str(path))
        events(RunBegan(time=T0, run=run, operation="restore", tables=("s.t",)))
        records = [json.loads(line) for line in path.read_text().splitlines()]
        assert {"type": "RunBegan", "run": run, "time": T0}.items() <= records[-1].items()
        assert {"phase", "percent"} <= set(records[-1])
        events.close()
    assert len(records) == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_events_file_that_cannot_be_opened_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write events to .*: Is a directory"):
        EventsFile(str(tmp_path))


def test_events_that_can_no_longer_be_written_are_said_once() -> None:
    events = EventsFile("/dev/full")
    with pytest.raises(CannotComplete, match="cannot write events to /dev/full: No space left"):
        events(Hint(message="x"))
    events(RunEnded(status="failed", seconds=1))  # the run ends with the first reason
    events.close()


# ---- bars, on real pseudo terminals

_DRAW = Path(__file__).with_name("cli_draw_run.py")


def drawn(columns: int, height: int, mode: str, **environment: str) -> tuple[Screen, str]:
    """The screen after a run that drew itself, and all that was sent to it."""
    code, output = run_on_terminal(
        [sys.executable, str(_DRAW), mode],
        columns=columns,
        lines=height,
        environment={"PYTHONPATH": os.pathsep.join(sys.path), **environment},
    )
    assert code == 0, output
    screen = Screen(columns or 80)
    screen.write(output)
    return screen, output


@pytest.mark.parametrize(
    ("columns", "height", "encoding"),
    [(100, 24, "utf-8"), (80, 24, "ascii"), (40, 5, "ascii"), (12, 3, "utf-8"), (3, 1, "utf-8")],
)
def test_bars_never_wrap_and_leave_nothing(columns: int, height: int, encoding: str) -> None:
    screen, output = drawn(columns, height, "bars", PYTHONIOENCODING=f"{encoding}:backslashreplace")
    assert screen.wraps == 0
    assert screen.text() == "END"
    assert "(more hidden)" not in output
    assert "\x1b[3" not in output  # no colours, so that NO_COLOR is kept


def test_bars_show_every_figure_while_it_runs() -> None:
    _, output = drawn(120, 24, "bars", PYTHONIOENCODING="utf-8")
    at = output.rindex("5,000,000 rows")
    screen = Screen(120)
    screen.write(output[: output.index("\r", output.index("t4", at))])
    overall, *tables = [line for line in screen.text().splitlines() if line.strip()]
    assert re.match(r"reading +50 % \|█+.? *\| 5,000,000 rows  83.4 MB/s  remaining 50 s", overall)
    assert "of 9 tables" in overall
    assert len(tables) == 5
    assert re.match(r"  shop\.täble\{\d\} +\d+ % \|.*\| [\d,]+ rows  reading", tables[0])


def test_bars_are_ascii_where_the_terminal_is() -> None:
    _, output = drawn(100, 24, "bars", PYTHONIOENCODING="ascii:backslashreplace")
    assert output.isascii()
    assert "#" in output


def test_lines_scroll_above_the_bars() -> None:
    screen, _ = drawn(100, 24, "lines", PYTHONIOENCODING="utf-8")
    said = [line[9:] for line in screen.text().splitlines()]
    assert said[:-1] == [
        "restore  snapshot S1  run R1",
        "waiting for the lock of shop.orders, 3 s",
        "  blocked by connection 42, 61 s: UPDATE x",
        r"hint: odd \x1b[31m thing",
        "done after 3.0 s",
    ]


def test_a_hang_up_in_the_middle_of_drawing_does_not_end_the_run(tmp_path: Path) -> None:
    """The terminal goes away; the run, which ignores the hang-up, goes on to its end."""
    mark = tmp_path / "ended"

    def hang_up(text: str, process: subprocess.Popen[bytes]) -> None:
        if "1,000,000 rows" in text:
            raise EOFError

    ignoring = 'trap "" HUP; "$0" "$1" slow "$2" & wait'
    with pytest.raises(EOFError):
        run_on_terminal(
            ["sh", "-c", ignoring, sys.executable, str(_DRAW), str(mark)],
            environment={"PYTHONPATH": os.pathsep.join(sys.path)},
            on_text=hang_up,
        )
    deadline = time.monotonic() + 10
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert mark.exists()

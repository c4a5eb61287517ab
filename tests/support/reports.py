"""Runs to be reported: what their processes would have left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tablevault import events
from tablevault.events import Event, to_record
from tablevault.model import TableName
from tablevault.ops.runs import RunTable, header
from tablevault.vault.journal import Entry, Journal

BEGAN = 1_795_500_000.0


def a_restore_under_trouble(table: str, run: str) -> list[dict[str, Any]]:
    """The records of a restore by two workers that waited, was slowed, stalled and fell silent."""
    told: list[dict[str, Any]] = []

    def say(at: float, event: Event, phase: str = "loading") -> None:
        record = to_record(event)
        told.append({**record, "time": BEGAN + at, "run": run, "phase": phase})

    say(0, events.RunBegan(operation="restore", snapshot="S", tables=(table,)), "")
    say(0.1, events.PhaseBegan(), "checking")
    say(1, events.ChunkDone(table=table, chunk=0, size_bytes=9, worker=0, seconds=0.5), "checking")
    say(1, events.PhaseBegan())
    for second in range(1, 21):
        done = events.Progress(
            rows_done=second, rows_total=20, bytes_done=second * 10**6, bytes_total=2 * 10**7,
            rate_bytes_s=1e6, remaining_s=None,
        )  # fmt: skip
        say(second, done)
        part = events.ChunkDone(
            table=table, chunk=second, row_group=0, rows=1, size_bytes=10**6,
            worker=second % 2, seconds=1.5,
        )  # fmt: skip
        say(second + 0.1, part)
    redo = {"what": "the redo log", "figure": "98 %", "limit": "94 %"}
    say(21, events.Throttled(**redo, pause_s=0.1))
    session = "connection 7 (app@web), 61 s: UPDATE t SET x = 4711"
    for second in (24, 26, 28):
        wait = events.Waiting(what="the tables are in use", seconds=second - 20.0)
        say(second, events.Waiting(**{**_fields(wait), "blockers": (session,)}))
    say(31, events.Throttled(**redo, pause_s=0.0))
    cause = "Duplicate entry 'secret' for key 'k'"
    say(32, events.Retrying(what="loading", cause=cause, attempt=1, delay_s=2.0))
    for second in range(33, 73):
        say(second, events.Waiting(what="a statement", seconds=0.5))
    say(73, events.Stalled(cause="a lock", remedy="", seconds=40, severity=1, evidence=(session,)))
    say(103, events.PhaseBegan(), "indexing")  # after half a minute of silence
    say(104, events.TableDone(table=table, rows=20, size_bytes=2 * 10**7, seconds=100), "indexing")
    message = "the row 'secret' does not fit"
    say(105, events.RunEnded(status="failed", seconds=105, message=message), "indexing")
    return told


def _fields(event: Event) -> dict[str, Any]:
    record = to_record(event)
    return {name: record[name] for name in ("what", "seconds")}


def a_journal(folder: Path, run: str) -> tuple[Journal, list[Entry]]:
    """The journal of a restore that has proven two row groups and built an index, and is open."""
    name = TableName("shop", "orders")
    table = RunTable(name, name, name, name, name, rows=10, size_bytes=1000)
    head = header("S", {}, [table])
    journal = Journal.create(folder, run, head)
    for group in (0, 1):
        where = {"table": 0, "chunk": 0, "group": group}
        journal.append("loading", **where)
        journal.append("proven", **where)
    clause = "ADD KEY `by``name` (`name`)"
    journal.append("indexing", table=0, index=0, clause=clause)
    journal.append("indexed", table=0, index=0)
    return journal, list(journal.entries)


def a_night_of_events(run: str, hours: int) -> Iterator[Event]:
    """Two samples a second for hours, with one minute of silence."""
    end = hours * 3600
    yield events.RunBegan(operation="restore", time=BEGAN, run=run)
    for half in range(1, 2 * end):
        at = half / 2
        if 3000 < at < 3060:
            continue
        yield events.Progress(
            time=BEGAN + at, run=run, rows_done=half, rows_total=2 * end, bytes_done=half,
            bytes_total=2 * end, rate_bytes_s=1, remaining_s=None,
            tables=(events.TableProgress(table="t", rows_done=1, rows_total=1, bytes_done=1),) * 50,
        )  # fmt: skip
    yield events.RunEnded(time=BEGAN + end, run=run, status="ok", seconds=end)

"""The runs of a state directory at a glance: what each worked on, where it stands, what is next.

Like `watch` it reads what the runs have left in their folders, asks no server and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tablevault.errors import TablevaultError
from tablevault.names import JOURNAL, STATUS
from tablevault.ops.runs import DRILL, RunState, reached_by, replay
from tablevault.ops.status import Status, process_lives, read_status
from tablevault.ops.ways import ways_on
from tablevault.vault.journal import Entry, is_running, read_journal


@dataclass(frozen=True)
class RunLine:
    """One run.

    `state` is the journal's word (begun, proven, swapped, …), for a run without a journal how it
    ended (ok, findings, failed, interrupted, died), or "unreadable"; `alive` says that a process
    works on it.  `began` and `last_seen` are Unix seconds.
    """

    run: str
    operation: str
    tables: tuple[str, ...]
    state: str
    alive: bool
    began: float
    last_seen: float
    snapshot: str | None = None
    ways: tuple[tuple[str, str], ...] = ()  # what for, and the command; the run's id follows it
    reached_by: tuple[str, ...] = ()  # the connection options that the run began with


def list_lines(state_dir: Path) -> tuple[RunLine, ...]:
    """Every run that left something in `state_dir`, oldest first."""
    folders = {file.parent for name in (JOURNAL, STATUS) for file in state_dir.glob(f"*/{name}")}
    lines = [line for folder in folders if (line := _line(folder)) is not None]
    return tuple(sorted(lines, key=lambda line: (line.began, line.run)))


def _line(folder: Path) -> RunLine | None:
    status = read_status(folder)
    try:
        if not (folder / JOURNAL).exists():
            return None if status is None else _of_status(status)
        entries = read_journal(folder)
        if not entries:
            return None if status is None else _of_status(status)
        return _of_journal(folder, entries, status)
    except (TablevaultError, KeyError, TypeError):
        at = folder.stat().st_mtime
        return RunLine(folder.name, "", (), "unreadable", False, at, at)


def _of_journal(folder: Path, entries: list[Entry], status: Status | None) -> RunLine:
    state: RunState = replay(folder.name, entries)
    alive = is_running(folder)
    seen = entries[-1]["time"]
    return RunLine(
        run=folder.name,
        operation=state.operation,
        tables=tuple(
            str(table.source if state.operation == DRILL else table.target)
            for table in state.tables
        ),
        state=state.status,
        alive=alive,
        began=entries[0]["time"],
        last_seen=max(seen, status.said) if status else seen,
        snapshot=state.snapshot or None,
        ways=(("to look on", "watch"),) if alive else ways_on(state.status),
        reached_by=reached_by(state),
    )


def _of_status(status: Status) -> RunLine:
    began: Mapping[str, Any] = status.began
    alive = status.ended is None and process_lives(status)
    ended = "at work" if alive else "died"
    return RunLine(
        run=status.run,
        operation=str(began.get("operation", "")),
        tables=tuple(began.get("tables") or ()),
        state=str(status.ended.get("status", ended)) if status.ended else ended,
        alive=alive,
        began=float(began.get("time", status.said)),
        last_seen=status.said,
        snapshot=began.get("snapshot"),
        ways=(("to look on", "watch"),) if alive else (),
    )

"""Following a run from another process, and telling how a dead one ended.

Reads what the run leaves in its folder and nothing else: no server is asked, nothing is locked or
written, so that looking on cannot disturb.  While the run lives its events are passed on to the
observer as if it ran here; its end, or its death, is put together from status and journal.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tablevault import events
from tablevault.errors import TablevaultError, UsageError
from tablevault.events import Event, Observer, Waiting, silent
from tablevault.names import JOURNAL, STATUS
from tablevault.ops.runs import REPAIR, RunState, reached_by, replay
from tablevault.ops.status import Status, process_lives, read_status
from tablevault.ops.ways import UNTOUCHED, ways_on
from tablevault.vault.journal import Entry, is_running, read_journal

LOOK_EVERY_S = 0.5
_WELL = ("proven", "swapped", "cleaned", "repaired", "undone")
_SILENT_AFTER_S = 5.0  # a coordinator speaks twice a second
_TAKEOVER_WITHIN_S = 10.0  # from a resuming process's lock on the journal to its first status


@dataclass(frozen=True)
class RunEnd:
    """How a run ended, as far as it can be told from what it left."""

    run: str
    operation: str
    outcome: str  # "ok" | "findings" | "failed" | "interrupted" | "died"
    snapshot: str | None = None
    state: str = ""  # of a restore, by its journal: begun, proven, swapped, ...
    message: str = ""
    hint: str | None = None
    phase: str = ""
    percent: float | None = None
    last_seen: float | None = None  # Unix seconds
    came_to: tuple[str, ...] = ()  # what is done, from the journal
    ways: tuple[tuple[str, str], ...] = ()  # what for, and the command; the run's id follows it
    reached_by: tuple[str, ...] = ()  # the connection options that the run began with

    @property
    def well(self) -> bool:
        """Whether the run did what it was for."""
        return self.outcome in ("ok", "findings")


def watch(state_dir: Path, run: str | None = None, observer: Observer = silent) -> RunEnd:
    """Follow `run` (the newest without one) until it ends; return how it did.

    Raises UsageError when there is no such run.
    """
    folder = find_run(state_dir, run)
    teller = _Teller(folder.name, observer)
    taken_over_s: float | None = None
    while True:
        status = read_status(folder)
        if status is not None and status.ended is None and process_lives(status):
            teller.tell(status)
            taken_over_s = None
        elif _journal_is_locked(folder):
            # A process works on the run that has not written its status yet, or never will.
            now_s = time.monotonic()
            taken_over_s = now_s if taken_over_s is None else taken_over_s
            ended = status is not None and status.ended is not None
            if ended and now_s - taken_over_s > _TAKEOVER_WITHIN_S:
                break  # its process ended the run and lives on, say to ask a question
            teller.tell_unseen(now_s - taken_over_s)
        else:
            status = read_status(folder)  # it may have been written since
            break
        time.sleep(LOOK_EVERY_S)
    if status is not None:
        teller.tell(status)
    return _how_it_ended(folder, status)


def find_run(state_dir: Path, run: str | None = None) -> Path:
    """The folder of a run by its id or the start of it; of the newest run without one.

    The newest is the one that last left a sign of life.  Raises UsageError.
    """
    seen: dict[Path, float] = {}
    for name in (STATUS, JOURNAL):
        for file in state_dir.glob(f"*/{name}"):
            at = file.stat().st_mtime
            seen[file.parent] = max(at, seen.get(file.parent, at))
    newest_first = sorted(seen, key=lambda folder: seen[folder], reverse=True)
    if run is None:
        if not newest_first:
            raise UsageError(
                f"there are no runs in {state_dir}", hint="is --state-dir the right one?"
            )
        return newest_first[0]
    found = [folder for folder in newest_first if folder.name == run]
    found = found or [folder for folder in newest_first if run and folder.name.startswith(run)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(folder.name for folder in (found or newest_first)[:5])
    if found:
        raise UsageError(f"{run!r} may mean several runs", hint=f"these: {listed}")
    hint = f"the last ones: {listed}" if listed else "is --state-dir the right one?"
    raise UsageError(f"there is no run {run} in {state_dir}", hint=hint)


class _Teller:
    """Passes on what is new in a status, as events."""

    def __init__(self, run: str, observer: Observer) -> None:
        self._run = run
        self._observer = observer
        self._process: tuple[str, int, str] | None = None
        self._lines_told = 0
        self._told: dict[str, float] = {}

    def tell(self, status: Status) -> None:
        """Show what was not shown before."""
        if status.process != self._process:
            self._process, self._lines_told, self._told = status.process, 0, {}
            self._show(status.began)
        for number, record in status.lines:
            if number > self._lines_told:
                self._lines_told = number
                self._show(record)
        for kind in ("phase", "progress", "waiting", "ended"):
            latest = status.latest.get(kind)
            if latest is not None and latest["time"] != self._told.get(kind):
                self._told[kind] = latest["time"]
                self._show(latest)
        silence_s = time.time() - status.said
        if status.ended is None and silence_s > _SILENT_AFTER_S:
            self._show_waiting("the run says nothing", silence_s)

    def tell_unseen(self, seconds: float) -> None:
        """Say that a process works on the run and leaves nothing to see."""
        self._show_waiting("the run works, but leaves no status to show", seconds)

    def _show(self, record: Mapping[str, Any]) -> None:
        event = event_of(record)
        if event is not None:
            self._observer(event)

    def _show_waiting(self, what: str, seconds: float) -> None:
        self._observer(Waiting(run=self._run, time=time.time(), what=what, seconds=seconds))


def event_of(record: Mapping[str, Any]) -> Event | None:
    """The event that `events.to_record` made a record of; None for one unknown here."""
    kind = getattr(events, record.get("type", ""), None)
    if not (isinstance(kind, type) and issubclass(kind, Event)):
        return None
    known = {field.name for field in dataclasses.fields(kind)}
    values = {name: _value(name, value) for name, value in record.items() if name in known}
    try:
        return kind(**values)
    except TypeError:
        return None


def _value(name: str, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if name == "tables" and value and isinstance(value[0], dict):
        return tuple(events.TableProgress(**one) for one in value)
    return tuple(value)


def _how_it_ended(folder: Path, status: Status | None) -> RunEnd:
    entries, damage = _entries(folder)
    state = replay(folder.name, entries) if entries else None
    operation = state.operation if state else "run"
    end = RunEnd(
        run=folder.name,
        operation=operation,
        outcome="died",
        snapshot=state.snapshot if state else None,
        state=state.status if state else "",
        last_seen=entries[-1]["time"] if entries else None,
        came_to=(*_came_to(state, entries), *damage) if state else damage,
        ways=ways_on(state.status) if state else (),
        reached_by=reached_by(state) if state else (),
    )
    if status is not None:
        end = _with_status(end, status)
    if end.outcome != "died":
        return end
    if state is not None and status is None and state.status in _WELL:
        return dataclasses.replace(end, outcome="ok")  # made by a version that left no status
    message, hint = _death(end, state)
    return dataclasses.replace(end, message=message, hint=hint)


def _with_status(end: RunEnd, status: Status) -> RunEnd:
    progress = status.latest.get("progress", {})
    last = status.ended or status.latest.get("phase", {})
    ended = status.ended or {}
    return dataclasses.replace(
        end,
        operation=str(status.began.get("operation", end.operation)),
        snapshot=end.snapshot or status.began.get("snapshot"),
        outcome=str(ended.get("status", "died")),
        message=str(ended.get("message", "")),
        hint=ended.get("hint"),
        phase=str(last.get("phase", "")),
        percent=ended.get("percent", progress.get("percent")),
        last_seen=max(status.said, end.last_seen or 0.0),
    )


def _death(end: RunEnd, state: RunState | None) -> tuple[str, str]:
    """What to say of a run whose process is gone, and the advice."""
    where = f" in phase {end.phase}" if end.phase else ""
    message = f"the process of {end.operation} {end.run} is gone: it died{where}"
    if state is not None:
        hint = "the live tables are untouched" if state.status in UNTOUCHED else ""
        return message, hint or "the journal says between which steps; the next command settles it"
    if end.operation == "snapshot":
        hint = "a snapshot that was not completed does not exist: take it again"
        return message, hint
    return message, "it had made nothing on the server yet"


def _came_to(state: RunState, entries: list[Entry]) -> tuple[str, ...]:
    """How far a run came, counted in what its journal says is done."""
    if state.operation == REPAIR:
        return _repair_came_to(state, entries)
    kinds = ("created", "loaded", "proven", "indexed", "table proven")
    done: dict[str, set[tuple[int, ...]]] = {kind: set() for kind in kinds}
    for entry in entries:
        if entry["kind"] in done and "table" in entry:
            place = ("table", "chunk", "group", "index")
            done[entry["kind"]].add(tuple(entry[name] for name in place if name in entry))
    total, behind = len(state.tables), len(done["loaded"] - done["proven"])
    more = f", {behind} more loaded and not proven yet" if behind else ""
    return (
        f"staging tables created: {len(done['created'])} of {total}",
        f"row groups loaded and proven: {len(done['proven'])}{more}",
        f"indexes built: {len(done['indexed'])}",
        f"tables proven as a whole: {len(done['table proven'])} of {total}",
    )


def _repair_came_to(state: RunState, entries: list[Entry]) -> tuple[str, ...]:
    """How far a repair came; first of all, which tables are without their triggers."""
    batches = {kind: set[tuple[int, int]]() for kind in ("put back", "taken back")}
    staged = 0
    for entry in entries:
        staged = 0 if entry["kind"] == "comparing" else staged + (entry["kind"] == "staged")
        if entry["kind"] in batches:
            batches[entry["kind"]].add((entry["table"], entry["number"]))
    bare = [str(state.tables[number].target) for number in sorted(state.without_triggers)]
    return (
        *(f"{table} IS WITHOUT TRIGGERS: going on makes them again" for table in bare),
        f"batches staged: {staged}",
        *(f"batches {kind}: {len(done)}" for kind, done in batches.items() if done),
    )


def _entries(folder: Path) -> tuple[list[Entry], tuple[str, ...]]:
    """The journal's entries, and what is wrong with it."""
    if not (folder / JOURNAL).exists():
        return [], ()
    try:
        return read_journal(folder), ()
    except TablevaultError as error:
        return [], (error.message,)


def _journal_is_locked(folder: Path) -> bool:
    return (folder / JOURNAL).exists() and is_running(folder)

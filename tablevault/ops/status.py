"""What a run leaves for others to look at: `<state-dir>/<run>/status.json`, about once a second.

Beside it the history, which is kept for a report.

An observer keeps the latest event of each kind; a thread of its own writes them to the file, so
that the coordinator does no file I/O.  The file is a convenience: it is replaced whole, never
fsynced, and a disk that is full or gone costs the run nothing but its onlookers.  The truth about
a restore is its journal.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tablevault.events import (
    ChunkDone,
    Event,
    PhaseBegan,
    Progress,
    Reporter,
    RunBegan,
    RunEnded,
    TablePlanned,
    Waiting,
    to_record,
)
from tablevault.names import HISTORY, JOURNAL, STATUS
from tablevault.ops.history import History
from tablevault.vault.files import FILE_MODE, make_folders

VERSION = 1
EVERY_S = 1.0
KEPT_LINES = 50  # hints, retries, finished tables: what scrolls past
_LAST_WRITE_WITHIN_S = 2.0  # how long the end of a run may wait for its last status
_FORGOTTEN_AFTER_S = 7 * 86400.0  # folders of runs that left nothing but a status

_GONE = "gone"
_LATEST = {PhaseBegan: "phase", Progress: "progress", Waiting: "waiting", RunEnded: "ended"}
_UNSHOWN = (ChunkDone, TablePlanned)  # too many to keep, and the figures hold their sum


@dataclass(frozen=True)
class Status:
    """A run as its process last wrote it; `events` are those to show, by kind."""

    run: str
    pid: int
    host: str
    process_began: str  # tells a process from a later one of the same id; "" where unknown
    written: float  # Unix seconds
    said: float  # when the coordinator last said anything
    began: Mapping[str, Any]
    latest: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    lines: tuple[tuple[int, Mapping[str, Any]], ...] = ()  # numbered from 1 in each process

    @property
    def ended(self) -> Mapping[str, Any] | None:
        """The last event of the run, once there is one."""
        return self.latest.get("ended")

    @property
    def process(self) -> tuple[str, int, str]:
        """Which process wrote it."""
        return self.host, self.pid, self.process_began


class StatusWriter:
    """An observer of one run, and the thread that writes what it saw to `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._began: Event | None = None
        self._latest: dict[str, Event] = {}
        self._lines: deque[tuple[int, Event]] = deque(maxlen=KEPT_LINES)
        self._said = 0
        self._said_at = time.time()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._body, name="status", daemon=True)
        self._history = History(folder)

    def __call__(self, event: Event) -> None:
        self._history(event)
        self._said_at = event.time
        if isinstance(event, RunBegan):
            self._began = event
            return
        kind = _LATEST.get(type(event))
        if kind is not None:
            self._latest[kind] = event
            if kind == "phase":
                self._latest.pop("waiting", None)
        elif not isinstance(event, _UNSHOWN):
            self._said += 1
            self._lines.append((self._said, event))

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write once more and stop; a disk that does not answer is not waited for."""
        self._done.set()
        self._thread.join(_LAST_WRITE_WITHIN_S)

    def _body(self) -> None:
        with contextlib.suppress(OSError):
            _forget_old(self._folder.parent)
        while not self._done.wait(EVERY_S if self._try_write() else EVERY_S / 4):
            pass
        self._try_write()

    def _try_write(self) -> bool:
        """Whether a status is on the file system now; never raises."""
        if self._began is None:
            return False
        with contextlib.suppress(OSError):
            self._history.flush()
        with contextlib.suppress(OSError, RuntimeError):  # a deque that grew while it was read
            _replace(self._folder, self._record())
            return True
        return False

    def _record(self) -> dict[str, Any]:
        assert self._began is not None
        return {
            "version": VERSION,
            "run": self._began.run,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "process_began": process_began(os.getpid()),
            "written": time.time(),
            "said": self._said_at,
            "began": to_record(self._began),
            "latest": {kind: to_record(event) for kind, event in dict(self._latest).items()},
            "lines": [[number, to_record(event)] for number, event in list(self._lines)],
        }


@contextlib.contextmanager
def shown(reporter: Reporter, state_dir: Path | None) -> Iterator[None]:
    """Let others look at the run of `reporter` until the block ends; without a folder, do not."""
    if state_dir is None:
        yield
        return
    writer = StatusWriter(state_dir / reporter.run)
    reporter.add(writer)
    writer.start()
    try:
        yield
    finally:
        writer.close()


def read_status(folder: Path) -> Status | None:
    """The status in a run's folder; None when there is none, or none of this version."""
    try:
        record = json.loads((folder / STATUS).read_bytes())
        if record["version"] != VERSION:
            return None
        return Status(
            run=record["run"],
            pid=record["pid"],
            host=record["host"],
            process_began=record["process_began"],
            written=record["written"],
            said=record["said"],
            began=record["began"],
            latest=record["latest"],
            lines=tuple((number, event) for number, event in record["lines"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def process_lives(status: Status, *, stale_after_s: float = 15.0) -> bool:
    """Whether the process that wrote it is there still.

    Elsewhere than on its own host only the file's age tells, and a slow file system may mislead.
    """
    if status.host != socket.gethostname():
        return time.time() - status.written < stale_after_s
    try:
        os.kill(status.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, but there
    now = process_began(status.pid)
    return now != _GONE and not (now and status.process_began and now != status.process_began)


def process_began(pid: int) -> str:
    """When a process began, in the system's own ticks; empty where that cannot be seen.

    "gone" for one that has ended and was not yet waited for.
    """
    try:
        text = Path(f"/proc/{pid:d}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()  # the name before may hold anything
    return _GONE if fields[0] in "ZX" else fields[19]


def _replace(folder: Path, record: Mapping[str, Any]) -> None:
    make_folders(folder)
    temporary = folder / f".{STATUS}-{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, FILE_MODE), "w", encoding="utf-8") as file:
            file.write(json.dumps(record, default=str))  # `dump` is four times as slow
        os.rename(temporary, folder / STATUS)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _forget_old(state_dir: Path) -> None:
    """Remove what old runs left that made nothing: folders with a status and without a journal."""
    for file in state_dir.glob(f"*/{STATUS}"):
        old = time.time() - file.stat().st_mtime > _FORGOTTEN_AFTER_S
        if old and {entry.name for entry in file.parent.iterdir()} <= {STATUS, HISTORY}:
            assert not (file.parent / JOURNAL).exists()
            shutil.rmtree(file.parent, ignore_errors=True)

"""How a run went, kept for later: `<state-dir>/<run>/history.jsonl`, the events that tell it.

They are the records of `--events`, thinned: progress and waiting are sampled ever more rarely as a
run goes on, so that a night takes some hundred kilobytes.  Like the status it is a convenience,
written by the status's thread and never fsynced: a disk that is full costs the run nothing.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tablevault.events import ChunkDone, Event, Progress, TablePlanned, Waiting, to_record
from tablevault.names import HISTORY
from tablevault.vault.files import FILE_MODE, make_folders

SILENCE = "Silence"  # of a record that is no event: from `time` on nothing was said for `seconds`
SILENT_AFTER_S = 5.0  # a coordinator speaks twice a second
MOST_CHUNKS = 20_000  # of one process; the samples tell the rest
_EVERY_S = 1.0
_SAMPLES = 300.0  # until they become rarer


class History:
    """An observer that keeps what tells how the run went, until `flush` appends it to the file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: deque[dict[str, Any]] = deque()
        self._began: float | None = None
        self._said = 0.0
        self._sampled: dict[type[Event], float] = {}
        self._chunks = 0

    def __call__(self, event: Event) -> None:
        if self._began is None:
            self._began = event.time
        elif event.time - self._said > SILENT_AFTER_S:
            gap_s = event.time - self._said
            self._kept.append({"type": SILENCE, "time": self._said, "seconds": gap_s})
        self._said = event.time
        if self._tells(event, event.time - self._began):
            if isinstance(event, Progress):
                event = dataclasses.replace(event, tables=())  # as many as tables, each time
            self._kept.append(to_record(event))

    def _tells(self, event: Event, after_s: float) -> bool:
        if isinstance(event, TablePlanned):
            return False
        if isinstance(event, ChunkDone):
            self._chunks += 1
            return self._chunks <= MOST_CHUNKS
        if isinstance(event, Progress | Waiting):
            kind = type(event)
            due = self._sampled.get(kind, 0.0) + max(_EVERY_S, after_s / _SAMPLES)
            if event.time < due:
                return False
            self._sampled[kind] = event.time
        return True

    def flush(self) -> None:
        """Append what was kept; from one thread.  Raises OSError, and keeps nothing of it then."""
        lines = []
        while self._kept:
            lines.append(json.dumps(self._kept.popleft(), default=str) + "\n")
        if not lines:
            return
        make_folders(self._folder)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with os.fdopen(os.open(self._folder / HISTORY, flags, FILE_MODE), "a") as file:
            file.writelines(lines)


def read_history(file: Path, run: str | None = None) -> list[Mapping[str, Any]]:
    """The records of a history or of a file of `--events`, those of `run` alone, in their order.

    Lines that are none are passed over: the file of a run that was killed may end in half a one.
    Raises OSError.
    """
    records: list[Mapping[str, Any]] = []
    with open(file, encoding="utf-8", errors="backslashreplace") as lines:
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if not isinstance(record, dict) or not isinstance(record.get("time"), int | float):
                continue
            if run is None or record.get("run", run) == run:
                records.append(record)
    return records

"""`--events FILE`: every event as one JSON line, on disk or in the pipe as soon as it happens."""

from __future__ import annotations

import json
import os
import sys
from typing import TextIO

from tablevault.errors import CannotComplete, UsageError
from tablevault.events import Event, to_record


class EventsFile:
    """An observer that appends to a file, made 0600: events may quote statements.

    Opened before a run starts.  Raises UsageError when it cannot be written then, and
    CannotComplete when it cannot any more: a log that was asked for is not lost quietly.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._failed = False
        self._stream = self._open(path)

    def __call__(self, event: Event) -> None:
        if self._failed:
            return  # said once; the run is ending because of it
        line = json.dumps(to_record(event), ensure_ascii=False, default=str)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except OSError as error:
            self._failed = True
            raise CannotComplete(
                f"cannot write events to {self.path}: {error.strerror}",
                hint="without --events the command needs no such file",
            ) from error

    def close(self) -> None:
        """Close the file; what was written stays."""
        if self.path == "-":
            return
        try:
            self._stream.close()
        except OSError:
            return  # the write that failed has been reported already

    @staticmethod
    def _open(path: str) -> TextIO:
        if path == "-":
            return sys.stdout
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise UsageError(f"cannot write events to {path}: {error.strerror}") from error

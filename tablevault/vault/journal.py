"""The journal of a run: append-only JSON lines, each on disk before the act that it announces.

It is local even when the vault is not, because a resumed run must find it without the network.
A process killed in mid-append leaves one torn line at the end, which is dropped: its append had
not returned, so nothing was done in its name.  Damage anywhere else is refused, never guessed at.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import threading
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tablevault import names
from tablevault.errors import CannotComplete, UsageError
from tablevault.vault.files import FILE_MODE, flock_now, make_folders, sync_folder

Entry = Mapping[str, Any]
"""One line: `n` (from 0), `time` (Unix seconds), `kind`, and the fields it was appended with."""

_FORBIDDEN = re.compile(r"passw(or)?d|^pwd$|secret", re.IGNORECASE)
_RESERVED = frozenset({"n", "time", "kind", "crc"})
_UNFINISHED = f"{names.JOURNAL}.new"


class Journal:
    """A run's journal, open for appending and locked: one process at a time works on a run.

    `folder` is the run's own, `<state-dir>/<run-id>`.  Threads may append at the same time.
    """

    def __init__(self, path: Path, descriptor: int, entries: list[Entry]) -> None:
        self.path = path
        self.entries = entries
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._appending = threading.Lock()

    @classmethod
    def create(
        cls, folder: Path, run: str, header: Mapping[str, Any], *, kind: str = "begun"
    ) -> Self:
        """Begin the journal of a new run; `header` is its first entry, of kind `kind`.

        It gets its name when the header is on disk: there is no journal without one, whenever the
        process is killed.  Raises UsageError where it cannot be written, or when the run has a
        journal already.
        """
        path, unfinished = folder / names.JOURNAL, folder / _UNFINISHED
        try:
            make_folders(folder)
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(unfinished, flags, FILE_MODE)
        except OSError as error:
            raise UsageError(
                f"cannot write the journal of run {run} in {folder}: {error.strerror}",
                hint="name a writable folder with --state-dir",
            ) from error
        journal = cls(path, descriptor, [])
        try:
            _lock(descriptor, run)
            journal.append(kind, **{"run": run, "pid": os.getpid(), **header})
            os.rename(unfinished, path)
            sync_folder(folder)
        except BaseException:
            journal.close()
            raise
        return journal

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Go on with a run's journal; `entries` holds what was done.

        Raises UsageError (no such run), LockedByRun, CannotComplete (damaged).
        """
        path = folder / names.JOURNAL
        descriptor = _open(path, os.O_RDWR | os.O_APPEND)
        try:
            _lock(descriptor, folder.name)
            entries, good = _replay(_read_all(descriptor), path)
            if not entries:
                raise UsageError(
                    f"run {folder.name} ended before it had made anything",
                    hint="there is nothing to go on with: begin a new one",
                )
            if good < os.fstat(descriptor).st_size:
                os.ftruncate(descriptor, good)
                os.fsync(descriptor)
            return cls(path, descriptor, entries)
        except BaseException:
            os.close(descriptor)
            raise

    def append(self, kind: str, **fields: Any) -> Entry:
        """Add an entry; it is on disk on return.  Raises CannotComplete when it is not.

        Fields named like a password are refused with ValueError: that is a programming error.
        """
        _check_fields(fields)
        with self._appending:
            entry = {"n": len(self.entries), "time": time.time(), "kind": kind, **fields}
            line = _line(entry)
            try:
                _write_all(self._descriptor, line)
                os.fsync(self._descriptor)
            except OSError as error:
                self._take_back()
                raise CannotComplete(
                    f"cannot write journal {self.path}: {error.strerror}",
                    hint="free space, then resume the run",
                ) from error
            self._size += len(line)
            self.entries.append(entry)
            return entry

    def close(self) -> None:
        """Close the journal and end its lock; harmless when repeated."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_back(self) -> None:
        # A half-written line may be followed by others only after it is gone; if it cannot be
        # removed, no more is appended, and the next open drops it as torn.
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self.close()


def read_journal(folder: Path) -> list[Entry]:
    """A run's entries, also while another process appends to it."""
    path = folder / names.JOURNAL
    descriptor = _open(path, os.O_RDONLY)
    try:
        return _replay(_read_all(descriptor), path)[0]
    finally:
        os.close(descriptor)


def is_running(folder: Path) -> bool:
    """Whether a living process works on the run."""
    descriptor = _open(folder / names.JOURNAL, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def list_runs(state_dir: Path) -> list[str]:
    """The ids of the runs that have a journal, oldest first."""
    return sorted(path.parent.name for path in state_dir.glob(f"*/{names.JOURNAL}"))


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UsageError(
            f"there is no run {path.parent.name} in {path.parent.parent}",
            hint="name the folder of the runs with --state-dir",
        ) from None
    except OSError as error:
        raise UsageError(f"cannot open journal {path}: {error.strerror}") from error


def _lock(descriptor: int, run: str) -> None:
    flock_now(descriptor, f"run {run}", quote=False)


def _read_all(descriptor: int) -> bytes:
    blocks, position = [], 0
    while block := os.pread(descriptor, 1 << 20, position):
        blocks.append(block)
        position += len(block)
    return b"".join(blocks)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _replay(text: bytes, path: Path) -> tuple[list[Entry], int]:
    """The entries, and the number of bytes that they take up."""
    entries: list[Entry] = []
    good = 0
    while good < len(text):
        line = text[good : text.find(b"\n", good) + 1] or text[good:]
        if good + len(line) == len(text) and _torn(line):
            break
        entry = _parse(line)
        if entry is None or entry["n"] != len(entries):
            raise CannotComplete(
                f"journal {path} is damaged in line {len(entries) + 1}",
                hint="the run cannot be resumed: remove its tables by hand and begin a new one",
            )
        entries.append(entry)
        good += len(line)
    return entries, good


def _torn(line: bytes) -> bool:
    """Whether the last line is what an append that did not return may have left.

    The end of a file that grew without its bytes being written reads as zeros, which are many;
    one alone, or a whole entry with another byte for its end, is a bit that was flipped.
    """
    if line.endswith(b"\n"):
        return line.startswith(b"\0") or b"\0\0" in line
    return line.endswith(b"\0") or _parse(line[:-1]) is None


def _line(entry: Entry) -> bytes:
    record = {**entry, "crc": _crc(entry)}
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _parse(line: bytes) -> Entry | None:
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        record: dict[str, Any] = json.loads(line)
        if record.pop("crc") == _crc(record) and {"n", "time", "kind"} <= record.keys():
            return record
    return None


def _crc(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return f"{zlib.crc32(text.encode()):08x}"


def _check_fields(fields: object, top: bool = True) -> None:
    if isinstance(fields, Mapping):
        for name, value in fields.items():
            if not isinstance(name, str) or _FORBIDDEN.search(name) or (top and name in _RESERVED):
                raise ValueError(f"a journal entry may not have a field {name!r}")
            _check_fields(value, top=False)
    elif isinstance(fields, list | tuple):
        for value in fields:
            _check_fields(value, top=False)

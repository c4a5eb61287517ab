"""Rows that a diff found, kept on disk for a repair: one file a table, checked as a whole.

`<state-dir>/diffs/<snapshot-id>/<schema>/<table>.rows`: a line a row, then a line of JSON that says
what the rows are of and holds the SHA-256 of all before it and of itself.  The newest comparison of
a table replaces the one before.  It is a memory: a file that is damaged or cut off is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

from tablevault import names
from tablevault.errors import CannotComplete
from tablevault.model import TableName
from tablevault.vault.files import NewFile, make_folders

VERSION = 1


def kept_path(state_dir: Path, snapshot: str, table: TableName) -> Path:
    """Where the rows of a table are kept that differ from a snapshot."""
    return state_dir / names.DIFFS_FOLDER / snapshot / f"{names.table_folder(table)}.rows"


class RowsWriter:
    """Writes such a file; it is there after `commit`, and only then.

    Raises CannotComplete when the system refuses.
    """

    def __init__(self, path: Path) -> None:
        try:
            make_folders(path.parent)
            self._file = NewFile(path, _refused)
        except OSError as error:
            _refused(error)

    @property
    def size_bytes(self) -> int:
        return self._file.size_bytes

    def write(self, lines: bytes) -> None:
        """Add whole lines."""
        self._file.write(lines)

    def commit(self, facts: Mapping[str, Any]) -> None:
        """End the file with what its rows are of, and make it visible."""
        facts = {"version": VERSION, **facts}
        record = {**facts, "sha256": _checksum(self._file.sha256, facts)}
        self._file.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
        self._file.commit()

    def discard(self) -> None:
        """Forget it; harmless after `commit`."""
        self._file.discard()


class KeptRows:
    """Such a file, open, its checksum found right; `facts` are those of `commit`."""

    def __init__(self, file: IO[bytes], facts: Mapping[str, Any], end: int) -> None:
        self.facts = facts
        self._file = file
        self._end = end

    def lines(self) -> Iterator[bytes]:
        """The rows, each without its end of line."""
        self._file.seek(0)
        done = 0
        while done < self._end:
            line = self._file.readline()
            if not line:
                raise CannotComplete("rows that a diff has kept were cut off while they were read")
            done += len(line)
            yield line[:-1]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_kept(path: Path) -> KeptRows | None:
    """Open a file of rows; None when there is none.  Raises ValueError when it is damaged."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(str(error.strerror)) from error
    try:
        found, last, end = hashlib.sha256(), b"", 0
        for line in file:
            found.update(last)
            end += len(last)
            last = line
        facts = json.loads(last)
        if facts.pop("sha256") != _checksum(found.hexdigest(), facts):
            raise ValueError("its checksum is another one")
        if facts["version"] != VERSION:
            raise ValueError(f"it has version {facts['version']}")
        return KeptRows(file, facts, end)
    except BaseException as error:
        file.close()
        if isinstance(error, OSError | KeyError | TypeError | AttributeError | RecursionError):
            raise ValueError("it cannot be read") from error
        raise


def forget_rows(path: Path) -> None:
    """Remove a file of rows, if it is there."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def forget_old_rows(state_dir: Path, older_than_s: float) -> None:
    """Remove what was kept so long ago, and what killed processes have left half written."""
    before = time.time() - older_than_s
    for path in (state_dir / names.DIFFS_FOLDER).rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and path.stat().st_mtime < before:
                path.unlink()


def forget_rows_of_others(state_dir: Path, snapshots: Collection[str]) -> None:
    """Remove what is kept of snapshots that are none of these: they are gone."""
    for folder in (state_dir / names.DIFFS_FOLDER).glob("*"):
        if folder.name not in snapshots:
            shutil.rmtree(folder, ignore_errors=True)


def _checksum(rows: str, facts: Mapping[str, Any]) -> str:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{rows}\n{text}".encode()).hexdigest()


def _refused(error: OSError) -> NoReturn:
    raise CannotComplete(f"rows that differ cannot be kept: {error.strerror}") from error

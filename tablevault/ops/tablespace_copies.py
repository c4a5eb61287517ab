"""Copies of tablespaces, taken while the snapshot's lock is held and packed when it is not.

A copy that cannot be had costs the snapshot nothing: it is given up by name, and the rows are read
as always.  What is copied is proven to be this server's: the id in the file's first page is the
one that the server names, and the .cfg beside it came with the lock.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tablevault.engine.meter import Meter
from tablevault.errors import CannotComplete, TablevaultError
from tablevault.events import Progress, TableProgress
from tablevault.model import ServerInfo, TableName, TablespaceFiles
from tablevault.mysql.tablespaces import Tablespace
from tablevault.ops.options import SnapshotOptions
from tablevault.vault import raw_copy
from tablevault.vault.pagezero import read_page_zero
from tablevault.vault.store import Scratch, Store
from tablevault.vault.tablespace import remove_tablespace, write_tablespace

_GRACE_S = 0.5  # in which a copier sees that its time is up
_SHOWN = 8
Stamp = tuple[int, int, int]


@dataclass
class Copy:
    """One tablespace on its way into the vault."""

    at: Tablespace
    path: Path
    size_bytes: int  # when it was planned
    cfg_before: Stamp | None  # of a .cfg that lay there before
    scratch: Scratch | None = None
    cfg: bytes = b""
    copied_bytes: int = 0
    packed_bytes: int = 0
    done: bool = False
    problem: str | None = None  # why it cannot be had

    @property
    def table(self) -> TableName:
        """Whose it is."""
        return self.at.table

    @property
    def cfg_path(self) -> Path:
        """Where the server describes it while it is exported."""
        return self.path.with_suffix(".cfg")


@dataclass
class TablespaceCopies:
    """The tablespaces that a snapshot is to keep; `hints` say which it does not, and why."""

    store: Store
    snapshot: str
    server: ServerInfo
    options: SnapshotOptions
    copies: list[Copy]
    by_reference: bool = False  # the file system shares blocks: a copy takes no time
    hints: list[str] = field(default_factory=list)
    told: int = 0  # of the hints
    notice: str = ""  # what it will cost others, to be told before it does
    copying: bool = False
    _deadline_s: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _aborted: threading.Event = field(default_factory=threading.Event)
    _meter: Meter = field(default_factory=Meter)
    _failure: BaseException | None = None

    @property
    def tables(self) -> list[TableName]:
        """Whose files are to be copied."""
        return [copy.table for copy in self.copies]

    @property
    def bytes_total(self) -> int:
        """Of all that are to be kept."""
        return sum(copy.size_bytes for copy in self.copies)

    def tell(self, hint: Callable[[str], None]) -> None:
        """Say those hints that were not said yet."""
        while self.told < len(self.hints):
            self.told += 1
            hint(self.hints[self.told - 1])

    def locked(self) -> None:
        """The lock is held: its time runs."""
        self._deadline_s = time.monotonic() + self.options.tablespace_lock_s

    def take(self, still_held: Callable[[], bool]) -> None:
        """Copy all files, several at a time; returns soon after the time is up, whatever hangs.

        To be called while the tables are exported; `still_held` says whether they are.
        """
        self.copying = True
        todo = deque(sorted(self.copies, key=lambda copy: -copy.size_bytes))
        crew = [
            # a daemon: one that hangs in a system call must keep neither the lock nor the process
            threading.Thread(target=self._work, args=(todo,), daemon=True)
            for _ in range(min(self.options.threads, len(todo)))
        ]
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join(max(0.0, self._deadline_s - time.monotonic()))
        self._stop.set()
        for thread in crew:
            thread.join(_GRACE_S)
        kept = {copy.table for copy in self.copies if copy.done}  # what ends later is not in it
        if self._failure is not None:
            raise self._failure
        if not still_held():
            self.give_up("the lock was lost while they were copied")
            return
        limit = f"within {self.options.tablespace_lock_s:g} s (--tablespace-lock)"
        self.leave_out(
            {
                copy.table: copy.problem or f"its {size(copy.size_bytes)} were not copied {limit}"
                for copy in self.copies
                if copy.table not in kept
            }
        )
        self.copying = False

    def keep(self) -> dict[TableName, TablespaceFiles]:
        """Pack what was copied into the vault, and remove the copies."""
        files = {}
        for copy in list(self.copies):
            try:
                files[copy.table] = self._pack(copy)
            except CannotComplete as error:
                remove_tablespace(self.store, self.snapshot, copy.table)
                self.leave_out({copy.table: error.message})
        return files

    def leave_out(self, reasons: Mapping[TableName, str]) -> None:
        """Keep none of these tables, and say why."""
        if reasons:
            self.hints.append(left_out(reasons))
        gone = [copy for copy in self.copies if copy.table in reasons]
        self.copies = [copy for copy in self.copies if copy.table not in reasons]
        for copy in gone:
            _discard(copy)

    def give_up(self, why: str) -> None:
        """Keep none."""
        if self.copies:
            self.hints.append(f"no tablespace is kept: {why}")
        self.copying = False
        self.discard()
        self.copies = []

    def abort(self) -> None:
        """From any thread: let what runs end soon."""
        self._stop.set()
        self._aborted.set()

    def discard(self) -> None:
        """Remove what was copied and is not packed; harmless when repeated."""
        for copy in self.copies:
            _discard(copy)

    def progress(self) -> Progress:
        """How far the copying is; the coordinator's own."""
        done = sum(copy.copied_bytes for copy in self.copies)
        self._meter.sample(time.monotonic(), done)
        return Progress(
            rows_done=0,
            rows_total=0,
            bytes_done=done,
            bytes_total=self.bytes_total,
            rate_bytes_s=self._meter.rate_s,
            remaining_s=self._meter.remaining_s(self.bytes_total),
            tables=tuple(
                TableProgress(
                    table=str(copy.table),
                    rows_done=0,
                    rows_total=0,
                    bytes_done=copy.copied_bytes,
                    state="done" if copy.done else "copying" if copy.scratch else "waiting",
                )
                for copy in self.copies
            ),
        )

    def _work(self, todo: deque[Copy]) -> None:
        """A copier's part, in its thread."""
        try:
            while todo and not self._stop.is_set():
                copy = todo.popleft()
                try:
                    copy.done = self._copy(copy)
                except OSError as error:
                    copy.problem = f"it could not be copied: {error.strerror or error}"
                except TablevaultError as error:
                    copy.problem = error.message
        except IndexError:
            pass  # the last one went to another copier
        except BaseException as error:
            self._failure = error

    def _copy(self, copy: Copy) -> bool:
        """Copy one file and its .cfg; False when it was stopped.  Raises OSError, and ours."""
        source = os.open(copy.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._prove(copy, source)
            copy.size_bytes = os.fstat(source).st_size
            copy.scratch = self.store.scratch(self.snapshot)
            if self._stop.is_set():  # it hung, and was given up
                _discard(copy)
                return False
            target = copy.scratch.open()
            try:
                if self.by_reference and raw_copy.clone(source, target):
                    copy.copied_bytes = copy.size_bytes
                    return True

                def count(more: int) -> None:
                    copy.copied_bytes += more

                return raw_copy.copy(source, target, copy.size_bytes, count, self._stop.is_set)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _prove(self, copy: Copy, source: int) -> None:
        """Raise CannotComplete unless this is the very file that the server has exported."""
        stranger = "its file on this machine is not the server's"
        if stamp(copy.cfg_path) in (None, copy.cfg_before):
            raise CannotComplete(f"{stranger}: no .cfg came with the lock")
        if read_page_zero(source).space_id != copy.at.space_id:
            raise CannotComplete(f"{stranger}: it has another tablespace id")
        copy.cfg = copy.cfg_path.read_bytes()
        if not copy.cfg:
            raise CannotComplete("the server wrote an empty .cfg")

    def _pack(self, copy: Copy) -> TablespaceFiles:
        assert copy.scratch is not None
        descriptor = copy.scratch.open()

        def count(more: int) -> None:
            copy.packed_bytes += more

        try:
            return write_tablespace(
                self.store,
                self.snapshot,
                copy.table,
                descriptor,
                copy.cfg,
                self.server,
                copy.at.row_format,
                level=self.options.compression_level,
                threads=self.options.threads,
                on_bytes=count,
                stopped=self._aborted.is_set,
            )
        finally:
            os.close(descriptor)
            _discard(copy)


def stamp(path: Path) -> Stamp | None:
    """What changes when a file is written or made anew; None when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def left_out(reasons: Mapping[TableName, str], what: str = "no tablespace is kept of") -> str:
    """Which tablespaces are not kept, and why, in one line."""
    shown = [f"{table} ({why})" for table, why in list(reasons.items())[:_SHOWN]]
    if len(reasons) > _SHOWN:
        shown.append(f"and {len(reasons) - _SHOWN} more")
    return f"{what} {', '.join(shown)}"


def size(size_bytes: float) -> str:
    """Bytes as a person says them."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"


def _discard(copy: Copy) -> None:
    if copy.scratch is not None:
        copy.scratch.discard()

"""A copy of a tablespace on its way into a server's data directory.

Until it is whole and addressed to the table that it is meant for, the copy has a name that no
server looks at; it gets that of a tablespace by a rename at the very end (docs/DESIGN.md, What a
file in the data directory may do).  Only files named as runs name their tables are ever made or
removed here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from tablevault.errors import CannotComplete, UsageError
from tablevault.vault.files import sync_folder
from tablevault.vault.pagezero import PageZero, read_page_zero, readdress

_OURS = "_tv_"  # how the names of all tables begin that runs make
_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Owner:
    """Whose the server's files are, and who may read them."""

    user: int
    group: int
    mode: int


@dataclass(frozen=True)
class Placement:
    """Where the files of one staging table lie: in `folder` of its schema, named after it."""

    folder: Path
    stem: str  # the table's name as the server spells it on disk

    def __post_init__(self) -> None:
        if not self.stem.startswith(_OURS) or "/" in self.stem or not self.folder.is_absolute():
            raise UsageError(
                f"{self.folder / self.stem} is no file of a run of tablevault: it is not touched",
                hint="the run's journal was edited or is damaged",
            )

    @property
    def tablespace(self) -> Path:
        """The table's file, once it is in place."""
        return self.folder / f"{self.stem}.ibd"

    @property
    def cfg(self) -> Path:
        """What the server says of it when it is exported, and reads when it is imported."""
        return self.folder / f"{self.stem}.cfg"

    @property
    def waiting(self) -> Path:
        """The copy, as long as it is not in place."""
        return self.folder / f"{self.stem}.ibd.waiting"

    @property
    def waiting_cfg(self) -> Path:
        """The same of its description."""
        return self.folder / f"{self.stem}.cfg.waiting"

    def found(self, *, in_place: bool = True) -> list[Path]:
        """Which of the files are there; without `in_place` the table's own does not count."""
        paths = [self.waiting, self.waiting_cfg, self.cfg]
        if in_place:
            paths.append(self.tablespace)
        with _told(self):
            return [path for path in paths if os.path.lexists(path)]

    def remove(self, *, in_place: bool = True) -> list[Path]:
        """Remove them, for good on return; returns which were there."""
        found = self.found(in_place=in_place)
        with _told(self):
            for path in found:
                path.unlink(missing_ok=True)
            if found:
                sync_folder(self.folder)
        return found


def look(placement: Placement) -> tuple[PageZero, Owner]:
    """The staging table's own file, as the server has made it.

    Raises CannotComplete when it is not there, and as `read_page_zero`.
    """
    with _told(placement), _opened(placement.tablespace, os.O_RDONLY | _OLD) as descriptor:
        about = os.fstat(descriptor)
        owner = Owner(about.st_uid, about.st_gid, about.st_mode & 0o777)
        return read_page_zero(descriptor), owner


def write_waiting(
    placement: Placement,
    blocks: Callable[[Callable[[int, bytes], None]], Generator[tuple[int, int]]],
    size_bytes: int,
    owner: Owner,
    on_bytes: Callable[[int], None],
) -> None:
    """Write the copy under a name that no server looks at; it is on disk on return.

    `blocks` is given what writes a block, from any thread, and gives where each one stood and its
    length, in order; what it leaves out is zero.  `on_bytes` is told each one's length.  Raises
    what `blocks` raises, CannotComplete when the disk is full or a block does not fit.
    """
    flags = os.O_WRONLY | _NEW
    misplaced = f"a block of {placement.stem} stands where none may"
    with _told(placement), _opened(placement.waiting, flags, owner) as descriptor:
        os.truncate(descriptor, size_bytes)

        def write(at: int, block: bytes) -> None:
            if at + len(block) > size_bytes:
                raise CannotComplete(misplaced)
            _write_at(descriptor, block, at)

        end = 0
        with contextlib.closing(blocks(write)) as written:  # no thread writes after the descriptor
            for at, length in written:
                if at < end:
                    raise CannotComplete(misplaced)
                end = at + length
                on_bytes(length)
        os.fsync(descriptor)
        if os.fstat(descriptor).st_size != size_bytes:
            raise CannotComplete(f"{placement.waiting} was changed while it was written")


def address(placement: Placement, space_id: int) -> None:
    """Let the waiting copy name the staging table's tablespace; on disk on return."""
    flags = os.O_RDWR | _OLD
    with _told(placement), _opened(placement.waiting, flags) as descriptor:
        readdress(descriptor, space_id)


def put_in_place(placement: Placement, cfg: bytes, owner: Owner) -> None:
    """Give the copy, and its description before it, the names that the server takes in."""
    flags = os.O_WRONLY | _NEW
    with _told(placement):
        if os.path.lexists(placement.tablespace):  # DISCARD has taken away the table's own
            raise CannotComplete(f"{placement.tablespace} is there although it was discarded")
        with _opened(placement.waiting_cfg, flags, owner) as descriptor:
            _write_at(descriptor, cfg, 0)
            os.fsync(descriptor)
        os.rename(placement.waiting_cfg, placement.cfg)
        os.rename(placement.waiting, placement.tablespace)
        sync_folder(placement.folder)


def drop_description(placement: Placement) -> None:
    """Remove the .cfg, which is of no use once it was read."""
    with _told(placement):
        placement.cfg.unlink(missing_ok=True)
        sync_folder(placement.folder)


@contextlib.contextmanager
def _opened(path: Path, flags: int, owner: Owner | None = None) -> Iterator[int]:
    """A descriptor; a file that is made gets the owner's rights before it holds a byte."""
    descriptor = os.open(path, flags, 0o600)
    try:
        if owner is not None:
            made = os.fstat(descriptor)
            if (made.st_uid, made.st_gid) != (owner.user, owner.group):
                os.fchown(descriptor, owner.user, owner.group)
            os.fchmod(descriptor, owner.mode)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told(placement: Placement) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotComplete(
            f"the files of {placement.stem} in {placement.folder}: {error.strerror or error}",
            hint="look at the free space and the owner of the server's data directory",
        ) from error


def _write_at(descriptor: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(descriptor, view, at)
        view, at = view[done:], at + done

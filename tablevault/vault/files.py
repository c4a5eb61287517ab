"""The few file primitives that a local vault and the journal share: private, durable, locked.

Everything is created with its final mode (files 0600, folders 0700), and what returns is on disk.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import resource
import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from tablevault.errors import LockedByRun

FILE_MODE = 0o600
FOLDER_MODE = 0o700
TEMPORARY_PREFIX = ".writing-"  # of a file not yet committed
_OTHER_FILES = 256  # that a process has open beside its locks


class NewFile:
    """A file under a temporary name; hashed and counted as it is written."""

    def __init__(self, path: Path, fail: Callable[[OSError], NoReturn]) -> None:
        """Begin writing `path`; `fail` turns a later error of the system into ours."""
        self._fail = fail
        self._path = path
        self._temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self._temporary, flags, FILE_MODE)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    @property
    def closed(self) -> bool:
        return self._descriptor < 0

    def write(self, data: bytes | memoryview) -> int:
        """Write all of `data`; a short write of the system is continued."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(view):
                done += os.write(self._descriptor, view[done:])
        except OSError as error:
            self._fail(error)
        self._hash.update(view)
        self.size_bytes += done
        return done

    def tell(self) -> int:
        return self.size_bytes

    def flush(self) -> None:
        """Nothing is buffered here; durability comes with `commit`."""

    def commit(self) -> None:
        """Make the file visible; its bytes and its name are on disk on return."""
        try:
            os.fsync(self._descriptor)
            self._close()
            os.rename(self._temporary, self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            self.discard()
            self._fail(error)

    def discard(self) -> None:
        """Forget the file.  Harmless after `commit` and when repeated."""
        self._close()
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


class ScratchFile:
    """Bytes on their way into a vault, under a temporary name in one of its folders."""

    def __init__(self, folder: Path) -> None:
        """Make it, empty."""
        self.path = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        os.close(self.open(os.O_CREAT | os.O_EXCL))

    def open(self, flags: int = 0) -> int:
        """A descriptor to read and write it by."""
        return os.open(self.path, os.O_RDWR | os.O_CLOEXEC | flags, FILE_MODE)

    def discard(self) -> None:
        """Remove it; harmless when repeated."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


class FileLock:
    """flock on a file of its own, removed on release by the last who held it."""

    def __init__(self, path: Path, owner: str, *, shared: bool = False) -> None:
        self._path = path
        self._shared = shared
        self._descriptor = self._take(owner)

    def _take(self, owner: str) -> int:
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, FILE_MODE)
            try:
                flock_now(descriptor, self._path.name, shared=self._shared)
                # The holder before us may have removed the file between our open and our lock:
                # then we hold a lock that nobody else can see.
                if _same_file(descriptor, self._path):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, owner.encode(), 0)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    @property
    def descriptor(self) -> int:
        """A child that inherits it holds the lock too, until it ends."""
        return self._descriptor

    def release(self) -> None:
        """End the lock; harmless when repeated."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with contextlib.suppress(OSError):
                # while others share it the file is theirs: who came after it went would not see us
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same_file(descriptor, self._path):
                    self._path.unlink()
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def flock_now(descriptor: int, what: str, *, quote: bool = True, shared: bool = False) -> None:
    """Lock an open file, exclusively unless `shared`.  Raises LockedByRun.

    `quote`: the file holds the owner's text, which is quoted in the error.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = ""
        if quote:
            owner = os.pread(descriptor, 200, 0).decode("utf-8", "replace").split("\n", 1)[0]
        raise LockedByRun(
            f"{what} is locked by another run" + (f" ({owner})" if owner else ""),
            hint="wait until it has ended, or stop it",
        ) from None


def allow_locks(count: int) -> None:
    """Let this process hold `count` locks at once, as far as it may: each is an open file.

    1,024 open files are what a process may usually have until it asks for more.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHER_FILES
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def make_folders(path: Path) -> None:
    """Create `path` and its missing parents, 0700 each, and put their names on disk."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(FOLDER_MODE)
        sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Put a folder's entries on disk; file systems that cannot are passed over."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)

"""Where a vault's bytes live: the only module that may assume a file system, a rename or a seek.

`Store` is what the rest of the product uses and what an object store would implement: named
immutable files, listed by prefix, each visible only once it is complete.  A snapshot is committed
by writing its manifest last, so no operation here needs to be atomic over several files.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NoReturn, Protocol

from tablevault.errors import CannotComplete, SnapshotUnusable, UsageError
from tablevault.vault import links
from tablevault.vault.files import (
    TEMPORARY_PREFIX,
    FileLock,
    NewFile,
    ScratchFile,
    make_folders,
    sync_folder,
)
from tablevault.vault.handles import Lock as Lock
from tablevault.vault.handles import Scratch as Scratch
from tablevault.vault.handles import StagedFile as StagedFile

_BLOCK_BYTES = 1 << 20
LOCKS = ".locks"
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_ACCESS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# no such thing here, too many names already, a file of somebody else, two file systems
_NO_LINK = frozenset({errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV})


class MissingFile(SnapshotUnusable):
    """A file that should be in the vault is not there."""


class Store(Protocol):
    """A vault.  Names are relative, slash-separated, and pass `check_name`."""

    @property
    def uri(self) -> str: ...
    def create(self, name: str) -> StagedFile: ...
    def open(self, name: str) -> BinaryIO: ...
    def read(self, name: str) -> bytes: ...
    def size(self, name: str) -> int: ...
    def exists(self, name: str) -> bool: ...
    def folders(self, prefix: str | None = None) -> list[str]: ...
    def list(self, prefix: str) -> Iterator[tuple[str, int]]: ...
    def link(self, source: str, name: str) -> bool: ...
    def remove(self, name: str) -> None: ...
    def remove_tree(self, name: str, last: str | None = None) -> None: ...
    def scratch(self, folder: str) -> Scratch: ...
    def free_bytes(self) -> int | None: ...
    def own_bytes(self, folders: Sequence[str]) -> int: ...
    def sharers(self, name: str) -> Sequence[str]: ...
    def lock(self, name: str, owner: str, *, shared: bool = False) -> Lock: ...


def check_name(name: str) -> str:
    """`name` itself when it stays inside the vault; the one place that decides so.

    Raises SnapshotUnusable for absolute names, `.` and `..`, empty components, NUL, backslash.
    """
    parts = name.split("/")
    strange = "\0" in name or "\\" in name or not _encodable(name)
    if strange or any(part in ("", ".", "..") for part in parts):
        raise SnapshotUnusable(
            f"manifest names a path outside the vault: {name!r}",
            hint="the manifest was edited or is damaged: do not use this snapshot",
        )
    return name


def sha256_of(store: Store, name: str) -> tuple[str, int]:
    """SHA-256 (lowercase hex) and size of a file, read in blocks.  Raises MissingFile."""
    digest, size = hashlib.sha256(), 0
    with store.open(name) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def open_store(uri: str, *, create: bool = False) -> LocalStore:
    """The store behind `--vault`: a path or a file:// URI.

    Raises UsageError when it does not exist (unless `create`) or its scheme is not supported.
    """
    scheme, separator, rest = uri.partition("://")
    if separator and scheme != "file":
        raise UsageError(
            f"vault {uri}: {scheme} vaults are not supported by this version",
            hint="give a folder of this machine",
        )
    return LocalStore(Path(rest if separator else uri), create=create)


class LocalStore:
    """A vault in a folder.  Files are 0600 and folders 0700 from their first instant on."""

    def __init__(self, root: Path | str, *, create: bool = False) -> None:
        self.root = Path(root).expanduser().absolute()
        if create:
            with self._errors("write"):
                make_folders(self.root)
        if not self.root.is_dir():
            what = "is not a folder" if self.root.exists() else "does not exist"
            raise UsageError(f"vault {self.root} {what}", hint="name it with --vault")

    def __repr__(self) -> str:
        return f"LocalStore({str(self.root)!r})"

    @property
    def uri(self) -> str:
        return str(self.root)

    def create(self, name: str) -> NewFile:
        """Begin writing `name`; refused when it is there already: files are never replaced."""
        path = self._path(name)
        with self._errors("write"):
            if path.exists():
                raise CannotComplete(f"vault {self.uri} already holds {name}")
            make_folders(path.parent)
            return NewFile(path, lambda error: self._fail(error, "write", name))

    def open(self, name: str) -> BinaryIO:
        """A seekable reader.  Raises MissingFile."""
        with self._errors("read", name):
            return open(self._path(name), "rb", buffering=0)

    def read(self, name: str) -> bytes:
        """The whole of a small file.  Raises MissingFile."""
        with self._errors("read", name):
            return self._path(name).read_bytes()

    def size(self, name: str) -> int:
        """Bytes of a file.  Raises MissingFile."""
        with self._errors("read", name):
            found = self._path(name).stat()
            if not stat.S_ISREG(found.st_mode):
                raise FileNotFoundError(errno.ENOENT, "not a file", name)
            return found.st_size

    def local_path(self, name: str) -> Path:
        """Where libraries that read for themselves find a file."""
        return self._path(name)

    def exists(self, name: str) -> bool:
        """Whether a complete file of that name is there."""
        try:
            self.size(name)
        except MissingFile:
            return False
        return True

    def folders(self, prefix: str | None = None) -> list[str]:
        """The names of the folders at the top, or in `prefix`, sorted; hidden ones left out."""
        top = self.root if prefix is None else self._path(prefix)
        if prefix is not None and not top.is_dir():
            return []
        with self._errors("read"), os.scandir(top) as entries:
            return sorted(
                entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
            )

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Name and size of each complete file under the folder `prefix`, sorted by folder."""
        top = self._path(prefix)
        with self._errors("read", prefix):
            for folder, subfolders, files in os.walk(top, onerror=_unless_missing):
                subfolders.sort()
                for file in sorted(files):
                    path = Path(folder, file)
                    if not file.startswith(TEMPORARY_PREFIX):
                        name = path.relative_to(self.root).as_posix()
                        yield name, path.lstat().st_size

    def link(self, source: str, name: str) -> bool:
        """Give a complete file one more name, which is on disk on return.

        Each name holds the file for itself: removing one leaves the others whole.  False where
        the file system cannot; then nothing was done.  Raises MissingFile.
        """
        path = self._path(name)
        with self._errors("read", source):
            found = self._path(source).resolve(strict=True)
        with self._errors("write"):
            make_folders(path.parent)
            try:
                os.link(found, path)
            except OSError as error:
                if error.errno in _NO_LINK:
                    return False
                raise
            sync_folder(path.parent)
        return True

    def remove(self, name: str) -> None:
        """Remove one file; the removal is on disk on return.  Absent is fine."""
        path = self._path(name)
        with self._errors("write"):
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                sync_folder(path.parent)

    def remove_tree(self, name: str, last: str | None = None) -> None:
        """Remove a folder and all that is in it, its file `last` after everything else.

        Symbolic links are not followed.
        """
        path = self._path(name)
        with self._errors("write"):
            if path.is_symlink() or not path.is_dir():
                return
            for entry in path.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name != last:
                    entry.unlink()
            shutil.rmtree(path)
            sync_folder(path.parent)

    def scratch(self, folder: str) -> ScratchFile:
        """A temporary file in `folder`, which goes with that at the latest."""
        with self._errors("write"):
            make_folders(self._path(folder))
            return ScratchFile(self._path(folder))

    def free_bytes(self) -> int | None:
        """Bytes this account may still write; None where that cannot be known."""
        try:
            found = os.statvfs(self.root)
        except OSError:
            return None
        return found.f_bavail * found.f_frsize

    def own_bytes(self, folders: Sequence[str]) -> int:
        """Bytes of the files under `folders` that have no name elsewhere: free when these go."""
        names = (self._path(name) for folder in folders for name, _ in self.list(folder))
        return links.own_bytes(names)

    def sharers(self, name: str) -> Sequence[str]:
        """The other top folders that have the very same file, in the same folder of theirs."""
        top, _, inner = name.partition("/")
        folder = inner.rpartition("/")[0]
        others = {self._path(f"{one}/{folder}"): one for one in self.folders() if one != top}
        with self._errors("read"):
            return [others[path] for path in links.folders_with(self._path(name), others)]

    def lock(self, name: str, owner: str, *, shared: bool = False) -> FileLock:
        """Take the lock `name` at once, leaving `owner` for others to read.

        Several may hold it `shared`, and nobody else then.
        Raises LockedByRun, naming who holds it; it ends with the process at the latest.
        """
        path = self._path(f"{LOCKS}/{name}")
        with self._errors("write"):
            make_folders(path.parent)
            return FileLock(path, owner, shared=shared)

    def _path(self, name: str) -> Path:
        return self.root / check_name(name)

    @contextlib.contextmanager
    def _errors(self, action: str, name: str | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._fail(error, action, name)

    def _fail(self, error: OSError, action: str, name: str | None = None) -> NoReturn:
        """Raise what `error` means to the person, in the error tree."""
        reason = error.strerror or str(error)
        if action == "write" and error.errno in _NO_SPACE:
            raise CannotComplete(
                f"vault {self.uri} is full: {reason}", hint="free space on its disk"
            ) from error
        if error.errno in _NO_ACCESS:
            verb = "writable" if action == "write" else "readable"
            raise UsageError(
                f"vault {self.uri} is not {verb}: {reason}",
                hint="check the folder's owner and permissions, or name another with --vault",
            ) from error
        if name is not None and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise MissingFile(f"{name} is missing in vault {self.uri}") from error
        where = f"{name} in vault {self.uri}" if name else f"vault {self.uri}"
        raise CannotComplete(f"cannot {action} {where}: {reason}") from error


def _encodable(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _unless_missing(error: OSError) -> None:
    # A folder that cannot be read must not pass for an empty one.
    if not isinstance(error, FileNotFoundError):
        raise error

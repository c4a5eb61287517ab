"""The server's disks, as far as they can be seen: by ourselves, or by MariaDB's plugin DISKS.

A server on another machine without that plugin (MySQL has nothing alike) shows none.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Listed = tuple[str, int, int]  # of the plugin: mount point, free and all bytes
FOLDERS = (
    "datadir",
    "tmpdir",
    "innodb_tmpdir",
    "log_bin_basename",
    "hostname",
    "pid_file",
    "socket",
)
"""The settings that say where a restore writes, and those that tell whether we see it."""


@dataclass(frozen=True)
class Disk:
    """One file system of the server; `id` tells it from others."""

    folder: str  # of the server, on it
    id: object
    free_bytes: int
    size_bytes: int


def data_folder(settings: Mapping[str, str]) -> str:
    """Where rows and indexes go."""
    return settings.get("datadir", "")


def sort_folder(settings: Mapping[str, str]) -> str:
    """Where index builds sort, and transactions wait for their commit."""
    folder = settings.get("innodb_tmpdir") or settings.get("tmpdir", "")
    return folder.split(":")[0]


def log_folder(settings: Mapping[str, str]) -> str:
    """Where the binary log goes."""
    return os.path.dirname(settings.get("log_bin_basename", "")) or data_folder(settings)


def disks(
    folders: Iterable[str],
    *,
    local: bool,
    listed: Callable[[], Sequence[Listed] | None],
) -> dict[str, Disk] | None:
    """By folder, the disk it is on; None where that cannot be seen."""
    wanted = list(folders)
    if local:
        try:
            return {folder: measured(folder) for folder in wanted}
        except OSError:
            pass
    mounts = listed()
    if not mounts:
        return None
    found: dict[str, Disk] = {}
    for folder in wanted:
        over = [mount for mount in mounts if _is_below(folder, mount[0])]
        if not over:
            return None
        path, free_bytes, size_bytes = max(over, key=lambda mount: len(mount[0]))
        found[folder] = Disk(folder, path, free_bytes, size_bytes)
    return found


def is_local(settings: Mapping[str, str], hostname: str) -> bool:
    """Whether the server's paths are paths of this machine.

    The host name alone would also match a server in a container or a changed root, so the
    server's own files must be where it says.
    """
    if hostname != socket.gethostname():
        return False
    marks = ("pid_file", "socket")
    there = [path for name in marks if (path := settings.get(name, "")).startswith("/")]
    return os.path.isdir(data_folder(settings)) and any(os.path.exists(path) for path in there)


def measured(folder: str) -> Disk:
    """The disk under a folder of this machine.  Raises OSError."""
    found = os.statvfs(folder)
    return Disk(
        folder,
        os.stat(folder).st_dev,
        found.f_bavail * found.f_frsize,
        found.f_blocks * found.f_frsize,
    )


def _is_below(folder: str, mount: str) -> bool:
    return mount == "/" or f"{folder.rstrip('/')}/".startswith(f"{mount.rstrip('/')}/")

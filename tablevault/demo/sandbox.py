"""A temporary directory that goes when its owner goes, however the owner ends.

On tmpfs where there is one with room.  A watcher process waits at a pipe that closes with the
owner, kills what `pid` in the directory names and removes the directory; what a killed watcher
leaves is removed when the next sandbox is made, which a lock held by living owners decides.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
_PREFIX = "tablevault-server-"
_LOCK = "owner.lock"
_PID = "pid"
# The shell becomes the command: its process id is on record before it runs.
_BECOME = 'echo $$ >"$1"; shift; exec "$@"'
_MAX_BASE_CHARS = 60  # a unix socket's path is limited to 107 bytes, and one lies in the directory

# Run by `sh -c`: its input ends when the owner is gone.  The short sleep lets a process that was
# being started at that very moment write its id.
_WATCHER = """
cat >/dev/null
sleep 0.3
for try in 1 2 3 4 5 6 7 8 9 10; do
  if [ -s "$1/pid" ]; then kill -9 "$(cat "$1/pid")" 2>/dev/null; fi
  rm -rf -- "$1" && break
  sleep 0.3
done
"""


class Sandbox:
    """One such directory, mode 0700; `close()` removes it at once."""

    def __init__(self, *, base: Path | None = None, room_bytes: int = 0) -> None:
        base = base or _choose_base(room_bytes)
        _remove_stale(base)
        self.directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        self._lock_fd = _lock_as_owner(self.directory)
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHER, "tablevault-watcher", str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C and a closed terminal reach the owner, not it
        )

    @property
    def on_tmpfs(self) -> bool:
        """Whether the directory lies in shared memory."""
        return self.directory.is_relative_to(SHARED_MEMORY)

    def launch(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a process that will not outlive the owner; its output goes to `log`.

        One at a time: call `forget()` when it has ended.
        """
        with log.open("ab") as output:
            return subprocess.Popen(
                ["/bin/sh", "-c", _BECOME, "sh", self._pid_file, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def forget(self) -> None:
        """The launched process has ended: its number may soon be another's, who must live."""
        Path(self._pid_file).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the directory; harmless when called twice."""
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._watcher.poll() is None and not self.directory.exists():
            self._watcher.kill()  # nothing is left for it to do
        self._watcher.communicate()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    @property
    def _pid_file(self) -> str:
        return str(self.directory / _PID)


def _choose_base(room_bytes: int) -> Path:
    if SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK | os.X_OK):
        with contextlib.suppress(OSError):
            if shutil.disk_usage(SHARED_MEMORY).free >= room_bytes:
                return SHARED_MEMORY
    base = Path(tempfile.gettempdir())
    return base if len(str(base)) <= _MAX_BASE_CHARS else Path("/tmp")


def _lock_as_owner(directory: Path) -> int:
    """Hold the lock that says the owner lives, until this process ends.

    It gets its name only once it is held, so that nobody takes a new directory for a dead one.
    """
    made = directory / f"{_LOCK}.new"
    descriptor = os.open(made, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    made.rename(directory / _LOCK)
    return descriptor


def _remove_stale(base: Path) -> None:
    for directory in base.glob(_PREFIX + "*"):
        with contextlib.suppress(OSError):
            if directory.lstat().st_uid == os.geteuid():
                _remove_if_dead(directory)


def _remove_if_dead(directory: Path) -> None:
    lock = os.open(directory / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a living owner holds it: OSError
        with contextlib.suppress(OSError, ValueError):
            pid = int((directory / _PID).read_text())
            # The number may be another process's by now: only one that names the directory is it.
            if os.fsencode(directory) in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(lock)

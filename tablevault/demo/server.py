"""A private MariaDB server that lives as long as a `with` block, for the demo, tests and measurements.

It owns one temporary directory and one server process and touches nothing else: no configuration
file is read, no service is used, the network side listens on 127.0.0.1 only and every account has
a generated password.  However the owner ends (return, exception, signal, SIGKILL), the server
ends and the directory goes: a watcher waits at a pipe that closes with the owner.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tablevault.errors import CannotComplete

HOST = "127.0.0.1"
_PREFIX = "tablevault-server-"
_SHARED_MEMORY = Path("/dev/shm")
# Debian installs server programs where an ordinary account's PATH does not look.
_MORE_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/libexec", "/usr/local/mysql/bin")
_MAX_SOCKET_PATH = 100  # the kernel allows 107 bytes
_PORT_TRIES = 5

# `sh -c`: its input closes when the owner is gone.  The short sleep lets a server that was being
# started at that very moment write its process id.
_WATCHER = """
cat >/dev/null
sleep 0.3
for try in 1 2 3 4 5 6 7 8 9 10; do
  if [ -s "$1/pid" ]; then kill -9 "$(cat "$1/pid")" 2>/dev/null; fi
  rm -rf -- "$1" && break
  sleep 0.3
done
"""


def find_program(name: str) -> str:
    """The path of a server or client program, also where only root's PATH looks.

    Raises CannotComplete when it is not installed.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_MORE_PATH])
    found = shutil.which(name, path=path)
    if found is None:
        raise CannotComplete(
            f"`{name}` is not installed",
            hint="install a MariaDB server and client: "
            "apt-get install mariadb-server-core mariadb-client-core",
        )
    return found


class PrivateServer:
    """A real MariaDB server in a fresh temporary directory; use it in a `with` statement.

    `host`, `port`, `socket`, `user` and `password` say how to reach it; the account has all
    privileges.  `base` chooses where the directory is made; otherwise it is made on tmpfs when
    that has `room_bytes` free, else where temporary files go.
    """

    host = HOST
    user = "tablevault"

    def __init__(
        self,
        *,
        buffer_pool: str = "256M",
        redo_log: str = "96M",
        binlog: bool = True,
        extra_args: Sequence[str] = (),
        base: Path | None = None,
        room_bytes: int = 2 << 30,
        ready_timeout_s: float = 60.0,
    ) -> None:
        self.buffer_pool = buffer_pool
        self.redo_log = redo_log
        self.binlog = binlog
        self.extra_args = tuple(extra_args)
        self.ready_timeout_s = ready_timeout_s
        self.port = 0
        self.password = secrets.token_hex(12)
        self._base = base
        self._room_bytes = room_bytes
        self._directory: Path | None = None
        self._lock_fd = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._make_directory()
            self._initialize()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ------------------------------------------------------------------ where things are

    @property
    def directory(self) -> Path:
        """The temporary directory that holds everything of this server."""
        if self._directory is None:
            raise CannotComplete("the private server is not running: use it in a with statement")
        return self._directory

    @property
    def data_directory(self) -> Path:
        """The server's data directory."""
        return self.directory / "data"

    @property
    def socket(self) -> str:
        """The path of the server's unix socket."""
        return str(self.directory / "s.sock")

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._process is None:
            raise CannotComplete("the private server is stopped")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the server process runs."""
        return self._process is not None and self._process.poll() is None

    def error_log(self, lines: int = 20) -> str:
        """The last lines of the server's error log."""
        try:
            text = (self.directory / "error.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    # ------------------------------------------------------------------ its life

    def start(self) -> None:
        """Start the server on its data directory and wait until it answers; keeps its port.

        Raises CannotComplete with the end of the error log when it dies or is not ready in time.
        """
        if self.alive:
            return
        keep_port = self.port != 0
        for attempt in range(1, _PORT_TRIES + 1):
            if not keep_port:
                self.port = _free_port()
            self._spawn()
            try:
                self._wait_ready()
            except CannotComplete:
                # Somebody else may take a port between its choice and its use.
                taken = "Address already in use" in self.error_log()
                self.kill()
                if not taken or attempt == _PORT_TRIES:
                    raise
                time.sleep(0.2)
            else:
                (self.directory / "init.sql").unlink(missing_ok=True)
                return

    def stop(self, timeout_s: float = 60.0) -> None:
        """Shut the server down in order; its data stays until the `with` block ends."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._forget_process()

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash does; `start()` recovers it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._forget_process()

    def restart(self, extra_args: Sequence[str] | None = None) -> None:
        """Stop in order and start again, with other extra arguments where given."""
        self.stop()
        if extra_args is not None:
            self.extra_args = tuple(extra_args)
        self.start()

    def close(self) -> None:
        """End the server and remove everything it had; harmless when called twice."""
        self.kill()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None
        if self._watcher is not None:
            # Everything is gone already: nothing is left for it to do.
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def sql(self, text: str, database: str = "") -> str:
        """Run SQL as root through the server's own command-line client; return what it prints.

        Rows come one a line, values separated by tabs, without column names.  Raises
        CannotComplete with the client's message when a statement fails.
        """
        done = subprocess.run(
            [
                find_program("mariadb"),
                "--no-defaults",
                f"--socket={self.socket}",
                "--user=root",
                "--batch",
                "--skip-column-names",
                "--default-character-set=utf8mb4",
                *([database] if database else []),
            ],
            input=text.encode("utf-8"),
            env={**os.environ, "MYSQL_PWD": self.password},
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise CannotComplete(f"sql failed: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode("utf-8", "replace")

    # ------------------------------------------------------------------ steps

    def _make_directory(self) -> None:
        base = self._base or _choose_base(self._room_bytes)
        _remove_stale(base)
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        self._directory = directory
        self._lock_fd = os.open(directory / "owner.lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHER, "tablevault-watcher", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C and a closed terminal reach the owner, not it
        )

    def _initialize(self) -> None:
        find_program("mariadbd")
        made = subprocess.run(
            [
                find_program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={self.data_directory}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
                f"--innodb-log-file-size={self.redo_log}",
                *_account(),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if made.returncode != 0:
            output = made.stdout.decode(errors="replace").strip()
            raise CannotComplete(f"mariadb-install-db failed:\n{output[-2000:]}")
        init = os.open(self.directory / "init.sql", os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        with os.fdopen(init, "w") as file:
            file.write(_accounts_sql(self.user, self.password))

    def _spawn(self) -> None:
        pid_file = self.directory / "pid"
        with (self.directory / "error.log").open("ab") as log:
            self._process = subprocess.Popen(
                # The shell becomes the server: the process id is on record before it is one.
                ["/bin/sh", "-c", 'echo $$ >"$1"; shift; exec "$@"', "sh", str(pid_file)]
                + self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _command(self) -> list[str]:
        directory = self.directory
        command = [
            find_program("mariadbd"),
            "--no-defaults",
            f"--datadir={self.data_directory}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            f"--bind-address={HOST}",
            f"--pid-file={directory / 'server.pid'}",
            f"--tmpdir={directory}",
            "--skip-name-resolve",
            "--local-infile=1",
            f"--innodb-buffer-pool-size={self.buffer_pool}",
            f"--innodb-log-file-size={self.redo_log}",
            "--server-id=1",
            *_account(),
        ]
        if directory.is_relative_to(_SHARED_MEMORY):
            command.append("--innodb-flush-method=fsync")  # tmpfs has no direct I/O
        if self.binlog:
            command += ["--log-bin=binlog", "--binlog-format=ROW"]
        if (directory / "init.sql").exists():
            command.append(f"--init-file={directory / 'init.sql'}")
        return [*command, *self.extra_args]

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + self.ready_timeout_s
        while not _greets(self.socket):
            if not self.alive:
                raise CannotComplete(f"the private server died:\n{self.error_log()}")
            if time.monotonic() > deadline:
                raise CannotComplete(
                    f"the private server did not answer within {self.ready_timeout_s:g} s:\n"
                    f"{self.error_log()}"
                )
            time.sleep(0.02)

    def _forget_process(self) -> None:
        self._process = None
        if self._directory is not None:
            # The number may soon belong to another process: it must not be killed by the watcher.
            (self._directory / "pid").unlink(missing_ok=True)


def _accounts_sql(user: str, password: str) -> str:
    """One statement a line, as --init-file wants it; none of it in the binary log."""
    return "\n".join(
        [
            "SET sql_log_bin = 0;",
            "DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');",
            "FLUSH PRIVILEGES;",
            f"ALTER USER root@localhost IDENTIFIED BY '{password}';",
            f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password}';",
            f"GRANT ALL ON *.* TO '{user}'@'%' WITH GRANT OPTION;",
            "",
        ]
    )


def _account() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _choose_base(room_bytes: int) -> Path:
    """tmpfs where it has room, else the folder of temporary files; short enough for a socket."""
    if _SHARED_MEMORY.is_dir() and os.access(_SHARED_MEMORY, os.W_OK | os.X_OK):
        try:
            if shutil.disk_usage(_SHARED_MEMORY).free >= room_bytes:
                return _SHARED_MEMORY
        except OSError:
            pass
    base = Path(tempfile.gettempdir())
    return base if len(str(base)) + len(_PREFIX) + 16 <= _MAX_SOCKET_PATH else Path("/tmp")


def _remove_stale(base: Path) -> None:
    """Remove what dead owners left, for instance when the watcher was killed with them."""
    for directory in base.glob(_PREFIX + "*"):
        with contextlib.suppress(OSError):
            if directory.stat().st_uid == os.geteuid():
                _remove_if_dead(directory)


def _remove_if_dead(directory: Path) -> None:
    lock = os.open(directory / "owner.lock", os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an owner that lives holds it: OSError
        with contextlib.suppress(OSError, ValueError):
            pid = int((directory / "pid").read_text())
            if os.fsencode(directory) in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(lock)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _greets(path: str) -> bool:
    """Whether a server answers at the socket with the first packet of its protocol."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(path)
            greeting = probe.recv(5)
        except OSError:
            return False
    return len(greeting) == 5 and greeting[4] == 10

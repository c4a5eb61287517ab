"""A private MariaDB server that lives as long as a `with` block: for demo, tests, measurements.

It owns one temporary directory and one server process and touches nothing else: no configuration
file is read, no service is used, the network side listens on 127.0.0.1 only and every account has
a generated password.  However the owner ends (return, exception, signal, SIGKILL), the server
ends and the directory goes: a watcher waits at a pipe that closes with the owner.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tablevault.demo.programs import HOST, Programs, find_program, free_port, greets
from tablevault.demo.sandbox import Sandbox
from tablevault.errors import CannotComplete

_PORT_TRIES = 5


class PrivateServer:
    """A real MariaDB server in a fresh temporary directory; use it in a `with` statement.

    `host`, `port`, `socket`, `user` and `password` say how to reach it; the account has all
    privileges.  `base` chooses where the directory is made; otherwise it is made on tmpfs when
    that has `room_bytes` free, else where temporary files go.  `programs` chooses another server
    than the MariaDB that is installed.
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
        programs: Programs | None = None,
    ) -> None:
        self.programs = programs or Programs()
        self.buffer_pool = buffer_pool
        self.redo_log = redo_log
        self.binlog = binlog
        self.extra_args = tuple(extra_args)
        self.ready_timeout_s = ready_timeout_s
        self.port = 0
        self.password = secrets.token_hex(12)
        self._base = base
        self._room_bytes = room_bytes
        self._sandbox: Sandbox | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._sandbox = Sandbox(base=self._base, room_bytes=self._room_bytes)
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
        return self._place.directory

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
                self.port = free_port()
            self._process = self._place.launch(self._command(), self.directory / "error.log")
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
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def sql(self, text: str, database: str = "") -> str:
        """Run SQL as root through the server's own command-line client; return what it prints.

        Rows come one a line, values separated by tabs, without column names.  Raises
        CannotComplete with the client's message when a statement fails.
        """
        done = subprocess.run(
            [
                find_program("mariadb"),
                "--no-defaults",
                "--host=localhost",  # not MYSQL_HOST
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

    @property
    def _place(self) -> Sandbox:
        if self._sandbox is None:
            raise CannotComplete("the private server is not running: use it in a with statement")
        return self._sandbox

    def _initialize(self) -> None:
        self.programs.server()
        command = [*self.programs.initialize(self.data_directory, self.redo_log), *_account()]
        made = subprocess.run(
            command,
            # A server that starts removes every temporary table it finds, another one's too.
            env={**os.environ, "TMPDIR": str(self.directory)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if made.returncode != 0:
            output = made.stdout.decode(errors="replace").strip()
            raise CannotComplete(f"`{command[0]}` failed:\n{output[-2000:]}")
        init = os.open(self.directory / "init.sql", os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
        with os.fdopen(init, "w") as file:
            file.write(self.programs.accounts(self.user, self.password))

    def _command(self) -> list[str]:
        directory = self.directory
        command = [
            self.programs.server(),
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
            "--server-id=1",
            *self.programs.options(self.redo_log, self.binlog),
            *_account(),
        ]
        if self._place.on_tmpfs:
            command.append("--innodb-flush-method=fsync")  # tmpfs has no direct I/O
        if (directory / "init.sql").exists():
            command.append(f"--init-file={directory / 'init.sql'}")
        return [*command, *self.extra_args]

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + self.ready_timeout_s
        while not greets(self.socket):
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
        self._place.forget()


def _account() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []

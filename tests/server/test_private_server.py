"""The private server starts, survives what it must, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tablevault.demo import programs, sandbox, server
from tablevault.demo.server import PrivateServer
from tablevault.errors import CannotComplete
from tests import servers
from tests.servers import ROOT, Server

pytestmark = pytest.mark.server

_OWNER = """
import sys, time
from tablevault.demo.server import PrivateServer
with PrivateServer() as server:
    print(server.pid, server.directory, flush=True)
    time.sleep(60)
"""


def _within(seconds: float, true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _gone(pid: int) -> bool:
    """Whether no process of that number runs (one that waits to be reaped does not run)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state in "ZX"


@contextlib.contextmanager
def _owner() -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """A process that owns a private server, the server's process id and directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", _OWNER],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        pid, directory = process.stdout.readline().split()
        yield process, int(pid), Path(directory)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def own(server: Server) -> Iterator[PrivateServer]:
    """A server of each kind asked for that tests here may stop and kill."""
    chosen = servers.programs(server.kind)
    with PrivateServer(buffer_pool="32M", redo_log="16M", programs=chosen) as made:
        yield made


def test_it_answers_and_is_private(own: PrivateServer) -> None:
    assert own.alive
    assert own.directory.stat().st_mode & 0o777 == 0o700
    assert own.sql("SELECT @@bind_address, @@port") == f"127.0.0.1\t{own.port}\n"
    accounts = own.sql(
        "SELECT User FROM mysql.user "
        "WHERE User NOT LIKE 'mysql.%' AND User NOT LIKE 'mariadb.%' ORDER BY User"
    )
    assert accounts.split() == ["root", "tablevault"]


def test_nobody_comes_in_without_the_password(own: PrivateServer) -> None:
    for user in ("root", own.user, ""):
        client = [
            programs.find_program("mariadb"),
            "--no-defaults",
            f"--socket={own.socket}",
            f"--user={user}",
        ]
        done = subprocess.run(
            client, input=b"SELECT 1", env={"PATH": os.environ["PATH"]}, capture_output=True
        )
        assert b"Access denied" in done.stderr


def test_a_crash_keeps_what_was_committed(own: PrivateServer) -> None:
    own.sql("CREATE DATABASE kept; CREATE TABLE kept.t (a INT); INSERT INTO kept.t VALUES (1);")
    port = own.port
    own.kill()
    assert not own.alive
    own.start()
    assert own.port == port
    assert own.sql("SELECT a FROM kept.t; DROP DATABASE kept;") == "1\n"


def test_restart_takes_other_arguments(own: PrivateServer) -> None:
    before = own.pid
    own.restart(["--local-infile=0"])
    assert own.pid != before
    assert own.sql("SELECT @@local_infile") == "0\n"
    own.restart([])
    assert own.sql("SELECT @@local_infile") == "1\n"


def test_a_failed_statement_says_why(own: PrivateServer) -> None:
    with pytest.raises(CannotComplete, match="no_such_table"):
        own.sql("SELECT * FROM mysql.no_such_table")


def test_without_binary_log() -> None:
    with PrivateServer(binlog=False, buffer_pool="32M", redo_log="16M") as made:
        assert made.sql("SELECT @@log_bin") == "0\n"


def test_everything_is_gone_afterwards() -> None:
    with PrivateServer(buffer_pool="32M", redo_log="16M") as made:
        pid, directory = made.pid, made.directory
    assert not directory.exists()
    assert _gone(pid)
    made.close()
    with pytest.raises(CannotComplete, match="not running"):
        _ = made.directory


def test_on_an_ordinary_folder(tmp_path: Path) -> None:
    with PrivateServer(base=tmp_path, buffer_pool="32M", redo_log="16M") as made:
        assert made.directory.parent == tmp_path
        assert made.sql("SELECT 1") == "1\n"
    assert list(tmp_path.iterdir()) == []


def test_no_room_on_tmpfs_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.tempfile, "gettempdir", lambda: str(tmp_path)[:50])
    assert sandbox._choose_base(1 << 60) != sandbox.SHARED_MEMORY


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_does_not_outlive_its_owner(signum: signal.Signals) -> None:
    with _owner() as (process, pid, directory):
        process.send_signal(signum)
        process.wait(20)
        assert _within(10, lambda: _gone(pid))
        assert _within(10, lambda: not directory.exists())


def test_what_a_killed_watcher_left_goes_with_the_next_start() -> None:
    with _owner() as (process, pid, directory):
        watchers = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and _command_line(entry) == f"tablevault-watcher\0{directory}"
        ]
        assert len(watchers) == 1
        os.kill(watchers[0], signal.SIGKILL)
        process.kill()
        process.wait()
        assert directory.exists()
        assert not _gone(pid)

        sandbox.Sandbox(base=directory.parent).close()
        assert _within(10, lambda: _gone(pid))
        assert not directory.exists()


def _command_line(entry: Path) -> str:
    """The last two arguments of a process."""
    with contextlib.suppress(OSError):
        return "\0".join((entry / "cmdline").read_text().split("\0")[-3:-1])
    return ""


def test_a_living_owner_keeps_its_directory(own: PrivateServer) -> None:
    sandbox.Sandbox(base=own.directory.parent).close()
    assert own.sql("SELECT 1") == "1\n"


def test_a_server_that_dies_says_why() -> None:
    broken = PrivateServer(extra_args=["--no-such-option"])
    with pytest.raises(CannotComplete, match="no-such-option"), broken:
        pass  # pragma: no cover
    assert broken._sandbox is None


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "greets", lambda path: False)
    slow = PrivateServer(ready_timeout_s=0.2)
    with pytest.raises(CannotComplete, match=r"did not answer within 0\.2 s"), slow:
        pass  # pragma: no cover


def test_a_port_taken_meanwhile_is_chosen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = iter([taken, programs.free_port()])
        monkeypatch.setattr(server, "free_port", lambda: next(ports))
        with PrivateServer(buffer_pool="32M", redo_log="16M") as made:
            assert made.port != taken
            assert made.sql("SELECT 1") == "1\n"


def test_a_missing_server_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_MORE_PATH", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(CannotComplete, match=r"`mariadb-install-db`|`mariadbd`") as caught:
        PrivateServer().__enter__()
    assert "mariadb-server-core" in str(caught.value.hint)


def test_programs_are_found_where_only_root_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert programs.find_program("mariadbd").endswith("/mariadbd")


def test_a_server_that_cannot_be_had_is_no_skip() -> None:
    with pytest.raises(servers.ServerMissing, match="no sqlite server"):
        servers.programs("sqlite")

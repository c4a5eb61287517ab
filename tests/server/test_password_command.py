"""A password that a program gives: it opens the connection, and stands nowhere afterwards."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import Server
from tests.support.shell import Shell

WITHOUT = ("env", "-u", "MYSQL_PWD")  # else it would be the password


@pytest.fixture
def shell(server: Server, vault: Path) -> Shell:
    return Shell(server, vault)


@pytest.fixture
def orders(server: Server, database: str) -> str:
    server.sql(
        f"CREATE TABLE {database}.orders (id INT PRIMARY KEY, v VARCHAR(20));"
        f"INSERT INTO {database}.orders VALUES (1, 'a'), (2, 'b');"
    )
    return f"{database}.orders"


@pytest.fixture
def command(server: Server, tmp_path: Path) -> str:
    """A program with a blank in its name that prints the server's password, and more."""
    program = tmp_path / "keeps it" / "get"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{server.password}'\necho \"for: $1\"\n")
    program.chmod(0o700)
    return shlex.join([str(program), "db 1"])


def assert_nowhere(secret: str, folders: list[Path], said: list[str]) -> None:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 4
    for path in files:
        assert secret.encode() not in path.read_bytes(), path
    for text in said:
        assert secret not in text


def test_a_run_from_beginning_to_end(
    shell: Shell, server: Server, orders: str, command: str, vault: Path, tmp_path: Path
) -> None:
    assert len(server.password) >= 8
    (tmp_path / "events").mkdir()
    words = ("--password-command", command, "--events", str(tmp_path / "events/all"), "-v")
    taken = shell("snapshot", orders, *words, prefix=WITHOUT)
    assert taken.code == 0, taken.stderr
    server.sql(f"DELETE FROM {orders};")
    restored = shell("restore", "latest", orders, *words, prefix=WITHOUT)
    assert restored.code == 0, restored.stderr
    assert shell("watch", connect=False, prefix=WITHOUT).code == 0
    listed = shell("runs", connect=False, prefix=WITHOUT)
    printed = [
        re.search(r"tablevault swap [^`\n;]*", text)
        for text in (restored.stdout + restored.stderr, listed.stdout)
    ]
    for found in printed:  # each could be pasted as it is
        assert found is not None
        pasted = shlex.split(found[0])
        assert pasted[pasted.index("--password-command") + 1] == command
    assert printed[1] is not None
    done = subprocess.run(
        [*WITHOUT, sys.executable, "-m", *shlex.split(printed[1][0])],
        env=shell.environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert server.query(f"SELECT COUNT(*) FROM {orders}") == [("2",)]
    shell.said += [done.stdout, done.stderr]
    assert_nowhere(server.password, [vault, tmp_path / "events"], shell.said)


def test_of_a_profile(
    shell: Shell, orders: str, command: str, server: Server, vault: Path, tmp_path: Path
) -> None:
    config = tmp_path / "tablevault.toml"
    config.write_text(
        f'[profile.db]\nhost = "{server.host}"\nport = {server.port}\nuser = "{server.user}"\n'
        f"password_command = {json.dumps(command)}\n"
        f'[job.nightly]\nprofile = "db"\nsteps = ["snapshot {orders}", "drill latest"]\n'
    )
    words = ("--config", str(config))
    done = shell("job", "nightly", *words, connect=False, prefix=WITHOUT)
    assert done.code == 0, done.stderr
    assert_nowhere(server.password, [vault], shell.said)
    # the environment is nearer than the configuration
    wrong = shell("doctor", *words, "--profile", "db", connect=False, MYSQL_PWD="not-it")
    assert wrong.code == 5, wrong.stderr


def test_one_that_fails_begins_nothing(shell: Shell, orders: str, vault: Path) -> None:
    done = shell(
        *("snapshot", orders, "--password-command", "sh -c 'echo hush; echo locked >&2; exit 3'"),
        prefix=WITHOUT,
    )
    assert done.code == 2
    assert done.error.endswith("the password command 'sh' failed with exit code 3")
    assert "locked" in done.stderr
    assert "hush" not in done.stdout + done.stderr
    assert not list(vault.glob("*"))


def test_a_wrong_password_is_not_repeated(shell: Shell, orders: str) -> None:
    words = ("snapshot", orders, "--password-command", "echo wr0ng-w0rd\ttwo")
    done = shell(*words, prefix=WITHOUT)
    assert done.code == 5
    assert "wr0ng-w0rd two" not in done.stdout + done.stderr

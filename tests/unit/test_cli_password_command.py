"""The password command: which line is the password, and what is said when there is none."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path

import pytest

from tablevault.cli.password_command import password_from, split_command
from tablevault.errors import UsageError

SECRET = "s3cret-word"


def shell(script: str) -> str:
    return shlex.join(["sh", "-c", script])


def refused(command: str, timeout_s: float = 30.0) -> UsageError:
    with pytest.raises(UsageError) as caught:
        password_from(command, timeout_s)
    error = caught.value
    assert error.exit_code == 2
    assert "\n" not in error.message
    assert SECRET not in f"{error.message} {error.hint} {error.__cause__!r}"
    assert error.__context__ is None or error.__suppress_context__
    return error


@pytest.mark.parametrize(
    ("script", "password"),
    [
        (f"echo {SECRET}", SECRET),
        (f"printf {SECRET}", SECRET),
        (f"echo {SECRET}; echo user: me", SECRET),
        (f"echo {SECRET}; sleep 0.2; echo more", SECRET),
        ("printf 'a b \\r\\nrest'", "a b "),
        ("printf 'p\\303\\244ss\\n'", "p\u00e4ss"),
        ("printf 'x\\n'; head -c 9000000 /dev/zero", "x"),  # what is not wanted is dropped
    ],
)
def test_the_first_line_is_the_password(script: str, password: str) -> None:
    assert password_from(shell(script)) == password


def test_no_shell_reads_it() -> None:
    assert password_from("echo '$HOME' ; * `id` '#'") == "$HOME ; * `id` #"


def test_the_program_may_be_named_from_home() -> None:
    assert split_command("~/bin/get 'a b' ~") == [str(Path.home() / "bin/get"), "a b", "~"]


def test_it_is_not_waited_for_what_it_leaves_in_the_background() -> None:
    began_s = time.monotonic()
    assert password_from(shell(f"sleep 20 & echo {SECRET}")) == SECRET
    assert time.monotonic() - began_s < 10


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"echo {SECRET}; exit 7", "failed with exit code 7"),
        (f"echo {SECRET}; kill -9 $$", "failed by signal 9"),
        (":", "printed no password as its first line"),
        (f"echo; echo {SECRET}", "printed no password as its first line"),
        (f"printf '{SECRET}\\377\\n'", "in UTF-8"),
        ("head -c 9000000 /dev/zero", "printed no password as its first line"),
    ],
)
def test_a_command_that_gives_none_is_refused(script: str, message: str) -> None:
    error = refused(shell(script))
    assert error.message.startswith("the password command 'sh' ")
    assert message in error.message


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "is empty"),
        (f"get '{SECRET}", "is malformed: no closing quotation"),
        (f"/absent/get {SECRET}", "'/absent/get' cannot be started: No such file"),
        (f"get\0 {SECRET}", "cannot be started: malformed"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused(command: str, message: str) -> None:
    assert message in refused(command).message


def test_one_that_takes_too_long_is_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began_s = time.monotonic()
    file = tmp_path / "pid"
    error = refused(shell(f"echo $$ > {file}; echo {SECRET}; exec sleep 60"), timeout_s=4)
    assert "did not end within 4 s" in error.message
    assert time.monotonic() - began_s < 20
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)
    assert capsys.readouterr().err == "waiting for the password command 'sh', up to 4 s\n"


def test_what_it_complains_of_is_seen(capfd: pytest.CaptureFixture[str]) -> None:
    refused(shell("echo locked >&2; exit 1"))
    assert capfd.readouterr().err == "locked\n"

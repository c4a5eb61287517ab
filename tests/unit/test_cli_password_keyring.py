"""The password of the keyring: what is said when it cannot be had, and that it is not repeated."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backends.fail
import pytest

from tablevault.cli.config import read_configuration
from tablevault.cli.config_file import ConfigMistaken
from tablevault.cli.password_keyring import password_in_keyring
from tablevault.cli.target import password_reference
from tablevault.errors import UsageError
from tests.servers import ROOT
from tests.support.file_keyring import FileKeyring

SECRET = "s3cret-word"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "keyring.json"
    monkeypatch.setenv("KEYRING_FILE", str(path))
    before = keyring.get_keyring()
    keyring.set_keyring(FileKeyring())
    yield path
    keyring.set_keyring(before)


def refused(timeout_s: float = 30.0) -> UsageError:
    with pytest.raises(UsageError) as caught:
        password_in_keyring("db1", "backup", timeout_s)
    error = caught.value
    assert SECRET not in f"{error.message} {error.hint} {error.__cause__!r} {error.__context__!r}"
    return error


def test_it_is_that_of_the_service_and_the_user(file: Path) -> None:
    keyring.set_password("db1", "backup", SECRET)
    keyring.set_password("db1", "other", "x")
    assert password_in_keyring("db1", "backup") == SECRET


def test_one_that_is_not_there(file: Path) -> None:
    keyring.set_password("db1", "other", SECRET)
    error = refused()
    assert "'db1' for 'backup' is not there" in error.message
    assert "`keyring set db1 backup`" in (error.hint or "")


def test_a_locked_one_is_named_and_its_own_words_are_not_passed_on(file: Path) -> None:
    file.write_text("")
    assert "cannot be had: it is locked" in refused().message


def test_one_that_hangs_is_said_and_given_up(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "did not come within 3.5 s" in refused(3.5).message
    assert "waiting for the keyring's 'db1' for 'backup', up to 3.5 s" in capsys.readouterr().err
    file.write_text("{}")  # its thread ends


def test_a_machine_without_a_keyring() -> None:
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())
    try:
        assert "there is no keyring on this machine" in refused().message
    finally:
        keyring.set_keyring(before)


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    error = refused()
    assert "library for it is not installed" in error.message
    assert "tablevault[keyring]" in (error.hint or "")


def test_it_is_loaded_only_where_it_is_asked() -> None:
    code = "import sys, tablevault.cli.app, tablevault.cli.target; print('keyring' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("given", "profile", "expected"),
    [
        ({"password_keyring": "k"}, {"password_command": "c"}, ("password_keyring", "k")),
        ({"password_command": "c"}, {"password_keyring": "k"}, ("password_command", "c")),
        ({}, {"password_keyring": "k"}, ("password_keyring", "k")),
        ({"url": "mysql://x"}, {"password_keyring": "k"}, None),
    ],
)
def test_what_is_given_goes_before_what_is_configured(
    given: dict[str, str], profile: dict[str, str], expected: tuple[str, str] | None
) -> None:
    assert password_reference(given, profile, {}) == expected


def test_two_of_them_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--password-command and --password-keyring exclude"):
        password_reference({"password_keyring": "k", "password_command": "c"}, {}, {})
    path = tmp_path / "c.toml"
    path.write_text(
        '[profile.p]\npassword_command = "c"\npassword_keyring = "k"\n'
        '[server.s]\npassword_command = "c"\npassword_keyring = "k"\n'
    )
    with pytest.raises(ConfigMistaken) as caught:
        read_configuration(path)
    assert [one.line for one in caught.value.mistakes] == [3, 6]


def test_that_of_a_profile_goes_before_its_servers(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        '[server.s]\nhost = "h"\npassword_command = "c"\n'
        '[profile.p]\nserver = "s"\npassword_keyring = "k"\n'
    )
    assert read_configuration(path).profiles["p"] == {"host": "h", "password_keyring": "k"}

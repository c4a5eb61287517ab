"""The configuration file, and which of several sources of a setting wins."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tablevault.cli.config import load_profile, read_profiles
from tablevault.cli.config_file import ConfigMistaken
from tablevault.cli.main import main
from tablevault.cli.target import merge_connection, password_reference
from tablevault.errors import UsageError


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No configuration of the machine's is seen."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    return tmp_path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_a_file_there_are_no_settings() -> None:
    assert load_profile(None, None).values == {}


def test_the_default_profile_needs_no_name(nowhere: Path) -> None:
    write(nowhere / "here/tablevault.toml", '[profile.default]\nhost = "db1"\nport = 3307\n')
    profile = load_profile(None, None)
    assert profile.values == {"host": "db1", "port": 3307}
    assert profile.source == "tablevault.toml"


def test_the_nearest_file_that_has_the_profile_gives_it(nowhere: Path) -> None:
    write(nowhere / "here/tablevault.toml", '[profile.a]\nhost = "near"\n')
    write(
        nowhere / "xdg/tablevault/config.toml",
        '[profile.a]\nhost = "far"\n[profile.b]\nhost = "b"\n',
    )
    assert load_profile(None, "a").get("host") == "near"
    assert load_profile(None, "b").get("host") == "b"


def test_a_named_file_is_the_only_one(nowhere: Path) -> None:
    write(nowhere / "here/tablevault.toml", '[profile.default]\nhost = "near"\n')
    named = write(nowhere / "named.toml", "[profile.other]\nthreads = 4\n")
    assert load_profile(str(named), None).values == {}
    assert load_profile(str(named), "other").get("threads") == 4


def test_paths_may_begin_at_home(nowhere: Path) -> None:
    path = write(nowhere / "c.toml", '[profile.p]\ndefaults_file = "~/.my.cnf"\n')
    assert read_profiles(path)["p"]["defaults_file"] == str(Path.home() / ".my.cnf")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[profile.p]\nhots = "x"\n', ":2: profile.p.hots: unknown key"),
        ('[profiles.p]\nhost = "x"\n', ":1: profiles: unknown section"),
        ('[profile.p]\nport = "3306"\n', ":2: profile.p.port: must be a number"),
        ("[profile.p]\n\nport = true\n", ":3: profile.p.port: must be a number"),
        ("[profile.p]\nthreads = 0\n", ":2: profile.p.threads: must be a number above zero"),
        ("[profile.p]\ntables = 1\n", ":2: profile.p.tables: must be a list of strings"),
        ('[profile.p]\ntables = [\n"a.b",\n1]\n', ":4: profile.p.tables: must be a list"),
        ('profile = "p"\n', ":1: profile: must be a table"),
        ("[profile]\np = 1\n", ":2: profile.p: must be a table"),
        ('profile.p.hots = "x"\n', ":1: profile.p.hots: unknown key"),
        ('[profile]\np = { port = 1, "hots" = 2 }\n', ":2: profile.p.hots: unknown key"),
        ("\n[profile.p\n", ":2: is not valid TOML: expected"),
        ('[profile.p]\nhost = "x', ":2: is not valid TOML: unterminated string"),
    ],
)
def test_a_mistake_is_refused_with_file_and_key(nowhere: Path, text: str, message: str) -> None:
    path = write(nowhere / "bad.toml", text)
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        read_profiles(path)
    assert str(path) in caught.value.message


def test_all_mistakes_are_told_at_once_in_their_order(nowhere: Path) -> None:
    path = write(
        nowhere / "bad.toml",
        '[profile.p]\nhots = "x"\nport = 0\n\n[prifile.q]\nuser = "u"\n[profile.r]\nuser = 3\n',
    )
    with pytest.raises(ConfigMistaken) as caught:
        read_profiles(path)
    assert [(one.line, one.key) for one in caught.value.mistakes] == [
        (2, "profile.p.hots"),
        (3, "profile.p.port"),
        (5, "prifile"),
        (8, "profile.r.user"),
    ]
    assert caught.value.lines[0] == f"{path}:2: profile.p.hots: unknown key (did you mean 'host'?)"
    assert caught.value.lines[2].endswith("unknown section (did you mean 'profile'?)")
    assert all(line in caught.value.message for line in caught.value.lines)


def test_the_mistakes_have_a_line_each_on_the_terminal_and_in_json(
    nowhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(nowhere / "bad.toml", '[profile.default]\nvualt = "v"\nhost = 3\n')
    assert main(["list", "--json", "--config", str(path)]) == 2
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        f"tablevault: error: {path}:2: profile.default.vualt: unknown key (did you mean 'vault'?)",
        f"tablevault: error: {path}:3: profile.default.host: must be a string, not 3",
    ]
    mistakes = json.loads(told.out)["mistakes"]
    assert [one["line"] for one in mistakes] == [2, 3]
    assert mistakes[0]["hint"] == "did you mean 'vault'?"


def test_a_value_that_may_hold_a_secret_is_not_repeated(nowhere: Path) -> None:
    path = write(nowhere / "bad.toml", '[profile.p]\npassword_command = ["get", "hush"]\n')
    with pytest.raises(UsageError) as caught:
        read_profiles(path)
    assert caught.value.message.endswith("must be a string, not a list")


def test_a_password_has_no_place_in_it_and_is_not_repeated(nowhere: Path) -> None:
    path = write(nowhere / "bad.toml", '[profile.p]\npassword = "hush"\n')
    with pytest.raises(UsageError) as caught:
        read_profiles(path)
    assert "hush" not in caught.value.message
    assert "defaults_file" in str(caught.value.hint)


def test_an_unknown_profile_is_refused_with_those_there_are(nowhere: Path) -> None:
    write(nowhere / "here/tablevault.toml", '[profile.prod]\nhost = "x"\n')
    with pytest.raises(UsageError, match="no profile 'prd'") as caught:
        load_profile(None, "prd")
    assert "prod" in str(caught.value.hint)


def test_a_named_file_must_be_there(nowhere: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*absent\.toml"):
        load_profile(str(nowhere / "absent.toml"), None)


PROFILE = {"host": "db1", "port": 3307, "user": "app", "socket": None, "defaults_file": "/f"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("db1", 3307, "app", None, "/f")),
        ({"user": "me"}, ("db1", 3307, "me", None, "/f")),
        ({"port": 1}, ("db1", 1, "app", None, "/f")),
        ({"host": "db2"}, ("db2", None, "app", None, "/f")),
        ({"socket": "/s"}, (None, None, "app", "/s", "/f")),
        ({"url": "mysql://x"}, (None, None, None, None, "/f")),
    ],
)
def test_an_address_is_never_mixed_of_two_sources(
    given: dict[str, object], expected: tuple[object, ...]
) -> None:
    merged = merge_connection(given, PROFILE)
    keys = ("host", "port", "user", "socket", "defaults_file")
    assert tuple(merged.get(key) for key in keys) == expected


@pytest.mark.parametrize(
    ("given", "environ", "expected"),
    [
        ({}, {}, "theirs"),
        ({"user": "me"}, {}, "theirs"),
        ({"ask_password": True}, {}, "theirs"),  # which asking goes before
        ({"password_command": "mine"}, {"MYSQL_PWD": "x"}, "mine"),
        ({"password_command": "mine", "url": "mysql://x"}, {}, "mine"),
        ({}, {"MYSQL_PWD": "x"}, None),
        ({"url": "mysql://x"}, {}, None),
        ({"defaults_file": "/g"}, {}, None),
    ],
)
def test_which_password_command_is_run(
    given: dict[str, object], environ: dict[str, str], expected: str | None
) -> None:
    found = password_reference(given, {"password_command": "theirs"}, environ)
    assert found == (("password_command", expected) if expected else None)


def test_a_password_is_not_asked_for_and_fetched() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        password_reference({"password_command": "mine", "ask_password": True}, {}, {})

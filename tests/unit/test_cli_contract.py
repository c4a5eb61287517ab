"""The commands, options and exit codes that others rely on."""

from __future__ import annotations

import inspect
import re
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tablevault import errors
from tablevault.cli import parser, reference
from tablevault.cli.app import app
from tablevault.cli.commands_snapshot import LOCKS
from tablevault.cli.commands_swap import DEFAULT_LOCK_WAIT_S
from tablevault.cli.invocation import Invocation
from tablevault.ops.options import RestoreOptions, SnapshotOptions

CONNECTION = {
    *("-h", "--host", "-P", "--port", "-u", "--user", "-p", "-S", "--socket"),
    *("--defaults-file", "--ssl-ca", "--ssl-mode", "--url"),
}
GLOBAL = {"--config", "--profile", "--json", "--events", "-q", "-v"}
CUT_OVER = {*CONNECTION, "--vault", "--state-dir", "--lock-wait"}
CONTRACT: dict[str, set[str]] = {
    "snapshot": {
        *CONNECTION,
        *("--vault", "--name", "--threads", "--chunk-size", "--compression-level"),
        *("--lock", "--lock-wait", "--where"),
    },
    "restore": {
        *CUT_OVER,
        *("--swap", "--as", "--into", "--threads", "--indexes", "--no-binlog", "--resume"),
    },
    "swap": CUT_OVER,
    "rollback": CUT_OVER,
    "cleanup": CUT_OVER,
    "verify": {"--vault", "--depth", "--budget"},
    "list": {"--vault"},
    "show": {"--vault"},
}
COMMANDS = {command.name: command for command in reference.commands()}


@pytest.mark.parametrize("name", CONTRACT)
def test_a_command_has_the_options_it_is_promised_to_have(name: str) -> None:
    spelled = {spelling for option in COMMANDS[name].options for spelling in option.names}
    assert CONTRACT[name] | GLOBAL <= spelled


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_in_the_help(name: str) -> None:
    text = reference.help_text(name)
    for option in COMMANDS[name].options:
        assert option.help, option.names
        assert all(
            re.search(rf"(?<![\w-]){re.escape(spelled)}\b", text) for spelled in option.names
        )


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_not_h_and_lists_the_exit_codes(name: str) -> None:
    text = reference.help_text(name)
    assert "-h, --help" not in text
    codes = COMMANDS[name].exit_codes
    assert {0, 1, 2, 130} <= set(codes)
    for code in codes:
        assert re.search(rf"^ +{code}  {parser.EXIT_MEANINGS[code]}$", text, re.MULTILINE)


def test_the_exit_codes_are_those_of_the_error_tree() -> None:
    classes = [
        one
        for one in vars(errors).values()
        if inspect.isclass(one) and issubclass(one, errors.TablevaultError)
    ]
    own = {one.exit_code for one in classes} | {errors.EXIT_OK, errors.EXIT_FINDINGS, 1}
    assert own == set(parser.EXIT_MEANINGS)


def test_the_defaults_in_the_help_are_the_real_ones() -> None:
    snapshot, restore = SnapshotOptions(), RestoreOptions()
    text = " ".join(reference.help_text("snapshot", width=200).split())
    assert f"default {snapshot.threads}" in text
    assert f"default {snapshot.chunk_bytes >> 20}M" in text
    assert f"(default {snapshot.compression_level})" in text
    assert f"default {snapshot.lock}," in text
    assert f"default {snapshot.lock_wait_s:.0f}s" in text
    assert f"default {snapshot.ddl_wait_s:.0f}s" in text
    assert snapshot.lock in LOCKS
    assert f"default {restore.indexes}" in reference.help_text("restore", width=200)
    assert restore.lock_wait_s == DEFAULT_LOCK_WAIT_S


def parsed(
    monkeypatch: pytest.MonkeyPatch, name: str, *words: str
) -> tuple[Result, Invocation, Any]:
    """What a command would have been called with."""
    seen: dict[str, Any] = {}

    def record(**values: Any) -> None:
        seen.update(values)

    command = app.commands[name]
    monkeypatch.setattr(command, "callback", record)
    about = Invocation()
    result = CliRunner().invoke(app, words, obj=about, standalone_mode=False)
    return result, about, seen


@pytest.mark.parametrize(
    "words",
    [
        ("--json", "-v", "-v", "--profile", "p", "list"),
        ("list", "--json", "-vv", "--profile", "p"),
        ("--json", "-v", "list", "-vv", "--profile=p"),
    ],
)
def test_global_options_stand_before_or_after_the_command(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    result, about, _ = parsed(monkeypatch, "list", *words)
    assert result.exception is None
    assert (about.json, about.verbose, about.profile, about.quiet) == (True, 2, "p", False)


def test_values_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _, seen = parsed(
        monkeypatch,
        *("snapshot", "snapshot", "shop.*", "--chunk-size", "16M", "--lock-wait", "2m"),
        *("-h", "db1", "-P", "3307", "-u", "me", "-p", "--ssl-mode", "REQUIRED"),
    )
    assert result.exception is None
    assert seen["tables"] == ("shop.*",)
    assert (seen["chunk_size"], seen["lock_wait"]) == (16 << 20, 120.0)
    assert (seen["host"], seen["port"], seen["user"], seen["ask_password"]) == (
        *("db1", 3307, "me"),
        True,
    )
    assert seen["ssl_mode"].lower() == "required"


def test_the_vault_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLEVAULT_VAULT", "/from/env")
    assert parsed(monkeypatch, "list", "list")[2]["vault"] == "/from/env"
    assert parsed(monkeypatch, "list", "list", "--vault", "/given")[2]["vault"] == "/given"


@pytest.mark.parametrize(
    "words",
    [
        ("snapshot", "-psecret"),
        ("snapshot", "-qpsecret"),
        ("snapshot", "--password=secret"),
        ("-psecret", "snapshot"),
        ("restore", "latest", "-h", "db", "-psecret"),
    ],
)
def test_a_password_on_the_command_line_is_refused_unrepeated(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    result, _, seen = parsed(monkeypatch, "snapshot", *words)
    assert isinstance(result.exception, errors.UsageError)
    assert "secret" not in str(result.exception) + str(result.exception.hint)
    assert "MYSQL_PWD" in str(result.exception.hint)
    assert seen == {}


@pytest.mark.parametrize("words", [("-Ppath", "x"), ("--port", "0"), ("--threads", "0")])
def test_bad_numbers_are_refused(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    result, _, _ = parsed(monkeypatch, "snapshot", "snapshot", *words)
    assert isinstance(result.exception, click.BadParameter)

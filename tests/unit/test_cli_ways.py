"""Commands in hints, made whole: the same server and folders, once, and never a password."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

from tablevault.cli.app import app
from tablevault.cli.invocation import Invocation
from tablevault.cli.ways import completed, follow_up

RUN = "20260101T000000Z-abcdef"


def context(*words: str, command: str = "restore") -> click.Context:
    with app.make_context("tablevault", [command], obj=Invocation()) as root:
        return app.commands[command].make_context(command, [RUN, *words], parent=root)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("TABLEVAULT_VAULT", raising=False)


def test_paths_are_written_from_the_root(tmp_path: Path) -> None:
    ctx = context("--defaults-file", "my.cnf", "--vault", "v", "--state-dir", "s", "-S", "s.sock")
    assert follow_up(ctx, "swap", RUN).split() == [
        *("tablevault", "swap", RUN, "-S", f"{tmp_path}/s.sock"),
        *("--defaults-file", f"{tmp_path}/my.cnf"),
        *("--vault", f"{tmp_path}/v", "--state-dir", f"{tmp_path}/s"),
    ]


def test_the_password_command_is_written_so_that_it_can_be_pasted(tmp_path: Path) -> None:
    ctx = context("--vault", "/v", "--password-command", "./get pass 'a b'")
    whole = follow_up(ctx, "swap", RUN)
    words = shlex.split(whole)
    assert words[3] == "--password-command"
    assert shlex.split(words[4]) == [f"{tmp_path}/get", "pass", "a b"]
    assert completed(ctx, f"now: {whole}") == f"now: {whole}"
    assert "--password-command 'pass show'" in follow_up(
        context("--password-command", "pass show"), "swap", RUN
    )


def test_what_the_configuration_names_is_named_with_it(tmp_path: Path) -> None:
    (tmp_path / "tablevault.toml").write_text('[server.db]\nhost = "x"\n[vault.v]\nuri = "/v"\n')
    assert follow_up(context("--server", "db", "--vault", "v"), "swap", RUN).split() == [
        *("tablevault", "swap", RUN, "--config", f"{tmp_path}/tablevault.toml"),
        *("--server", "db", "--vault", "v"),
    ]


def test_a_hint_is_completed_once() -> None:
    ctx = context("-h", "db1", "-u", "me", "--vault", "/v")
    text = (
        f"go on with `tablevault restore --resume {RUN}`, or `tablevault swap {RUN} "
        f"--allow-orphans`; look on with `tablevault watch {RUN}`"
    )
    whole = completed(ctx, text)
    assert whole == (
        f"go on with `tablevault restore --resume {RUN} -h db1 -u me --vault /v`, or "
        f"`tablevault swap {RUN} -h db1 -u me --vault /v --allow-orphans`; "
        f"look on with `tablevault watch {RUN} --vault /v`"
    )
    assert completed(ctx, whole) == whole


def test_a_command_for_a_snapshot_keeps_its_tables() -> None:
    ctx = context("-h", "db1", "--vault", "/v", command="repair")
    whole = completed(ctx, f"restore it: `tablevault restore {RUN} shop.orders 'shop.a b'`")
    assert whole == (
        f"restore it: `tablevault restore {RUN} -h db1 --vault /v shop.orders 'shop.a b'`"
    )
    assert completed(ctx, whole) == whole
    written = follow_up(ctx, "restore", RUN, "shop.orders", "--swap")
    assert completed(ctx, f"now: {written}") == f"now: {written}"


def test_the_configuration_of_this_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "tablevault.toml").write_text('[profile.default]\nhost = "db1"\nvault = "/v"\n')
    assert follow_up(context(), "cleanup", RUN).split() == [
        *("tablevault", "cleanup", RUN, "--config", f"{tmp_path}/tablevault.toml"),
    ]


def test_a_command_without_connection_options_uses_those_of_the_run() -> None:
    ctx = context("--vault", "/v", command="watch")
    assert (
        follow_up(ctx, "swap", RUN, reached_by=["-h", "db 1"])
        == f"tablevault swap {RUN} -h 'db 1' --vault /v"
    )

"""What is typed is understood alike everywhere: typos, names of snapshots, questions, no colour."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Protocol

import click
import pytest

from tablevault.cli.app import app
from tablevault.cli.main import main
from tests.servers import Server
from tests.support.shell import Shell
from tests.terminal import run_on_terminal

# What each command is given beside the table, or the snapshot, that it is about.
TABLES: dict[str, list[str]] = {
    "snapshot": ["snapshot", "{}"],
    "guard": ["guard", "{}", "--", "true"],
    "guard --expect-change": ["guard", "{db}.*", "--expect-change", "{}", "--", "true"],
    "restore": ["restore", "latest", "{}"],
    "verify": ["verify", "latest", "{}"],
    "diff": ["diff", "latest", "{}"],
    "diff of two": ["diff", "latest", "before", "{}"],
    "repair": ["repair", "latest", "{}"],
    "drill": ["drill", "latest", "{}"],
    "doctor": ["doctor", "{}"],
    "query": ["query", "latest", "SELECT * FROM {}"],
}
SNAPSHOTS: dict[str, list[str]] = {
    "show": ["show", "{}"],
    "verify": ["verify", "{}"],
    "query": ["query", "{}", "SELECT COUNT(*) FROM orders"],
    "diff": ["diff", "{}"],
    "diff tables": ["diff", "latest", "{}"],
    "diff --with": ["diff", "latest", "--with", "{}"],
    "repair": ["repair", "{}", "{db}.orders"],
    "drill": ["drill", "{}"],
    "restore": ["restore", "{}", "{db}.orders", "--as", "{db}.again", "--new"],
    "doctor --snapshot": ["doctor", "--snapshot", "{}"],
    "guard --base": ["guard", "{db}.orders", "--base", "{}", "--", "true"],
    "guard --snapshot": ["guard", "--end", "--snapshot", "{}"],
    "snapshot --base": ["snapshot", "{db}.orders", "--base", "{}"],
}
OFFLINE = {"verify", "show", "query", "diff of two", "diff tables", "diff --with"}


class Type(Protocol):
    """Types a command about something, as a table or a snapshot; its exit code."""

    def __call__(self, words: list[str], what: str, *, connect: bool = True) -> int: ...


@pytest.fixture
def table(server: Server, database: str) -> str:
    rows = "INSERT INTO orders VALUES (1, 2)"
    server.sql(f"CREATE TABLE orders (id INT PRIMARY KEY, v INT); {rows}", database)
    return f"{database}.orders"


@pytest.fixture
def type_(
    server: Server, database: str, vault: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Type:
    """Type a command about something; what connects is added."""
    monkeypatch.setenv("MYSQL_PWD", server.password)
    monkeypatch.setenv("TABLEVAULT_VAULT", str(vault))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def typed(words: list[str], what: str, *, connect: bool = True) -> int:
        filled = [word.format(what, db=database) for word in words]
        at = filled.index("--") if "--" in filled else len(filled)
        return main([*filled[:at], *(server.arguments() if connect else ()), *filled[at:]])

    return typed


@pytest.fixture
def taken(type_: Type, table: str) -> None:
    """Two snapshots, a second apart: before, after."""
    assert type_(["snapshot", "{}", "--name", "before", "-q"], table) == 0
    time.sleep(1.1)
    assert type_(["snapshot", "{}", "--name", "after", "-q"], table) == 0


def parameters(metavar: str) -> set[str]:
    """The commands, or their options, that take such a thing."""
    return {
        name if isinstance(param, click.Argument) else f"{name} {param.opts[0]}"
        for name, command in app.commands.items()
        for param in command.params
        if metavar in re.split(r"[^A-Z]+", getattr(param, "metavar", None) or "")
    }


def test_nothing_that_takes_a_name_is_left_out() -> None:
    assert parameters("TABLE") - {"restore --as", "query"} <= set(TABLES)
    assert parameters("SNAPSHOT") | {"diff --with"} <= set(SNAPSHOTS)


@pytest.mark.usefixtures("taken")
def test_a_typo_in_a_table_is_met_with_the_right_name_everywhere(
    type_: Type, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, words in TABLES.items():
        code = type_(words, table.replace("orders", "ordrs"), connect=command not in OFFLINE)
        told = capsys.readouterr().err
        assert code == 2, (command, told)
        assert f"did you mean {table}?" in told, (command, told)
    for where in (["--as", "{}.again"], ["--into", "{}"]):
        schema = table.partition(".")[0]
        assert type_(["restore", "latest", table, *where], f"{schema}x") == 2
        assert f"did you mean {schema}?" in capsys.readouterr().err


@pytest.mark.usefixtures("taken")
def test_a_typo_in_a_snapshot_is_met_with_the_right_name_everywhere(
    type_: Type, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong, right in (("befroe", "before"), ("lates", "latest")):
        for command, words in SNAPSHOTS.items():
            if command == "diff tables":  # what is no snapshot is a table there
                continue
            code = type_(words, wrong, connect=command not in OFFLINE)
            told = capsys.readouterr().err
            assert code == 6, (command, told)
            assert f"did you mean {right}?" in told, (command, told)


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize("command", sorted(set(SNAPSHOTS) - {"guard --snapshot"}))
def test_a_snapshot_is_named_in_every_way_everywhere(
    type_: Type, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert type_(["list", "--json"], "", connect=False) == 0
    before, after = (one["snapshot"] for one in json.loads(capsys.readouterr().out)["snapshots"])
    day, moment = f"{after[:4]}-{after[4:6]}-{after[6:8]}", before[9:15]
    at = f"{before[:4]}-{before[4:6]}-{before[6:8]} {moment[:2]}:{moment[2:4]}:{moment[4:]}"
    ways = {before: (before, before[:16], "before", at), after: ("latest", "after", day)}
    for meant, spellings in ways.items():
        for spelling in spellings:
            connect = command not in OFFLINE
            code = type_([*SNAPSHOTS[command], "--json"], spelling, connect=connect)
            told = capsys.readouterr()
            assert code == 0, (spelling, told.err)
            # of two the first is `latest`, and what is based upon one is a third
            assert meant in told.out or command.endswith(" --base"), (spelling, told.out)


@pytest.mark.usefixtures("taken")
def test_no_colour_whatever_the_terminal_can(vault: Path, server: Server, table: str) -> None:
    """Bars and lines alone, so that NO_COLOR has nothing to switch off."""
    shell = Shell(server, vault)
    for words in (["--help"], ["list"], ["show", "latest"], ["verify", "latest"], ["diff", "x"]):
        for environment in ({}, {"NO_COLOR": "1"}):
            _, text = run_on_terminal(
                [sys.executable, "-m", "tablevault", *words],
                environment=shell.environment(TERM="xterm-256color", **environment),
            )
            assert text
            assert not re.search(r"\x1b\[[\d;]*m", text), (words, text)
    done = shell("verify", "latest", connect=False)
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.usefixtures("taken")
def test_a_question_says_what_happens_to_which_table_on_which_server(
    vault: Path, server: Server, table: str
) -> None:
    shell = Shell(server, vault)
    command = shell.words("restore", "latest")
    code, text = run_on_terminal(
        command, answers=[("[y/N] ", "y\n")], columns=250, environment=shell.environment()
    )
    assert code == 0, text
    where = f"{server.host}:{server.port}"
    question = f"swap the restored table {table} into place of the one live on {where}? [y/N]"
    assert question in text
    run = shell.json("runs", connect=False)["runs"][-1]["run"]
    server.sql(f"INSERT INTO {table} VALUES (7, 7)")
    code, text = run_on_terminal(
        shell.words("rollback", run),
        answers=[("[y/N] ", "n\n")],
        columns=250,
        environment=shell.environment(),
    )
    assert code == 4, text
    assert f"out of sight: 1 rows of {table} written since the swap; they stay in " in text
    assert f"rollback {run} on {where}: go on all the same? [y/N]" in text
    assert server.value(f"SELECT COUNT(*) FROM {table}") == "2"

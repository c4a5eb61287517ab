"""The commands that are printed go on with the run when they are pasted, from any folder."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tablevault.cli.main import main
from tests.faults.place import Place
from tests.faults.proxy import Proxy
from tests.servers import ROOT

COMMAND = re.compile(r"tablevault (?:restore --resume|swap|rollback|cleanup) [^`\n]*")


def run(words: list[str], cwd: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tablevault", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
    )


def pasted(command: str, cwd: Path, **environment: str) -> str:
    """Run a command as it was printed; returns what it printed on standard output."""
    program, *words = shlex.split(command)
    assert program == "tablevault"
    process = run(words, cwd, **environment)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, f"{command}\n{errors}"
    return out


def named(text: str, command: str) -> str:
    """The one command of that kind that a text names."""
    found = {one.strip() for one in COMMAND.findall(text) if f"tablevault {command}" in one}
    assert len(found) == 1, text
    return found.pop()


def ways_to_connect(place: Place, folder: Path, port: int) -> dict[str, list[str]]:
    server = place.server
    file = folder / "my.cnf"
    file.touch(mode=0o600)
    file.write_text(
        f"[client]\nhost={server.host}\nport={port}\nuser={server.user}\n"
        f"password={server.password}\n"
    )
    return {
        "options": ["-h", server.host, "-P", str(port), "-u", server.user],
        "url": ["--url", f"mysql://{server.user}@{server.host}:{port}"],
        "file": ["--defaults-file", "my.cnf"],
    }


@pytest.mark.parametrize("how", ["options", "url", "file"])
def test_after_an_interruption(proxy: Proxy, place: Place, tmp_path: Path, how: str) -> None:
    """Interrupt, resume, swap, roll back, clean up: each by what the one before printed."""
    words = ways_to_connect(place, tmp_path, proxy.port)[how]
    folders = ["--vault", os.path.relpath(place.vault, tmp_path), "--state-dir", "runs"]
    password = {} if how == "file" else {"MYSQL_PWD": place.server.password}
    begin = ["restore", "latest", *words, "--ssl-mode", "disabled", *folders]
    process = run(begin, tmp_path, **password)
    proxy.when(b"LOAD DATA", lambda _: process.send_signal(signal.SIGINT), before=True, skip=2)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "the live tables are untouched" in told
    assert place.server.password not in told
    place.assert_live()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out = pasted(named(told, "restore --resume"), elsewhere, **password)
    swapped = pasted(named(out, "swap"), elsewhere, **password)
    place.assert_restored()
    if how == "file":
        pasted(named(swapped, "rollback"), elsewhere)
        place.assert_live()
    pasted(named(swapped, "cleanup"), elsewhere, **password)
    assert place.leftovers() == []


def test_the_command_that_gives_up(proxy: Proxy, place: Place, tmp_path: Path) -> None:
    words = ways_to_connect(place, tmp_path, proxy.port)["file"]
    begin = ["restore", "latest", *words, "--vault", str(place.vault), "--ssl-mode", "disabled"]
    process = run(begin, tmp_path)
    revoke = "SET GLOBAL local_infile = {}"
    try:
        proxy.when(b"LOAD DATA", lambda _: place.server.sql(revoke.format(0)) and None, before=True)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 4, told
    finally:
        place.server.sql(revoke.format(1))
    assert place.leftovers()
    pasted(named(told, "cleanup"), ROOT)
    assert place.leftovers() == []
    place.assert_live()


class Line:
    """The command line in this process, on a place."""

    def __init__(self, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._folders = ["--vault", str(place.vault)]
        self._server = place.server.arguments()

    def __call__(self, code: int, *words: str) -> tuple[str, str]:
        """Standard output and standard error of a command that ends with `code`."""
        server = [] if words[0] in ("runs", "watch") else self._server
        ended = main([*words, *server, *self._folders])
        out, errors = self._capsys.readouterr()
        assert ended == code, errors
        return out, errors

    def states(self) -> dict[str, str]:
        out, _ = self(0, "runs", "--json")
        return {
            line["run"]: line["state"]
            for line in json.loads(out)["runs"]
            if line["operation"] == "restore"
        }


@pytest.fixture
def line(place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.setenv("MYSQL_PWD", place.server.password)
    return Line(place, capsys)


def test_every_refusal_by_state_names_the_next_command(place: Place, line: Line) -> None:
    orders = f"{place.schema}.orders"
    out, _ = line(0, "restore", "latest", orders, "--json")
    run = json.loads(out)["run"]
    assert line.states() == {run: "proven"}
    _, told = line(4, "rollback", run)
    assert f"run {run} is proven: there is no swap to undo" in told
    assert named(told, "swap") and named(told, "cleanup")

    line(0, *shlex.split(named(told, "swap"))[1:3])
    assert line.states() == {run: "swapped"}
    _, told = line(4, "restore", "--resume", run)
    assert "is swapped: there is nothing to resume" in told
    assert named(told, "rollback") and named(told, "cleanup")

    line(0, "rollback", run)
    assert line.states() == {run: "rolled back"}
    _, told = line(4, "swap", run)
    assert f"run {run} is rolled back, not proven" in told
    assert "--resume" not in told and "begin a new run" in told
    assert named(told, "cleanup")

    line(0, "cleanup", run)
    assert line.states() == {run: "cleaned"}
    for words in (("swap", run), ("rollback", run), ("restore", "--resume", run)):
        _, told = line(4, *words)
        assert "is cleaned" in told and "begin a new run" in told, told
        assert "--resume" not in told
    assert place.leftovers() == []


def test_a_proven_run_that_was_never_swapped_is_told(place: Place, line: Line) -> None:
    orders = f"{place.schema}.orders"
    out, _ = line(0, "restore", "latest", orders, "--json")
    first = json.loads(out)["run"]
    out, told = line(0, "restore", "latest", orders, "--json")
    [hint] = json.loads(out)["hints"]
    assert f"run {first} has restored {orders} before and was not swapped" in hint
    assert f"tablevault swap {first}" in hint and f"tablevault cleanup {first}" in hint
    assert named(told, "swap").startswith(f"tablevault swap {first} -h {place.server.host} -P ")
    line(0, "cleanup", first)
    out, _ = line(0, "restore", "latest", orders, "--json")
    assert first not in json.dumps(json.loads(out)["hints"])


def test_runs_lists_what_there_is_and_what_is_next(place: Place, line: Line) -> None:
    out, _ = line(0, "restore", "latest", "--json")
    run = json.loads(out)["run"]
    table, _ = line(0, "runs")
    head, *rows = table.splitlines()
    assert head.split() == ["RUN", "KIND", "STATE", "BEGAN", "TABLES"]
    at = next(number for number, row in enumerate(rows) if row.startswith(run))
    assert rows[at].split()[1:3] == ["restore", "proven"]
    assert f"{place.schema}.orders" in rows[at]
    swap, cleanup = rows[at + 1 : at + 3]
    assert swap.split(": ")[0].strip() == "to put the tables in place"
    assert shlex.split(swap.split(": ")[1]) == [
        *("tablevault", "swap", run, *place.server.arguments(), "--vault", str(place.vault)),
    ]
    assert named(cleanup, "cleanup")
    record = next(
        one for one in json.loads(line(0, "runs", "--json")[0])["runs"] if one["run"] == run
    )
    assert record["tables"] and record["snapshot"] == place.snapshot
    assert record["alive"] is False and record["began"] <= record["last_seen"]
    assert set(record["commands"].values()) == {named(swap, "swap"), named(cleanup, "cleanup")}
    assert line(0, "runs", "-q")[0].split() == [run]

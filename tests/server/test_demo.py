"""The demo: it tells its story to the end, proves it, and leaves nothing behind however it ends."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

import pytest

from tablevault.cli.main import main
from tablevault.demo import story
from tablevault.demo.child import run_child
from tablevault.demo.screen import Screen
from tablevault.errors import CannotComplete, ProofFailed
from tests.terminal import run_on_terminal

COMMAND = [sys.executable, "-m", "tablevault", "demo", "--scale", "0.01"]


@pytest.fixture
def out(tmp_path: Path) -> Iterator[TextIO]:
    """Where a story is told within this process: a file, for other processes write to it too."""
    with (tmp_path / "out").open("w+") as file:
        yield file


def told(out: TextIO) -> str:
    """All that was written."""
    return Path(out.name).read_text()


def left_behind(output: str) -> Path | None:
    """The server's directory, where it is still there."""
    named = re.search(r"private MariaDB server runs in (\S+)\.\n", output)
    assert named, output
    directory = Path(named[1])
    return directory if directory.exists() else None


def processes_of(output: str) -> list[str]:
    """Command lines of processes that go on working in the server's directory."""
    named = re.search(r"private MariaDB server runs in (\S+)\.\n", output)
    assert named, output
    deadline = time.monotonic() + 3  # what was killed a moment ago may still be on its way out
    while found := [line for line in _command_lines() if named[1] in line]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return found


def _command_lines() -> Iterator[str]:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield entry.read_text(errors="replace")


def test_the_story_ends_well_when_piped() -> None:
    # what would lead a person's own commands to another server must not lead the demo there
    misleading = {"TABLEVAULT_VAULT": "/nowhere", "MYSQL_PWD": "wrong", "MYSQL_HOST": "192.0.2.1"}
    done = subprocess.run(
        COMMAND,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **misleading},
    )
    assert done.returncode == 0, done.stderr
    out = done.stdout
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 120
    order = [
        "$ tablevault guard 'shop.*' --name before-change --expect-change shop.orders:o_totalprice",
        "CHANGED UNEXPECTEDLY: 1 of 3 tables\n  shop.lineitem: column `l_discount` changed: type; ",
        "to put it back:\n  tablevault restore ",
        "$ tablevault repair before-change shop.lineitem\n",
        "first ALTER TABLE `shop`.`lineitem` MODIFY COLUMN `l_discount` decimal(15,2) NOT NULL\n",
        "which is less:\n    tablevault restore ",
        "$ tablevault restore ",
        "$ tablevault cleanup ",
        "$ tablevault repair before-change shop.orders --execute",
        "each of these rows proven equal to the snapshot",
        "its directory is gone.",
    ]
    places = [out.find(line) for line in order]
    assert -1 not in places and places == sorted(places), out
    assert re.search(r"lineitem +(\d+) +(?!\1)\d+ +\1  equal\n", out), out
    assert re.search(r"orders +(\d+) +\1 +\1  equal\n", out), out
    assert "reading" in done.stderr and "swapping" in done.stderr  # the real commands' progress
    [printed] = re.findall(r"to put it back:\n  (tablevault restore .*)", out)
    assert f"\n$ {printed}\n" in out  # typed as it was printed
    assert left_behind(out) is None


def test_json_puts_the_result_alone_on_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(out: TextIO, scale: float) -> dict[str, object]:
        out.write("the story\n")
        return {"run": "r1", "scale": scale}

    monkeypatch.setattr(story, "main", tell)
    assert main(["demo", "--json", "--scale", "0.5"]) == 0
    seen = capsys.readouterr()
    assert json.loads(seen.out) == {"status": "ok", "run": "r1", "scale": 0.5}
    assert seen.err == "the story\n"


def test_ctrl_c_on_a_terminal_leaves_nothing() -> None:
    code, output = run_on_terminal(
        COMMAND, answers=[("$ tablevault restore", "\x03")], columns=120, timeout_s=120
    )
    output = output.replace("\r\n", "\n")
    assert code == 130, output
    assert "error: interrupted" in output
    assert left_behind(output) is None
    assert processes_of(output) == []


def test_a_child_never_outlives_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def interrupted_at_once(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(real(*args, **options))
        signal.raise_signal(signal.SIGINT)  # between the fork and the name
        time.sleep(0.05)
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted_at_once)
    with pytest.raises(KeyboardInterrupt):
        run_child(["/bin/sleep", "60"])
    assert started[0].poll() is not None


def test_a_hang_up_leaves_nothing() -> None:
    with subprocess.Popen(
        COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:
            seen += line.decode()
            if "Set-up: generating" in seen:
                process.send_signal(signal.SIGTERM)
                break
        seen += process.stdout.read().decode()
    assert process.returncode == 130, seen
    assert left_behind(seen) is None
    assert processes_of(seen) == []


BEFORE = story.Figures(dict.fromkeys(story.TABLES, "1"), Decimal(10), "decimal(15,2)")
RUINED = replace(BEFORE, checksums={**BEFORE.checksums, "lineitem": "2"}, revenue=Decimal(11))


@pytest.mark.parametrize(
    "after",
    [
        RUINED,
        replace(BEFORE, checksums={**BEFORE.checksums, "orders": "2"}),
        replace(BEFORE, revenue=Decimal("10.01")),
        replace(BEFORE, discount_type="decimal(15,0)"),
    ],
)
def test_what_is_not_as_before_fails_the_demo(after: story.Figures) -> None:
    out = io.StringIO()
    with pytest.raises(ProofFailed, match="not what they were"):
        story._show_proof(Screen(out), BEFORE, RUINED, after)
    assert "DIFFERENT" in out.getvalue()


def test_a_script_that_does_no_damage_fails_the_demo() -> None:
    with pytest.raises(ProofFailed, match="did no damage"):
        story._show_damage(Screen(io.StringIO()), BEFORE, BEFORE)


def test_a_command_that_fails_ends_the_demo(monkeypatch: pytest.MonkeyPatch, out: TextIO) -> None:
    monkeypatch.setattr(story, "_SNAPSHOT", "no/name")
    with pytest.raises(CannotComplete, match="ended with exit code 6"):
        story.main(out, 0.01)
    assert left_behind(told(out)) is None


def test_without_the_generator_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotComplete, match="tpchgen-cli") as failure:
        story.main(io.StringIO())
    assert failure.value.hint and "make demo" in failure.value.hint

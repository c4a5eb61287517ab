"""The demo: it tells its story to the end, proves it, and leaves nothing behind however it ends."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from tablevault.demo import story
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
    """Command lines of processes that still work in the server's directory."""
    named = re.search(r"private MariaDB server runs in (\S+)\.\n", output)
    assert named, output
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if os.fsencode(named[1]) in line:
            found.append(line.decode(errors="replace"))
    return found


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
        "$ tablevault snapshot 'shop.*' --name before-change",
        "$ tablevault verify before-change",
        "$ sh change-4711.sh",
        "$ tablevault restore before-change shop.lineitem --swap",
        "$ tablevault cleanup ",
        "is gone",
    ]
    places = [out.find(line) for line in order]
    assert -1 not in places and places == sorted(places), out
    assert re.search(r"lineitem +(\d+) +(?!\1)\d+ +\1  equal\n", out), out
    assert re.search(r"orders +(\d+) +\1 +\1  equal\n", out), out
    assert "reading" in done.stderr and "swapping" in done.stderr  # the real commands' progress
    assert left_behind(out) is None


def test_json_tells_the_story_on_stderr_and_the_result_on_stdout() -> None:
    done = subprocess.run(
        [*COMMAND, "--json"], capture_output=True, text=True, check=False, timeout=120
    )
    result = json.loads(done.stdout)
    assert result["status"] == "ok"
    assert result["rows"]["lineitem"] == 60175
    sums = result["checksums"]
    assert sums["before"] == sums["after the restore"] != sums["after the change"]
    assert set(result["seconds"]) >= {"set-up", "snapshot", "restore and swap"}
    assert "$ tablevault restore" in done.stderr


def test_ctrl_c_on_a_terminal_leaves_nothing() -> None:
    code, output = run_on_terminal(
        COMMAND, answers=[("lineitem --swap", "\x03")], columns=120, timeout_s=120
    )
    output = output.replace("\r\n", "\n")
    assert code == 130, output
    assert "error: interrupted" in output
    assert left_behind(output) is None
    assert processes_of(output) == []


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


def test_another_checksum_fails_the_demo(monkeypatch: pytest.MonkeyPatch, out: TextIO) -> None:
    looks = iter([0, 0, 1])
    honest = story._figures

    def lie(about: story.Story) -> story.Figures:
        seen = honest(about)
        return dataclasses.replace(seen, revenue=seen.revenue + next(looks))

    monkeypatch.setattr(story, "_figures", lie)
    with pytest.raises(ProofFailed, match="not what they were"):
        story.main(out, 0.01)
    assert "DIFFERENT" in told(out)
    assert left_behind(told(out)) is None


def test_a_script_that_does_no_damage_fails_the_demo(
    monkeypatch: pytest.MonkeyPatch, out: TextIO
) -> None:
    monkeypatch.setattr(story, "_JOB_ENV", "\n")
    monkeypatch.setattr(story, "_SCRIPT_TEXT", "exit 0\n")
    with pytest.raises(ProofFailed, match="did no damage"):
        story.main(out, 0.01)
    assert left_behind(told(out)) is None


def test_a_command_that_fails_ends_the_demo(monkeypatch: pytest.MonkeyPatch, out: TextIO) -> None:
    monkeypatch.setattr(story, "_SNAPSHOT", "no/name")
    with pytest.raises(CannotComplete, match="ended with exit code 2"):
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

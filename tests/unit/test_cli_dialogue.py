"""What the person is asked and told: the swap, failures, interruptions.

The operations are fakes (cli_fake_run.py); the process, its terminal and its signals are real.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tablevault.cli import main as main_module
from tablevault.cli.invocation import Invocation
from tablevault.events import RunBegan, RunEnded
from tests.terminal import run_on_terminal

PROGRAM = [sys.executable, str(Path(__file__).with_name("cli_fake_run.py"))]
RUN = "20260101T000000Z-abcdef"
SERVER = ("-h", "db1", "-P", "3307", "-u", "me")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("TABLEVAULT_VAULT", raising=False)
    monkeypatch.delenv("MYSQL_PWD", raising=False)


def call(*words: str, fake: str = "proven") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "FAKE": fake},
    )


def ask(vault: Path, answer: str, *words: str, fake: str = "proven") -> tuple[int, str]:
    return run_on_terminal(
        [*PROGRAM, "restore", "latest", "--vault", str(vault), *SERVER, *words],
        answers=[("[y/N] ", answer)],
        columns=200,
        environment={"FAKE": fake},
    )


def test_without_a_terminal_it_stops_proven_and_prints_the_command(tmp_path: Path) -> None:
    done = call("restore", "latest", "--vault", str(tmp_path), *SERVER)
    assert done.returncode == 0, done.stderr
    *told, command = done.stdout.splitlines()
    assert command.split() == [
        *("tablevault", "swap", RUN, "-h", "db1", "-P", "3307", "-u", "me"),
        *("--vault", str(tmp_path)),
    ]
    assert "proven" in told[0]
    assert "untouched" in done.stdout
    assert "y/N" not in done.stdout + done.stderr
    assert "SWAPPING" not in done.stderr


def test_the_printed_command_never_has_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYSQL_PWD", "hush")
    done = call("restore", "latest", "--vault", str(tmp_path), *SERVER, "-v")
    assert "hush" not in done.stdout + done.stderr


def test_quiet_prints_nothing_but_the_command(tmp_path: Path) -> None:
    done = call("-q", "restore", "latest", "--vault", str(tmp_path))
    assert done.stdout.startswith(f"tablevault swap {RUN}")
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_json_has_all_that_was_found(tmp_path: Path) -> None:
    done = call("restore", "latest", "--vault", str(tmp_path), "--json")
    record = json.loads(done.stdout)
    assert (record["status"], record["outcome"]) == ("ok", "proven")
    assert (record["run"], record["snapshot"]) == (RUN, "latest")
    assert record["swap_command"].startswith(f"tablevault swap {RUN}")
    assert record["tables"][0]["staging"] == "shop._tv_new_orders"


def test_with_swap_nothing_is_asked(tmp_path: Path) -> None:
    code, output = ask(tmp_path, "", "--swap")
    assert code == 0
    assert "proven and live on db1:3307" in output
    assert "y/N" not in output


@pytest.mark.parametrize("answer", ["y\n", "YES\n", " y \n"])
def test_a_yes_swaps(tmp_path: Path, answer: str) -> None:
    code, output = ask(tmp_path, answer, "--lock-wait", "5")
    assert code == 0
    assert "swap the restored table shop.orders into place of the one live on db1:3307?" in output
    assert "is kept as shop._tv_old_" in output
    assert f"SWAPPING {RUN} on db1:3307 within 5.0 s" in output
    assert f"tablevault rollback {RUN} -h db1" in output
    assert f"tablevault cleanup {RUN} -h db1" in output


@pytest.mark.parametrize("answer", ["n\n", "\n", "yep\n", "ja\n", "\x04"])
def test_anything_else_does_not(tmp_path: Path, answer: str) -> None:
    code, output = ask(tmp_path, answer)
    assert code == 0
    assert "SWAPPING" not in output
    assert "nothing was swapped" in output
    assert f"tablevault swap {RUN} -h db1" in output


def test_ctrl_c_at_the_question_leaves_the_way_on(tmp_path: Path) -> None:
    code, output = ask(tmp_path, "\x03")
    assert code == 130
    assert "SWAPPING" not in output
    assert "interrupted before the swap" in output
    assert f"tablevault swap {RUN} -h db1" in output


def test_a_swap_that_fails_after_the_yes_is_said(tmp_path: Path) -> None:
    code, output = ask(tmp_path, "y\n", fake="locked")
    assert code == 4
    assert "tablevault: error: shop.orders stayed in use" in output
    assert "hint: try again later" in output


def test_resume_takes_nothing_that_the_run_has_fixed(tmp_path: Path) -> None:
    done = call("restore", "--resume", RUN, "--swap", "--vault", str(tmp_path))
    assert done.returncode == 0, done.stderr
    done = call("restore", "--resume", RUN, "--no-binlog", "--vault", str(tmp_path))
    assert done.returncode == 2
    assert "without --no-binlog" in done.stderr


def test_a_failure_has_its_code_its_line_and_its_ids(tmp_path: Path) -> None:
    done = call("restore", "S1", "--vault", str(tmp_path), "--json", fake="fail")
    assert done.returncode == 4
    assert json.loads(done.stdout) == {
        "status": "failed",
        "error": "shop.orders: the digest differs",
        "hint": "look at the disk",
        "exit_code": 4,
        "run": RUN,
        "snapshot": "S1",
    }
    assert done.stderr.splitlines()[-2:] == [
        "tablevault: error: shop.orders: the digest differs",
        "hint: look at the disk",
    ]


def test_findings_are_code_3_and_no_failure(tmp_path: Path) -> None:
    done = call("verify", "S1", "--vault", str(tmp_path), fake="findings")
    assert done.returncode == 3
    assert done.stdout.splitlines()[0] == "damaged: shop.orders chunk 3: one bit is wrong"
    assert "error" not in done.stderr
    record = json.loads(
        call("verify", "S1", "--vault", str(tmp_path), "--json", fake="findings").stdout
    )
    assert (record["status"], record["run"], record["snapshot"]) == ("findings", RUN, "S1")
    assert record["findings"][0]["table"] == "shop.orders"


def test_quiet_still_has_the_findings(tmp_path: Path) -> None:
    done = call("-q", "verify", "S1", "--vault", str(tmp_path), fake="findings")
    assert done.stdout == "damaged: shop.orders chunk 3: one bit is wrong\n"
    assert done.stderr == ""


def test_events_go_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "events"
    call("verify", "S1", "--vault", str(tmp_path), "--events", str(path))
    kinds = [json.loads(line)["type"] for line in path.read_text().splitlines()]
    assert kinds == ["RunBegan", "PhaseBegan", "RunEnded"]


def test_a_full_disk_under_the_events_file_fails_the_run(tmp_path: Path) -> None:
    done = call("verify", "S1", "--vault", str(tmp_path), "--events", "/dev/full")
    assert done.returncode == 4
    assert "cannot write events to /dev/full" in done.stderr


def hanging(vault: Path, *words: str) -> subprocess.Popen[str]:
    """A restore that has begun and goes on for ever."""
    process = subprocess.Popen(
        [*PROGRAM, "restore", "S1", "--vault", str(vault), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FAKE": "hang"},
    )
    assert process.stderr is not None
    while "HANGING" not in process.stderr.readline():
        assert process.poll() is None
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_interrupt_and_let_it_clean_up(tmp_path: Path, number: signal.Signals) -> None:
    process = hanging(tmp_path, "--json")
    process.send_signal(number)
    output, told = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "CLEANED" in told
    assert "Traceback" not in told
    record = json.loads(output)
    assert (record["status"], record["run"], record["exit_code"]) == ("interrupted", RUN, 130)


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        ("ok", "interrupted, but the run was complete by then"),
        ("findings", "interrupted, but the run was complete by then"),
        ("failed", "interrupted"),
        (None, "interrupted"),
    ],
)
def test_an_interruption_after_the_end_of_a_run_takes_nothing_back(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ended: str | None,
    said: str,
) -> None:
    """While the result is printed, say."""

    def interrupted(*_: object, obj: Invocation, **__: object) -> None:
        for status in ("ok", ended):  # of two runs the last one counts
            obj.note(RunBegan(time=0.0, run=RUN, operation="verify", snapshot="S1"))
            if status:
                obj.note(RunEnded(time=0.0, run=RUN, status=status, seconds=1.0))
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module.app, "main", interrupted)
    monkeypatch.setattr(main_module, "_settle_interpreter", lambda: None)
    assert main_module.main(["verify", "S1"]) == 130
    assert capsys.readouterr().err == f"tablevault: error: {said}\n"


def test_a_second_interrupt_does_not_break_the_clean_up(tmp_path: Path) -> None:
    process = hanging(tmp_path)
    for _ in range(4):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    _, told = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "cleaning up, a moment please" in told
    assert "CLEANED" in told
    assert "Traceback" not in told


def test_a_hang_up_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does; inherited
    try:
        process = hanging(tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 130


def test_one_who_has_waited_long_enough_can_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATIENCE_S", "0.1")
    process = hanging(tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "stopped without cleaning up" in told
    assert "CLEANED" not in told


def test_p_asks_for_the_password_unseen(tmp_path: Path) -> None:
    code, output = run_on_terminal(
        [*PROGRAM, "swap", RUN, "-p", *SERVER, "--vault", str(tmp_path)],
        answers=[("password of me@db1:3307: ", "hush!\n")],
        columns=200,
    )
    assert code == 0, output
    assert "PASSWORD OF 5" in output
    assert "hush" not in output
    assert f"tablevault rollback {RUN} -h db1 -P 3307 -u me -p --vault {tmp_path}" in output

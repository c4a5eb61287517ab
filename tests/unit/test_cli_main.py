"""The program as it is called: exit codes, error lines, JSON, streams, start-up."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("pyarrow", "mysql", "tqdm", "zstandard", "tablevault.ops", "tablevault.mysql")
HEAVY += ("tablevault.vault", "tablevault.rows", "tablevault.engine", "asyncio", "tomllib")


def tablevault(
    *words: str, stdout: int | None = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("TABLEVAULT_VAULT", "MYSQL_PWD")}
    return subprocess.run(
        [sys.executable, "-m", "tablevault", *words],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=30,
        env={**kept, **environment},
    )


def test_nothing_heavy_is_loaded_before_a_command_needs_it() -> None:
    code = (
        "import sys, tablevault.cli.main\n"
        f"print([name for name in sys.modules if name.startswith({HEAVY!r})])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_is_there_at_once() -> None:
    tablevault("--help")  # the first one may have to compile
    took_s = []
    for _ in range(5):
        began_s = _children_cpu_s()
        done = tablevault("--help")
        took_s.append(_children_cpu_s() - began_s)
    assert done.returncode == 0
    assert "snapshot" in done.stdout
    assert min(took_s) < 0.2


def _children_cpu_s() -> float:
    # processor time: start-up waits for nothing, and other work on the machine does not count
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_without_a_command_the_help_is_shown_as_a_usage_error() -> None:
    done = tablevault()
    assert (done.returncode, done.stdout) == (2, "")
    assert "snapshot" in done.stderr


def test_version() -> None:
    done = tablevault("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "tablevault")


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("snapshto",), "no such command 'snapshto'", "did you mean 'snapshot'"),
        (("zzzzz",), "no such command 'zzzzz'", "--help"),
        (("list", "--vaul", "x"), "no such option --vaul", "did you mean --vault"),
        (("show",), "missing argument 'SNAPSHOT'", "tablevault show --help"),
        (("list",), "no vault is named", "TABLEVAULT_VAULT"),
        (("list", "--vault", "/nowhere/at/all"), "vault /nowhere/at/all does not exist", ""),
        (("list", "--vault", "s3://x"), "s3 vaults are not supported", ""),
        (("restore", "--vault", "/tmp"), "no snapshot is named", "tablevault list"),
        (("restore", "--resume", "R", "x", "--vault", "/tmp"), "without SNAPSHOT", ""),
        (("restore", "x", "--as", "a.b", "--into", "c"), "--as and --into", ""),
        (("restore", "x", "--as", "ab"), "not of the form SCHEMA.TABLE", ""),
        (("swap", "R", "--url", "mysql://u:hush@h", "--vault", "/tmp"), "password in --url", "-p"),
        (("list", "--profile", "nope"), "no profile 'nope'", ""),
        (("swap", "R", "-p", "-h", "127.0.0.1", "--vault", "/tmp"), "no terminal", "MYSQL_PWD"),
    ],
)
def test_usage_errors(words: tuple[str, ...], message: str, hint: str) -> None:
    done = tablevault(*words)
    assert done.returncode == 2, done.stderr
    first, *rest = done.stderr.splitlines()
    assert first.startswith("tablevault: error: ")
    assert message in first
    assert not first.endswith(".")
    assert hint in "\n".join(rest)
    assert len(rest) <= 1
    assert done.stdout == ""
    assert "hush" not in done.stderr


def test_an_error_is_json_when_json_was_asked_for(tmp_path: Path) -> None:
    for words in (("--json", "snapshto"), ("show", "--json"), ("list", "--json")):
        done = tablevault(*words)
        record = json.loads(done.stdout)
        assert done.returncode == record["exit_code"] == 2
        assert record["status"] == "failed"
        assert record["error"] in done.stderr
        assert "hint" in record


def test_a_result_is_one_json_object(tmp_path: Path) -> None:
    done = tablevault("list", "--json", TABLEVAULT_VAULT=str(tmp_path))
    assert json.loads(done.stdout) == {"status": "ok", "snapshots": []}
    assert (done.returncode, done.stderr) == (0, "")


def test_a_snapshot_that_is_not_there_is_unusable(tmp_path: Path) -> None:
    assert tablevault("show", "20200101T000000Z-x", "--vault", str(tmp_path)).returncode == 6


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    run = tmp_path / "state" / "R"
    run.mkdir(parents=True)
    done = tablevault(
        *("snapshot", "a.b", "-h", "127.0.0.1", "-P", "1", "--json"), TABLEVAULT_VAULT=str(tmp_path)
    )
    assert done.returncode == 5, done.stderr
    assert json.loads(done.stdout)["status"] == "failed"


def test_a_reader_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    for words in (("list", "--vault", str(tmp_path)), ("--help",)):
        reading, writing = os.pipe()
        os.close(reading)
        done = tablevault(*words, stdout=writing)
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_result_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = tablevault("list", "--vault", str(tmp_path), stdout=full.fileno())
    assert done.returncode == 4
    assert "cannot write the result to standard output: No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_events_to_standard_output_and_json_exclude_each_other(tmp_path: Path) -> None:
    done = tablevault("snapshot", "--events", "-", "--json", TABLEVAULT_VAULT=str(tmp_path))
    assert done.returncode == 2
    assert "both write to standard output" in done.stderr


def test_events_that_cannot_be_written_stop_the_command_first(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    done = tablevault("snapshot", "--events", "/nowhere/e", TABLEVAULT_VAULT=str(vault))
    assert done.returncode == 2
    assert "cannot write events to /nowhere/e: No such file or directory" in done.stderr
    assert not vault.exists()


def test_a_crash_is_a_traceback_and_no_finding() -> None:
    code = (
        "import sys\n"
        "from tablevault.cli import app, main\n"
        "def crash(**_): raise ZeroDivisionError('bug')\n"
        "app.app.commands['list'].callback = crash\n"
        "sys.exit(main.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "list", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert json.loads(done.stdout)["status"] == "failed"

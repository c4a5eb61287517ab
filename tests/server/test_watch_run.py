"""`watch` beside a real restore in another process: alive, killed, resumed, done."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tablevault.ops.status import read_status
from tablevault.vault.journal import read_journal
from tests.servers import Server
from tests.support.shell import Shell

ROWS = 300_000


def wait_for(what: Callable[[], object], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@pytest.fixture
def shell(mariadb: Server, vault: Path) -> Shell:
    return Shell(mariadb, vault)


@pytest.fixture
def parcels(mariadb: Server, database: str) -> str:
    """A table of several row groups, so that a restore takes some seconds."""
    mariadb.sql(
        f"""CREATE TABLE `{database}`.parcels (
              id INT PRIMARY KEY, state VARCHAR(20), note VARCHAR(300), KEY (state));
            INSERT INTO `{database}`.parcels
              SELECT seq, CONCAT('s', seq % 7), REPEAT(CHAR(97 + seq % 26), 230)
              FROM `{database}`.seq_1_to_{ROWS};"""
    )
    return f"{database}.parcels"


@pytest.fixture
def few(mariadb: Server, database: str) -> str:
    """A table of one row."""
    mariadb.sql(f"CREATE TABLE `{database}`.few (id INT PRIMARY KEY) SELECT 1 AS id;")
    return f"{database}.few"


def started_restore(shell: Shell, vault: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """A restore that has proven its first row group, and the folder of its run."""
    process = shell.start("restore", "latest", "--threads", "1", "-q", "--emergency")
    runs = vault / ".runs"
    found: list[Path] = []

    def loading() -> bool:
        assert process.poll() is None, process.stderr and process.stderr.read()
        found[:] = [file.parent for file in runs.glob("*/journal.jsonl")]
        return bool(found) and any(e["kind"] == "proven" for e in read_journal(found[0]))

    wait_for(loading)
    return process, found[0]


def test_a_killed_restore_is_watched_to_its_death_and_resumed(
    shell: Shell, mariadb: Server, vault: Path, parcels: str, tmp_path: Path
) -> None:
    snapshot = shell.json("snapshot", parcels)["snapshot"]
    restore, folder = started_restore(shell, vault)
    events = tmp_path / "watched.jsonl"
    watcher = subprocess.Popen(
        shell.words("watch", folder.name, "--events", str(events), connect=False),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=shell.environment(),
    )
    wait_for(lambda: events.exists() and '"Progress"' in events.read_text())
    restore.send_signal(signal.SIGKILL)
    restore.communicate()
    killed_s = time.monotonic()
    told, shown = watcher.communicate(timeout=15)
    assert time.monotonic() - killed_s < 3
    assert watcher.returncode == 4, shown

    seen = [json.loads(line) for line in events.read_text().splitlines()]
    assert {event["run"] for event in seen} == {folder.name}
    progress = [event for event in seen if event["type"] == "Progress"]
    assert 0 < progress[-1]["rows_done"] <= ROWS
    assert progress[-1]["tables"][0]["table"] == parcels
    assert f"restore  snapshot latest  run {folder.name}" in shown
    assert "it died in phase loading" in shown
    assert "the live tables are untouched" in shown
    assert "row groups loaded and proven: " in told
    assert f"tablevault restore --resume {folder.name}" in told
    assert f"tablevault cleanup {folder.name}" in told

    again = shell("watch", "--json", connect=False)  # the newest run is that one
    assert again.code == 4
    record = json.loads(again.stdout)
    assert (record["run"], record["outcome"]) == (folder.name, "died")
    assert (record["snapshot"], record["state"]) == (snapshot, "begun")
    assert list(record["commands"]) == ["to go on", "to drop what it made"]

    assert shell("restore", "--resume", folder.name, "--swap").code == 0
    ended = shell.json("watch", folder.name, connect=False)
    assert (ended["status"], ended["outcome"], ended["state"]) == ("ok", "ok", "swapped")
    assert ended["percent"] == 100.0
    assert shell.json("watch", snapshot, connect=False)["operation"] == "snapshot"
    assert mariadb.value(f"SELECT COUNT(*) FROM {parcels}") == str(ROWS)


def test_a_watcher_sees_the_end_of_a_run(
    shell: Shell, vault: Path, parcels: str, mariadb: Server
) -> None:
    shell.json("snapshot", parcels)
    restore, folder = started_restore(shell, vault)
    watcher = shell("watch", folder.name[:-2], connect=False)
    restore.communicate()
    assert restore.returncode == 0
    assert watcher.code == 0, watcher.stderr
    assert f"restore {folder.name} ended well: proven" in watcher.stdout
    assert f"tablevault swap {folder.name}" in watcher.stdout
    status = read_status(folder)
    assert status is not None
    assert (folder / "status.json").stat().st_mode & 0o777 == 0o600
    assert mariadb.password not in (folder / "status.json").read_text()


def test_what_failed_and_what_is_unknown(shell: Shell, vault: Path, few: str) -> None:
    shell.json("snapshot", few)
    refused = shell("restore", "latest", "--into", "no_such_schema")
    assert refused.code == 2
    told = shell("watch", connect=False)
    assert told.code == 4
    assert "failed: schema no_such_schema does not exist" in told.error
    unknown = shell("watch", "20200101T000000Z-000000", connect=False)
    assert unknown.code == 2
    assert "there is no run 20200101T000000Z-000000" in unknown.error


def test_a_status_that_cannot_be_written_does_not_hurt(
    shell: Shell, vault: Path, few: str, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder of runs should be")
    done = shell("snapshot", few, "--state-dir", str(blocked))
    assert done.code == 0, done.stderr

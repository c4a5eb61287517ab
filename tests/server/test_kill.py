"""Killed or interrupted at any moment: the live table is whole, and there is a way on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tablevault.errors import Interrupted
from tablevault.events import Event, RunEnded
from tablevault.ops import snapshot as snapshot_ops
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.verify import verify
from tablevault.vault.catalog import SnapshotBeingWritten, list_snapshots
from tablevault.vault.store import Store, open_store
from tests.servers import Server
from tests.support.facts import checksum, leftovers, show_create
from tests.support.shell import Shell

ROWS = 22_500
PROMPT_S = 15  # a stopped command is gone by then, however loaded the machine


@pytest.fixture
def big(server: Server, database: str) -> str:
    """A table that takes a second or two to restore; its qualified name."""
    numbers = (
        "(WITH RECURSIVE r(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM r WHERE n < 149) "
        "SELECT n FROM r)"
    )
    server.sql(
        f"CREATE TABLE {database}.big (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(80), n INT, "
        f"KEY (v), KEY (n, v)); INSERT INTO {database}.big (v, n) SELECT SHA2(n, 224), n % 97 FROM "
        f"(SELECT a.n * 150 + b.n AS n FROM {numbers} a, {numbers} b) s;",
        database,  # MySQL looks for the tables of a WITH in it
    )
    assert server.value(f"SELECT COUNT(*) FROM {database}.big") == str(ROWS)
    return f"{database}.big"


def runs(vault: Path) -> list[str]:
    """The runs that have a journal, oldest first."""
    folder = vault / ".runs"
    return sorted(item.parent.name for item in folder.glob("*/journal.jsonl"))


def wait_for_phase(process: subprocess.Popen[bytes], events: Path, *phases: str) -> bool:
    """Until the run has come to one of these phases; False when it ended before."""
    while True:
        ended = process.poll() is not None
        text = events.read_text() if events.exists() else ""
        for line in text.splitlines():
            if line.endswith("}") and json.loads(line).get("phase") in phases:
                return True
        if ended:
            return False
        time.sleep(0.005)


def end(process: subprocess.Popen[bytes], number: signal.Signals) -> tuple[int, str]:
    """Send a signal; the exit code and what stood on standard error."""
    process.send_signal(number)
    _, told = process.communicate(timeout=PROMPT_S)
    return process.returncode, told.decode()


def journal_lines(vault: Path, run: str) -> int:
    return (vault / ".runs" / run / "journal.jsonl").read_bytes().count(b"\n")


def wait_for_lines(
    process: subprocess.Popen[bytes], vault: Path, known: set[str], lines: int
) -> None:
    """Until the new run's journal has so many entries, or the process has ended."""
    while process.poll() is None:
        new = [run for run in runs(vault) if run not in known]
        if new and journal_lines(vault, new[0]) >= lines:
            return
        time.sleep(0.002)


def test_a_restore_killed_at_ten_moments(
    tool: Shell, server: Server, database: str, big: str, vault: Path
) -> None:
    original, create = checksum(server, database, "big"), show_create(server, database, "big")
    assert tool("snapshot", big, "--chunk-size", "50K").code == 0
    server.sql(f"UPDATE {big} SET n = 0;")
    ruined = checksum(server, database, "big")
    words = ("latest", "--swap", "--indexes", "after")
    rehearsal = tool.json("restore", *words, "--as", f"{database}.rehearsal")["run"]
    whole = journal_lines(vault, rehearsal)
    assert whole >= 15
    rng = random.Random(2)
    resumed = 0
    for attempt in range(10):
        known = set(runs(vault))
        process = tool.start("restore", *words)
        wait_for_lines(process, vault, known, 1 + whole * attempt // 10)
        time.sleep(rng.random() * 0.05)
        process.kill()
        process.communicate(timeout=PROMPT_S)
        state = checksum(server, database, "big")
        assert state in (original, ruined), f"kill {attempt}"
        [run] = [run for run in runs(vault) if run not in known]
        if attempt % 4 == 3 and state == ruined:
            done = tool("cleanup", run)
            assert done.code == 0, done.stderr
            assert [name for name in leftovers(server, database) if "rehearsal" not in name] == []
            continue
        done = tool("restore", "--resume", run, "--swap")
        if done.code != 0:  # it had swapped already: there is nothing to resume
            assert state == original, done.stderr
            assert "nothing to resume" in done.error
        resumed += 1
        assert checksum(server, database, "big") == original
        assert show_create(server, database, "big") == create
        done = tool("rollback", run)
        assert done.code == 0, done.stderr
        assert checksum(server, database, "big") == ruined
        done = tool("cleanup", run)
        assert done.code == 0, done.stderr
    assert resumed >= 7


def parts(vault: Path) -> set[str]:
    """The chunk files there are; folders may vanish under our eyes."""
    found = os.walk(vault)  # passes over what it cannot list
    return {f"{at}/{name}" for at, _, names in found for name in names if name.endswith(".parquet")}


def test_a_snapshot_killed_at_any_moment_does_not_exist(
    tool: Shell, database: str, big: str, vault: Path
) -> None:
    assert tool("snapshot", big, "--chunk-size", "50K").code == 0
    whole = len(parts(vault))
    remains = 0
    for moment in (0.0, 0.3, 0.6, 0.9):
        known = parts(vault)
        process = tool.start("snapshot", big, "--chunk-size", "50K")
        while process.poll() is None and len(parts(vault) - known) <= whole * moment:
            time.sleep(0.002)
        process.kill()
        process.communicate(timeout=PROMPT_S)
        folders = {path.name for path in vault.iterdir() if not path.name.startswith(".")}
        complete = {path.parent.name for path in vault.glob("*/manifest.json")}
        remains += len(folders - complete)
        for name in complete:
            assert tool("verify", name, connect=False).code == 0
        for name in folders - complete:
            assert tool("restore", name).code == 6
    assert remains >= 1, "no kill came in the midst of it"
    done = tool("snapshot", big)
    assert done.code == 0, done.stderr
    assert "removed the remains" in done.stderr
    folders = {path.name for path in vault.iterdir() if not path.name.startswith(".")}
    assert folders == {path.parent.name for path in vault.glob("*/manifest.json")}
    assert not list(vault.rglob(".writing-*"))


@pytest.mark.parametrize("moment", ["closing", "telling"])
def test_an_interruption_after_the_manifest_says_that_there_is_a_snapshot(
    server: Server, big: str, vault: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    begin, store = snapshot_ops.begin_snapshot, open_store(str(vault), create=True)

    @contextmanager
    def interrupted_after(store: Store, snapshot_id: str) -> Iterator[SnapshotBeingWritten]:
        with begin(store, snapshot_id) as writing:
            yield writing
        raise KeyboardInterrupt

    def interrupted_at_the_end(event: Event) -> None:
        if isinstance(event, RunEnded) and event.status == "ok":
            raise KeyboardInterrupt

    if moment == "closing":
        monkeypatch.setattr(snapshot_ops, "begin_snapshot", interrupted_after)
    observer = interrupted_at_the_end if moment == "telling" else lambda event: None
    with pytest.raises(Interrupted, match="was complete by then"):
        snapshot_ops.snapshot(server.options(), store, SnapshotOptions((big,)), observer)
    [listed] = list_snapshots(store)
    assert listed.snapshot is not None and not verify(store, listed.id).findings


@pytest.mark.parametrize("phase", ["planning", "locking", "reading", "sealing"])
def test_a_snapshot_interrupted_in_each_phase(
    tool: Shell, server: Server, database: str, big: str, vault: Path, tmp_path: Path, phase: str
) -> None:
    events = tmp_path / "events.jsonl"
    process = tool.start("snapshot", big, "--chunk-size", "50K", "--events", str(events))
    assert wait_for_phase(process, events, phase)
    code, told = end(process, signal.SIGINT)
    assert "Traceback" not in told, told
    if phase == "sealing" and code == 0:
        return  # done before the signal came
    assert code == 130, told
    assert "interrupted" in told
    if "was complete by then" in told:  # the signal came after the manifest's last byte
        assert tool("verify", "latest", connect=False).code == 0
        return
    assert tool.json("list", connect=False)["snapshots"] == []
    assert [item.name for item in vault.iterdir() if not item.name.startswith(".")] == []
    server.sql(f"ALTER TABLE {big} COMMENT 'nothing of ours is in the way';")


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        ("checking", signal.SIGINT),
        ("planning", signal.SIGINT),
        ("loading", signal.SIGINT),
        ("loading", signal.SIGTERM),
        ("indexing", signal.SIGINT),
        ("swapping", signal.SIGINT),
        ("swapping", signal.SIGTERM),
    ],
)
def test_a_restore_interrupted_in_each_phase(
    tool: Shell,
    server: Server,
    database: str,
    big: str,
    vault: Path,
    tmp_path: Path,
    phase: str,
    number: signal.Signals,
) -> None:
    original = checksum(server, database, "big")
    assert tool("snapshot", big, "--chunk-size", "50K").code == 0
    server.sql(f"UPDATE {big} SET n = 0;")
    ruined = checksum(server, database, "big")
    holder = server.connect(autocommit=False)  # so that the swap has to wait
    holder.cursor().execute(f"UPDATE {big} SET n = 0 WHERE id = 1")
    events = tmp_path / "events.jsonl"
    words = ["latest", "--swap", "--indexes", "after", "--events", str(events)]
    process = tool.start("restore", *words)
    try:
        # a short phase may pass between two looks of the coordinator
        later = ("proving", "swapping") if phase == "indexing" else ()
        assert wait_for_phase(process, events, phase, *later)
        if phase == "swapping":
            time.sleep(1)
        code, told = end(process, number)
    finally:
        holder.close()
    assert "Traceback" not in told, told
    assert code == 130, told
    assert checksum(server, database, "big") == ruined
    found = runs(vault)
    if not found:
        assert leftovers(server, database) == []
        return
    done = tool("restore", "--resume", found[0], "--swap")
    assert done.code == 0, done.stderr
    assert checksum(server, database, "big") == original
    assert tool("cleanup", found[0]).code == 0
    assert leftovers(server, database) == []

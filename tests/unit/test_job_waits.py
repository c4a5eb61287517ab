"""A job's wait at random, and the nights after one that was missed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tablevault.cli import commands_job
from tablevault.cli.main import main
from tablevault.ops.verify import verify_vault
from tablevault.ops.verify_terms import Extent
from tablevault.vault.manifest import load_manifest
from tablevault.vault.memory import Memory
from tablevault.vault.store import LocalStore, open_store
from tests.servers import ROOT
from tests.unit.test_jobs import hook, run, words, write
from tests.unit.test_verify_nights import CHUNKS, IDS, flip, of_vault
from tests.unit.vaults import write_snapshot

DAY_S = 86_400


@pytest.fixture
def store(vault: Path) -> LocalStore:
    found = open_store(str(vault), create=True)
    for one in IDS:
        write_snapshot(found, one, rows=90)
    return found


def waiting(config: Path, *more: str) -> subprocess.Popen[str]:
    """A job that has said how long it waits."""
    process = subprocess.Popen(
        words(config, "job", "nightly", "--jitter", "1h", *more),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("the job begins in ")
    return process


@pytest.mark.usefixtures("store")
def test_it_waits_within_the_bounds_and_then_begins(
    tmp_path: Path, vault: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clock of `max_runtime`, and of the metrics, runs from when the job begins."""
    asked: list[tuple[float, float]] = []

    def drawn(least: float, most: float) -> float:
        asked.append((least, most))
        return 1.5

    monkeypatch.setattr(commands_job.random, "uniform", drawn)
    config = write(tmp_path / "c.toml", vault, 'steps = ["verify latest"]\nmax_runtime = "30s"')
    began, began_s = time.time(), time.monotonic()
    typed = ["job", "nightly", "--config", str(config), "--jitter", "10m", "--json"]
    assert main(typed) == 0
    took_s = time.monotonic() - began_s
    told = capsys.readouterr()
    report = json.loads(told.out)
    assert asked == [(0.0, 600.0)]
    assert "the job begins in 1.5 s (--jitter 10 min" in told.err
    assert report["began"] >= began + 1.4
    assert report["seconds"] <= took_s - 1.4
    assert main([*typed[:-1], "-q"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_wait_holds_nothing_and_ends_at_once(
    tmp_path: Path, vault: Path, number: signal.Signals
) -> None:
    failure, failed = hook(tmp_path, "failure")
    job = f'steps = ["prune --keep-last 1 --execute"]\non_failure = {failure}'
    process = waiting(write(tmp_path / "c.toml", vault, job))
    swift = write(tmp_path / "d.toml", vault, 'steps = ["verify latest"]')
    assert run(swift, "job", "nightly", "-q").returncode == 0  # another goes on meanwhile
    process.send_signal(number)
    said, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert "stopped in the wait of --jitter, before the job had begun" in told
    assert said == ""
    assert len(list(vault.glob("*/manifest.json"))) == len(IDS)
    assert not failed.exists(), "who stops it knows"


def age(store: LocalStore, days: float) -> None:
    """As if all that was proven so far had been proven so long ago."""
    for one in IDS:
        snapshot = load_manifest(store, one)
        before = Memory(store, snapshot, time.time())
        [entry] = snapshot.tables
        times = before.all_of(entry)
        for path in (store.root / ".proofs" / one).glob("verify-*.json"):
            path.unlink()
        aged = Memory(store, snapshot, time.time())
        for chunk, at in enumerate(times):
            if at:
                aged.note(entry, chunk, "rows", at - days * DAY_S)
        aged.save("aged")


def proven(store: LocalStore) -> set[tuple[str, int]]:
    """The chunks that were proven today."""
    found = set()
    for one in IDS:
        snapshot = load_manifest(store, one)
        times = Memory(store, snapshot, time.time()).all_of(snapshot.tables[0])
        since = time.time() - DAY_S / 2
        found |= {(one, chunk) for chunk, at in enumerate(times) if at > since}
    return found


@pytest.mark.parametrize("missed", [(), (3,), (2, 3, 4), (1, 5)])
def test_a_budget_goes_on_after_missed_nights(store: LocalStore, missed: tuple[int, ...]) -> None:
    """No chunk comes twice before each was once: a missed night shifts the rest, and skips none."""
    sizes = [path.stat().st_size for path in of_vault(store) if path.suffix == ".parquet"]
    extent = Extent(threads=1, budget_s=0.2, rate_bytes_s=2 * max(sizes) / 0.2)
    seen: set[tuple[str, int]] = set()
    for night in range(40):
        age(store, 1.0)
        if night in missed:
            continue
        verify_vault(store, extent)
        now = proven(store)
        rest = CHUNKS - len(seen)
        assert len(now - seen) == min(len(now), rest), "what was never proven comes first"
        seen |= now
        if len(seen) == CHUNKS:
            break
    assert len(seen) == CHUNKS


def test_damage_that_a_missed_night_would_have_found_is_found_by_the_next(
    store: LocalStore,
) -> None:
    """It lies in what was proven the longest time ago, and is looked at first."""
    verify_vault(store)
    age(store, 1.0)
    chunks = [path for path in of_vault(store) if path.suffix == ".parquet"]
    # all but the last were proven again last night; then a night was missed
    for one in IDS:
        snapshot = load_manifest(store, one)
        memory = Memory(store, snapshot, time.time())
        for chunk in range(3):
            if (one, chunk) != (IDS[2], 2):
                memory.note(snapshot.tables[0], chunk, "rows", time.time() - 60)
        memory.save("last-night")
    age(store, 1.0)
    flip(chunks[-1], random.Random(5))
    extent = Extent(threads=1, budget_s=30.0, rate_bytes_s=1.0)  # too slow for a second one
    found = verify_vault(store, extent)
    assert sum(one.chunks_checked for one in found.snapshots) == 1
    assert len(found.findings) == 1

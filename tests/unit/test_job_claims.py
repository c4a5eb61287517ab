"""Jobs beside each other: on other tables they are, on the same never; the dead do not count."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tablevault.cli.app import app
from tablevault.cli.invocation import Invocation
from tablevault.cli.job_claims import claim_tables, groups_of
from tablevault.cli.jobs_config import read_jobs
from tablevault.errors import LockedByRun
from tablevault.model import TableName
from tablevault.ops.prune import prune
from tablevault.ops.retention import Rules
from tablevault.vault import claims
from tablevault.vault.claims import Claim, at_work, take
from tablevault.vault.store import LocalStore, open_store
from tests.servers import ROOT
from tests.unit.vaults import definition, write_snapshot

ORDERS, LINES = "20261121T000000Z-orders", "20261121T000001Z-lines"
OLD_ORDERS = "20261120T000000Z-orders"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
JOBS = """
[profile.default]
vault = "{vault}"
[tables.others]
include = ["shop.*"]
exclude = ["shop.orders"]
[job.orders]
steps = ["verify orders --rate-limit 1"]
[job.lines]
steps = ["verify lines @others"]
[job.again]
steps = ["verify orders shop.orders"]
[job.latest]
steps = ["verify latest"]
[job.tidy]
steps = ["prune --keep-last 1 --execute"]
"""
Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def store(vault: Path) -> LocalStore:
    found = open_store(str(vault), create=True)
    write_snapshot(found, OLD_ORDERS, name="orders", rows=90)
    write_snapshot(found, ORDERS, name="orders", rows=90)
    lines = definition(table=TableName("shop", "lines"))
    write_snapshot(found, LINES, name="lines", table=lines, rows=90)
    return found


@pytest.fixture
def config(tmp_path: Path, vault: Path) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(JOBS.replace("{vault}", str(vault)))
    return path


@pytest.fixture
def start(config: Path) -> Iterator[Start]:
    """Begin a job and leave it at work; returns once it has claimed its tables."""
    begun: list[subprocess.Popen[str]] = []

    def start(job: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tablevault", "job", job, "--config", str(config)],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            if "checking" in line:
                break
        return process

    yield start
    for process in begun:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def run(config: Path, job: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tablevault", "job", job, "--config", str(config)],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def test_two_processes_on_the_same_table_never_and_on_others_beside_each_other(
    store: LocalStore, config: Path, start: Start
) -> None:
    first = start("orders")
    beside = run(config, "lines")
    assert beside.returncode == 0, beside.stderr
    for job, what in (
        ("again", "a table of shop.orders"),
        ("orders", "job orders"),
        ("latest", "every table"),
    ):
        refused = run(config, job)
        assert refused.returncode == 7
        assert f"{what} of vault {store.uri} is locked by job orders, process {first.pid} of " in (
            refused.stderr
        )
        assert ", since 20" in refused.stderr
        assert " s ago)" in refused.stderr
    assert "names neither tables nor a snapshot" in refused.stderr
    assert first.poll() is None
    assert len(at_work(store)) == 1


def test_a_killed_one_is_taken_over_and_that_is_said(
    store: LocalStore, config: Path, start: Start, vault: Path
) -> None:
    first = start("orders")
    first.kill()
    first.communicate(timeout=60)  # its step ends as well: it holds the pipe
    assert len(list((vault / ".locks").glob("job-*"))) == 1
    done = run(config, "again")
    assert done.returncode == 0, done.stderr
    assert f"hint: took over what job orders, process {first.pid} of " in done.stderr
    assert "had locked: it is gone" in done.stderr
    assert not list((vault / ".locks").iterdir())
    assert "took over" not in run(config, "again").stderr


def test_a_step_that_is_still_ending_keeps_its_tables(
    store: LocalStore, config: Path, start: Start
) -> None:
    first = start("orders")
    children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
    (step,) = map(int, children)
    os.kill(step, signal.SIGSTOP)  # as if it took long to clean up
    try:
        first.kill()
        first.wait(timeout=30)
        refused = run(config, "again")
        assert refused.returncode == 7
        assert f"locked by job orders, process {first.pid} of " in refused.stderr
        assert "its process is gone and its step is ending" in refused.stderr
    finally:
        os.kill(step, signal.SIGCONT)
    first.communicate(timeout=60)
    assert run(config, "again").returncode == 0


HOLDER = """
import subprocess, sys, time
from tablevault.vault.claims import take
from tablevault.vault.store import LocalStore
taken = take(LocalStore(sys.argv[1]), "night", "me", (("shop.*",),), lambda other: None)
held = taken.lock.descriptor
step = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=(held,))
print(step.pid, flush=True)
time.sleep(60)
"""


def test_a_step_that_outlives_its_job_keeps_the_tables(store: LocalStore) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, store.uri],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    step = int(process.stdout.readline())
    (living,) = at_work(store)
    assert not living.process_gone
    process.kill()
    process.wait(timeout=30)
    process.stdout.close()

    def refuse(other: Claim) -> None:
        assert other.process_gone
        raise LockedByRun(str(other))

    with pytest.raises(LockedByRun, match=f"process {process.pid} of me on "):
        take(store, "other", "me", (("shop.*",),), refuse)
    os.kill(step, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while at_work_without_removing(store):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with take(store, "other", "me", (), refuse) as taken:
        assert [one.job for one in taken.left] == ["night"]


def at_work_without_removing(store: LocalStore) -> bool:
    """Whether the one lock file is locked."""
    import fcntl

    (path,) = (store.root / ".locks").glob("job-*")
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_claim_of_another_boot_is_of_nobody(
    store: LocalStore, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(claims, "boot_id", lambda: "before")
        left = take(store, "night", "me", (("shop.*",),), lambda other: None)
    (living,) = at_work(store)
    assert living.process_gone  # although a process of that number is there: ours
    left.lock.release()


def test_what_cannot_be_read_claims_every_table(store: LocalStore, config: Path) -> None:
    with store.lock("job-x", "a version to come\n{}"):
        done = run(config, "lines")
    assert done.returncode == 7
    assert "locked by job unknown" in done.stderr


def test_prune_leaves_what_another_job_works_on(store: LocalStore, config: Path) -> None:
    def go(claim: str | None = None) -> dict[str, str]:
        result = prune(store, Rules(last=1), store.root / ".runs", execute=True, claim=claim)
        return {one.snapshot: f"{one.action} {one.why}" for one in result.verdicts}

    with take(store, "other", "me", (("shop.*", "!shop.orders"),), lambda other: None):
        found = go()
        assert found[OLD_ORDERS].startswith("removed") or found[ORDERS].startswith("removed")
    write_snapshot(store, "20261122T000000Z-orders", name="orders", rows=90)
    with take(store, "other", "me", (("shop.orders",),), lambda other: None) as taken:
        busy = [text for text in go().values() if text.startswith("busy")]
        assert len(busy) == 1
        assert "job other, process" in busy[0]
        assert busy[0].endswith("is at work on shop.orders")
        assert any(text.startswith("removed") for text in go(claim=taken.name).values())


def test_a_job_that_prunes_is_in_nobodys_way(
    store: LocalStore, config: Path, start: Start, vault: Path
) -> None:
    start("orders")
    done = run(config, "tidy")
    assert done.returncode == 0, done.stderr
    assert "is at work on shop.orders" in done.stderr
    assert len(list(vault.glob("*/manifest.json"))) == 3


def test_a_prune_of_a_job_waits_for_another_one_to_end(store: LocalStore, config: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tablevault", "job", "tidy", "--config", str(config), "--json"],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with store.lock("prune", "somebody"):
        assert process.stderr is not None
        for line in process.stderr:
            if "pruning" in line:
                break
        time.sleep(0.5)
        assert process.poll() is None
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert json.loads(told)["status"] == "ok"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["snapshot 'a.*' '!a.b' --name n", "drill n", "diff n"], [("a.*", "!a.b")]),
        (["snapshot"], [("p.*",)]),
        (["snapshot @others"], [("shop.*", "!shop.orders")]),
        (["verify orders", "prune --keep-last 1", "doctor"], [("shop.orders",)]),
        (["verify lines shop.x"], [("shop.x",)]),
        (["verify orders", "verify lines"], [("shop.orders",), ("shop.lines",)]),
        (["diff orders lines"], [("shop.orders",)]),
        (["verify --all"], [("*",)]),
        (["snapshot a.b", "drill latest"], [("a.b",), ("*",)]),
        (["drill none"], [("*",)]),  # what it means is not known yet
        (["drill 2026-11-20"], [("*",)]),  # as long as the day is not over
        (["doctor"], []),
    ],
)
def test_what_a_job_works_on(
    store: LocalStore, tmp_path: Path, steps: list[str], expected: list[tuple[str, ...]]
) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        f'[profile.p]\ntables = ["p.*"]\n[job.j]\nsteps = {json.dumps(steps)}\n'
        f"{JOBS[JOBS.index('[tables') : JOBS.index('[job')]}"
    )
    job = read_jobs(path, app.commands)["j"]
    about = Invocation(str(path), "p")
    assert list(groups_of(store, job, about, app.commands)) == expected
    with claim_tables(store, job, about, app.commands):
        (claim,) = at_work(store)
    assert claim.groups == tuple(expected)
    assert at_work(store) == []

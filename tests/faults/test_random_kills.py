"""SIGKILL at a random moment, of the restore and often of its resumption too: always the right end.

TABLEVAULT_TEST_KILLS says how many runs are killed (10); each has its number as seed, which is
named when it fails.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.place import Place, take
from tests.servers import ROOT, Server

KILLS = int(os.environ.get("TABLEVAULT_TEST_KILLS", "10"))
THREADS = 2
AGAIN = 0.4  # of the resumptions are killed, too
EARLY = 0.15  # of the kills come before there is a journal, as far as is known


def begin(place: Place, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tablevault", "restore", *words, "--swap", "-q"]
    command += [*place.server.arguments(), "--vault", str(place.vault)]
    return subprocess.Popen(
        command,
        env={**place.server.environment(), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def kill_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Let it run for so long; whether it had to be killed."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    return process.returncode != 0


def await_journal(process: subprocess.Popen[bytes], place: Place, known: dict[str, int]) -> None:
    """Until it has written to a journal; `known` is how long each was before."""
    while process.poll() is None and lengths(place) == known:
        time.sleep(0.005)


def lengths(place: Place) -> dict[str, int]:
    return {run: (place.state_dir / run / "journal.jsonl").stat().st_size for run in place.runs()}


@pytest.fixture
def place(server: Server, database: str, vault: Path, small_units: None) -> Place:
    """Enough rows that most of the time goes into loading them."""
    return take(server, database, vault, orders=8_000)


@dataclass
class Span:
    """How long an undisturbed restore takes to its journal, and from there to its end.

    Other work on the machine comes and goes, above all in the first: kills are timed from the
    journal on, and a run that ends before its kill tells how long the work takes now.
    """

    journal_s: float
    work_s: float


@pytest.fixture
def span(place: Place) -> Span:
    known = lengths(place)
    began_s = time.monotonic()
    process = begin(place, "latest", "--indexes", "after", "--threads", str(THREADS))
    await_journal(process, place, known)
    journal_s = time.monotonic() - began_s
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    place.assert_restored()
    return Span(journal_s, time.monotonic() - began_s - journal_s)


def test_killed_at_random_moments(place: Place, span: Span) -> None:
    hit = 0
    for number in range(KILLS):
        hit += kill_and_resume(place, span, random.Random(number), f"kill {number}")
    print(f"{hit} of {KILLS} runs were killed at work")
    assert hit >= KILLS / 3, f"only {hit} of {KILLS} runs were killed at work"


def kill_and_resume(place: Place, span: Span, chance: random.Random, name: str) -> bool:
    """Whether the first kill hit a restore that had begun to load."""
    text = "UPDATE orders SET amount = -1 WHERE id = 7; DELETE FROM notes LIMIT 1;"
    place.server.sql(text, place.schema)
    place.live = place.checksums()
    known = set(place.runs())
    words = ["latest", "--indexes", "after", "--threads", str(THREADS)]
    kills, at_work = 0, False
    while True:
        before = lengths(place)
        process = begin(place, *words)
        if kills and chance.random() > AGAIN:
            assert process.wait(60) == 0, f"{name}: {process.communicate()[1].decode()}"
            process.communicate()
            break
        if chance.random() < EARLY:
            killed = kill_within(process, chance.uniform(0, span.journal_s))
        else:
            await_journal(process, place, before)
            began_s = time.monotonic()
            killed = kill_within(process, chance.uniform(0, span.work_s))
            if not killed and not kills:
                span.work_s = time.monotonic() - began_s
        if not killed:
            break
        kills += 1
        assert place.checksums() in (place.live, place.before), f"{name}: a live table is damaged"
        made = [run for run in set(place.runs()) - known if place.journal(run)]
        if made:
            words = ["--resume", made[0]]
            at_work = at_work or any(e["kind"] == "loading" for e in place.journal(made[0]))
    place.assert_restored()
    for run in set(place.runs()) - known:
        assert len(place.twice(run)) <= THREADS * max(1, kills), f"{name}: {place.twice(run)}"
    return at_work

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


@pytest.fixture
def place(server: Server, database: str, vault: Path, small_units: None) -> Place:
    """Enough rows that most of the time goes into loading them."""
    return take(server, database, vault, orders=8_000)


@dataclass
class Span:
    """When an undisturbed restore has its journal, and when it ends, in seconds of its own.

    Other work on the machine comes and goes: each run corrects what the ones before it told.
    """

    journal_s: float
    end_s: float

    def ended(self, after_s: float) -> None:
        self._scale(after_s / self.end_s)

    def not_begun(self, after_s: float) -> None:
        self._scale(max(1.0, after_s / self.journal_s))

    def _scale(self, factor: float) -> None:
        self.journal_s *= factor
        self.end_s *= factor


@pytest.fixture
def span(place: Place) -> Span:
    known = set(place.runs())
    began_s = time.monotonic()
    process = begin(place, "latest", "--indexes", "after", "--threads", str(THREADS))
    while process.poll() is None and not set(place.runs()) - known:
        time.sleep(0.005)
    journal_s = time.monotonic() - began_s
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    place.assert_restored()
    return Span(journal_s, time.monotonic() - began_s)


def test_killed_at_random_moments(place: Place, span: Span) -> None:
    hit = 0
    for number in range(KILLS):
        hit += kill_and_resume(place, span, random.Random(number), f"kill {number}")
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
        process = begin(place, *words)
        if kills and chance.random() > AGAIN:
            assert process.wait(60) == 0, f"{name}: {process.communicate()[1].decode()}"
            process.communicate()
            break
        began_s = time.monotonic()
        killed = kill_within(process, chance.uniform(0.8 * span.journal_s, span.end_s))
        ran_s = time.monotonic() - began_s
        if not killed:
            if not kills:
                span.ended(ran_s)
            break
        kills += 1
        assert place.checksums() in (place.live, place.before), f"{name}: a live table is damaged"
        made = [run for run in set(place.runs()) - known if place.journal(run)]
        if made:
            words = ["--resume", made[0]]
            at_work = at_work or any(e["kind"] == "loading" for e in place.journal(made[0]))
        elif kills == 1:
            span.not_begun(ran_s)
    place.assert_restored()
    for run in set(place.runs()) - known:
        assert len(place.twice(run)) <= THREADS * max(1, kills), f"{name}: {place.twice(run)}"
    return at_work

"""SIGKILL of the process at every journal entry, before and after it: the run goes on to the end."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.faults.place import Place
from tests.servers import ROOT

THREADS = 2
KILLER = ROOT / "tests" / "faults" / "killer.py"


def killed_restore(place: Place, when: str) -> int:
    """Restore with the command line, which kills itself; returns how it ended."""
    command = [sys.executable, str(KILLER), when, "restore", "latest", "--swap"]
    command += ["--indexes", "after", "--threads", str(THREADS), *place.server.arguments()]
    done = subprocess.run(
        [*command, "--vault", str(place.vault), "-q"],
        env={**place.server.environment(), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode


def kinds_of_a_whole_run(place: Place) -> list[str]:
    """The kinds of all entries of a restore that nobody kills, in order."""
    assert killed_restore(place, "never:-1") == 0
    [run] = place.runs()
    place.assert_restored()
    return [entry["kind"] for entry in place.journal(run)]


def damage_again(place: Place) -> None:
    """The live tables as they were before the restore: each kill meets the same ones."""
    text = "UPDATE orders SET amount = -1 WHERE id = 7; DELETE FROM notes LIMIT 1;"
    place.server.sql(text, place.schema)
    place.live = place.checksums()


def kill_and_resume(place: Place, when: str) -> None:
    known = set(place.runs())
    assert killed_restore(place, when) == -signal.SIGKILL, f"{when}: nothing killed it"
    found = place.checksums()
    assert found in (place.live, place.before), f"{when}: a live table is not whole"
    new = set(place.runs()) - known
    if when == "before:0" or not new:
        assert found == place.live
        return
    [run] = new
    if not place.journal(run):
        return  # killed while it was begun: nothing was done in its name
    resumed = place.resume(run).succeeded()
    assert resumed.status == "swapped", when
    place.assert_restored()
    assert len(place.twice(run)) <= THREADS, f"{when}: {place.twice(run)}"


def points(kinds: list[str], every: bool) -> list[int]:
    """All entries, or one of each kind: of those that come often one in the middle."""
    if every:
        return list(range(len(kinds)))
    numbers: dict[str, list[int]] = {}
    for number, kind in enumerate(kinds):
        numbers.setdefault(kind, []).append(number)
    return sorted(places[len(places) // 2] for places in numbers.values())


def walk(place: Place, every: bool) -> None:
    kinds = kinds_of_a_whole_run(place)
    assert {"begun", "connections", "created", "loading", "proven", "indexed"} <= set(kinds)
    assert kinds.count("loading") > 3 * THREADS
    for number in points(kinds, every):
        for side in ("before", "after"):
            damage_again(place)
            kill_and_resume(place, f"{side}:{number}")


def test_killed_at_each_kind_of_entry(place: Place) -> None:
    walk(place, every=False)


@pytest.mark.slow
def test_killed_at_every_entry(place: Place) -> None:
    walk(place, every=True)

"""SIGKILL of the process before and after every journal entry: the run goes on to its end."""

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


# After what announces a step, and before what reports one, the step itself may be half done.
REPORTS = frozenset({"created", "proven", "indexed", "table proven", "proven all", "swapped"})


def points(kinds: list[str], every: bool) -> list[str]:
    """Both sides of all entries; or of each kind one, in the middle, at its dangerous side."""
    if every:
        return [f"{side}:{n}" for n in range(len(kinds)) for side in ("before", "after")]
    numbers: dict[str, list[int]] = {}
    for number, kind in enumerate(kinds):
        numbers.setdefault(kind, []).append(number)
    return [
        f"{'before' if kind in REPORTS else 'after'}:{places[len(places) // 2]}"
        for kind, places in numbers.items()
    ]


def walk(place: Place, every: bool) -> None:
    kinds = kinds_of_a_whole_run(place)
    assert {"begun", "connections", "created", "loading", "proven", "indexed"} <= set(kinds)
    assert kinds.count("loading") > 3 * THREADS
    for when in points(kinds, every):
        damage_again(place)
        kill_and_resume(place, when)


def test_killed_at_each_kind_of_entry(place: Place) -> None:
    walk(place, every=False)


@pytest.mark.slow
def test_killed_at_every_entry(place: Place) -> None:
    walk(place, every=True)

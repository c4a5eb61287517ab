"""A table comes as a tablespace, and server, tablevault or both are killed at each step of it.

However that ends: the server starts again with the live tables whole, the run goes on to the end
or is cleaned away, and nothing of it stays in the server's data directory.
"""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tablevault.demo.server import PrivateServer
from tablevault.ops.swap import cleanup
from tests.faults.place import Place
from tests.servers import ROOT
from tests.support.kept_tablespaces import data_directory

KILLER = ROOT / "tests" / "faults" / "killer.py"
STEPS = (
    *("creating", "placing", "made", "discarded", "filling", "waiting", "addressed", "in place"),
    *("taken in", "created", "table proven", "proven all", "swapping", "swapped"),
)
# first while the live table is still the one that the copy is of: only then do ids collide
DANGEROUS = ("after:in place:0", "before:discarded:0", "after:addressed:0", "before:taken in:0")


def killed_restore(
    place: Place, when: str, server: PrivateServer | None = None, *tables: str
) -> str:
    """Restore with the command line, which kills itself, and `server` too; returns the run."""
    known = set(place.runs())
    environment = {**place.server.environment(), "PYTHONPATH": str(ROOT)}
    if server is not None:
        environment["TABLEVAULT_TEST_ALSO_KILLED"] = str(server.pid)
    done = subprocess.run(
        [
            *(sys.executable, str(KILLER), when, "restore", "latest", *tables, "--swap", "-q"),
            *("--vault", str(place.vault), *place.server.arguments()),
        ],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    wanted = 130 if when.startswith("interrupt") else -signal.SIGKILL
    assert done.returncode == wanted, f"{when}: nothing killed it: {done.stderr.decode()}"
    [run] = set(place.runs()) - known
    return run


def damage_again(place: Place) -> None:
    """The live tables as they were before the restore: each kill meets the same ones."""
    text = "UPDATE orders SET amount = -1 WHERE id = 7; DELETE FROM notes LIMIT 1;"
    place.server.sql(text, place.schema)
    place.live = place.checksums()


def files_of_runs(place: Place) -> list[str]:
    """Whatever lies in the data directory under a name that a run gave."""
    folder = data_directory(place.server) / place.schema
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("_tv_"))


def assert_whole(place: Place, when: str) -> None:
    assert place.checksums() in (place.live, place.before), f"{when}: a live table is not whole"


def end_well(place: Place, run: str, when: str, *, resume: bool) -> None:
    """Go on with the run, or do away with it; nothing stays either way."""
    if resume:
        assert place.resume(run).succeeded().status == "swapped", when
        place.assert_restored()
    cleanup(place.options(), run, place.state_dir)
    assert files_of_runs(place) == [], when
    assert place.leftovers() == [], when
    assert_whole(place, when)


def walk(place: Place, points: list[str], server: PrivateServer | None) -> None:
    for number, when in enumerate(points):
        damage_again(place)
        run = killed_restore(place, when, server)
        if server is not None:
            server.kill()  # it is dead already; this takes note of it
            server.start()
        assert_whole(place, when)
        end_well(place, run, when, resume=number % 4 != 3 or "swap" in when)


def every_point() -> list[str]:
    return [
        f"{side}:{step}:{table}"
        for step in STEPS
        for side in ("before", "after")
        for table in ((0, 1) if step not in ("proven all", "swapping", "swapped") else (0,))
    ]


def test_server_and_tablevault_die_where_it_is_most_dangerous(
    unlogged: PrivateServer, lane_place: Place
) -> None:
    walk(lane_place, list(DANGEROUS), unlogged)


def test_tablevault_dies_where_it_is_most_dangerous(lane_place: Place) -> None:
    walk(lane_place, [*DANGEROUS, "after:placing:1", "before:created:1"], None)


@pytest.mark.slow
def test_server_and_tablevault_die_at_every_step(
    unlogged: PrivateServer, lane_place: Place
) -> None:
    walk(lane_place, every_point(), unlogged)


@pytest.mark.slow
def test_tablevault_dies_at_every_step(lane_place: Place) -> None:
    walk(lane_place, every_point(), None)

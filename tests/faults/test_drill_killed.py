"""SIGKILL of a drill around every kind of journal entry: the next one removes what it left."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.faults.place import Place
from tests.faults.test_journal_kills import KILLER
from tests.servers import ROOT
from tests.support.facts import literal

THREADS = 2


def drill(place: Place, when: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    """A drill with the command line, which kills itself at `when`."""
    command = [sys.executable, str(KILLER), when, "drill", "latest", *words, "--indexes", "after"]
    done = subprocess.run(
        [*command, *place.server.arguments(), "--vault", str(place.vault)],
        env={**place.server.environment(), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done


def scratch(place: Place) -> list[str]:
    pattern = literal("\\_tv\\_drill\\_%")
    rows = place.server.query(
        f"SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE {pattern}"
    )
    return [row[0] or "" for row in rows]


def points(kinds: list[str], every: bool) -> list[str]:
    """Both sides of all entries, or of one of each kind."""
    numbers = range(len(kinds)) if every else sorted({kinds.index(kind) for kind in kinds})
    return [f"{side}:{n}" for n in numbers for side in ("before", "after")]


def walk(place: Place, every: bool) -> None:
    assert drill(place, "never:-1").returncode == 0
    [run] = place.runs()
    kinds = [entry["kind"] for entry in place.journal(run)]
    wanted = {"creating schema", "creating", "loading", "proven", "indexed", "drilled", "cleaned"}
    assert wanted <= set(kinds)
    left = 0
    for when in points(kinds, every):
        assert drill(place, when).returncode == -signal.SIGKILL, f"{when}: nothing killed it"
        place.assert_live()
        left += bool(scratch(place))
        after = drill(place, "never:-1", "--sample", "1%")
        assert after.returncode == 0
        assert scratch(place) == [], f"{when}: {after.stderr.decode()}"
        place.assert_live()
    assert left >= 8, "the kills came when there was nothing to leave"
    assert place.leftovers() == []


def test_killed_at_each_kind_of_entry(place: Place) -> None:
    walk(place, every=False)


@pytest.mark.slow
def test_killed_at_every_entry(place: Place) -> None:
    walk(place, every=True)

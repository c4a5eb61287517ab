"""A drill's server is killed in each of its phases: it comes back, or it does not."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tablevault.demo.server import PrivateServer
from tablevault.errors import ServerUnavailable
from tablevault.events import Event, RunEnded
from tablevault.ops.drill import DrillResult, drill
from tablevault.ops.drill_plan import DrillOptions
from tablevault.ops.swap import cleanup
from tests.faults.place import Place, Restoring
from tests.faults.test_drill_killed import scratch
from tests.faults.test_server_dies import crash

WITHIN_S = 90.0
PHASES = ("preparing", "planning", "loading", "indexing", "proving", "cleanup")


def begin(place: Place, then: Callable[[Event], None] = lambda event: None) -> Restoring:
    """A drill in a thread; `then` sees each event as it is made."""

    def call(observer: Callable[[Event], None]) -> DrillResult:
        def both(event: Event) -> None:
            observer(event)
            then(event)

        options = DrillOptions(indexes="after", lock_wait_s=10.0)
        return drill(place.options(), place.store, "latest", options, place.state_dir, both)

    return Restoring(call).start()  # type: ignore[arg-type]  # a drill is a restore that ends early


def at_phase(phase: str, do: Callable[[], None]) -> Callable[[Event], None]:
    """Do it at the first event of that phase, once."""
    done = threading.Event()

    def see(event: Event) -> None:
        if event.phase == phase and not done.is_set() and not isinstance(event, RunEnded):
            done.set()
            do()

    return see


def assert_works(place: Place) -> Restoring:
    """The next drill is proven, and nothing is left of it or of those before."""
    after = begin(place)
    after.succeeded(WITHIN_S)
    assert scratch(place) == [], after.told
    assert place.leftovers() == []
    place.assert_live()
    return after


@pytest.mark.parametrize("phase", PHASES)
def test_it_comes_back(mortal: PrivateServer, mortal_place: Place, phase: str) -> None:
    """The drill goes on, is proven, and leaves no trace."""
    place = mortal_place
    drilling = begin(place, at_phase(phase, lambda: crash(mortal)))
    drilling.succeeded(WITHIN_S)
    assert scratch(place) == [], drilling.told
    place.assert_live()
    assert_works(place)


@pytest.mark.usefixtures("impatient")
def test_it_comes_back_when_the_drill_has_given_up(
    mortal: PrivateServer, mortal_place: Place
) -> None:
    """The drill has failed, and drops what it made all the same."""
    place = mortal_place
    kill, start = at_phase("loading", mortal.kill), at_phase("cleanup", mortal.start)

    def both(event: Event) -> None:
        kill(event)
        start(event)

    drilling = begin(place, both)
    failure = drilling.failed(ServerUnavailable.exit_code, WITHIN_S)
    assert "cleanup" not in (failure.hint or ""), drilling.told
    assert scratch(place) == [], drilling.told
    assert drilling.run not in assert_works(place).told


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("remover", ["cleanup", "the next drill"])
def test_it_does_not_come_back(mortal: PrivateServer, mortal_place: Place, remover: str) -> None:
    place = mortal_place
    drilling = begin(place, at_phase("loading", mortal.kill))
    failure = drilling.failed(ServerUnavailable.exit_code, WITHIN_S)
    run = drilling.run
    assert "cannot be reached" in failure.message or "lost" in failure.message
    hint = failure.hint or ""
    assert "its scratch schema could not be dropped yet" in hint
    assert f"`tablevault cleanup {run}`" in hint
    assert "the next drill drops it too" in hint
    assert drilling.gap_s < 3.0
    mortal.start()
    assert len(scratch(place)) == 1
    place.assert_live()
    if remover == "cleanup":
        cleanup(place.options(), run, place.state_dir)
        assert scratch(place) == []
        assert f"drill {run}" not in assert_works(place).told
    else:
        assert f"dropped what drill {run} had left when it died" in assert_works(place).told

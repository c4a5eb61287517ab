"""Stillness, pressure and gauges: pure rules by which a restore speaks up and slows down."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tablevault.engine.gauge import Gauge
from tablevault.engine.stillness import Stillness
from tablevault.engine.throttle import LONGEST_PAUSE_S, Strain, Throttle


def test_it_speaks_from_the_first_still_second_and_louder_as_time_doubles() -> None:
    stillness = Stillness(stalled_after_s=10)
    assert stillness.observe(0.0, 1) is None
    assert stillness.observe(0.5, 1) is None
    stalls = []
    for tick in range(2, 100):
        still = stillness.observe(tick * 0.5, 1)
        assert still is not None and still.seconds == tick * 0.5
        if still.stall:
            stalls.append(still.seconds)
    assert stalls == [10.0, 20.0, 40.0]


def test_any_movement_begins_anew() -> None:
    stillness = Stillness(stalled_after_s=10)
    stillness.observe(0.0, (1, 2))
    assert stillness.observe(9.0, (1, 2)) is not None
    assert stillness.observe(9.5, (1, 3)) is None
    assert stillness.observe(10.0, (1, 3)) is None
    later = stillness.observe(19.0, (1, 3))
    assert later is not None and later.stall is None


def strain(level: float, what: str = "redo", *, holds: bool = False) -> Strain:
    return Strain(what, f"{level}", "1", level, relief=0.8, holds=holds)


strains = st.builds(strain, st.floats(0, 3), st.sampled_from(["redo", "disk"]), holds=st.booleans())


@given(st.lists(st.lists(strains, max_size=3), max_size=50))
def test_the_pause_is_bounded_whatever_the_pressure(samples: list[list[Strain]]) -> None:
    throttle = Throttle()
    for sample in samples:
        counts = throttle.feel(sample)
        assert 0.0 <= throttle.pause_s <= LONGEST_PAUSE_S
        assert (counts is None) == (throttle.pause_s == 0.0 and throttle.holds is None)
        assert throttle.holds is None or throttle.holds.holds


def test_pressure_slows_and_relief_frees() -> None:
    throttle = Throttle()

    def pause(level: float) -> float:
        throttle.feel([strain(level)])
        return throttle.pause_s

    assert pause(1.0) == 0.0
    grown = [pause(1.01) for _ in range(5)]
    assert grown == sorted(grown) and grown[0] > 0
    assert pause(0.9) == grown[-1], "between the two it does not swing"
    for _ in range(20):
        pause(0.1)
    assert throttle.pause_s == 0.0


def test_what_holds_holds_until_there_is_relief() -> None:
    throttle = Throttle()

    def held(level: float) -> bool:
        throttle.feel([strain(level, "disk", holds=True)])
        return throttle.holds is not None

    assert not held(0.99)
    assert held(1.01) and held(0.85)
    assert not held(0.79) and not held(0.85)
    assert throttle.pause_s == 0.0


def test_what_is_not_seen_any_more_strains_nobody() -> None:
    throttle = Throttle()
    throttle.feel([strain(2.0), strain(2.0, "disk", holds=True)])
    assert throttle.pause_s and throttle.holds
    assert throttle.feel([]) is None
    assert throttle.pause_s == 0.0 and throttle.holds is None


def test_a_gauge_ignores_the_end_of_the_build_before() -> None:
    gauge = Gauge()
    assert gauge.read("first", 0.2) == 0.2
    assert gauge.read("first", 0.1) == 0.2
    assert gauge.read("first", 1.0) == 1.0
    assert gauge.read("second", 1.0) == 0.0
    assert gauge.read("second", 1.0) == 0.0
    assert gauge.read("second", 0.05) == 0.05
    assert gauge.read("second", None) == 0.05
    assert gauge.read("second", 1.0) == 1.0

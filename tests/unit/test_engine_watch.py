"""Stillness, pressure and gauges: pure rules by which a restore speaks up and slows down."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tablevault.engine.gauge import Gauge
from tablevault.engine.stillness import Stillness
from tablevault.engine.throttle import HIGH_MARK, LONGEST_PAUSE_S, LOW_MARK, Throttle


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


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=50))
def test_the_pause_is_bounded_whatever_the_pressure(samples: list[float | None]) -> None:
    throttle = Throttle()
    for sample in samples:
        assert 0.0 <= throttle.feel(sample) <= LONGEST_PAUSE_S


def test_pressure_slows_and_relief_frees() -> None:
    throttle = Throttle()
    assert throttle.feel(HIGH_MARK) == 0.0
    grown = [throttle.feel(0.95) for _ in range(5)]
    assert grown == sorted(grown) and grown[0] > 0
    held = throttle.feel((HIGH_MARK + LOW_MARK) / 2)
    assert held == grown[-1]
    for _ in range(20):
        throttle.feel(0.1)
    assert throttle.pause_s == 0.0


def test_an_emergency_knows_no_pause() -> None:
    assert Throttle(enabled=False).feel(1.0) == 0.0


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

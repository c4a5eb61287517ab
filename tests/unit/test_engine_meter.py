"""Rates and remaining times: steady for steady work, silent while nothing is known."""

from __future__ import annotations

import threading

import pytest

from tablevault.engine.meter import Meter
from tablevault.engine.poller import Poller
from tablevault.errors import CannotComplete


def test_nothing_is_promised_before_anything_moved() -> None:
    meter = Meter()
    assert meter.rate_s == 0.0
    assert meter.remaining_s(100) is None
    meter.sample(0.0, 0)
    meter.sample(0.2, 50)
    assert meter.rate_s == 0.0


def test_steady_work_gives_the_exact_time_left() -> None:
    meter = Meter()
    for second in range(60):
        meter.sample(float(second), second * 10.0)
    assert meter.rate_s == pytest.approx(10.0)
    assert meter.remaining_s(1_000) == pytest.approx(41.0)


def test_the_window_forgets_what_was_long_ago() -> None:
    meter = Meter()
    for second in range(100):
        meter.sample(float(second), 1000.0 if second > 20 else second * 50.0)
    assert meter.rate_s == 0.0


def test_a_stall_keeps_the_last_estimate() -> None:
    meter = Meter()
    meter.sample(0.0, 0)
    meter.sample(10.0, 100)
    known = meter.remaining_s(200)
    for second in range(11, 60):
        meter.sample(float(second), 100)
    assert meter.remaining_s(200) is not None
    assert known == pytest.approx(10.0)


def test_a_poller_that_fails_is_asked_no_more_and_hurts_nobody() -> None:
    asked = 0
    closed = threading.Event()

    def ask() -> int:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise CannotComplete("no privilege")
        return asked

    poller = Poller(ask, every_s=0.001, close=closed.set).start()
    assert closed.wait(5)
    assert poller.latest == 2
    assert poller.failure is not None and poller.failure.message == "no privilege"
    assert asked == 3


def test_an_expected_rate_is_gone_by_until_something_moves() -> None:
    meter = Meter(expected_rate_s=10.0)
    assert meter.remaining_s(100.0) is None  # nobody has looked yet
    meter.sample(0.0, 0.0)
    assert meter.remaining_s(100.0) == 10.0
    meter.sample(2.0, 10.0)  # half as fast as expected: the estimate moves, and does not jump
    first = meter.remaining_s(100.0)
    assert first is not None
    assert 9.0 < first < 18.0
    for second in range(3, 60):
        meter.sample(float(second), 5.0 * second)
        last = meter.remaining_s(1_000.0)
    assert last is not None
    assert last == pytest.approx((1_000 - 295) / 5.0, rel=0.05)

"""Patience: conflicts a few times, an absent server for minutes, everything else not at all."""

from __future__ import annotations

from tablevault.errors import (
    CannotComplete,
    ConnectionLost,
    ProofFailed,
    ServerUnavailable,
    StatementFailed,
)
from tablevault.ops.retrying import CONFLICT_TRIES, LOST_TRIES, Patience

DEADLOCK = StatementFailed("deadlock", errno=1213, transient=True)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_conflict_is_tried_a_few_times_with_growing_pauses() -> None:
    patience = Patience(Clock())
    delays = [patience.delay_s(DEADLOCK) for _ in range(CONFLICT_TRIES)]
    assert delays[-1] is None
    pauses = [delay for delay in delays if delay is not None]
    assert len(pauses) == CONFLICT_TRIES - 1
    assert pauses == sorted(pauses) and 0 < pauses[0] < 1


def test_a_server_that_is_away_is_waited_for_but_not_forever() -> None:
    clock = Clock()
    patience = Patience(clock, away_s=60)
    assert patience.delay_s(ConnectionLost("gone")) is not None
    clock.now = 59
    assert patience.delay_s(ServerUnavailable("refused")) is not None
    clock.now = 61
    assert patience.delay_s(ServerUnavailable("refused")) is None


def test_what_cannot_get_better_is_not_tried_again() -> None:
    for error in (
        ProofFailed("digest"),
        CannotComplete("full"),
        StatementFailed("duplicate key", errno=1062),
    ):
        assert Patience(Clock()).delay_s(error) is None


def test_a_server_that_came_back_gets_its_time_anew() -> None:
    """An hour of work lies between two losses: the second is no continuation of the first."""
    clock = Clock()
    patience = Patience(clock, away_s=60)
    assert patience.delay_s(ConnectionLost("gone")) is not None
    clock.now = 3600
    assert patience.delay_s(ConnectionLost("gone again")) is not None
    clock.now = 3659
    assert patience.delay_s(ServerUnavailable("refused")) is not None


def test_a_step_that_ends_the_connection_each_time_is_given_up() -> None:
    clock = Clock()
    patience = Patience(clock)
    delays = []
    for _ in range(LOST_TRIES):
        delays.append(patience.delay_s(ConnectionLost("gone")))
        clock.now += 1000
    assert None not in delays[:-1]
    assert delays[-1] is None

"""Patience: conflicts a few times, an absent server for minutes, everything else not at all."""

from __future__ import annotations

from tablevault.errors import (
    CannotComplete,
    ConnectionLost,
    ProofFailed,
    ServerUnavailable,
    StatementFailed,
)
from tablevault.ops.retrying import CONFLICT_TRIES, Patience

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

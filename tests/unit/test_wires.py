"""When a connection is suspected, named and given up: a clock and what the server says go in."""

from __future__ import annotations

import pytest

from tablevault.ops.lookout import View
from tablevault.ops.wires import GIVE_UP_AFTER_S, UNANSWERED_AFTER_S, Flow, Wires

LOADING = Flow(7, "loading chunk 0", since_s=0.0, sent_bytes=100)


def seen(state: str) -> View:
    return View(at_s=0.0, states={7: state})


def test_a_silent_statement_is_the_servers_work_until_it_says_otherwise() -> None:
    wires = Wires()
    for second in range(4000):
        assert wires.observe(second, [LOADING], seen("altering table")) == []
    assert wires.suspects  # so that it is asked


@pytest.mark.parametrize("state", ["Sleep", "gone", "Reading from net", "Receiving from client"])
def test_a_server_that_waits_for_us_is_said_and_then_given_up(state: str) -> None:
    wires = Wires()
    told = [wires.observe(second, [LOADING], seen(state)) for second in range(40)]
    assert told[:5] == [[]] * 5
    [first] = told[5]
    assert (first.connection, first.seconds, first.over) == (7, 5, False)
    assert state in first.cause
    over = [second for second, found in enumerate(told) if found and found[0].over]
    assert over[0] == 3 + GIVE_UP_AFTER_S  # counted from the first look that said so


def test_bytes_that_pass_begin_it_anew() -> None:
    wires = Wires()
    for second in range(200):
        flow = Flow(7, "loading chunk 0", since_s=0.0, sent_bytes=second // 20)
        assert not any(one.over for one in wires.observe(second, [flow], seen("Sleep")))


def test_work_of_the_server_in_between_begins_it_anew() -> None:
    wires = Wires()
    for second in range(200):
        state = "Sending data" if second % 20 == 0 else "Sleep"
        assert not any(one.over for one in wires.observe(second, [LOADING], seen(state)))


def test_a_server_that_answers_nobody_is_given_longer() -> None:
    wires = Wires()
    away = View(at_s=0.0, unseen="it has not answered", away=True)
    for second in range(int(UNANSWERED_AFTER_S)):
        assert not any(one.over for one in wires.observe(second, [LOADING], away))
    [last] = wires.observe(UNANSWERED_AFTER_S, [LOADING], away)
    assert last.over and "answers on no connection" in last.cause


def test_a_server_that_refuses_the_monitor_is_not_away() -> None:
    wires = Wires()
    refused = View(at_s=0.0, unseen="Too many connections")
    for second in range(2000):
        assert wires.observe(second, [LOADING], refused) == []

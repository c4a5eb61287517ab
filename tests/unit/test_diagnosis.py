"""Why nothing moves: each cause from what was seen, the surer ones first."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tablevault.mysql.pressure import Pressure
from tablevault.ops.diagnosis import Diagnosis, Doing, diagnose
from tablevault.ops.lookout import Lookout, View

LOADING = Doing(1, 7, "loading chunk 0, row group 1 of a.b", "LOAD DATA LOCAL INFILE", 12.0)


def seen(**fields: Any) -> View:
    return View(at_s=100.0, **fields)


def found(view: View, *doing: Doing, before: View | None = None) -> Diagnosis:
    return diagnose(view, before or seen(), doing or (LOADING,))


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ("Waiting for table metadata lock", "a session holds a lock"),
        ("Waiting for backup lock", "a session holds a lock"),
        ("Waiting for global read lock", "a session holds a lock"),
        ("waiting for a row lock of connection 9", "another transaction holds rows"),
        ("Waiting for someone to free space", "the server's disk is full"),
    ],
)
def test_the_servers_own_word_comes_first(state: str, cause: str) -> None:
    busy = Pressure(redo=0.99, work=5)  # and yet
    diagnosis = found(seen(states={7: state}, pressure=busy))
    assert diagnosis.cause.startswith(cause)
    assert f"connection 7: {state}" in diagnosis.evidence
    assert not diagnosis.own_fault


def test_who_may_be_in_the_way_is_evidence() -> None:
    view = seen(states={7: "Waiting for table metadata lock"}, blockers=("connection 9 (app@web)",))
    assert "may be in the way: connection 9 (app@web)" in found(view).evidence


def test_a_full_redo_log_a_busy_server_and_a_dead_one() -> None:
    states = {7: "Reading file"}
    full = found(seen(states=states, pressure=Pressure(redo=0.95)))
    assert "the redo log is full (95%)" in full.cause
    busy = found(seen(states=states, pressure=Pressure(work=9)))
    assert "the server is busy with loading chunk 0" in busy.cause
    dead = found(seen(states=states))
    assert "none of its counters moves" in dead.cause
    assert "disk is full" in dead.remedy


def test_a_server_that_does_not_answer_is_not_taken_for_a_busy_one() -> None:
    old = seen(unseen="it has not answered the monitor for 9 s", pressure=Pressure(redo=0.99))
    assert "the server cannot be asked: it has not answered" in found(old).cause


def test_our_own_fault_only_when_nobody_else_works() -> None:
    thinking = Doing(1, 7, "loading chunk 0", "", 0.0)
    asleep = found(seen(states={7: "Sleep"}), thinking)
    assert asleep.own_fault
    working = seen(states={7: "Sleep"}, pressure=Pressure(work=1))
    assert not found(working, thinking).own_fault


@pytest.mark.parametrize("state", ["Sleep", "gone", "Reading from net", "Receiving from client"])
def test_a_statement_that_the_server_waits_for_itself_is_the_wires_fault(state: str) -> None:
    for pressure in (Pressure(), Pressure(work=9), Pressure(redo=0.95)):
        stopped = found(seen(states={7: state}, pressure=pressure))
        assert f"no byte passes on connection 7: the server waits for this side ({state})" in (
            stopped.cause
        )
        assert "network between" in stopped.remedy
        assert not stopped.own_fault


def test_steps_that_wait_to_be_tried_again_say_after_what() -> None:
    pausing = Doing(1, 7, "loading", "", 0.0, pausing="server x cannot be reached")
    diagnosis = found(seen(states={7: "Sleep"}), pausing)
    assert "server x cannot be reached" in diagnosis.cause
    assert not diagnosis.own_fault
    mixed = found(seen(states={7: "Sleep"}), pausing, LOADING)
    assert "server x cannot be reached" not in mixed.cause


def test_a_view_that_is_too_old_says_so_and_names_nobody() -> None:
    lookout = Lookout(lambda: pytest.fail("not asked"), list, list)
    fresh = View(at_s=time.monotonic(), states={7: "Sleep"}, blockers=("connection 9",))
    lookout.poller.latest = fresh
    assert lookout.view is fresh
    lookout.poller.latest = View(
        at_s=time.monotonic() - 9.0, states={7: "Sleep"}, blockers=("connection 9",)
    )
    view = lookout.view
    assert (view.states, view.blockers) == ({}, ())
    assert view.unseen == "it has not answered the monitor for 9 s"
    lookout.poller.failure = ZeroDivisionError("a bug")
    assert "the monitor has failed" in (lookout.view.unseen or "")


def test_a_server_that_has_never_answered_the_monitor_is_said_not_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookout = Lookout(lambda: pytest.fail("not asked"), list, list)
    assert lookout.view.unseen is None
    now_s = time.monotonic() + 5.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    view = lookout.view
    assert view.unseen == "it has not answered the monitor for 5 s" and view.away

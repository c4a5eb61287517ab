"""The wire is cut, stalls, crawls: in a load, before a COMMIT's answer, in an ALTER."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tablevault.events import Hint, Progress, Retrying, Stalled, Waiting
from tablevault.mysql.options import ConnectOptions
from tablevault.ops import wires
from tests.faults.place import Place, take, wait_for
from tests.faults.proxy import Proxy, Wire
from tests.servers import Server

LOAD, COMMIT, ALTER = b"LOAD DATA", b"COMMIT", b"ADD KEY"


def test_cut_in_a_load(proxy: Proxy, through: ConnectOptions, place: Place) -> None:
    rule = proxy.when(LOAD, Wire.cut, skip=3, times=2)
    restoring = place.restore(through)
    assert restoring.succeeded().status == "swapped"
    place.assert_restored()
    assert len(rule.wires) == 2
    retries = restoring.of(Retrying)
    assert all("loading chunk" in retry.what for retry in retries)
    assert "connection lost while running LOAD DATA" in restoring.told


def test_cut_before_the_answer_to_a_commit(
    proxy: Proxy, through: ConnectOptions, place: Place
) -> None:
    """Nobody told whether it was committed: it is looked at, not loaded twice."""
    rule = proxy.when(COMMIT, Wire.cut_before_the_answer, before=True, skip=2)
    restoring = place.restore(through, "orders")
    assert restoring.succeeded().status == "swapped"
    place.assert_restored("orders")
    assert len(rule.wires) == 1
    assert "connection lost while running COMMIT" in restoring.told


def test_cut_before_the_answer_to_a_commit_of_a_table_without_a_key(
    proxy: Proxy, through: ConnectOptions, place: Place
) -> None:
    """There nobody can look: the run ends, and a resumed one loads that table anew."""
    proxy.when(COMMIT, Wire.cut_before_the_answer, before=True)
    restoring = place.restore(through, "notes")
    failure = restoring.failed(4)
    assert "without a key nobody can tell which of the rows are there" in failure.message
    assert "a resumed run loads this table from its beginning" in (failure.hint or "")
    assert f"restore --resume {restoring.run}" in (failure.hint or "")
    place.assert_live()
    assert place.resume(restoring.run).succeeded().status == "swapped"
    place.assert_restored("notes")


@pytest.fixture
def large(server: Server, database: str, vault: Path) -> Place:
    """A table whose index takes a while."""
    return take(server, database, vault, orders=200_000, chunk_bytes=4 << 20)


def test_cut_off_during_an_alter(proxy: Proxy, large: Place) -> None:
    """The server goes on building; what runs there is ended and awaited before it is repeated."""
    server = large.server
    alive: list[int] = []

    def cut_client(wire: Wire) -> None:
        text = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%ADD KEY%'"
        for _ in range(100):
            if int(server.value(f"{text} AND ID <> CONNECTION_ID()") or 0):
                break
        wire.cut_client()
        alive.append(int(server.value(f"{text} AND ID <> CONNECTION_ID()") or 0))

    proxy.when(ALTER, cut_client)
    restoring = large.restore(large.through(proxy), "orders")
    assert restoring.succeeded().status == "swapped"
    large.assert_restored("orders")
    assert alive == [1], "the server noticed the cut"
    assert any("building index" in retry.what for retry in restoring.of(Retrying)), restoring.told
    created = server.sql(f"SHOW CREATE TABLE {large.schema}.orders")
    assert created.count("KEY `state`") == 1


def test_a_stalled_wire_is_said_and_survived(
    proxy: Proxy, through: ConnectOptions, place: Place
) -> None:
    rule = proxy.when(LOAD, lambda wire: proxy.stall(), skip=3)
    restoring = place.restore(through, stalled_after_s=5.0)
    stalled = restoring.wait_event(Stalled)
    assert stalled.seconds < 7
    assert "the server cannot be asked: it has not answered the monitor" in stalled.cause
    assert "can be reached" in stalled.remedy
    assert any("LOAD DATA" in line for line in stalled.evidence), stalled.evidence
    waits = restoring.of(Waiting)
    assert any("loading chunk" in wait.what for wait in waits)
    proxy.go_on()
    assert restoring.succeeded().status == "swapped"
    place.assert_restored()
    assert rule.wires
    assert restoring.gap_s < 2.0


@pytest.mark.parametrize("way", ["to server", "to client"])
def test_one_stalled_wire_is_named_and_given_up(
    proxy: Proxy,
    through: ConnectOptions,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    """Its two ends live, the other worker goes on, nobody asked for more than a warning."""
    monkeypatch.setattr(wires, "GIVE_UP_AFTER_S", 6.0)
    stalled_at: list[float] = []

    def stall(wire: Wire) -> None:
        stalled_at.append(time.time())
        wire.stall(way)

    rule = proxy.when(LOAD, stall, skip=3)
    restoring = place.restore(through, "orders")
    said = restoring.wait_event(Waiting, lambda event: "no byte passes" in event.what)
    assert said.time - stalled_at[0] < 9.0
    assert "loading chunk" in said.what and "the server waits for this side" in said.what
    given_up = restoring.wait_event(Hint, lambda event: "given up" in event.message)
    assert 5.0 < given_up.time - stalled_at[0] < 15.0
    assert restoring.succeeded().status == "swapped"
    place.assert_restored("orders")
    retries = restoring.of(Retrying)
    assert len(retries) == len(rule.wires) == 1 and "aborted while running" in retries[0].cause
    assert restoring.gap_s < 2.0


@pytest.mark.usefixtures("impatient")
def test_a_server_that_answers_nobody_is_given_up(
    proxy: Proxy, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes stop on all connections, on new ones as well, and none of them ends."""
    monkeypatch.setattr(wires, "UNANSWERED_AFTER_S", 10.0)
    proxy.when(LOAD, lambda _: proxy.hold(), skip=3)
    target = place.through(proxy, connect_timeout_s=2)
    restoring = place.restore(target, "orders", stalled_after_s=6.0)
    stalled = restoring.wait_event(Stalled)
    assert "the server cannot be asked" in stalled.cause
    failure = restoring.failed(5)
    assert "did not answer in time" in failure.message
    assert f"restore --resume {restoring.run}" in (failure.hint or "")
    assert any("answers on no connection" in event.message for event in restoring.of(Hint))
    assert restoring.gap_s < 2.0, restoring.told
    place.assert_live()
    proxy.go_on()
    assert place.resume(restoring.run).succeeded().status == "swapped"
    place.assert_restored("orders")


@pytest.mark.parametrize("way", ["to server", "to client", None])
def test_a_stalled_wire_is_given_up_with_cancel(
    proxy: Proxy, through: ConnectOptions, place: Place, way: str | None
) -> None:
    proxy.when(LOAD, lambda wire: wire.stall(way), skip=3)
    restoring = place.restore(through, stalled_after_s=1.0, stall_action="cancel", threads=1)
    assert restoring.succeeded().status == "swapped"
    place.assert_restored()
    stalls = restoring.of(Stalled)
    assert [stall.severity for stall in stalls[:2]] == [1, 2]
    retries = restoring.of(Retrying)
    assert len(retries) == 1 and "aborted while running LOAD DATA" in retries[0].cause


def test_a_stalled_wire_ends_the_run_with_abort(
    proxy: Proxy, through: ConnectOptions, place: Place
) -> None:
    proxy.when(LOAD, lambda wire: proxy.stall(), skip=3)
    restoring = place.restore(through, stalled_after_s=1.0, stall_action="abort")
    stalled = restoring.wait_event(Stalled, lambda event: event.severity == 2)
    began_s = time.monotonic()
    failure = restoring.failed(4, within_s=30)
    assert f"nothing moved for {stalled.seconds:.0f} s" in failure.message
    assert f"restore --resume {restoring.run}" in (failure.hint or "")
    assert restoring.gap_s < 2.0, restoring.told
    assert time.monotonic() - began_s < 20
    proxy.go_on()
    place.assert_live()
    assert place.resume(restoring.run).succeeded().status == "swapped"
    place.assert_restored()


def test_a_slow_wire_is_no_stall(proxy: Proxy, through: ConnectOptions, place: Place) -> None:
    restoring = place.restore(through, stalled_after_s=5.0, threads=1)
    restoring.wait_loaded()
    proxy.bytes_s = 60_000
    wait_for(lambda: len(restoring.of(Progress)) > 5)
    assert restoring.succeeded(120).status == "swapped"
    place.assert_restored()
    assert not restoring.of(Stalled)
    percents = [event.percent for event in restoring.events if event.percent is not None]
    assert percents == sorted(percents)
    assert restoring.gap_s < 2.0


@pytest.mark.usefixtures("impatient")
def test_the_network_stays_away(proxy: Proxy, through: ConnectOptions, place: Place) -> None:
    restoring = place.restore(through)
    restoring.wait_loaded()
    proxy.refuse()
    proxy.cut()
    failure = restoring.failed(5)
    assert f"restore --resume {restoring.run}" in (failure.hint or "")
    assert "again in" in restoring.told or restoring.of(Retrying)
    place.assert_live()
    assert place.resume(restoring.run).succeeded().status == "swapped"
    place.assert_restored()

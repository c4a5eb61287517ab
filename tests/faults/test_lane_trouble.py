"""A server dies under a tablespace that it takes in, and tablevault lives on; what follows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tablevault.demo.server import PrivateServer
from tablevault.errors import ServerUnavailable
from tablevault.events import Hint, Retrying
from tablevault.ops.swap import cleanup
from tablevault.vault.journal import Entry, Journal
from tests.faults.place import Place
from tests.faults.test_lane_kills import (
    assert_whole,
    end_well,
    files_of_runs,
    killed_restore,
)
from tests.support.kept_tablespaces import data_directory

WITHIN_S = 120.0


def on_entry(monkeypatch: pytest.MonkeyPatch, kind: str, act: Callable[[int], None]) -> list[Entry]:
    """Call `act` (with how often before) right after each entry of a kind of the first table."""
    seen: list[Entry] = []
    append = Journal.append

    def acting(self: Journal, name: str, **fields: Any) -> Entry:
        entry = append(self, name, **fields)
        if name == kind and fields.get("table") == 1:
            seen.append(entry)
            act(len(seen) - 1)
        return entry

    monkeypatch.setattr(Journal, "append", acting)
    return seen


def crash(server: PrivateServer) -> None:
    server.kill()
    server.start()


@pytest.mark.parametrize("step", ["discarded", "filling", "in place"])
def test_a_server_that_dies_once_is_asked_once_more(
    unlogged: PrivateServer, lane_place: Place, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    seen = on_entry(monkeypatch, step, lambda n: crash(unlogged) if n == 0 else None)
    restoring = lane_place.restore(None, "notes", "orders")
    result = restoring.succeeded(WITHIN_S)
    assert len(seen) == 2 and {one.lane for one in result.tables} == {"tablespace"}
    assert any("the tablespace of" in one.what for one in restoring.of(Retrying))
    lane_place.assert_restored()
    cleanup(lane_place.options(), result.run, lane_place.state_dir)
    assert files_of_runs(lane_place) == []


def test_a_server_that_dies_of_it_twice_gets_the_rows(
    unlogged: PrivateServer, lane_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = on_entry(monkeypatch, "in place", lambda n: crash(unlogged))
    restoring = lane_place.restore(None, "orders", "notes")
    result = restoring.succeeded(WITHIN_S)
    assert len(seen) == 2
    assert {one.table.name: one.lane for one in result.tables}["orders"] == "logical"
    assert any("comes by its rows" in hint.message for hint in restoring.of(Hint))
    lane_place.assert_restored()
    cleanup(lane_place.options(), result.run, lane_place.state_dir)
    assert files_of_runs(lane_place) == []


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.03, 0.08])
def test_a_server_that_dies_while_it_takes_in_starts_again(
    unlogged: PrivateServer,
    lane_place: Place,
    monkeypatch: pytest.MonkeyPatch,
    after_s: float,
) -> None:
    def kill_soon(before: int) -> None:
        if before == 0:
            threading.Timer(after_s, lambda: (crash(unlogged), started.set())).start()

    started = threading.Event()
    on_entry(monkeypatch, "in place", kill_soon)
    restoring = lane_place.restore(swap=False)
    restoring.succeeded(WITHIN_S)
    assert started.wait(WITHIN_S)
    lane_place.assert_live()
    lane_place.resume(restoring.run).succeeded(WITHIN_S)
    lane_place.assert_restored()
    cleanup(lane_place.options(), restoring.run, lane_place.state_dir)
    assert files_of_runs(lane_place) == []


def test_what_was_taken_in_outlives_a_crash(unlogged: PrivateServer, lane_place: Place) -> None:
    """MariaDB's recovery would repeat the discarding of what is live by then."""
    result = lane_place.restore().succeeded(WITHIN_S)
    assert {one.lane for one in result.tables} == {"tablespace"}
    lane_place.server.sql("UPDATE orders SET amount = -5 WHERE id % 2 = 0", "shop")
    then = lane_place.checksums()
    crash(unlogged)
    assert lane_place.checksums() == then
    unlogged.restart()
    assert lane_place.checksums() == then
    assert lane_place.server.sql("CHECK TABLE shop.orders, shop.notes").count("OK") == 2


def test_a_resumed_run_proves_what_was_taken_in_and_takes_nothing_twice(
    lane_place: Place,
) -> None:
    run = killed_restore(lane_place, "after:created:1")
    before = len(lane_place.journal(run))
    result = lane_place.resume(run).succeeded(WITHIN_S)
    assert {one.table.name for one in result.tables} == {"orders", "notes"}
    lane_place.assert_restored()
    since = [entry["kind"] for entry in lane_place.journal(run)[before:]]
    assert "placing" not in since and "proven" in since


@pytest.mark.parametrize("when", ["after:waiting:0", "after:in place:0"])
def test_files_go_although_the_server_is_down(
    unlogged: PrivateServer, lane_place: Place, when: str
) -> None:
    run = killed_restore(lane_place, when, unlogged, "shop.orders")
    unlogged.kill()  # it is dead already; this takes note of it
    folder = unlogged.data_directory / "shop"
    assert [path.name for path in folder.iterdir() if path.name.startswith("_tv_new")]
    with pytest.raises(ServerUnavailable) as away:
        cleanup(lane_place.options(), run, lane_place.state_dir)
    hint = away.value.hint or ""
    assert f"tablevault cleanup {run}" in hint
    assert not list(folder.glob("*.waiting")) and not list(folder.glob("*.cfg"))
    # what the server may have begun to take in it would ask for: that file stays
    kept = list(folder.glob("_tv_new*.ibd"))
    assert bool(kept) == (when == "after:in place:0")
    assert all(str(path) in hint for path in kept)
    unlogged.start()
    assert_whole(lane_place, when)
    end_well(lane_place, run, when, resume=False)


def test_nothing_is_removed_under_a_server_that_runs(lane_place: Place) -> None:
    run = killed_restore(lane_place, "after:waiting:1")
    folder = data_directory(lane_place.server) / "shop"
    waiting = list(folder.glob("*.waiting"))
    assert waiting
    with pytest.raises(ServerUnavailable):
        cleanup(lane_place.options(port=1), run, lane_place.state_dir)
    assert list(folder.glob("*.waiting")) == waiting
    end_well(lane_place, run, "after:waiting:1", resume=False)


def test_a_person_who_stops_it_has_not_failed(lane_place: Place) -> None:
    """However often: a run that is gone on with takes the tablespaces all the same."""
    run = killed_restore(lane_place, "interrupt:waiting:1")
    folder = data_directory(lane_place.server) / "shop"
    assert not list(folder.glob("*.waiting"))  # what nobody goes on with is not left lying about
    journal = [entry["kind"] for entry in lane_place.journal(run)]
    assert "placing stopped" in journal and "lane lost" not in journal
    result = lane_place.resume(run).succeeded(WITHIN_S)
    assert {one.lane for one in result.tables} == {"tablespace"}
    lane_place.assert_restored()

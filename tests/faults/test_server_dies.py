"""The server is killed in a load, an index build, a swap: it comes back, or it does not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tablevault.demo.server import PrivateServer
from tablevault.events import Retrying, Waiting
from tests.faults.place import Place, Restoring, server_of, take, wait_for
from tests.servers import Server
from tests.support.facts import show_create

WITHIN_S = 90.0


def crash(server: PrivateServer, away_s: float = 0.5) -> None:
    """SIGKILL, a while of nothing, and the start with its crash recovery."""
    server.kill()
    time.sleep(away_s)
    server.start()


BUILDING = (
    "SELECT COUNT(*) FROM information_schema.PROCESSLIST "
    "WHERE INFO LIKE '%ADD KEY%' AND ID <> CONNECTION_ID()"
)


def wait_building(restoring: Restoring, server: Server) -> None:
    """Until the server is in the midst of an ALTER."""
    connection = server.connect()
    cursor = connection.cursor()

    def look() -> bool:
        assert restoring.running, restoring.told
        cursor.execute(BUILDING)
        [[count]] = cursor.fetchall()
        return count > 0

    wait_for(look, why="an index build")


def test_while_it_loads(mortal: PrivateServer, mortal_place: Place) -> None:
    restoring = mortal_place.restore(None, "orders")  # the other has no key: see test_network
    restoring.wait_loaded()
    crash(mortal)
    assert restoring.succeeded(WITHIN_S).status == "swapped"
    mortal_place.assert_restored("orders")
    retries = restoring.of(Retrying)
    assert any("loading chunk" in retry.what for retry in retries), restoring.told
    assert "lost" in restoring.told or "cannot be reached" in restoring.told
    assert restoring.gap_s < 2.0


def test_while_the_server_is_away_that_is_what_is_waited_for(
    mortal: PrivateServer, mortal_place: Place
) -> None:
    restoring = mortal_place.restore(None, "orders")
    restoring.wait_loaded()
    mortal.kill()
    restoring.wait_event(
        Waiting, lambda wait: wait.what.startswith("another try after server 127.0.0.1")
    )
    mortal.start()
    assert restoring.succeeded(WITHIN_S).status == "swapped"
    mortal_place.assert_restored("orders")


def test_while_it_builds_an_index(mortal: PrivateServer, vault: Path) -> None:
    mortal.sql("CREATE DATABASE shop")
    server = server_of(mortal)
    place = take(server, "shop", vault, orders=200_000, chunk_bytes=4 << 20)
    restoring = place.restore()
    wait_building(restoring, server)
    crash(mortal)
    assert restoring.succeeded(WITHIN_S).status == "swapped"
    place.assert_restored()
    assert any("building index" in retry.what for retry in restoring.of(Retrying)), restoring.told
    shown = show_create(server, "shop", "orders")
    assert shown.count("KEY `state`") == 1 and shown.count("KEY `amount`") == 1


def test_in_the_swap(mortal: PrivateServer, mortal_place: Place) -> None:
    place = mortal_place
    holder = place.server.connect(database=place.schema, autocommit=False)
    cursor = holder.cursor()
    cursor.execute("SELECT COUNT(*) FROM orders")
    cursor.fetchall()
    restoring = place.restore()
    restoring.wait_event(Waiting, lambda event: event.phase == "swapping" and event.blockers)
    mortal.kill()
    failure = restoring.failed(5, WITHIN_S)
    assert f"--resume {restoring.run}" in (failure.hint or "") or "swap" in (failure.hint or "")
    mortal.start()
    place.assert_live()
    assert place.resume(restoring.run).succeeded(WITHIN_S).status == "swapped"
    place.assert_restored()


@pytest.mark.usefixtures("impatient")
def test_it_does_not_come_back(mortal: PrivateServer, mortal_place: Place) -> None:
    place = mortal_place
    restoring = place.restore(None, "orders")  # the other has no key: see test_network
    restoring.wait_loaded()
    mortal.kill()
    failure = restoring.failed(5)
    assert "cannot be reached" in failure.message or "lost" in failure.message
    assert f"restore --resume {restoring.run}" in (failure.hint or "")
    assert restoring.gap_s < 2.0
    mortal.start()
    place.assert_live()
    assert place.resume(restoring.run).succeeded(WITHIN_S).status == "swapped"
    place.assert_restored("orders")

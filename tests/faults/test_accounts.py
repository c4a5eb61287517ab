"""An account with table privileges only: it restores, and is told what it does not see."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tablevault.errors import StatementFailed
from tablevault.events import Stalled
from tablevault.mysql import pressure
from tablevault.ops import lookout
from tests.faults.place import Place
from tests.faults.proxy import Proxy
from tests.faults.test_server_trouble import holding, staging

LOAD = b"LOAD DATA"


@pytest.fixture
def modest(place: Place) -> Iterator[str]:
    """No PROCESS, no RELOAD, no LOCK TABLES: only what a table needs, in one schema."""
    name = "tv_modest"
    place.server.sql(
        f"DROP USER IF EXISTS {name}; "
        f"CREATE USER {name} IDENTIFIED BY '{place.server.password}'; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX "
        f"ON `{place.schema}`.* TO {name};"
    )
    yield name
    place.server.sql(f"DROP USER {name}")


def test_it_restores(place: Place, modest: str) -> None:
    restoring = place.restore(place.options(user=modest))
    assert restoring.succeeded().status == "swapped"
    place.assert_restored()


def test_it_is_told_what_it_does_not_see(proxy: Proxy, place: Place, modest: str) -> None:
    sessions: list[Any] = []

    def hold(_: object) -> None:
        context = holding(place, f"SELECT * FROM {staging(place)} WHERE id > 0 FOR UPDATE")
        sessions.append(context)
        context.__enter__()

    proxy.when(LOAD, hold, before=True, skip=4)
    target = place.options(host=proxy.host, port=proxy.port, user=modest)
    restoring = place.restore(target, "orders", threads=1, stalled_after_s=3.0)
    stalled = restoring.wait_event(Stalled)
    told = " ".join((stalled.cause, stalled.remedy, *stalled.evidence))
    assert "grant PROCESS to see who is in the way" in told
    assert "LOAD DATA" in told
    sessions[0].__exit__(None, None, None)
    assert restoring.succeeded().status == "swapped"
    place.assert_restored("orders")


@pytest.mark.parametrize(
    "failure",
    [
        StatementFailed("SHOW GLOBAL STATUS: no (1142)", errno=1142),
        ZeroDivisionError("a bug in the monitor"),
    ],
    ids=["refused", "bug"],
)
def test_a_monitor_that_fails_does_not_hurt(
    place: Place, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*_: object) -> Any:
        raise failure

    monkeypatch.setattr(pressure, "look", fail)
    restoring = place.restore()
    assert restoring.succeeded().status == "swapped"
    place.assert_restored()


def test_a_monitor_that_hangs_does_not_hurt(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang(self: object) -> Any:
        released.wait(60)
        return lookout.View(at_s=0.0)

    monkeypatch.setattr(lookout.Lookout, "_look_now", hang)
    restoring = place.restore()
    assert restoring.succeeded().status == "swapped"
    released.set()
    place.assert_restored()
    assert restoring.gap_s < 2.0

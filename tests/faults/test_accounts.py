"""An account with table privileges only: it restores, and is told what it does not see."""

from __future__ import annotations

import threading
import time
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
NEEDED = "SELECT, INSERT, CREATE, ALTER, DROP"  # as docs/OPERATIONS.md says


@pytest.fixture
def modest(place: Place) -> Iterator[str]:
    """No PROCESS, no RELOAD, no LOCK TABLES: only what a table needs, in one schema."""
    name = "tv_modest"
    place.account(name, f"{NEEDED} ON `{place.schema}`.*")
    yield name
    place.server.sql(f"DROP USER {name}")


def test_it_restores(place: Place, modest: str) -> None:
    restoring = place.restore(place.options(user=modest))
    assert restoring.succeeded().status == "swapped"
    place.assert_restored()


def test_it_goes_on_after_a_lost_connection(proxy: Proxy, place: Place, modest: str) -> None:
    """Of a row group that was not committed nothing is left, so nothing needs to be deleted."""
    proxy.when(LOAD, lambda _: proxy.cut(), before=True, skip=4)
    restoring = place.restore(place.through(proxy, user=modest))
    assert restoring.succeeded().status == "swapped"
    place.assert_restored()


def test_it_is_told_what_it_does_not_see(proxy: Proxy, place: Place, modest: str) -> None:
    sessions: list[Any] = []

    def hold(_: object) -> None:
        context = holding(place, f"SELECT * FROM {staging(place)} WHERE id > 0 FOR UPDATE")
        sessions.append(context)
        context.__enter__()

    proxy.when(LOAD, hold, before=True, skip=4)
    target = place.through(proxy, user=modest)
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


REFUSED = {
    "password": ("ALTER USER {name} IDENTIFIED BY 'another'", 5, "check user, password"),
    "locked": ("ALTER USER {name} ACCOUNT LOCK", 5, "account is locked"),
    "revoked": ("REVOKE INSERT ON `{schema}`.* FROM {name}", 4, "ask for the privilege"),
}
MENDED = {
    "password": "ALTER USER {name} IDENTIFIED BY '{password}'",
    "locked": "ALTER USER {name} ACCOUNT UNLOCK",
    "revoked": "GRANT INSERT ON `{schema}`.* TO {name}",
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_account_that_is_refused_in_mid_run_is_said_at_once(
    proxy: Proxy, place: Place, modest: str, what: str
) -> None:
    """Waiting would not change the server's mind: it ends with the remedy, and can be resumed."""
    words = {"name": modest, "schema": place.schema, "password": place.server.password}
    statement, code, remedy = REFUSED[what]
    if what == "password" and place.server.family == "mysql":
        # it asks in the clear for one that it has not in its cache: not over this wire
        remedy = "enable TLS"
    refused_at: list[float] = []

    def refuse(_: object) -> None:
        place.server.sql(statement.format(**words))
        refused_at.append(time.monotonic())
        if what != "revoked":
            proxy.cut()  # who is in stays in

    proxy.when(LOAD, refuse, before=True, skip=4)
    restoring = place.restore(place.through(proxy, user=modest))
    failure = restoring.failed(code)
    assert time.monotonic() - refused_at[0] < 10.0, restoring.told
    assert remedy in (failure.hint or ""), restoring.told
    assert f"restore --resume {restoring.run}" in (failure.hint or "")
    if what == "revoked":
        assert "INSERT command denied" in failure.message
    place.assert_live()
    place.server.sql(MENDED[what].format(**words))
    place.server.connect(user=modest).close()
    assert place.resume(restoring.run, place.through(proxy, user=modest)).succeeded()
    place.assert_restored()

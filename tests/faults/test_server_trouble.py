"""Locks, limits and switches of the server, turned against a restore that runs."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tablevault.demo.server import PrivateServer
from tablevault.errors import StatementFailed
from tablevault.events import Event, Retrying, Stalled, Waiting
from tablevault.mysql.connect import Connection, connect
from tablevault.mysql.options import ConnectOptions
from tablevault.ops import building as building_module
from tablevault.ops import retrying
from tests.faults.place import ORDERS, Place, Restoring, server_of, take, wait_for
from tests.faults.proxy import Proxy
from tests.servers import Server
from tests.support.facts import numbers

LOAD, ALTER = b"LOAD DATA", b"ADD KEY"
NAMED_WITHIN_S = 8.0


@pytest.fixture
def ordinary(place: Place) -> Iterator[str]:
    """An account without any administrative privilege."""
    name = "tv_ordinary"
    place.account(name, "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX ON *.*")
    yield name
    place.server.sql(f"DROP USER {name}")


@contextmanager
def holding(place: Place, *statements: str, **options: Any) -> Iterator[Any]:
    """Another session, which has run these and does nothing more."""
    session = place.server.connect(database=place.schema, autocommit=False, **options)
    try:
        cursor = session.cursor()
        for statement in statements:
            cursor.execute(statement)
            if cursor.with_rows:
                cursor.fetchall()
        yield session
    finally:
        session.close()


def staging(place: Place, table: str = "orders") -> str:
    [name] = [name for name in place.leftovers() if table in name]
    return f"`{place.schema}`.`{name}`"


def named(restoring: Restoring, connection: int) -> Event:
    """The event that names the session in the way."""
    mark = f"connection {connection} "
    began_s = time.monotonic()
    event = restoring.wait_event(
        Event,
        lambda event: (
            (isinstance(event, Waiting) and mark in " ".join(event.blockers))
            or (isinstance(event, Stalled) and mark in " ".join(event.evidence))
        ),
    )
    assert time.monotonic() - began_s < NAMED_WITHIN_S
    return event


def test_a_metadata_lock_on_the_staging_table(
    proxy: Proxy, through: ConnectOptions, place: Place
) -> None:
    sessions: list[Any] = []

    def hold(_: object) -> None:
        context = holding(place, f"SELECT COUNT(*) FROM {staging(place)}")
        sessions.append((context, context.__enter__()))

    proxy.when(ALTER, hold, before=True)
    restoring = place.restore(through, stalled_after_s=4.0)
    wait_for(lambda: sessions)
    context, session = sessions[0]
    named(restoring, session.connection_id)
    stalled = restoring.wait_event(Stalled)
    assert "a session holds a lock" in stalled.cause
    assert "end the session that is named" in stalled.remedy
    assert "metadata lock" in " ".join(stalled.evidence)
    context.__exit__(None, None, None)
    assert restoring.succeeded().status == "swapped"
    place.assert_restored()
    assert restoring.gap_s < 2.0


def test_a_global_read_lock_of_another_session(
    proxy: Proxy, through: ConnectOptions, place: Place
) -> None:
    """Its holder idles outside any transaction: it is named nevertheless."""
    sessions: list[Any] = []

    def hold(_: object) -> None:
        context = holding(place, "FLUSH TABLES WITH READ LOCK")
        sessions.append((context, context.__enter__()))

    proxy.when(LOAD, hold, before=True, skip=4)
    restoring = place.restore(through, stalled_after_s=4.0, threads=1)
    wait_for(lambda: sessions)
    context, session = sessions[0]
    named(restoring, session.connection_id)
    stalled = restoring.wait_event(Stalled)
    assert "a session holds a lock" in stalled.cause, restoring.told
    context.__exit__(None, None, None)
    assert restoring.succeeded().status == "swapped"
    place.assert_restored()


def test_a_row_lock_in_the_staging_table(
    proxy: Proxy, through: ConnectOptions, place: Place
) -> None:
    sessions: list[Any] = []

    def hold(_: object) -> None:
        context = holding(place, f"SELECT * FROM {staging(place)} WHERE id > 0 FOR UPDATE")
        sessions.append((context, context.__enter__()))

    proxy.when(LOAD, hold, before=True, skip=4)
    restoring = place.restore(through, "orders", stalled_after_s=4.0, threads=1)
    wait_for(lambda: sessions)
    context, session = sessions[0]
    named(restoring, session.connection_id)
    stalled = restoring.wait_event(Stalled)
    assert "another transaction holds rows" in stalled.cause, restoring.told
    assert f"row lock of connection {session.connection_id}" in " ".join(stalled.evidence)
    context.__exit__(None, None, None)
    assert restoring.succeeded().status == "swapped"
    place.assert_restored("orders")


def test_a_lock_wait_timeout_is_tried_again(
    proxy: Proxy, through: ConnectOptions, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = functools.partial(connect, lock_wait_s=1)
    monkeypatch.setattr(building_module, "connect", quick)
    sessions: list[Any] = []

    def hold(_: object) -> None:
        context = holding(place, f"SELECT * FROM {staging(place)} WHERE id > 0 FOR UPDATE")
        sessions.append(context)
        context.__enter__()

    proxy.when(LOAD, hold, before=True, skip=4)
    restoring = place.restore(through, "orders", threads=1)
    retry = restoring.wait_event(Retrying)
    assert "Lock wait timeout exceeded" in retry.cause
    sessions[0].__exit__(None, None, None)
    assert restoring.succeeded().status == "swapped"
    place.assert_restored("orders")


def test_a_real_deadlock_is_tried_again(
    proxy: Proxy, through: ConnectOptions, place: Place
) -> None:
    """Another session inserted rows that the load comes to, and then wants those it has loaded.

    It has changed more rows, so that the server picks the load as the victim.
    """
    ended: list[str] = []

    def entangle(_: object) -> None:
        table = staging(place)
        place.server.sql("CREATE TABLE heavy (n INT)", place.schema)
        fill = f"INSERT INTO heavy SELECT seq FROM {numbers(5000)}"
        there = {int(number or 0) for (number,) in place.server.query(f"SELECT id FROM {table}")}
        rows = ", ".join(f"({n})" for n in range(50, ORDERS, 50) if n not in there)
        block = f"INSERT INTO {table} (id) VALUES {rows}"
        session = place.server.connect(database=place.schema, autocommit=False)
        cursor = session.cursor()
        for statement in (fill, block):
            cursor.execute(statement)

        def waits() -> bool:
            time.sleep(0.2)  # who asks more often than ten times a second sees what once was
            states = "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = "
            return place.server.value(f"{states}'LOCK WAIT'") != "0"

        def embrace() -> None:
            try:
                wait_for(waits)
                cursor.execute(f"SELECT COUNT(*) FROM {table} FOR UPDATE")
                cursor.fetchall()
                ended.append("it got its locks")
            finally:  # or its locks would keep the database from being dropped, for ever
                session.rollback()
                session.close()

        threading.Thread(target=embrace, daemon=True).start()

    proxy.when(LOAD, entangle, before=True, skip=4)
    restoring = place.restore(through, "orders", threads=1)
    assert restoring.succeeded().status == "swapped"
    place.assert_restored("orders")
    wait_for(lambda: ended)
    [retry] = restoring.of(Retrying)
    assert "Deadlock found" in retry.cause and "(1213)" in retry.cause
    assert "loading chunk" in retry.what


def test_a_metadata_lock_at_the_swap(place: Place) -> None:
    """The rename is tried for a second at a time; the application's readers are let through."""
    with holding(place, "SELECT COUNT(*) FROM orders") as session:
        restoring = place.restore(None, "orders")
        waiting = restoring.wait_event(
            Waiting, lambda event: event.phase == "swapping" and event.blockers
        )
        assert f"connection {session.connection_id} " in " ".join(waiting.blockers)
        tried_at = time.monotonic()
        while time.monotonic() - tried_at < 2.5:  # longer than one try
            began_s = time.monotonic()
            place.server.value("SELECT COUNT(*) FROM orders", place.schema)
            assert time.monotonic() - began_s < 2.0
        assert restoring.running
    assert restoring.succeeded().status == "swapped"
    place.assert_restored("orders")
    assert restoring.gap_s < 2.0


def test_a_deadlock_is_tried_again_and_an_endless_one_is_not(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Connection.load
    left = [3]

    def deadlocked(self: Connection, *arguments: Any) -> Any:
        done = load(self, *arguments)
        if left[0]:
            left[0] -= 1
            raise StatementFailed("LOAD DATA: Deadlock found (1213)", errno=1213, transient=True)
        return done

    monkeypatch.setattr(Connection, "load", deadlocked)
    monkeypatch.setattr(retrying, "_LONGEST_DELAY_S", 0.2)
    restoring = place.restore(threads=1)
    assert restoring.succeeded().status == "swapped"
    place.assert_restored()
    assert [retry.attempt for retry in restoring.of(Retrying)] == [1, 2, 3]

    left[0] = 1000
    ended = place.restore(threads=1)
    assert "Deadlock" in ended.failed(4).message
    monkeypatch.undo()
    assert place.resume(ended.run).succeeded().status == "swapped"


def test_idle_connections_are_cut_by_the_server(
    proxy: Proxy, through: ConnectOptions, place: Place
) -> None:
    """As wait_timeout or a firewall does, just before the index phase needs them again."""
    server = place.server
    text = "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Sleep' AND USER = "
    cut: list[str | None] = []

    def cut_idle(_: object) -> None:
        for (number,) in server.query(f"{text}'{server.user}'"):
            server.sql(f"KILL {number}")
            cut.append(number)

    proxy.when(ALTER, cut_idle, before=True)
    restoring = place.restore(through, threads=3)
    assert restoring.succeeded().status == "swapped"
    place.assert_restored()
    assert cut
    assert any("building index" in retry.what for retry in restoring.of(Retrying))


def test_a_server_with_a_wait_timeout_of_two_seconds(
    started: Callable[..., PrivateServer], vault: Path, small_units: None
) -> None:
    private = started(extra_args=("--wait-timeout=2", "--interactive-timeout=2"))
    private.sql("CREATE DATABASE shop")
    place = take(server_of(private), "shop", vault)
    sessions: list[Any] = []
    with Proxy(private.host, private.port) as proxy:

        def hold(_: object) -> None:
            context = holding(place, "SET wait_timeout = 100", "SELECT 1")
            session = context.__enter__()
            cursor = session.cursor()
            cursor.execute(f"SELECT COUNT(*) FROM {staging(place)}")
            cursor.fetchall()
            sessions.append(context)

        proxy.when(ALTER, hold, before=True)
        target = place.through(proxy)
        restoring = place.restore(target, threads=3)
        wait_for(lambda: sessions)
        time.sleep(4.0)  # the other workers and the monitor idle for longer than wait_timeout
        sessions[0].__exit__(None, None, None)
        assert restoring.succeeded().status == "swapped"
    place.assert_restored()
    assert not restoring.of(Retrying), "the session's own wait_timeout did not hold"


def test_too_many_connections(
    started: Callable[..., PrivateServer], vault: Path, small_units: None
) -> None:
    private = started(extra_args=("--max-connections=10",))
    private.sql(
        f"CREATE DATABASE shop; CREATE USER app IDENTIFIED BY '{private.password}'; "
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX ON *.* TO app;"
    )
    place = take(server_of(private), "shop", vault, orders=10_000)
    crowd: list[Any] = []

    def fill() -> None:
        import mysql.connector

        with pytest.raises(mysql.connector.Error):
            while True:
                crowd.append(place.server.connect(user="app"))

    fill()
    refused = place.restore(place.options(user="app")).failed(5)
    assert "Too many connections" in refused.message
    assert "lower --threads" in (refused.hint or "")
    for session in crowd:
        session.close()
    crowd.clear()

    with Proxy(private.host, private.port) as proxy:
        target = place.through(proxy, user="app")

        def crowd_in(_: object) -> None:
            proxy.refuse()  # ours come back to a server that is full
            proxy.cut()
            for _ in range(3):  # what was cut leaves its place a moment later
                fill()
                time.sleep(0.2)
            proxy.refuse(False)

        rule = proxy.when(LOAD, crowd_in, skip=4)
        restoring = place.restore(target, "orders")
        wait_for(lambda: rule.wires)

        def refused_again() -> bool:
            return any("Too many connections" in one.cause for one in restoring.of(Retrying))

        wait_for(refused_again)
        for session in crowd:
            session.close()
        assert restoring.succeeded().status == "swapped"
    place.assert_restored("orders")


def test_read_only_switched_on(
    proxy: Proxy, through: ConnectOptions, place: Place, ordinary: str
) -> None:
    target = place.through(proxy, user=ordinary)
    switch = "SET GLOBAL read_only = {}"
    try:
        proxy.when(LOAD, lambda _: place.server.sql(switch.format(1)) and None, before=True, skip=4)
        restoring = place.restore(target)
        failure = restoring.failed(4)
    finally:
        place.server.sql(switch.format(0))
    assert "read-only" in failure.message or "read_only" in failure.message
    assert "read_only" in (failure.hint or "")
    place.assert_live()
    assert place.resume(restoring.run, target).succeeded().status == "swapped"
    place.assert_restored()


def test_local_infile_switched_off(proxy: Proxy, through: ConnectOptions, place: Place) -> None:
    switch = "SET GLOBAL local_infile = {}"
    try:
        proxy.when(LOAD, lambda _: place.server.sql(switch.format(0)) and None, before=True, skip=4)
        restoring = place.restore(through)
        failure = restoring.failed(4)
        assert "LOAD DATA LOCAL is off" in (failure.hint or ""), restoring.told
        place.assert_live()
        assert place.resume(restoring.run).succeeded().status == "swapped"  # by INSERT
    finally:
        place.server.sql(switch.format(1))
    place.assert_restored()


def test_a_tiny_max_allowed_packet(server: Server, database: str, vault: Path) -> None:
    place = take(server, database, vault, orders=20_000, chunk_bytes=4 << 20)
    limit = server.value("SELECT @@global.max_allowed_packet")
    try:
        server.sql("SET GLOBAL max_allowed_packet = 16384")
        assert place.restore().succeeded().status == "swapped"
    finally:
        server.sql(f"SET GLOBAL max_allowed_packet = {limit}")
    place.assert_restored()

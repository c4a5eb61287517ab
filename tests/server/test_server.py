"""What a server says of itself, and what runs on it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator

import pytest

from tablevault.errors import ConnectionLost, StatementFailed
from tablevault.mysql import server as servers
from tablevault.mysql.connect import Connection, connect
from tests.servers import Server


@pytest.fixture
def conn(server: Server) -> Iterator[Connection]:
    with connect(server.options()) as conn:
        yield conn


def test_detection(conn: Connection, server: Server) -> None:
    info = conn.server
    assert info.family == server.family
    assert info.version_text.endswith(".".join(map(str, info.version))) or info.version_text
    assert ".".join(map(str, info.version)) in (server.value("SELECT VERSION()") or "")
    assert info.version > (5, 6, 0)
    assert info.port == int(server.value("SELECT @@port") or 0)
    assert info.uuid
    uptime = int((server.query("SHOW GLOBAL STATUS LIKE 'Uptime'")[0][1]) or 0)
    assert abs(time.time() - uptime - info.started_at) <= 3


def test_the_same_start(conn: Connection, server: Server) -> None:
    with connect(server.options()) as other:
        assert servers.same_start(conn.server, other.server)
    later = dataclasses.replace(conn.server, started_at=conn.server.started_at + 10)
    assert not servers.same_start(conn.server, later)
    assert not servers.same_start(conn.server, dataclasses.replace(conn.server, uuid="x"))


def test_settings_that_do_not_exist_are_absent(conn: Connection) -> None:
    found = servers.settings(conn, ["port", "no_such_setting"])
    assert set(found) == {"port"}


def test_privileges(server: Server, conn: Connection, database: str) -> None:
    assert servers.privileges(conn).has("RELOAD")
    server.sql(
        "DROP USER IF EXISTS tv_some@'%'; CREATE USER tv_some@'%' IDENTIFIED BY 'x';"
        f"CREATE TABLE `{database}`.t (id INT); GRANT SELECT ON `{database}`.t TO tv_some@'%';"
    )
    with connect(server.options(user="tv_some", password="x")) as some:
        held = servers.privileges(some)
        assert held.has("SELECT", database, "t")
        assert not held.has("SELECT", database) and not held.has("RELOAD")
        position, hint = servers.binlog_position(some)
        assert position.file is None and "REPLICATION CLIENT" in (hint or "")
    server.sql("DROP USER tv_some@'%'")


def test_privileges_of_a_role(server: Server, database: str) -> None:
    server.sql(
        "DROP USER IF EXISTS tv_some@'%'; CREATE USER tv_some@'%' IDENTIFIED BY 'x';"
        "DROP ROLE IF EXISTS tv_role; CREATE ROLE tv_role;"
        f"GRANT INSERT ON `{database}`.* TO tv_role; GRANT tv_role TO tv_some@'%';"
    )
    with connect(server.options(user="tv_some", password="x")) as some:
        assert not servers.privileges(some).has("INSERT", database)
        some.execute("SET ROLE tv_role")
        assert servers.privileges(some).has("INSERT", database)
    server.sql("DROP USER tv_some@'%'; DROP ROLE tv_role")


def test_binlog_position(conn: Connection, server: Server) -> None:
    position, hint = servers.binlog_position(conn)
    if server.value("SELECT @@log_bin") == "0":
        assert position.file is None and "off" in (hint or "")
    else:
        assert position.file and position.position and hint is None
        assert position.gtid is None or position.gtid.count("-") >= 2


def test_kill_and_await(conn: Connection, server: Server) -> None:
    victim = connect(server.options())
    failures: list[BaseException] = []

    def sleep() -> None:
        try:
            victim.query("SELECT SLEEP(60)")
        except ConnectionLost as error:
            failures.append(error)

    thread = threading.Thread(target=sleep)
    thread.start()
    assert servers.is_running(conn, victim.id)
    assert not servers.await_gone(conn, victim.id, timeout_s=0.1)
    assert servers.kill(conn, victim.id)
    assert servers.await_gone(conn, victim.id, timeout_s=5)
    thread.join(5)
    assert len(failures) == 1
    assert not servers.kill(conn, victim.id), "there is nothing left to kill"
    victim.close()


def test_kill_of_a_statement_only(conn: Connection, server: Server) -> None:
    victim = connect(server.options())
    timer = threading.Timer(0.2, lambda: servers.kill(conn, victim.id, query_only=True))
    timer.start()
    began = time.monotonic()
    try:
        victim.query("SELECT SLEEP(60), 1 FROM DUAL WHERE SLEEP(60) = 0")
    except StatementFailed as error:
        assert error.errno == 1317
    assert time.monotonic() - began < 5
    timer.join()
    assert victim.alive()
    victim.close()


def test_processes_show_what_runs(conn: Connection) -> None:
    [own] = [process for process in servers.processes(conn) if process.id == conn.id]
    assert own.command == "Query" and "SHOW FULL PROCESSLIST" in own.statement

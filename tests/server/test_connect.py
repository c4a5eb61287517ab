"""Connections: got, refused, lost, aborted; and never a password in what is said."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tablevault.errors import ConnectionLost, ServerUnavailable, StatementFailed, TablevaultError
from tablevault.mysql.connect import Connection, Purpose, connect
from tests.proxy import CutProxy
from tests.servers import Server

SECRET = "s3cret-word"


@pytest.fixture
def conn(server: Server) -> Iterator[Connection]:
    with connect(server.options()) as conn:
        yield conn


def refused(server: Server, **changes: object) -> TablevaultError:
    with pytest.raises(ServerUnavailable) as failure:
        connect(server.options(**changes))
    error: TablevaultError = failure.value
    assert error.exit_code == 5
    assert SECRET not in f"{error.message} {error.hint} {error.__cause__!r} {error.__context__}"
    return error


def test_raw_results(conn: Connection) -> None:
    assert conn.query("SELECT 1, NULL, 'ä', ''") == [(b"1", None, "ä".encode(), b"")]
    assert conn.one("SELECT 1 FROM DUAL WHERE 1 = 0") is None
    assert conn.query("DO 1") == []
    assert conn.execute("SELECT 1 UNION SELECT 2").affected == 0
    assert conn.query(b"SELECT X'FF'") == [(b"\xff",)]


def test_executed(conn: Connection, database: str) -> None:
    conn.execute(f"CREATE TEMPORARY TABLE {database}.tv_x (id INT)")
    assert conn.execute(f"INSERT INTO {database}.tv_x VALUES (1), (2)").affected == 2
    conn.execute(f"DROP TEMPORARY TABLE IF EXISTS {database}.absent")
    assert conn.warning_count == 1
    assert "absent" in conn.warnings()[0]


def test_statements_carry_our_name(conn: Connection) -> None:
    [row] = conn.query("SELECT INFO FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()")
    assert row[0] is not None and row[0].startswith(b"/* tablevault */ SELECT")


def test_one_statement_a_call(conn: Connection) -> None:
    with pytest.raises(StatementFailed):
        conn.execute("SELECT 1; SELECT 2")
    assert conn.query("SELECT 3") == [(b"3",)]


def test_a_failed_statement_leaves_the_connection(conn: Connection) -> None:
    with pytest.raises(StatementFailed, match="SELECT absent") as failure:
        conn.query("SELECT absent")
    assert failure.value.errno == 1054
    assert conn.alive()


def test_a_wrong_password(server: Server) -> None:
    error = refused(server, password=SECRET)
    assert server.user in error.message and "1045" in error.message


def test_nobody_there(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert "cannot be reached" in refused(server, port=port, password=SECRET).message
    assert "/absent.sock" in refused(server, socket="/absent.sock").message
    assert "not known" in refused(server, host="absent.invalid").message


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 90])
def test_no_database_server(server: Server, greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(greeting)

        thread = threading.Thread(target=greet)
        thread.start()
        refused(server, host="127.0.0.1", port=listener.getsockname()[1], password=SECRET)
        thread.join()


def test_a_silent_server_is_given_up(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        error = refused(server, port=listener.getsockname()[1], connect_timeout_s=1)
        assert time.monotonic() - began < 3
        assert "in time" in error.message


def test_too_many_connections(server: Server) -> None:
    server.sql(
        "DROP USER IF EXISTS tv_few@'%'; CREATE USER tv_few@'%' IDENTIFIED BY 'x' "
        "WITH MAX_USER_CONNECTIONS 1"
    )
    with connect(server.options(user="tv_few", password="x")):
        error = refused(server, user="tv_few", password="x")
    assert "--threads" in (error.hint or "")
    server.sql("DROP USER tv_few@'%'")


def test_no_password_is_ever_shown(conn: Connection, server: Server) -> None:
    assert server.password not in f"{conn!r} {conn.__dict__}"


def test_no_row_is_shown(conn: Connection) -> None:
    with pytest.raises(StatementFailed) as failure:
        conn.execute(f"INSERT INTO test.absent (a) VALUES ('{SECRET}')")
    assert SECRET not in failure.value.message
    assert "INSERT INTO test.absent (a) VALUES" in failure.value.message


def test_tcp_options(conn: Connection) -> None:
    sock = conn.driver._socket.sock  # type: ignore[attr-defined]
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) > 0
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.gettimeout() is None, "a long statement must not be cut by the connect timeout"


def test_abort_ends_a_blocked_statement(conn: Connection) -> None:
    seen: list[tuple[str, float | None]] = []

    def end_it() -> None:
        seen.append((conn.statement, conn.busy_since))
        conn.abort()

    timer = threading.Timer(0.3, end_it)
    timer.start()
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match=r"aborted while running SELECT SLEEP\(60\)"):
        conn.query("SELECT SLEEP(60)")
    assert time.monotonic() - began < 1.3
    timer.join()
    [(statement, since)] = seen
    assert statement == "SELECT SLEEP(60)" and since is not None
    assert conn.busy_since is None
    with pytest.raises(ConnectionLost, match="aborted"):
        conn.query("SELECT 1")


def test_a_time_limit_costs_the_connection(conn: Connection) -> None:
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="no answer in time"):
        conn.query("SELECT SLEEP(30)", timeout_s=0.3)
    assert time.monotonic() - began < 2
    assert not conn.alive()


def test_a_time_limit_holds_for_its_statement_only(conn: Connection) -> None:
    assert conn.query("SELECT 1", timeout_s=0.2) == [(b"1",)]
    assert conn.query("SELECT SLEEP(0.5)") == [(b"0",)]


def test_an_interrupt_never_leaves_an_answer_unread(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(conn.driver, "get_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        conn.query("SELECT 1")
    assert conn.closed


def test_a_killed_connection_is_lost(conn: Connection, server: Server) -> None:
    server.sql(f"KILL {conn.id}")
    with pytest.raises(ConnectionLost, match="SELECT 1"):
        for _ in range(50):
            conn.query("SELECT 1")
            time.sleep(0.02)
    assert conn.closed


def test_a_cut_wire(server: Server) -> None:
    with CutProxy(server.host, server.port) as proxy:
        conn = connect(server.options(port=proxy.port))
        proxy.cut_after(3)
        with pytest.raises(ConnectionLost, match="SELECT 1"):
            conn.query("SELECT 1")


def test_close_twice_and_after_abort(server: Server) -> None:
    conn = connect(server.options(), Purpose.READ)
    conn.abort()
    conn.close()
    conn.close()
    assert conn.closed


def test_over_the_socket_file(mariadb: Server) -> None:
    with connect(mariadb.options(socket=mariadb.socket)) as conn:
        assert conn.alive()
        assert conn.target == mariadb.socket

"""Loading rows: whole and proven, or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tablevault.errors import (
    CannotComplete,
    ConnectionLost,
    ProofFailed,
    ServerUnavailable,
    StatementFailed,
)
from tablevault.mysql import server as servers
from tablevault.mysql import sink
from tablevault.mysql.connect import Connection, Executed, Purpose, connect
from tests.proxy import CutProxy
from tests.servers import Server

BLOCKS = [b"1\tone\n2\ttwo\n", memoryview(b"3\t\\N\n")]


@pytest.fixture
def conn(server: Server, database: str) -> Iterator[Connection]:
    with connect(server.options(), Purpose.LOAD) as conn:
        conn.execute(f"USE `{database}`")
        conn.execute("CREATE TABLE t (id TINYINT NOT NULL PRIMARY KEY, s VARCHAR(5))")
        yield conn


def load(token: str) -> str:
    return f"LOAD DATA LOCAL INFILE '{token}' INTO TABLE t CHARACTER SET binary (id, s)"


def rows_left(server: Server, database: str) -> str | None:
    return server.value("SELECT COUNT(*) FROM t", database)


def test_rows_are_committed(conn: Connection, server: Server, database: str) -> None:
    token, sent = sink.new_token(), []
    sink.load_rows(conn, load(token), token, BLOCKS, 3, sent.append)
    assert sum(sent) == sum(len(block) for block in BLOCKS)
    assert server.query("SELECT * FROM t ORDER BY id", database) == [
        ("1", "one"),
        ("2", "two"),
        ("3", None),
    ]


def test_no_rows_at_all(conn: Connection, server: Server, database: str) -> None:
    token = sink.new_token()
    sink.load_rows(conn, load(token), token, [], 0)
    assert rows_left(server, database) == "0"


def test_a_large_block_is_sent_in_packets(conn: Connection, server: Server, database: str) -> None:
    conn.execute("CREATE TABLE wide (id INT PRIMARY KEY, b LONGTEXT)")
    token, sent = sink.new_token(), []
    block = b"1\t" + b"x" * (5 << 20) + b"\n"
    sink.load_rows(
        conn,
        load(token).replace("TABLE t", "TABLE wide").replace(", s", ", b"),
        token,
        [block],
        1,
        sent.append,
    )
    assert max(sent) <= 1 << 20
    assert server.value("SELECT LENGTH(b) FROM wide", database) == str(5 << 20)


@pytest.mark.parametrize(
    ("blocks", "expected", "told"),
    [
        (BLOCKS, 4, "4 rows were sent, the server read 3"),
        (BLOCKS, 2, "2 rows were sent, the server read 3"),
        ([b"1\tone\n", b"1\ttwo\n"], 2, "1 warning: Duplicate entry"),
        ([b"1\ttoo long for it\n"], 1, "1 warning: Data"),
        ([b"1000\tx\n"], 1, "Out of range"),
        ([b"1\tx\textra\n"], 1, "truncated"),
        ([b"1\n"], 1, "doesn't contain data for all columns"),
    ],
    ids=["missing", "extra", "duplicate", "long", "range", "column too many", "too few"],
)
def test_anything_else_than_expected_leaves_no_row(
    conn: Connection, server: Server, database: str, blocks: list[bytes], expected: int, told: str
) -> None:
    token = sink.new_token()
    with pytest.raises(ProofFailed, match=told):
        sink.load_rows(conn, load(token), token, blocks, expected)
    assert rows_left(server, database) == "0"
    sink.load_rows(conn, load(token), token, BLOCKS, 3)  # and the connection still works
    assert rows_left(server, database) == "3"


def test_a_refused_statement(conn: Connection, server: Server, database: str) -> None:
    with pytest.raises(StatementFailed) as failure:
        sink.load_rows(conn, load("x-token").replace("TABLE t", "TABLE absent"), "x", BLOCKS, 3)
    assert failure.value.errno == 1146
    assert conn.query("SELECT 1") == [(b"1",)]


@pytest.mark.parametrize("sent_before", [0, 1, 200_000], ids=["none", "one row", "many"])
def test_a_failing_source_leaves_no_rows_and_nothing_running(
    conn: Connection, server: Server, database: str, sent_before: int
) -> None:
    class DamagedError(Exception):
        pass

    def blocks() -> Iterator[bytes]:
        if sent_before:
            yield b"1\tone\n2\tcut in mid-r" + b"x" * sent_before
        raise DamagedError("chunk 3")

    token = sink.new_token()
    with pytest.raises(DamagedError):
        sink.load_rows(conn, load(token), token, blocks(), 2)
    assert conn.closed
    with connect(server.options()) as other:
        assert servers.await_gone(other, conn.id, timeout_s=5)
    assert rows_left(server, database) == "0"


def test_before_commit_decides(conn: Connection, server: Server, database: str) -> None:
    seen = []

    def check() -> None:
        seen.append(conn.one("SELECT COUNT(*) FROM t"))
        raise ProofFailed("digest differs")

    token = sink.new_token()
    with pytest.raises(ProofFailed, match="digest differs"):
        sink.load_rows(conn, load(token), token, BLOCKS, 3, before_commit=check)
    assert seen == [(b"3",)]
    assert rows_left(server, database) == "0"
    assert not conn.closed


def test_no_file_is_opened_for_the_server(conn: Connection, server: Server, database: str) -> None:
    with pytest.raises(ServerUnavailable, match="not offered"):
        conn.execute(load("/etc/hostname"))
    assert conn.closed
    with connect(server.options(), Purpose.LOAD) as other:
        other.execute(f"USE `{database}`")
        with pytest.raises(ServerUnavailable, match="not offered"):
            other.load(load("/etc/hostname"), sink.new_token(), BLOCKS)
    assert rows_left(server, database) == "0"


def test_other_purposes_cannot_load(server: Server, database: str, conn: Connection) -> None:
    token = sink.new_token()
    with connect(server.options(), Purpose.CONTROL) as other:
        other.execute(f"USE `{database}`")
        with pytest.raises((StatementFailed, ServerUnavailable)):
            other.load(load(token), token, BLOCKS)
    assert rows_left(server, database) == "0"


def test_the_cause_is_told_when_the_server_hangs_up(
    conn: Connection, server: Server, database: str
) -> None:
    def blocks() -> Iterator[bytes]:
        yield b"1\tone\n"
        with connect(server.options()) as other:
            servers.kill(other, conn.id)
            servers.await_gone(other, conn.id, timeout_s=2)
        for _ in range(100):
            yield b"2\tx\n" * 50_000

    token = sink.new_token()
    with pytest.raises(ConnectionLost, match="LOAD DATA"):
        sink.load_rows(conn, load(token), token, blocks(), 2)
    assert rows_left(server, database) == "0"


def test_a_wire_cut_during_a_load(server: Server, database: str, conn: Connection) -> None:
    with CutProxy(server.host, server.port) as proxy:
        cut = connect(server.options(port=proxy.port), Purpose.LOAD)
        cut.execute(f"USE `{database}`")

        def blocks() -> Iterator[bytes]:
            yield b"1\tone\n"
            proxy.cut()
            for _ in range(200):
                yield b"2\tx\n" * 50_000

        token = sink.new_token()
        with pytest.raises(ConnectionLost):
            sink.load_rows(cut, load(token), token, blocks(), 2)
        cut.close()
        with connect(server.options()) as other:
            assert servers.await_gone(other, cut.id, timeout_s=5)
    assert rows_left(server, database) == "0"


def test_abort_ends_a_load(conn: Connection, server: Server, database: str) -> None:
    with connect(server.options()) as other:
        other.execute(f"LOCK TABLES `{database}`.t READ")
        timer = threading.Timer(0.2, conn.abort)
        timer.start()
        began, token = time.monotonic(), sink.new_token()
        with pytest.raises(ConnectionLost, match="aborted"):
            sink.load_rows(conn, load(token), token, BLOCKS, 3)
        assert time.monotonic() - began < 2
        timer.join()
    assert rows_left(server, database) == "0"


def test_local_infile_off(server: Server, conn: Connection, database: str) -> None:
    assert not servers.local_infile_off(conn)
    server.sql("SET GLOBAL local_infile = 0")
    try:
        assert servers.local_infile_off(conn)
        with connect(server.options(), Purpose.LOAD) as other:
            other.execute(f"USE `{database}`")
            token = sink.new_token()
            with pytest.raises(StatementFailed) as failure:
                sink.load_rows(other, load(token), token, BLOCKS, 3)
            assert "local_infile" in (failure.value.hint or "")
    finally:
        server.sql("SET GLOBAL local_infile = 1")


def test_insert_rows(conn: Connection, server: Server, database: str) -> None:
    rows = [f"({n}, X'{b'v'.hex()}')" for n in range(100)]
    sent: list[int] = []
    sink.insert_rows(conn, "INSERT INTO t (id, s) VALUES ", rows, 100, sent.append)
    assert rows_left(server, database) == "100"
    assert len(sent) == 1


def test_inserts_are_bounded(
    conn: Connection, server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "_INSERT_BYTES", 200)
    sent: list[int] = []
    rows = [f"({n}, 'v')" for n in range(100)]
    sink.insert_rows(conn, "INSERT INTO t (id, s) VALUES ", rows, 100, sent.append)
    assert len(sent) > 5 and max(sent) <= 200
    assert rows_left(server, database) == "100"


@pytest.mark.parametrize(
    ("rows", "expected", "error"),
    [
        (["(1, 'a')", "(1, 'b')"], 2, StatementFailed),
        (["(1, 'too long')"], 1, StatementFailed),
        (["(1, 'a')"], 2, ProofFailed),
    ],
    ids=["duplicate", "long", "missing"],
)
def test_a_failed_insert_leaves_no_row(
    conn: Connection,
    server: Server,
    database: str,
    rows: list[str],
    expected: int,
    error: type[Exception],
) -> None:
    with pytest.raises(error):
        sink.insert_rows(conn, "INSERT INTO t (id, s) VALUES ", rows, expected)
    assert rows_left(server, database) == "0"
    assert conn.query("SELECT 1") == [(b"1",)]


def test_rows_too_large_to_insert_are_refused_before(conn: Connection) -> None:
    limit = servers.max_allowed_packet(conn)
    sink.require_insertable(conn, limit // 4)
    with pytest.raises(CannotComplete, match="max_allowed_packet"):
        sink.require_insertable(conn, limit // 2)


def test_counts_are_read_in_any_language() -> None:
    assert sink.load_counts(
        Executed(3, 2, "Datensätze: 3  Gelöscht: 0  Ausgelassen: 1  Warnungen: 2")
    ) == (3, 0, 1, 2)
    with pytest.raises(ProofFailed, match="how many"):
        sink.load_counts(Executed(3, 0, ""))

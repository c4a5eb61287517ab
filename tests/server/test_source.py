"""Reading rows when things go wrong: cut wires, abandoned results, odd buffers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tablevault.errors import CannotComplete, ConnectionLost
from tablevault.mysql.connect import Connection, Purpose, connect
from tablevault.mysql.source import RowSource, row_packets
from tests import tables
from tests.proxy import CutProxy
from tests.servers import Server

PATHS = pytest.mark.parametrize("public_api", [False, True], ids=["socket", "driver"])


@pytest.fixture
def conn(server: Server, database: str) -> Iterator[Connection]:
    with connect(server.options(), Purpose.READ) as conn:
        conn.execute(f"USE `{database}`")
        conn.execute(tables.AWKWARD)
        conn.execute(tables.AWKWARD_ROWS)
        yield conn


@pytest.mark.parametrize("size", [64, 65, 100, 4096, 1 << 20])
def test_the_buffer_size_does_not_matter(conn: Connection, database: str, size: int) -> None:
    specs = tables.specs_in(conn, database, "awkward")
    sql = tables.select(specs, database, "awkward", "id")
    [whole] = RowSource(conn, sql, specs)
    [batch] = RowSource(conn, sql, specs, buffer_bytes=size)
    assert batch.digest == whole.digest
    assert batch.rows == 5


@PATHS
@pytest.mark.parametrize("passed", [1, 700, 66_000, 130_000])
def test_a_wire_cut_in_mid_row_is_a_lost_connection(
    server: Server, database: str, conn: Connection, public_api: bool, passed: int
) -> None:
    specs = tables.specs_in(conn, database, "awkward")
    sql = tables.select(specs, database, "awkward", "id")
    with CutProxy(server.host, server.port) as proxy:
        cut = connect(server.options(port=proxy.port, ssl_mode="disabled"), Purpose.READ)
        proxy.cut_after(passed)
        with pytest.raises(ConnectionLost, match="SELECT `id`"):
            list(RowSource(cut, sql, specs, public_api=public_api))
        with pytest.raises(ConnectionLost):
            cut.query("SELECT 1")
        assert cut.busy_since is None


def test_a_source_left_early_closes_its_connection(conn: Connection, database: str) -> None:
    specs = tables.specs_in(conn, database, "awkward")
    with RowSource(conn, tables.select(specs, database, "awkward", "id"), specs, (), 64) as source:
        assert next(iter(source)).rows == 1
    assert conn.closed
    with pytest.raises(ConnectionLost):
        conn.query("SELECT 1")


def test_the_last_batch_leaves_the_connection_free(conn: Connection, database: str) -> None:
    specs = tables.specs_in(conn, database, "awkward")
    with RowSource(conn, tables.select(specs, database, "awkward", "id"), specs) as source:
        assert next(iter(source)).rows == 5
        assert conn.query("SELECT 1") == [(b"1",)]
    assert not conn.closed


def test_another_number_of_columns_is_noticed(conn: Connection, database: str) -> None:
    specs = tables.specs_in(conn, database, "awkward")
    with pytest.raises(ConnectionLost, match="2 columns came where 14"):
        list(RowSource(conn, "SELECT 1, 2", specs))


def test_compression_is_refused_by_name(conn: Connection, database: str) -> None:
    conn.driver.client_flags = [1 << 5]  # type: ignore[attr-defined]
    with pytest.raises(CannotComplete, match="compress"):
        RowSource(conn, "SELECT 1", ())


def test_abort_ends_a_blocked_read(conn: Connection, database: str) -> None:
    import threading

    specs = tables.specs_in(conn, database, "awkward")[:1]
    timer = threading.Timer(0.2, conn.abort)
    timer.start()
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="aborted"):
        list(RowSource(conn, "SELECT SLEEP(60) AS id", specs))
    assert time.monotonic() - began < 2
    timer.join()


def test_abort_between_two_reads(conn: Connection, database: str) -> None:
    conn.execute("CREATE TABLE wide (id INT PRIMARY KEY, b LONGTEXT)")
    conn.execute("INSERT INTO wide SELECT id, REPEAT('x', 3000000) FROM awkward")
    specs = tables.specs_in(conn, database, "wide")
    source = RowSource(conn, tables.select(specs, database, "wide"), specs, (), 1 << 20)
    with pytest.raises(ConnectionLost, match="aborted while running SELECT"):
        for _ in source:
            conn.abort()


def test_an_aborted_read_lets_the_table_go(server: Server, database: str) -> None:
    """The server is in the midst of sending: it must not go on waiting for a reader that left."""
    with connect(server.options(), Purpose.READ) as conn:
        conn.execute(f"USE `{database}`")
        conn.execute("CREATE TABLE wide (id INT PRIMARY KEY, b LONGTEXT)")
        for number in range(12):
            conn.execute(f"INSERT INTO wide VALUES ({number}, REPEAT('x', 3000000))")
        specs = tables.specs_in(conn, database, "wide")
        source = RowSource(conn, tables.select(specs, database, "wide"), specs, (), 1 << 20)
        with pytest.raises(ConnectionLost, match="aborted while running SELECT"):
            for _ in source:
                time.sleep(0.5)  # until the kernel's buffers are full
                conn.abort()
        session = conn.id
    ours = f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = {session}"
    deadline = time.monotonic() + 30
    while server.query(ours) != [("0",)]:
        assert time.monotonic() < deadline, "the server still sends, and holds the table's lock"
        time.sleep(0.1)


def test_packets_of_a_row_are_split_where_the_protocol_splits_them() -> None:
    packets, sequence = row_packets([b"x" * (0xFFFFFF - 4)], 255)
    assert packets[:4] == b"\xff\xff\xff\xff"
    assert packets[-4:] == b"\x00\x00\x00\x00", "a full packet is followed by an empty one"
    assert sequence == 1
    assert row_packets([None, b""], 3) == (bytearray(b"\x02\x00\x00\x03\xfb\x00"), 4)

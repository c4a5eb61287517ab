"""Both ways of reading rows give the same batches: the socket, and the driver's public API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tablevault.model import Digest
from tablevault.mysql import wire
from tablevault.mysql.connect import Connection, Purpose, connect
from tablevault.mysql.source import RowSource
from tablevault.rows.buffers import ColumnBuffers, RowBatch
from tests import tables
from tests.servers import Server

PATHS = pytest.mark.parametrize("public_api", [False, True], ids=["socket", "driver"])
LARGE_BYTES = 20 << 20


@pytest.fixture
def conn(server: Server, database: str) -> Iterator[Connection]:
    with connect(server.options(), Purpose.READ) as conn:
        conn.execute(f"USE `{database}`")
        conn.execute(tables.AWKWARD)
        conn.execute(tables.AWKWARD_ROWS)
        yield conn


def column(buffers: ColumnBuffers) -> tuple[object, ...]:
    parts = (buffers.validity, buffers.offsets, buffers.data)
    return (*(None if part is None else bytes(part) for part in parts), buffers.null_count)


def content(batch: RowBatch) -> tuple[object, ...]:
    return (
        batch.rows,
        batch.digest,
        batch.wire_bytes,
        batch.largest_row,
        batch.first_key,
        [column(each) for each in batch.columns],
        column(batch.exact),
    )


def read_both(
    conn: Connection, database: str, table: str, where: str = "", limit: int = 16 << 20
) -> list[RowBatch]:
    specs = tables.specs_in(conn, database, table)
    sql = tables.select(specs, database, table) + where
    found = {}
    for public_api in (False, True):
        source = RowSource(conn, sql, specs, [0], limit, public_api=public_api)
        found[public_api] = list(source)
        assert source.rows_seen == sum(batch.rows for batch in found[public_api])
        assert conn.one("SELECT 7") == (b"7",), "the connection must be usable again"
    assert [content(batch) for batch in found[False]] == [content(batch) for batch in found[True]]
    return found[False]


def test_awkward_values(conn: Connection, database: str) -> None:
    [batch] = read_both(conn, database, "awkward", " ORDER BY id")
    assert batch.rows == 5
    assert batch.first_key == (b"1",)
    assert batch.digest.hashed == 5


def test_an_empty_result_has_no_batch(conn: Connection, database: str) -> None:
    assert read_both(conn, database, "awkward", " WHERE id > 100") == []


def test_small_groups_are_closed_alike_and_add_up(conn: Connection, database: str) -> None:
    whole = read_both(conn, database, "awkward", " ORDER BY id")
    parts = read_both(conn, database, "awkward", " ORDER BY id", limit=4096)
    assert len(parts) > 1
    assert sum((part.digest for part in parts), Digest()) == whole[0].digest


@pytest.fixture
def large_packets(server: Server) -> Iterator[None]:
    before = server.value("SELECT @@GLOBAL.max_allowed_packet")
    server.sql(f"SET GLOBAL max_allowed_packet = {64 << 20}")
    yield
    server.sql(f"SET GLOBAL max_allowed_packet = {before}")


def test_a_row_that_the_protocol_splits(server: Server, database: str, large_packets: None) -> None:
    with connect(server.options(), Purpose.READ) as conn:
        conn.execute(f"CREATE TABLE `{database}`.big (id INT PRIMARY KEY, b LONGBLOB)")
        conn.execute(
            f"INSERT INTO `{database}`.big VALUES (1,'before'), "
            f"(2,REPEAT('x',{LARGE_BYTES})), (3,REPEAT('y',{0xFFFFFF - 6})), (4,'behind')"
        )
        batches = read_both(conn, database, "big", " ORDER BY id")
        assert sum(batch.rows for batch in batches) == 4
        assert max(batch.largest_row for batch in batches) > LARGE_BYTES


@PATHS
def test_an_error_in_mid_stream(conn: Connection, database: str, public_api: bool) -> None:
    from tablevault.errors import StatementFailed

    # sql_mode is strict, but a SELECT only warns; a subquery of two rows fails in its own row
    conn.execute("CREATE TABLE many (id INT PRIMARY KEY)")
    conn.execute(
        "INSERT INTO many SELECT a.id + 5 * (b.id + 5 * (c.id + 5 * d.id)) "
        "FROM awkward a, awkward b, awkward c, awkward d"
    )
    specs = tables.specs_in(conn, database, "many")
    sql = "SELECT IF(id < 700, id, (SELECT 1 UNION SELECT 1 + many.id)) AS id FROM many ORDER BY id"
    source = RowSource(conn, sql, specs, public_api=public_api)
    with pytest.raises(StatementFailed) as failure:
        list(source)
    assert failure.value.errno == 1242
    assert conn.query("SELECT 'still here'") == [(b"still here",)]


def test_the_fast_path_is_taken_here(conn: Connection) -> None:
    assert wire.reader(conn.driver) is not None, "the driver has changed: see wire.reader"


def test_without_the_socket_the_public_api_is_used(
    conn: Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "reader", lambda driver: None)
    specs = tables.specs_in(conn, database, "awkward")
    [batch] = RowSource(conn, tables.select(specs, database, "awkward"), specs)
    assert batch.rows == 5

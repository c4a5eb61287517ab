"""What a server prints is what the codec prints: usual values stay in their typed columns."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest

from tablevault.mysql.connect import Connection, Purpose, connect
from tablevault.mysql.source import RowSource
from tablevault.rows import RowBatch, RowEncoder, split_text
from tests import tables
from tests.servers import Server


@pytest.fixture
def conn(server: Server, database: str) -> Iterator[Connection]:
    with connect(server.options(), Purpose.READ) as conn:
        conn.execute(f"USE `{database}`")
        yield conn


def read(conn: Connection, database: str, column_type: str, values: list[str]) -> RowBatch:
    """The values through a column of the type, checked to come back byte for byte."""
    conn.execute(f"CREATE TABLE t (id INT PRIMARY KEY, c {column_type})")
    rows = ",".join(f"({number},{value})" for number, value in enumerate(values))
    conn.execute(f"INSERT INTO t VALUES {rows}")
    specs = tables.specs_in(conn, database, "t")
    [batch] = RowSource(conn, tables.select(specs, database, "t", "id"), specs)
    text, digest = RowEncoder(specs).encode(batch.columns, batch.exact, batch.rows)
    assert digest == batch.digest
    expression = tables.select(specs, database, "t", "id")
    assert text is not None
    assert [tuple(row) for row in split_text(text)] == conn.query(expression)
    return batch


def doubles(count: int) -> list[str]:
    """Any bits of a double, by the texts that both sides read exactly."""
    chance = random.Random(11)
    found = []
    while len(found) < count:
        value = struct.unpack("<d", struct.pack("<Q", chance.getrandbits(64)))[0]
        if 1e-300 < abs(value) < 1e300:
            found.append(repr(value))
    return found


COMMON = [f"{m}e{e}" for e in range(-12, 20) for m in ("1", "1.5", "-9.99", "1.23456789")]


@pytest.mark.parametrize(
    ("column_type", "values"),
    [
        ("DOUBLE", COMMON),
        ("DOUBLE(10,2)", ["0", "1.5", "-1.25", "0.1", "12345678.9", "-99999999.99"]),
        ("DOUBLE(10,3) ZEROFILL", ["0", "1.5", "123456.789"]),
        ("DOUBLE ZEROFILL", ["0", "1.5", "1e20"]),
        ("FLOAT", ["0", "0.1", "1.5", "-2.75", "3.14159", "1e10", "1e-2", "16777217", "1e30"]),
        ("FLOAT(8,2)", ["0", "0.25", "-1.1", "123456.78"]),
        ("DECIMAL(5,2) ZEROFILL", ["0", "1.5", "999.99"]),
        ("DECIMAL(4,4)", ["0", "-0.5", "0.9999"]),
        ("DECIMAL(38,30)", ["0", "0." + "9" * 30, "-12345678." + "1" * 30]),
        ("DECIMAL(38,0)", ["0", "9" * 38, "-" + "9" * 38]),
        ("INT(5) ZEROFILL", ["0", "123", "1234567"]),
        ("BIGINT UNSIGNED", ["0", "18446744073709551615"]),
        ("BIGINT", ["-9223372036854775808", "9223372036854775807"]),
        ("YEAR", ["0", "1901", "2155"]),
        ("DATE", ["'0001-01-01'", "'1969-12-31'", "'2024-02-29'", "'9999-12-31'"]),
        ("DATETIME(3)", ["'0001-01-01'", "'1969-12-31 23:59:59.999'", "'9999-12-31 23:59:59'"]),
        ("TIMESTAMP(6) NULL", ["'1970-01-02 00:00:00.000001'", "'2038-01-01 00:00:00'", "NULL"]),
        ("TIME(2)", ["'0'", "'-00:00:01.50'", "'838:59:59'", "'-838:59:59'", "'23:59:59.99'"]),
        ("TIME", ["'00:00:01'", "'-100:00:00'"]),
        ("VARCHAR(20) CHARACTER SET latin1", ["'é'", "'€'", "0x818D8F909D", "'plain'"]),
        ("VARCHAR(20) CHARACTER SET utf8mb4", ["'é€😀'", "''"]),
    ],
)
def test_usual_values_stay_typed(
    conn: Connection, database: str, column_type: str, values: list[str]
) -> None:
    batch = read(conn, database, column_type, values)
    assert batch.rows == len(values)
    assert batch.exact.null_count == batch.rows


def test_doubles_of_any_bits(server: Server, conn: Connection, database: str) -> None:
    batch = read(conn, database, "DOUBLE", doubles(2000))
    # MySQL turns to exponents above 24 characters, which only a spec with `text_width` expects
    allowed = 0 if server.family == "mariadb" else 60
    assert batch.rows - batch.exact.null_count <= allowed


def test_dates_without_a_day_are_exact(conn: Connection, database: str) -> None:
    conn.execute("SET SESSION sql_mode = ''")
    batch = read(conn, database, "DATE", ["'0000-00-00'", "'2024-02-00'", "'2024-02-01'"])
    assert batch.columns[1].null_count == 2
    assert batch.exact.null_count == 1

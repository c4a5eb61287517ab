"""What another reader of the Parquet files sees: natural types, natural values, for every type."""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pytest

from tablevault.rows.kinds import Kind, specs_of
from tests.servers import Server
from tests.support.roundtrip import take

_UTC = dt.UTC
_POINT = b"\x01" + struct.pack("<Idd", 1, 1.0, 2.0)
_SINGLE = struct.unpack("<f", struct.pack("<f", 0.1))[0]
_LATEST = dt.datetime(2024, 3, 31, 1, 0, 0, 500_000, _UTC)


@dataclass(frozen=True)
class Seen:
    """A column with one value, and what a person expects to see of it."""

    name: str
    definition: str
    literal: str
    value: Any
    duckdb: str  # the type that DuckDB shows


def columns(server: Server) -> Iterator[Seen]:
    """One column at least for every kind that this server has."""
    for name, bits in (("tiny", 8), ("small", 16), ("medium", 24), ("", 32), ("big", 64)):
        low, top = -(1 << (bits - 1)), (1 << bits) - 1
        shown = {8: "TINYINT", 16: "SMALLINT", 64: "BIGINT"}.get(bits, "INTEGER")
        yield Seen(f"{name}i", f"{name}int", str(low), low, shown)
        yield Seen(f"{name}u", f"{name}int unsigned", str(top), top, "U" + shown)
    yield Seen("flag", "boolean", "true", 1, "TINYINT")
    yield Seen("zero", "int(6) zerofill", "42", 42, "UINTEGER")
    yield Seen("y", "year", "2024", 2024, "USMALLINT")
    for digits, scale, text in ((9, 2, "-1234567.89"), (18, 0, "9" * 18), (38, 10, "-0.5")):
        shown = f"DECIMAL({digits},{scale})"
        yield Seen(f"d{digits}", shown, text, Decimal(text), shown)
    yield Seen("d65", "decimal(65,30)", "1.5", "1.5" + "0" * 29, "VARCHAR")
    yield Seen("f", "float", "0.1", _SINGLE, "FLOAT")
    yield Seen("d", "double", "0.1", 0.1, "DOUBLE")
    yield Seen("day", "date", "'2024-02-29'", dt.date(2024, 2, 29), "DATE")
    early = dt.datetime(1969, 12, 31, 23, 59, 59, 999_999)
    yield Seen("moment", "datetime(6)", "'1969-12-31 23:59:59.999999'", early, "TIMESTAMP")
    yield Seen(
        "second", "datetime", "'9999-12-31 00:00:00'", dt.datetime(9999, 12, 31), "TIMESTAMP"
    )
    zone = "TIMESTAMP WITH TIME ZONE"
    yield Seen("ts", "timestamp(3) null", "'2024-03-31 01:00:00.5'", _LATEST, zone)
    span = -dt.timedelta(hours=30, seconds=1, microseconds=500_000)
    yield Seen("t", "time(1)", "'-30:00:01.5'", span, "BIGINT")
    for charset, text in (
        *(
            ("utf8mb4", "ä😀"),
            ("latin1", "ä€"),
            ("koi8r", "жук"),
            ("gbk", "中文"),
            ("sjis", "表ア"),
        ),
        *(("utf16", "ä😀"), ("ucs2", "ä"), ("utf32", "😀"), ("ascii", "a"), ("big5", "中")),
    ):
        literal = f"CONVERT(X'{text.encode().hex()}' USING utf8mb4)"
        for form in ("varchar(20)", "longtext"):
            name = f"{form[:4]}_{charset}"
            yield Seen(name, f"{form} CHARACTER SET {charset}", literal, text, "VARCHAR")
    yield Seen("c", "char(5)", "'ab'", "ab", "VARCHAR")
    yield Seen("e", "enum('ä','b') CHARACTER SET utf8mb4", "'ä'", "ä", "VARCHAR")
    yield Seen("s", "set('a','b','c')", "'c,a'", "a,c", "VARCHAR")
    json = '{"a": [1, "x"]}'
    yield Seen("j", "json", f"'{json}'", json, "VARCHAR")
    yield Seen("fixed", "binary(3)", "X'00FF'", b"\x00\xff\x00", "BLOB")
    yield Seen("raw", "varbinary(8)", "X'00FF'", b"\x00\xff", "BLOB")
    yield Seen("lob", "longblob", "X'00FF'", b"\x00\xff", "BLOB")
    yield Seen("bits", "bit(12)", "b'101100000001'", b"\x0b\x01", "BLOB")
    for kind in ("geometry", "point"):
        yield Seen(f"g_{kind}", kind, "ST_GeomFromText('POINT(1 2)', 3857)", _POINT, "GEOMETRY")
    if server.family == "mariadb":
        one = "123e4567-e89b-42d3-a456-426614174000"
        yield Seen("id_uuid", "uuid", f"'{one}'", one, "VARCHAR")
        yield Seen("ip4", "inet4", "'10.0.0.1'", "10.0.0.1", "VARCHAR")
        yield Seen("ip6", "inet6", "'2001:db8::1'", "2001:db8::1", "VARCHAR")
    if server.kind != "mariadb":
        singles = struct.pack("<2f", 1.5, -2.0)
        yield Seen("v", "vector(2)", f"X'{singles.hex()}'", singles, "BLOB")


@pytest.fixture
def seen(server: Server, database: str, vault: Path) -> tuple[list[Seen], Path]:
    """The columns, and the folder of a table with one row of values and one of NULLs."""
    wanted = list(columns(server))
    body = ", ".join(f"`{one.name}` {one.definition}" for one in wanted)
    names = ", ".join(f"`{one.name}`" for one in wanted)
    server.sql(
        f"SET time_zone = '+00:00', sql_mode = ''; CREATE TABLE t (id INT PRIMARY KEY, {body}) "
        f"CHARACTER SET utf8mb4; INSERT INTO t (id, {names}) VALUES "
        f"(1, {', '.join(one.literal for one in wanted)}); INSERT INTO t (id) VALUES (2);",
        database,
    )
    taken = take(server, vault, [f"{database}.t"])
    definition = taken.tables[0].definition
    specs = specs_of(definition.table, definition.columns, server.family)
    # JSON is another name of LONGTEXT on MariaDB
    absent = {Kind.UUID, Kind.INET4, Kind.INET6} if server.family == "mysql" else {Kind.JSON}
    absent |= {Kind.VECTOR} if server.kind == "mariadb" else set()
    assert {spec.kind for spec in specs} == set(Kind) - absent
    return wanted, vault / taken.id / database / "t"


def test_duckdb(seen: tuple[list[Seen], Path]) -> None:
    wanted, folder = seen
    with duckdb.connect() as duck:
        duck.execute("SET TimeZone = 'UTC'")
        rows = duck.execute(  # zones as Python objects would need another package
            "SELECT * REPLACE (epoch_us(ts) AS ts) "
            f"FROM read_parquet('{folder}/*.parquet') ORDER BY id"
        ).fetchall()
        described = duck.execute(f"DESCRIBE FROM read_parquet('{folder}/*.parquet')").fetchall()
    types = {row[0]: row[1] for row in described}
    found = dict(zip(types, rows[0], strict=True))
    for one in wanted:
        value = one.value
        if isinstance(value, dt.timedelta):  # it has no signed span of a day and more
            value = value // dt.timedelta(microseconds=1)
        if one.name == "ts":
            value = (value - dt.datetime(1970, 1, 1, tzinfo=_UTC)) // dt.timedelta(microseconds=1)
        assert types[one.name] == one.duckdb, one
        assert found[one.name] == value, one
    assert rows[1] == (2, *[None] * (len(wanted) + 1))


def test_pandas(seen: tuple[list[Seen], Path]) -> None:
    wanted, folder = seen
    # pandas' own types turn integers beside a NULL into floats
    frame = pandas.read_parquet(folder, ignore_prefixes=["chunks"], dtype_backend="pyarrow")
    frame = frame.sort_values("id")
    for one in wanted:
        first, second = frame[one.name]
        assert first == one.value, one
        assert pandas.isna(second), one
    assert str(frame["ts"].dtype) == "timestamp[us, tz=UTC][pyarrow]"
    assert str(frame["t"].dtype) == "duration[us][pyarrow]"


def test_polars(seen: tuple[list[Seen], Path]) -> None:
    wanted, folder = seen
    frame = polars.read_parquet(f"{folder}/*.parquet").sort("id")
    first, second = frame.rows(named=True)
    for one in wanted:
        assert first[one.name] == one.value, one
        assert second[one.name] is None, one
    assert frame.schema["d9"] == polars.Decimal(9, 2)
    assert frame.schema["ts"] == polars.Datetime("us", "UTC")
    assert frame.schema["t"] == polars.Duration("us")
    assert frame.schema["bigu"] == polars.UInt64


def test_what_a_type_cannot_hold_is_null_and_beside(
    server: Server, database: str, vault: Path
) -> None:
    server.sql(
        "SET time_zone = '+00:00', sql_mode = ''; CREATE TABLE t (id INT PRIMARY KEY, day DATE, "
        "moment DATETIME, ts TIMESTAMP NULL, text VARCHAR(9) CHARACTER SET cp932, g GEOMETRY);"
        "INSERT INTO t VALUES (1, '0000-00-00', '2020-00-00', '0000-00-00', _cp932 X'EEF9', "
        "ST_GeomFromText('POINT(1 2)', 3857)), "
        "(2, '2020-01-01', '2020-01-01', '2020-01-01', 'x', ST_GeomFromText('POINT(1 2)')), "
        "(3, NULL, NULL, NULL, NULL, ST_GeomFromText('POINT(1 2)'));",
        database,
    )
    taken = take(server, vault, [f"{database}.t"])
    folder = vault / taken.id / database / "t"
    first, second, third = polars.read_parquet(f"{folder}/*.parquet").sort("id").rows()
    # of two sequences for one character the second is kept as it is
    assert first[1:6] == (None,) * 5
    exact, entries = first[6], {}
    while exact:
        position, size = struct.unpack_from("<HI", exact)
        entries[position] = exact[6 : 6 + size]
        exact = exact[6 + size :]
    assert entries == {
        1: b"0000-00-00",
        2: b"2020-00-00 00:00:00",
        3: b"0000-00-00 00:00:00",
        4: b"\xee\xf9",
        5: struct.pack("<I", 3857) + _POINT,
    }
    assert second[6] is None
    assert second[5] == _POINT
    assert third[6] is None

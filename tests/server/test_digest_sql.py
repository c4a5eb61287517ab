"""The server's digest is the digest of the wire bytes, for every type; and what is loaded is what
was read.  The expectation is computed here, by the words of docs/FORMAT.md alone."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence

import pytest

from tablevault.model import Digest, Fingerprint, Key, KeyColumn, KeyRange, TableDef, TableName
from tablevault.mysql import catalog, sql
from tablevault.mysql.connect import Connection, Purpose, Row, connect
from tablevault.mysql.sql_digest import (
    canonical_row,
    digest_query,
    fingerprint_query,
    parse_digest,
    parse_fingerprint,
)
from tablevault.rows.kinds import ColumnSpec, specs_of
from tests.servers import Server

TYPES = """id INT NOT NULL PRIMARY KEY AUTO_INCREMENT, ti TINYINT, si SMALLINT UNSIGNED ZEROFILL,
 mi MEDIUMINT, i INT(7) ZEROFILL, b BIGINT UNSIGNED, de DECIMAL(20,4), dz DECIMAL(10,2) ZEROFILL,
 db DECIMAL(65,30), f FLOAT, d DOUBLE, fn FLOAT NOT NULL, dn DOUBLE NOT NULL, d2 DOUBLE(10,2),
 y YEAR, da DATE, dt DATETIME, dt6 DATETIME(6), ts TIMESTAMP NULL, ts3 TIMESTAMP(3) NULL, tm TIME,
 tm6 TIME(6), bi BIT(1), bi9 BIT(9), bi64 BIT(64) NOT NULL, c CHAR(10), vc VARCHAR(50),
 vl VARCHAR(50) CHARSET latin1, v3 VARCHAR(50) CHARSET utf8mb3, vu VARCHAR(50) CHARSET ucs2,
 vs VARCHAR(50) CHARSET sjis, bn BINARY(5), vb VARBINARY(20), bl BLOB, tx TEXT,
 tl LONGTEXT CHARSET latin1, tb TINYBLOB, e ENUM('a','b','ü'), s SET('x','y','z'), j JSON,
 g GEOMETRY, p POINT, vn VARCHAR(30) NOT NULL, txn TEXT NOT NULL, dan DATE NOT NULL,
 gen INT AS (ti + 1) VIRTUAL, `we``ird|'name` INT"""
ROWS = r"""INSERT INTO every (ti,si,mi,i,b,de,dz,db,f,d,fn,dn,d2,y,da,dt,dt6,ts,ts3,tm,tm6,bi,bi9,
 bi64,c,vc,vl,v3,vu,vs,bn,vb,bl,tx,tl,tb,e,s,j,g,p,vn,txn,dan) VALUES
 (-128,7,-8388608,42,18446744073709551615,-1234567890.1234,5.5,
 -12345678901234567890123456789012345.123456789012345678901234567890,3.1415927,2.15e-10,1e38,
 -1.7976931348623157e308,1.5,2024,'2024-00-00','0000-00-00','2020-02-31 10:00:00.123456',
 '2000-01-01 00:00:01','2037-01-01 12:00:00.987','-838:59:59','-00:00:00.000001',1,300,
 18446744073709551615,'ab  ','日本語 é|N','é€','ü','日本','日本',x'0001ff',x'00ff0a09',
 x'00ff5c0a27','te\nxt\t\\','é','x','ü','x,z','{"b": [1, 2.5, "é\\n"], "a": null}',
 ST_GeomFromText('LINESTRING(1 2,3 4)'),ST_GeomFromText('POINT(1 2)'),'zz|N','','2024-02-29');
INSERT INTO every (bi64,fn,dn,vn,txn,dan) VALUES (0,0,0,'','','0000-00-00');
INSERT INTO every (ti,bi64,fn,dn,vn,txn,dan,vb,vc,tm,e,s,bl,j,f) VALUES
 (0,5,0.1,0.1,'ü','long','9999-12-31','','','100:00:00','a','',REPEAT('x',60000),'[]',-1e-38);
INSERT INTO every (bi64,fn,dn,vn,txn,dan,d,f)
 VALUES (1,16777217,1e15,'a','b','2000-01-01',0.1+0.2,1/3),(2,1e-45,5e-324,'c','d','2000-01-01',
 123456789012345680,-0e0)"""


def canonical(specs: Sequence[ColumnSpec], row: Row) -> bytes:
    """docs/FORMAT.md, Digest, word for word."""
    head: list[bytes] = []
    tail: list[bytes] = []
    for spec, value in zip(specs, row, strict=True):
        if spec.digest == 1:
            head.append(b"N" if value is None else value)
    for spec, value in zip(specs, row, strict=True):
        if spec.digest == 2:
            head.append(b"N" if value is None else b"%d" % len(value))
            tail.append(value or b"")
    for spec, value in zip(specs, row, strict=True):
        if spec.digest == 3:
            head.append(b"N" if value is None else b"%d:%d" % (len(value), zlib.crc32(value)))
    return b"|".join(head) + b"|" + b"".join(tail)


def digest(specs: Sequence[ColumnSpec], rows: Sequence[Row]) -> Digest:
    hashes = [zlib.crc32(b"%d" % zlib.crc32(canonical(specs, row))) for row in rows]
    return Digest(len(rows), len(rows), sum(hashes))


@pytest.fixture
def conn(server: Server) -> Iterator[Connection]:
    with connect(server.options(), Purpose.DIGEST) as conn:
        yield conn


@pytest.fixture
def every(conn: Connection, database: str) -> TableDef:
    conn.execute(f"USE `{database}`")
    conn.execute(f"CREATE TABLE every ({TYPES}) CHARACTER SET utf8mb4")
    for statement in ROWS.split(";\n"):
        conn.execute(statement)
    return catalog.table_definition(conn, TableName(database, "every"))


def test_every_type(conn: Connection, every: TableDef) -> None:
    specs = specs_of(every.table, every.columns, conn.server.family)
    rows = conn.query(sql.select_rows(every.table, specs, every.columns, every.key))
    assert len(rows) == 5 and None in rows[1] and rows[0].count(None) == 1
    for family in ("mariadb", "mysql"):  # either family's form is right on both
        expression = canonical_row(specs, every.columns, family)
        server_rows = conn.query(f"SELECT {expression} FROM every ORDER BY id")
        assert [row[0] for row in server_rows] == [canonical(specs, row) for row in rows]
        text = digest_query(every.table, specs, every.columns, family, every.key)
        assert parse_digest(conn.one(text)) == digest(specs, rows)


def test_the_fingerprint_of_every_type(conn: Connection, every: TableDef) -> None:
    specs = specs_of(every.table, every.columns, conn.server.family)
    rows = conn.query(sql.select_rows(every.table, specs, every.columns, every.key))

    def of(range: KeyRange) -> Fingerprint:
        family = conn.server.family
        text = fingerprint_query(every.table, specs, every.columns, family, every.key, range)
        return parse_fingerprint(conn.one(text))

    expected = []
    for row in rows:
        large = [spec.digest == 3 for spec in specs]
        text = canonical(specs, row)
        for value, is_large in zip(row, large, strict=True):
            if is_large and value is not None:
                short = b"|%d:%d|" % (len(value), zlib.crc32(value))
                strong = b"|%d:%b|" % (len(value), hashlib.sha256(value).hexdigest().encode())
                assert short in text
                text = text.replace(short, strong, 1)
        expected.append(int.from_bytes(hashlib.sha256(text).digest()[:8]))
    assert of(KeyRange()) == Fingerprint(5, sum(expected))
    assert of(KeyRange((b"2",), (b"4",))) == Fingerprint(2, sum(expected[1:3]))
    assert of(KeyRange((b"2",), (b"2",))) == Fingerprint()


def test_ranges_and_filters_add_up(conn: Connection, every: TableDef) -> None:
    specs = specs_of(every.table, every.columns, conn.server.family)
    rows = conn.query(sql.select_rows(every.table, specs, every.columns, every.key))

    def of(range: KeyRange, where: str | None = None) -> Digest:
        family = conn.server.family
        text = digest_query(every.table, specs, every.columns, family, every.key, range, where)
        return parse_digest(conn.one(text))

    parts = [KeyRange(None, (b"2",)), KeyRange((b"2",), (b"4",)), KeyRange((b"4",), None)]
    assert [of(part) for part in parts] == [
        digest(specs, rows[:1]),
        digest(specs, rows[1:3]),
        digest(specs, rows[3:]),
    ]
    assert of(KeyRange(), "ti = 0 -- only this") == digest(specs, rows[2:3])
    assert of(KeyRange((b"2",), (b"2",))) == Digest()


@pytest.mark.parametrize("way", ["load", "insert"])
def test_what_is_written_is_what_was_read(
    server: Server, conn: Connection, every: TableDef, way: str
) -> None:
    specs = specs_of(every.table, every.columns, conn.server.family)
    rows = conn.query(sql.select_rows(every.table, specs, every.columns, every.key))
    copy = TableName(every.table.schema, "copy")
    conn.execute("CREATE TABLE copy LIKE every")
    with connect(server.options(), Purpose.LOAD) as loader:
        if way == "load":
            statement = sql.load_data(copy, specs, "token-0001", loader.server.family)
            done = loader.load(statement, "token-0001", [b"".join(map(load_line, rows))])
        else:
            written = ", ".join(sql.insert_row(specs, every.columns, row) for row in rows)
            done = loader.execute(sql.insert_prefix(copy, specs) + written)
        assert (done.affected, done.warnings) == (len(rows), 0)
    assert conn.query(sql.select_rows(copy, specs, every.columns, every.key)) == rows


def load_line(row: Row) -> bytes:
    def cell(value: bytes | None) -> bytes:
        if value is None:
            return rb"\N"
        for raw, escaped in ((b"\\", rb"\\"), (b"\t", rb"\t"), (b"\n", rb"\n"), (b"\0", rb"\0")):
            value = value.replace(raw, escaped)
        return value

    return b"\t".join(map(cell, row)) + b"\n"


def test_a_row_above_max_allowed_packet_is_noticed(
    server: Server, conn: Connection, database: str
) -> None:
    """COUNT(hash) would not tell: MariaDB counts an expression of NOT NULL columns unseen."""
    conn.execute(f"CREATE TABLE `{database}`.big (id INT PRIMARY KEY, v VARBINARY(5000) NOT NULL)")
    conn.execute(f"INSERT INTO `{database}`.big VALUES (1, 'a'), (2, REPEAT('b', 4000))")
    definition = catalog.table_definition(conn, TableName(database, "big"))
    specs = specs_of(definition.table, definition.columns, conn.server.family)
    before = server.value("SELECT @@GLOBAL.max_allowed_packet")
    server.sql("SET GLOBAL max_allowed_packet = 2048")
    try:
        with connect(server.options(), Purpose.DIGEST) as small:
            row = small.one(
                digest_query(
                    definition.table,
                    specs,
                    definition.columns,
                    small.server.family,
                    Key("PRIMARY", (KeyColumn("id"),)),
                )
            )
    finally:
        server.sql(f"SET GLOBAL max_allowed_packet = {before}")
    found = parse_digest(row)
    assert (found.rows, found.hashed) == (2, 1)

"""Walking keys of every usable type: the chunks tile the table, and each is read as a range."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tablevault.errors import Unsupported
from tablevault.model import Digest, KeyRange, KeyValue, TableDef, TableName
from tablevault.mysql import catalog, keywalk, sql
from tablevault.mysql.connect import Connection, Purpose, connect
from tablevault.mysql.sql_digest import digest_query, parse_digest
from tablevault.rows.kinds import specs_of
from tests.servers import Server

KEYS = {
    "int": ("a INT NOT NULL", "PRIMARY KEY (a)", ["-5", "0", "3", "2147483647"]),
    "unsigned": ("a BIGINT UNSIGNED NOT NULL", "PRIMARY KEY (a)", ["0", "18446744073709551615"]),
    "zerofill": ("a INT(5) ZEROFILL NOT NULL", "PRIMARY KEY (a)", ["0", "7", "12345678"]),
    "decimal": ("a DECIMAL(65,30) NOT NULL", "PRIMARY KEY (a)", ["-1.5", "0", "1e30"]),
    "date": ("a DATE NOT NULL", "PRIMARY KEY (a)", ["0", "'2020-00-00'", "'2020-01-31'"]),
    "datetime": (
        *("a DATETIME(6) NOT NULL", "PRIMARY KEY (a)"),
        ["0", "'2020-01-01'", "'2020-01-01 00:00:00.000001'"],
    ),
    "timestamp": (
        *("a TIMESTAMP(3) NOT NULL DEFAULT '2000-01-01'", "PRIMARY KEY (a)"),
        ["'2020-10-25 00:30:00'", "'2020-10-25 01:30:00.001'"],
    ),
    "time": ("a TIME(2) NOT NULL", "PRIMARY KEY (a)", ["'-100:00:00.5'", "0", "'100:00:00'"]),
    "year": ("a YEAR NOT NULL", "PRIMARY KEY (a)", ["0", "1999", "2024"]),
    "bit": ("a BIT(64) NOT NULL", "PRIMARY KEY (a)", ["0", "5", "18446744073709551615"]),
    "binary": ("a VARBINARY(9) NOT NULL", "PRIMARY KEY (a)", ["''", "X'00'", "X'FF00'", "X'27'"]),
    "enum": ("a ENUM('z','it''s','a') NOT NULL", "PRIMARY KEY (a)", ["'z'", "'it''s'", "'a'"]),
    "char": ("a CHAR(9) NOT NULL", "PRIMARY KEY (a)", ["''", "'a '", "'Öl'", "'b'", "'日本'"]),
    "latin1": (
        *("a VARCHAR(9) CHARSET latin1 NOT NULL", "PRIMARY KEY (a)"),
        ["'a'", "'B'", "'é'", "'\\n'"],
    ),
    "ucs2": ("a VARCHAR(9) CHARSET ucs2 NOT NULL", "PRIMARY KEY (a)", ["'a'", "'é'", "'日'"]),
    "bin": (
        *("a VARCHAR(9) COLLATE utf8mb4_bin NOT NULL", "PRIMARY KEY (a)"),
        ["'a'", "'A'", "'😀'", "'ä'"],
    ),
    "composite": (
        *("a INT NOT NULL, b VARCHAR(9) NOT NULL, c DATE NOT NULL", "PRIMARY KEY (a, b, c)"),
        [f"{a}, '{b}', '2020-01-0{c}'" for a in (1, 2) for b in "xY" for c in (1, 2, 3)],
    ),
    "enum first": (
        *("a ENUM('q','b') NOT NULL, b INT NOT NULL", "PRIMARY KEY (a, b)"),
        [f"'{a}', {b}" for a in "qb" for b in (9, 4, 7)],
    ),
    "descending": (
        *("a INT NOT NULL, b INT NOT NULL, x INT", "PRIMARY KEY (a, b DESC)"),
        [f"{a}, {b}, 1" for a in (1, 2, 3) for b in (1, 5, 9)],
    ),
    "unique": (
        *("a INT, b INT NOT NULL, x TEXT", "UNIQUE KEY (a), UNIQUE KEY `u``k` (b)"),
        ["NULL, 3, 'x'", "1, 1, 'x'", "2, 2, 'x'"],
    ),
}


@pytest.fixture
def conn(server: Server) -> Iterator[Connection]:
    with connect(server.options(), Purpose.READ) as conn:
        yield conn


def filled(conn: Connection, database: str, columns: str, keys: str, rows: list[str]) -> TableDef:
    conn.execute(f"USE `{database}`")
    conn.execute(f"CREATE TABLE t ({columns}, v INT DEFAULT 1, {keys}) CHARACTER SET utf8mb4")
    conn.execute(f"INSERT INTO t VALUES {', '.join(f'({row}, 1)' for row in rows)}")
    conn.query("ANALYZE TABLE t")
    return catalog.table_definition(conn, TableName(database, "t"))


def tiles(bounds: list[KeyValue]) -> list[KeyRange]:
    return [KeyRange(lo, hi) for lo, hi in pairwise([None, *bounds, None])]


@pytest.mark.parametrize("name", KEYS)
def test_chunks_tile_the_table(conn: Connection, database: str, name: str) -> None:
    columns, keys, rows = KEYS[name]
    definition = filled(conn, database, columns, keys, rows)
    assert definition.key is not None
    specs = specs_of(definition.table, definition.columns, conn.server.family)

    def read(range: KeyRange) -> list[tuple[bytes | None, ...]]:
        return conn.query(
            sql.select_rows(definition.table, specs, definition.columns, definition.key, range)
        )

    whole = read(KeyRange())
    for step in (1, 2, len(rows)):
        bounds = list(keywalk.walk(conn, definition, lambda step=step: step))
        ranges = tiles(bounds)
        assert len(ranges) == -(-len(rows) // step)
        chunks = [read(range) for range in ranges]
        assert [len(chunk) for chunk in chunks[:-1]] == [step] * (len(ranges) - 1)
        assert [row for chunk in chunks for row in chunk] == whole
        digests = [
            parse_digest(
                conn.one(
                    digest_query(
                        definition.table,
                        specs,
                        definition.columns,
                        conn.server.family,
                        definition.key,
                        range,
                    )
                )
            )
            for range in ranges
        ]
        total = sum(digests, Digest())
        assert (total.rows, total.hashed) == (len(rows), len(rows))
        for range in ranges:
            keywalk.assert_range(conn, definition, range)


def test_a_range_reads_its_own_rows_alone(conn: Connection, database: str) -> None:
    rows = [f"{a}, {b}" for a in range(50) for b in range(40)]
    definition = filled(
        conn, database, "a INT NOT NULL, b INT NOT NULL", "PRIMARY KEY (a, b)", rows
    )
    specs = specs_of(definition.table, definition.columns, conn.server.family)
    part = KeyRange((b"10", b"20"), (b"12", b"5"))
    conn.execute("FLUSH STATUS")
    text = digest_query(
        definition.table, specs, definition.columns, conn.server.family, definition.key, part
    )
    assert parse_digest(conn.one(text)).rows == 65
    status = conn.query("SHOW SESSION STATUS LIKE 'Handler_read%'")
    assert 65 <= sum(int(value or 0) for _, value in status) <= 80


def test_empty_and_one_row(conn: Connection, database: str) -> None:
    definition = filled(conn, database, "a INT NOT NULL", "PRIMARY KEY (a)", ["7"])
    assert list(keywalk.walk(conn, definition, lambda: 10)) == []
    assert keywalk.first_key(conn, definition) == (b"7",)
    conn.execute("DELETE FROM t")
    assert list(keywalk.walk(conn, definition, lambda: 10)) == []
    assert keywalk.first_key(conn, definition) is None


def test_step_follows_the_caller(conn: Connection, database: str) -> None:
    rows = [str(number * number) for number in range(10)]
    definition = filled(conn, database, "a INT NOT NULL", "PRIMARY KEY (a)", rows)
    steps = iter([2, 3, 4, 1])
    bounds = keywalk.walk(conn, definition, lambda: next(steps))
    assert list(bounds) == [(b"4",), (b"25",), (b"81",)]


def test_what_is_no_range_is_refused(conn: Connection, database: str) -> None:
    rows = [str(number) for number in range(200)]
    definition = filled(conn, database, "a INT NOT NULL", "PRIMARY KEY (a)", rows)
    other = TableName(database, "o")
    # the other table's column compares as text: the number is no range over its key
    conn.execute("CREATE TABLE o (a VARCHAR(9) NOT NULL PRIMARY KEY, v INT)")
    conn.execute("INSERT INTO o SELECT * FROM t")
    part = KeyRange((b"10",), (b"20",))
    keywalk.assert_range(conn, definition, part)
    with pytest.raises(Unsupported, match=r"table .*\.o: a range of key `PRIMARY`"):
        keywalk.assert_range(conn, definition, part, table=other)
    assert keywalk.check_range(conn, definition, part, "v = 1").usable

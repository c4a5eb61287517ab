"""Every value comes back byte for byte: snapshot, ruin, restore, and a look from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tablevault.errors import Unsupported
from tests.servers import Server
from tests.support.facts import Facts, leftovers, nameless
from tests.support.roundtrip import round_trip, take
from tests.support.values import SAMPLES, Sample, special, special_rows

_MODE = "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00';\n"


def fill(server: Server, schema: str, sample: Sample) -> None:
    server.sql(_MODE + ";\n".join(sample.statements(schema)) + ";")


def assert_same(before: Facts, after: Facts, *, exact: bool = True) -> None:
    if exact:
        assert after.create == before.create
        assert after.checksum == before.checksum
    assert nameless(after.create) == nameless(before.create)
    assert after.values == before.values


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_every_type_comes_back(server: Server, database: str, vault: Path, sample: Sample) -> None:
    fill(server, database, sample)
    [(before, after)] = round_trip(server, vault, database, [sample.name]).values()
    assert len(before.values) > 2
    assert_same(before, after)


def test_what_stands_around_values_comes_back(server: Server, database: str, vault: Path) -> None:
    srid = "4326" if server.family == "mysql" else "0"
    rows = ";".join(special_rows(database)).replace("{srid}", srid)
    server.sql(
        f"CREATE TABLE `{database}`.special ({special(server.family)}) CHARACTER SET utf8mb4 "
        f"COMMENT 'with ''quotes'' and `ticks`'; {rows};"
    )
    [(before, after)] = round_trip(server, vault, database, ["special"]).values()
    assert len(before.values) == 5
    # MySQL's checksum reads the hidden column of a functional key, too, which is no data
    assert_same(before, after, exact=server.family == "mariadb")
    # it works as it did: the next id, the defaults, the check
    server.sql(
        f"INSERT INTO `{database}`.special (name, g, positive) VALUES ('new', "
        f"ST_GeomFromText('POINT(1 1)', {srid}), 5)"
    )
    assert server.query(
        f"SELECT id, virt, stor, hidden, amount, tag FROM `{database}`.special WHERE name = 'new'"
    ) == [("1001", "14", "new-x", "7", "2.00", "ab")]
    with pytest.raises(AssertionError, match=r"positive|CONSTRAINT|constraint"):
        server.sql(f"UPDATE `{database}`.special SET positive = -1 WHERE id = 1")
    assert leftovers(server, database)  # the old table is kept until cleanup


def test_the_error_value_of_an_enum(server: Server, database: str, vault: Path) -> None:
    """Ordinal 0, let in by a lax sql_mode: stored exactly where '' is no member, else refused."""
    server.sql(
        f"SET sql_mode = ''; CREATE TABLE `{database}`.told (id INT PRIMARY KEY, e ENUM('a','b'));"
        f"CREATE TABLE `{database}`.alike (id INT PRIMARY KEY, e ENUM('','b'));"
        f"INSERT INTO `{database}`.told SELECT seq.n, IF(n % 3, 'junk', 'a') FROM (WITH RECURSIVE "
        f"r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 200) SELECT n FROM r) seq;"
        f"INSERT INTO `{database}`.alike VALUES (1, ''), (2, 'b');"
    )
    for before, after in round_trip(server, vault, database, ["told", "alike"]).values():
        assert_same(before, after)
    assert server.value(f"SELECT SUM(e = 0) FROM `{database}`.told") == "134"
    server.sql(f"SET sql_mode = ''; INSERT INTO `{database}`.alike VALUES (3, 'junk');")
    with pytest.raises(Unsupported, match=r"alike: ENUM `e` holds the error value"):
        take(server, vault, [f"{database}.alike"])


@pytest.mark.parametrize("threads", [1, 3])
def test_small_chunks_and_row_groups(
    server: Server, database: str, vault: Path, small_units: None, threads: int
) -> None:
    sample = next(one for one in SAMPLES if one.name == "texts")
    fill(server, database, sample)
    fill(server, database, SAMPLES[0])
    pairs = round_trip(
        server, vault, database, ["texts", "integers"], chunk_bytes=200, threads=threads
    )
    for before, after in pairs.values():
        assert_same(before, after)
    assert len(list(vault.glob("*/*/*/part-*.parquet"))) >= 10


def test_a_member_that_the_server_does_not_show_is_refused(
    server: Server, database: str, vault: Path
) -> None:
    server.sql(
        f"CREATE TABLE `{database}`.e (id INT PRIMARY KEY, e ENUM('ok?', '😀') CHARACTER SET "
        f"utf8mb4); INSERT INTO `{database}`.e VALUES (1, 'ok?')"
    )
    take(server, vault, [f"{database}.e"])  # a question mark alone is none
    server.sql(f"INSERT INTO `{database}`.e VALUES (2, '😀')")
    with pytest.raises(Unsupported, match=r"\.e: an ENUM or SET has a member with a four-byte"):
        take(server, vault, [f"{database}.e"])

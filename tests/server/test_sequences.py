"""Sequences of MariaDB: back as they were, and never behind what the live one has given out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tablevault.errors import TablevaultError, UsageError
from tablevault.ops.swap import rollback
from tests.servers import Server
from tests.support.facts import facts, tables
from tests.support.roundtrip import pattern, put_back, take


def next_of(server: Server, database: str, name: str) -> int:
    return int(server.value(f"SELECT NEXTVAL({name})", database) or 0)


@pytest.mark.parametrize(
    ("made", "step"),
    [
        ("START WITH 100 NOCACHE", 1),
        ("START WITH 100 CACHE 50", 1),
        ("START WITH 100 INCREMENT BY 5 NOCACHE", 5),
        ("START WITH 100 INCREMENT BY -3 MINVALUE -9000 MAXVALUE 200 CACHE 4", -3),
    ],
)
def test_no_value_is_given_out_twice(
    mariadb: Server, database: str, vault: Path, made: str, step: int
) -> None:
    mariadb.sql(f"CREATE SEQUENCE s {made}", database)
    given = [next_of(mariadb, database, "s")]
    taken = take(mariadb, vault, [pattern(database, "s")])
    assert taken.features == ("sequences",)
    given += [next_of(mariadb, database, "s") for _ in range(70)]
    done = put_back(mariadb, vault, taken.id)
    assert done.findings == ()
    given += [next_of(mariadb, database, "s") for _ in range(70)]
    rollback(mariadb.options(), done.run, vault / ".runs")
    given += [next_of(mariadb, database, "s") for _ in range(5)]
    assert len(set(given)) == len(given)
    assert sorted(given, reverse=step < 0) == given


def test_a_sequence_that_has_come_around(mariadb: Server, database: str, vault: Path) -> None:
    mariadb.sql("CREATE SEQUENCE s MAXVALUE 4 NOCACHE CYCLE", database)
    taken = take(mariadb, vault, [pattern(database, "s")])
    assert [next_of(mariadb, database, "s") for _ in range(6)] == [1, 2, 3, 4, 1, 2]
    put_back(mariadb, vault, taken.id)
    assert next_of(mariadb, database, "s") == 3


def test_one_that_is_used_up_stays_so(mariadb: Server, database: str, vault: Path) -> None:
    mariadb.sql("CREATE SEQUENCE s MAXVALUE 3 NOCACHE", database)
    taken = take(mariadb, vault, [pattern(database, "s")])
    assert [next_of(mariadb, database, "s") for _ in range(3)] == [1, 2, 3]
    put_back(mariadb, vault, taken.id)
    with pytest.raises(AssertionError, match="has run out"):
        next_of(mariadb, database, "s")


def test_what_stands_in_its_place(mariadb: Server, database: str, vault: Path) -> None:
    mariadb.sql("CREATE SEQUENCE s", database)
    taken = take(mariadb, vault, [pattern(database, "*").replace("`*`", "*")])
    mariadb.sql("DROP SEQUENCE s; CREATE TABLE s (id INT)", database)
    with pytest.raises(UsageError, match=r"is a base table, not a sequence"):
        put_back(mariadb, vault, taken.id)
    assert tables(mariadb, database) == ["s"]


def test_a_table_waits_for_its_sequence(mariadb: Server, database: str, vault: Path) -> None:
    mariadb.sql(
        "CREATE SEQUENCE s; CREATE TABLE t (id INT PRIMARY KEY DEFAULT (NEXTVAL(s)), a INT); "
        "INSERT INTO t (a) VALUES (1), (2)",
        database,
    )
    then = facts(mariadb, database, "t")
    taken = take(mariadb, vault, [pattern(database, "s"), pattern(database, "t")])
    mariadb.sql("DROP TABLE t; DROP SEQUENCE s", database)
    with pytest.raises(TablevaultError, match=r"takes values from sequence .*, which is not there"):
        put_back(mariadb, vault, taken.id)
    put_back(mariadb, vault, taken.id, patterns=(f"{database}.s",))
    put_back(mariadb, vault, taken.id, patterns=(f"{database}.t",))
    assert facts(mariadb, database, "t") == then
    mariadb.sql("INSERT INTO t (a) VALUES (3)", database)
    assert mariadb.value("SELECT COUNT(*) FROM t", database) == "3"


def test_a_filter_is_not_for_sequences(mariadb: Server, database: str, vault: Path) -> None:
    mariadb.sql("CREATE SEQUENCE s; CREATE TABLE t (id INT PRIMARY KEY)", database)
    mariadb.sql("INSERT INTO t VALUES (1), (2)", database)
    names = [pattern(database, "s"), pattern(database, "t")]
    taken = take(mariadb, vault, names, where="id > 1")
    assert {e.definition.table.name: (e.where, e.digest.rows) for e in taken.tables} == {
        "s": (None, 1),
        "t": ("id > 1", 1),
    }

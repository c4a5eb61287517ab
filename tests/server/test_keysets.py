"""Whether a table was written to since its keys were looked at, and what a swap makes of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

import pytest

from tablevault.errors import CannotComplete, ConnectionLost, StatementFailed, TablevaultError
from tablevault.model import TableName
from tablevault.mysql import keysets, sql_relations
from tablevault.mysql.catalog import table_definition
from tablevault.mysql.connect import Connection, connect
from tablevault.mysql.keysets import LiveKeys, SeenKeys, digest_keys, look, same_keys, stands
from tablevault.mysql.sql_relations import key_digest
from tests.servers import Server

WAIT_S = 30.0


@pytest.fixture
def conn(server: Server) -> Iterator[Connection]:
    with connect(server.options()) as connection:
        yield connection


PARENT = "CREATE TABLE parent (id INT PRIMARY KEY); INSERT INTO parent VALUES (1), (2);"


def make(name: str) -> str:
    return (
        f"CREATE TABLE {name} (id INT, k VARCHAR(9), p INT, PRIMARY KEY (id, k), KEY (p),"
        " FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE) ENGINE=InnoDB;"
        f"INSERT INTO {name} VALUES (1, 'a', 1), (1, 'b', 1), (2, 'a', 2);"
    )


def settle() -> None:
    """Let the last write be longer ago than the margin, which counts whole seconds."""
    time.sleep(keysets.MARGIN_S + 1.1)


@pytest.fixture
def table(server: Server, database: str) -> TableName:
    """A table whose last write is known, and longer ago than the margin."""
    server.sql(PARENT + make("t"), database)
    settle()
    return TableName(database, "t")


def seen(conn: Connection, table: TableName) -> LiveKeys:
    found = look(conn, table, WAIT_S)
    assert found is not None
    return found


def test_a_quiet_table_stands_as_it_was_seen(conn: Connection, table: TableName) -> None:
    found = seen(conn, table)
    assert found.digest.rows == 3
    assert found.digest == digest_keys(conn, table_definition(conn, table), table)
    assert stands(conn, table, found)


WRITES = (
    "INSERT INTO {t} VALUES (3, 'a', 1)",
    "DELETE FROM {t} WHERE k = 'b'",
    "UPDATE {t} SET k = 'c' WHERE k = 'b'",
    "REPLACE INTO {t} VALUES (1, 'a', 2)",
    "TRUNCATE {t}",
    "CREATE TABLE u LIKE {t}; RENAME TABLE {t} TO old, u TO {t}",
    "DROP TABLE {t}",
    "DELETE FROM parent WHERE id = 2",  # the last one: it cascades to all that are left
)


def test_it_does_not_stand_after_any_write(conn: Connection, server: Server, database: str) -> None:
    names = [f"t{number}" for number, _ in enumerate(WRITES)]
    server.sql(PARENT + "".join(map(make, names)), database)
    settle()
    tables = [TableName(database, name) for name in names]
    found = [seen(conn, table) for table in tables]
    assert all(stands(conn, *one) for one in zip(tables, found, strict=True))
    for write, table, keys in zip(WRITES, tables, found, strict=True):
        server.sql(write.format(t=table.name), database)
        assert not stands(conn, table, keys), write


def test_nor_after_a_change_that_was_under_way(
    conn: Connection, server: Server, table: TableName
) -> None:
    """It was made before the look, and committed after it."""
    writer = server.connect(database=table.schema, autocommit=False)
    writer.cursor().execute("INSERT INTO t VALUES (9, 'z', 1)")
    settle()
    found = seen(conn, table)
    assert found.digest.rows == 3
    writer.commit()
    assert not stands(conn, table, found)
    writer.close()


def test_nothing_is_told_beside_a_transaction_as_old_as_the_last_change(
    conn: Connection, server: Server, table: TableName
) -> None:
    """MariaDB would remember it by the very second that it remembers already."""
    writer = server.connect(database=table.schema, autocommit=False)
    writer.cursor().execute("INSERT INTO t VALUES (9, 'z', 1)")
    server.sql("INSERT INTO t VALUES (10, 'z', 1)", table.schema)
    settle()
    assert look(conn, table, WAIT_S) is None
    writer.commit()
    writer.close()
    settle()
    assert seen(conn, table).digest.rows == 5


def test_what_is_being_written_to_is_not_looked_at(
    conn: Connection, server: Server, table: TableName
) -> None:
    server.sql("INSERT INTO t VALUES (3, 'a', 1)", table.schema)
    assert look(conn, table, WAIT_S) is None


def test_what_the_server_would_not_remember_is_not_looked_at(
    conn: Connection, server: Server, database: str
) -> None:
    server.sql(
        "CREATE TABLE untouched (id INT PRIMARY KEY);"
        "CREATE TABLE p (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3;"
        "INSERT INTO p VALUES (1), (2), (3);"
        "CREATE TABLE mine (id INT PRIMARY KEY) ENGINE=MyISAM; INSERT INTO mine VALUES (1);"
        "CREATE TABLE keyless (v INT); INSERT INTO keyless VALUES (1);",
        database,
    )
    settle()
    for name in ("untouched", "p", "mine", "keyless", "absent"):
        assert look(conn, TableName(database, name), WAIT_S) is None, name


def test_a_look_that_fails_is_none(
    conn: Connection, table: TableName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The swap looks by itself, so that nothing is to be lost by one that came to nothing."""
    for error in (
        ConnectionLost("gone"),
        CannotComplete("refused"),
        StatementFailed("no", errno=1),
    ):

        def fail(*_: object, error: TablevaultError = error, **__: object) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(keysets, "digest_keys", fail)
            assert look(conn, table, WAIT_S) is None


def test_it_does_not_stand_by_another_clock_or_server(conn: Connection, table: TableName) -> None:
    found = seen(conn, table)
    other = dataclasses.replace(found.server, uuid="another", started_at=1)
    assert stands(conn, table, found)
    assert not stands(conn, table, dataclasses.replace(found, server=other))
    assert not stands(conn, table, dataclasses.replace(found, clock_s=found.clock_s + 3600))


def test_the_first_index_is_scanned_alone_for_its_keys(
    conn: Connection, server: Server, table: TableName
) -> None:
    """So that it proves that index, as a count of it would."""
    definition = table_definition(conn, table)
    assert definition.key is not None
    keys = sql_relations.hashed_keys(definition.key, definition.columns)
    plan = server.query(f"EXPLAIN FORMAT=TRADITIONAL {key_digest(table, keys, 'p')}"
                        if server.family == "mysql"
                        else f"EXPLAIN {key_digest(table, keys, 'p')}")  # fmt: skip
    assert "p" in plan[0] and "Using index" in str(plan[0][-1])


def test_keys_do_not_read_alike(conn: Connection, server: Server, database: str) -> None:
    for number, kind in enumerate(("VARCHAR(9)", "VARBINARY(9)")):
        server.sql(
            f"CREATE TABLE a{number} (x {kind}, y {kind}, PRIMARY KEY (x, y));"
            f"CREATE TABLE b{number} LIKE a{number};"
            f"INSERT INTO a{number} VALUES ('a|', 'b'); INSERT INTO b{number} VALUES ('a', '|b')",
            database,
        )
        one, two = TableName(database, f"a{number}"), TableName(database, f"b{number}")
        definition = table_definition(conn, one)
        assert digest_keys(conn, definition, one) != digest_keys(conn, definition, two)


def test_what_was_seen_saves_a_scan_and_nothing_else(
    conn: Connection, server: Server, table: TableName
) -> None:
    server.sql("CREATE TABLE other LIKE t; INSERT INTO other SELECT * FROM t", table.schema)
    other = TableName(table.schema, "other")
    definition = table_definition(conn, table)
    restored = digest_keys(conn, definition, other)
    both = SeenKeys(seen(conn, table), restored)
    with connect(server.options()) as second:
        pair = (conn, second)
        assert same_keys(pair, definition, other, WAIT_S, both)
        server.sql("INSERT INTO t VALUES (3, 'a', 1)", table.schema)
        assert not same_keys(pair, definition, other, WAIT_S, both)
        server.sql("INSERT INTO other VALUES (3, 'a', 1)", table.schema)
        assert same_keys(pair, definition, other, WAIT_S)
        server.sql("ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (k, id)", table.schema)
        changed = table_definition(conn, table)
        assert same_keys(pair, changed, other, WAIT_S, SeenKeys(None, restored))

"""A schema of many tables: what the server is asked grows with the tables, never with their square.

MariaDB opens every table of a schema to answer one question about keys or triggers, so such a
question for each table made a restore of 2,000 tables take longer than ten minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tablevault.ops import swap_forth
from tests.servers import Server
from tests.support.roundtrip import pattern, put_back, take

# The views whose answer costs a look at every table, however few tables are asked for.
WHOLE_SCHEMA = ("REFERENTIAL_CONSTRAINTS", "KEY_COLUMN_USAGE")


def test_a_restore_asks_once_for_all_tables(server: Server, vault: Path, database: str) -> None:
    for number in range(48):
        server.sql(f"CREATE TABLE `t{number}` (id INT PRIMARY KEY); INSERT INTO `t{number}` "
                   f"VALUES ({number})", database)  # fmt: skip
    few = _looks_at_all(server, vault, database, 6)
    many = _looks_at_all(server, vault, database, 48)
    assert few, "no such question: the test looks for what is not asked any more"
    assert len(many) == len(few), "\n".join(many)


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_many_tables_in_one_snapshot(
    mariadb: Server, vault: Path, database: str, count: int
) -> None:
    mariadb.sql(
        "".join(
            f"CREATE TABLE t{n} (id INT PRIMARY KEY, v INT, KEY (v));"
            f"INSERT INTO t{n} VALUES ({n}, 0);"
            for n in range(count)
        ),
        database,
    )
    taken = take(mariadb, vault, [f"{database}.*"])
    assert len(taken.tables) == count
    mariadb.sql("".join(f"UPDATE t{n} SET v = 1;" for n in range(count)), database)
    done = put_back(mariadb, vault, taken.id)
    assert (done.status, len(done.tables), done.findings) == ("swapped", count, ())
    union = " UNION ALL ".join(f"SELECT id, v FROM t{n}" for n in range(count))
    rows = mariadb.query(f"SELECT COUNT(*), SUM(id), SUM(v) FROM ({union}) AS tables_", database)
    assert rows == [(str(count), str(count * (count - 1) // 2), "0")]


def test_a_rename_that_takes_long_is_said_before(
    server: Server, vault: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap_forth, "_MANY_TABLES", 3)
    server.sql("".join(f"CREATE TABLE t{n} (id INT PRIMARY KEY);" for n in range(3)), database)
    taken = take(server, vault, [f"{database}.*"])
    for count in (3, 2):
        names = tuple(f"{database}.t{n}" for n in range(count))
        done = put_back(server, vault, taken.id, patterns=names)
        said = [hint for hint in done.hints if "one RENAME of 3 tables" in hint]
        assert len(said) == (1 if count == 3 and server.family == "mariadb" else 0)


def _looks_at_all(server: Server, vault: Path, schema: str, tables: int) -> list[str]:
    """The questions about all tables that a swapped restore of so many tables asks."""
    names = [pattern(schema, f"t{number}") for number in range(tables)]
    taken = take(server, vault, names)
    with _logged(server) as statements:
        done = put_back(server, vault, taken.id)
    assert (done.status, len(done.tables)) == ("swapped", tables)
    return [text for text in statements if any(view in text for view in WHOLE_SCHEMA)]


@contextmanager
def _logged(server: Server) -> Iterator[list[str]]:
    """The statements that the server carries out meanwhile; filled when it is over."""
    statements: list[str] = []
    server.sql("SET GLOBAL log_output = 'TABLE'; TRUNCATE mysql.general_log; "
               "SET GLOBAL general_log = 1")  # fmt: skip
    try:
        yield statements
    finally:
        server.sql("SET GLOBAL general_log = 0; SET GLOBAL log_output = DEFAULT")
    rows = server.query("SELECT argument FROM mysql.general_log WHERE command_type = 'Query'")
    statements += [str(text) for (text,) in rows]
    server.sql("TRUNCATE mysql.general_log")

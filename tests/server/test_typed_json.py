"""JSON of MySQL whose text says less than it holds is refused at every size, by column."""

from __future__ import annotations

from pathlib import Path

import pytest

from tablevault.errors import Unsupported
from tablevault.ops import doubtful
from tests.servers import Server
from tests.support.roundtrip import take

ROWS = 2000
DECIMAL = "JSON_OBJECT('a', JSON_ARRAY(CAST(1.5 AS DECIMAL(2,1))))"

pytestmark = pytest.mark.mysql


@pytest.fixture
def table(mysql: Server, database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A table too large to be looked at before it is read; its text is plain JSON."""
    monkeypatch.setattr(doubtful, "MOST_ROWS_AT_ONCE", 10)
    mysql.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, a JSON, b JSON); SET cte_max_recursion_depth = 5000;"
        "INSERT INTO t WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < "
        f'{ROWS}) SELECT i, \'{{"a": [1.5, 2, {{"b": "2024-01-01"}}]}}\', \'[1]\' FROM n;'
        "ANALYZE TABLE t;",
        database,
    )
    return f"{database}.t"


def refused(server: Server, vault: Path, pattern: str, match: str, **options: object) -> None:
    with pytest.raises(Unsupported, match=match):
        take(server, vault, [pattern], **options)
    assert not list(vault.glob("*/manifest.json"))
    assert not list(vault.glob("*/*/*/*.parquet"))


def test_plain_json_is_taken(mysql: Server, table: str, vault: Path) -> None:
    assert take(mysql, vault, [table]).tables[0].digest.rows == ROWS


@pytest.mark.parametrize("at", [1, ROWS // 2, ROWS], ids=["first", "middle", "last"])
def test_one_value_among_many(
    mysql: Server, database: str, table: str, vault: Path, at: int, small_units: None
) -> None:
    mysql.sql(f"UPDATE t SET b = {DECIMAL} WHERE id = {at}", database)
    refused(mysql, vault, table, rf"{table}: JSON `b` holds a value", chunk_bytes=10_000)


def test_without_a_key(mysql: Server, database: str, table: str, vault: Path) -> None:
    mysql.sql(
        f"UPDATE t SET a = {DECIMAL} WHERE id = {ROWS}; ALTER TABLE t DROP PRIMARY KEY", database
    )
    refused(mysql, vault, table, rf"{table}: JSON `a` holds a value")


def test_only_rows_that_are_taken_count(
    mysql: Server, database: str, table: str, vault: Path
) -> None:
    mysql.sql(f"UPDATE t SET a = {DECIMAL} WHERE id = {ROWS}", database)
    taken = take(mysql, vault, [table], where=f"id < {ROWS}")
    assert taken.tables[0].digest.rows == ROWS - 1
    refused(mysql, vault / "b", table, r"`a` holds", where="id > 5 -- a comment")


def test_what_the_hint_says_helps(mysql: Server, database: str, table: str, vault: Path) -> None:
    mysql.sql(f"UPDATE t SET a = {DECIMAL}", database)
    refused(mysql, vault, table, r"`a` holds")
    mysql.sql("ALTER TABLE t MODIFY a LONGTEXT; ALTER TABLE t MODIFY a JSON", database)
    take(mysql, vault, [table])


def test_integers_have_the_sign_of_their_text(mysql: Server, database: str, vault: Path) -> None:
    edges = [0, 1, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
    numbers = [*edges, *(-number for number in edges if 0 < number <= 2**63)]
    mysql.sql(
        "CREATE TABLE e (id INT AUTO_INCREMENT PRIMARY KEY, n VARCHAR(30), j JSON);", database
    )
    for number in numbers:
        mysql.sql(f"INSERT INTO e (n, j) VALUES ('{number}', '[{number}]')", database)
        sign = "UNSIGNED" if number >= 0 else "SIGNED"
        mysql.sql(
            f"INSERT INTO e (n, j) VALUES ('{number}', JSON_ARRAY(CAST({number} AS {sign})))",
            database,
        )
        if 0 <= number < 2**63:
            mysql.sql(
                f"INSERT INTO e (n, j) VALUES ('{number}', JSON_ARRAY(CAST({number} AS SIGNED)))",
                database,
            )
    unlike = "JSON_TYPE(j->'$[0]') <> JSON_TYPE(CAST(n AS JSON))"
    wrong = [row[0] for row in mysql.query(f"SELECT id FROM e WHERE {unlike}", database)]
    assert len(wrong) >= 8
    with pytest.raises(Unsupported, match="whose sign is not that of its text"):
        take(mysql, vault, [f"{database}.e"], where=f"id IN ({wrong[0]})")
    with pytest.raises(Unsupported, match="whose sign is not that of its text"):
        take(mysql, vault, [f"{database}.e"], where=f"id IN ({wrong[-1]})")
    mysql.sql(f"DELETE FROM e WHERE {unlike}", database)
    take(mysql, vault, [f"{database}.e"])

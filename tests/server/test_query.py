"""SQL over a snapshot gives what the server gives, and can do nothing but read its tables."""

from __future__ import annotations

import csv
import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tablevault.errors import SnapshotUnusable
from tablevault.ops.query import query
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.roundtrip import take
from tests.support.shell import Shell

CREATE = """
SET time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES';
CREATE TABLE orders (
  id INT PRIMARY KEY, price DECIMAL(10,2), big BIGINT UNSIGNED, ratio DOUBLE, f FLOAT, day DATE,
  moment DATETIME(6), ts TIMESTAMP NULL, t TIME(2), y YEAR, e ENUM('new','paid'),
  koi VARCHAR(20) CHARACTER SET koi8r, raw VARBINARY(9), j JSON,
  twice INT GENERATED ALWAYS AS (id * 2) VIRTUAL
) CHARACTER SET utf8mb4;
CREATE TABLE items (order_id INT, n INT, name VARCHAR(30)) CHARACTER SET utf8mb4;
CREATE TABLE nothing (id INT PRIMARY KEY);
INSERT INTO orders (id, price, big, ratio, f, day, moment, ts, t, y, e, koi, raw, j) VALUES
"""
# what both servers and DuckDB read alike
PREDICATES = (
    *("id = 17", "id > 40", "id BETWEEN 3 AND 30", "price > 12.5", "price IS NULL", "price <> 7"),
    *("big = 18446744073709551615", "big > 9223372036854775807", "ratio < 0.5", "ratio IS NULL"),
    *("day < '2024-02-10'", "day = '2024-03-01'", "moment >= '2024-01-01 00:20:00.000001'"),
    *("y = 2024", "e = 'paid'", "e IN ('new', 'paid')", "koi = 'жук'", "koi LIKE 'ж%'"),
    *("koi IS NULL OR id = 3", "NOT (id > 5 AND price < 20)", "f = 1.5", "raw IS NOT NULL"),
)


@pytest.fixture
def snapshot_id(server: Server, database: str, vault: Path, small_units: None) -> str:
    """A table of every kind of type in many chunks, one without a key, one without rows."""
    rows = []
    for n in range(60):
        null = n % 7 == 3
        rows.append(
            f"({n}, {'NULL' if null else f'{n}.25'}, {18446744073709551615 - n * n}, "
            f"{'NULL' if null else n / 50}, 1.5, '2024-{n % 12 + 1:02d}-01', "
            f"'2024-01-01 00:{n:02d}:00.000001', '2024-01-01 10:00:00', "
            f"'-{n:02d}:00:01.5', 2024, '{('new', 'paid')[n % 2]}', "
            f"{'NULL' if null else chr(39) + ('жук', 'кит')[n % 2] + chr(39)}, X'00FF', "
            f"'[{n}]')"
        )
    server.sql(CREATE + ", ".join(rows) + ";", database)
    server.sql(
        "SET sql_mode = ''; INSERT INTO items VALUES (1, 1, 'a'), (1, 1, 'a'), (2, 5, NULL);"
        "UPDATE orders SET day = '0000-00-00' WHERE id IN (50, 51)",
        database,
    )
    return take(server, vault, [f"{database}.*"], chunk_bytes=1000).id


def rows_of(vault: Path, snapshot: str, sql: str) -> list[tuple[object, ...]]:
    with query(open_store(str(vault)), snapshot, sql) as result:
        return list(result.answer.rows)


def test_every_predicate_finds_the_rows_that_the_server_finds(
    server: Server, database: str, vault: Path, snapshot_id: str
) -> None:
    for predicate in PREDICATES:
        asked = f"SELECT id FROM orders WHERE ({predicate}) AND id < 50 ORDER BY id"
        there = [int(row[0] or 0) for row in server.query(asked, database)]
        assert [row[0] for row in rows_of(vault, snapshot_id, asked)] == there, predicate
    joined = (
        f'SELECT o.id, COUNT(*) FROM {database}.orders o JOIN "{database}"."items" i '
        "ON i.order_id = o.id GROUP BY o.id ORDER BY o.id"
    )
    assert rows_of(vault, snapshot_id, joined) == [(1, 2), (2, 1)]
    assert rows_of(vault, snapshot_id, "SELECT * FROM nothing") == []


def test_values_are_exact_in_each_form(tool: Shell, database: str, snapshot_id: str) -> None:
    asked = (
        "SELECT id, price, big, ratio, day, moment, ts, t, y, e, koi, raw, j, '' AS empty "
        "FROM orders WHERE id IN (2, 10) ORDER BY id"
    )
    record = tool.json("query", snapshot_id, asked, connect=False)
    assert record["snapshot"] == snapshot_id
    first, second = record["rows"]
    assert first[:4] == [2, "2.25", "18446744073709551611", 0.04]
    assert first[4:8] == [
        "2024-03-01",
        "2024-01-01 00:02:00.000001",
        "2024-01-01 10:00:00+00:00",
        "-02:00:01.500000",
    ]
    assert first[8:] == [2024, "new", "жук", "0x00ff", "[2]", ""]
    assert second[1] is None and second[10] is None
    types = {column["name"]: column["type"] for column in record["columns"]}
    assert (types["price"], types["big"], types["t"]) == ("DECIMAL(10,2)", "UBIGINT", "INTERVAL")
    printed = tool("query", snapshot_id, asked, "--csv", connect=False).stdout
    assert printed.splitlines()[2].endswith(',,0x00ff,[10],""')
    read = list(csv.reader(io.StringIO(printed)))
    assert read[1][:3] == ["2", "2.25", "18446744073709551611"]
    shown = tool("query", snapshot_id, asked, connect=False).stdout
    assert "NULL" in shown.splitlines()[2] and shown.splitlines()[-1] == "2 rows"


def test_what_is_not_shown_is_said(tool: Shell, database: str, snapshot_id: str) -> None:
    done = tool("query", snapshot_id, "SELECT day FROM orders WHERE id > 49", connect=False)
    assert f"2 rows of {database}.orders hold values that DuckDB has no type for" in done.hint
    assert done.stdout.splitlines()[1:3] == ["NULL", "NULL"]
    done = tool("query", snapshot_id, "SELECT * FROM items", connect=False)
    assert done.hint == ""
    done = tool("query", snapshot_id, "SELECT id FROM orders", "--rows", "5", connect=False)
    assert done.stdout.splitlines()[-1] == "the first 5 rows: --csv prints all"
    assert (
        len(tool("query", snapshot_id, "FROM orders", "--csv", connect=False).stdout.split("\n"))
        == 62
    )


def test_a_damaged_file_is_no_answer(
    server: Server, database: str, vault: Path, snapshot_id: str
) -> None:
    part = vault / snapshot_id / database / "orders" / "part-00001.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:-1])
    with pytest.raises(SnapshotUnusable, match=r"chunk 1 of table .*orders"):
        rows_of(vault, snapshot_id, "SELECT 1")
    part.unlink()
    with pytest.raises(SnapshotUnusable):
        rows_of(vault, snapshot_id, "SELECT 1")


def test_an_interruption_ends_it(tool: Shell, snapshot_id: str) -> None:
    sql = "SELECT COUNT(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = 7"
    running = subprocess.Popen(
        tool.words("query", snapshot_id, sql, connect=False),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=tool.environment(),
    )
    try:
        # starting takes less work than this; by then it computes
        while psutil.Process(running.pid).cpu_times().user < 3:
            assert running.poll() is None
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=30)
    finally:
        running.kill()  # left alone it would compute on beside the tests that follow
    assert running.returncode == 130, said.decode()


def test_without_duckdb_it_says_what_to_install(tool: Shell, snapshot_id: str, vault: Path) -> None:
    code = (
        "import sys; sys.modules['duckdb'] = None\n"
        "from tablevault.cli.main import main\n"
        f"sys.exit(main(['query', {snapshot_id!r}, 'SELECT 1', '--vault', {str(vault)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "pip install 'tablevault[query]'" in done.stderr

"""`diff` finds exactly what differs: rows, columns, definitions; and nothing where nothing does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tablevault.errors import SnapshotUnusable
from tablevault.ops import diff_ranges
from tablevault.ops.diff import diff
from tablevault.ops.diff_terms import DiffOptions, DiffResult, RangeDifferences, TableDiff
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.roundtrip import pattern, take
from tests.support.shell import Shell

ROWS = 300
Damage = Callable[[str], None]


class Collected:
    """A consumer of row differences: what each table's parts were said to hold."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.missing: list[tuple[bytes | None, ...]] = []
        self.extra: list[tuple[bytes | None, ...]] = []
        self.changed: list[Any] = []

    def __call__(self, found: RangeDifferences) -> None:
        with self._lock:
            self.missing += found.missing
            self.extra += found.extra
            self.changed += found.changed


def compare(server: Server, vault: Path, **options: Any) -> tuple[DiffResult, Collected]:
    rows = Collected()
    result = diff(
        server.options(),
        open_store(str(vault)),
        "latest",
        DiffOptions(**options),
        on_differences=rows,
    )
    assert sum(table.missing for table in result.tables) == len(rows.missing)
    assert sum(table.extra for table in result.tables) == len(rows.extra)
    assert sum(table.changed for table in result.tables) == len(rows.changed)
    return result, rows


def only(result: DiffResult) -> TableDiff:
    [table] = result.tables
    return table


def orders(server: Server, database: str, key: str = "PRIMARY KEY (id)") -> None:
    """A table of several row groups with values that look alike."""
    server.sql(
        f"CREATE TABLE {database}.orders (id INT NOT NULL, customer VARCHAR(30), note TEXT,"
        f" price DECIMAL(10,2), made DATETIME, {key});"
    )
    rows = ", ".join(
        f"({n * 3}, {'NULL' if n % 7 == 0 else repr(f'customer {n % 11}')}, REPEAT('n', {n % 40}),"
        f" {n}.5, '2026-01-01 00:00:00')"
        for n in range(ROWS)
    )
    server.sql(f"INSERT INTO {database}.orders VALUES {rows};")


def test_nothing_differs_and_no_row_is_read(
    server: Server, database: str, vault: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders(server, database)
    take(server, vault, [pattern(database, "orders")], chunk_bytes=4000)

    def unexpected(*_: object) -> None:
        raise AssertionError("rows were read")

    monkeypatch.setattr(diff_ranges, "live_lines", unexpected)
    result, _ = compare(server, vault)
    assert result.equal
    table = only(result)
    assert (table.rows, table.live_rows, table.key) == (ROWS, ROWS, ("id",))
    assert result.began <= result.ended


def test_rows_are_told_apart(server: Server, database: str, vault: Path, small_parts: None) -> None:
    orders(server, database)
    take(server, vault, [pattern(database, "orders")], chunk_bytes=4000)
    server.sql(
        f"UPDATE {database}.orders SET price = price + 1 WHERE id IN (30, 600);"
        f"UPDATE {database}.orders SET note = NULL, customer = '\\\\N' WHERE id = 300;"
        f"DELETE FROM {database}.orders WHERE id IN (0, 450);"
        f"INSERT INTO {database}.orders (id) VALUES (-5), (1), (100000);"
        f"UPDATE {database}.orders SET id = 7 WHERE id = 6;"
    )
    result, rows = compare(server, vault, examples=2)
    table = only(result)
    assert (table.missing, table.extra, table.changed) == (3, 4, 3)
    assert {row[0] for row in rows.missing} == {b"0", b"450", b"6"}
    assert {row[0] for row in rows.extra} == {b"-5", b"1", b"100000", b"7"}
    assert dict(table.changed_columns) == {"price": 2, "note": 1, "customer": 1}
    by_id = {one.before[0]: one for one in rows.changed}
    assert set(by_id) == {b"30", b"600", b"300"}
    assert by_id[b"300"].after[1] == b"\\N"
    assert by_id[b"300"].after[2] is None
    assert by_id[b"30"].columns == (3,)
    assert (by_id[b"30"].before[3], by_id[b"30"].after[3]) == (b"10.50", b"11.50")
    assert table.live_rows == ROWS + 1


def test_a_table_without_a_key_is_a_multiset(
    server: Server, database: str, vault: Path, small_parts: None
) -> None:
    rows = ", ".join(f"({n % 50}, 'v{n % 25}')" for n in range(ROWS))
    server.sql(
        f"CREATE TABLE {database}.log (n INT, v VARCHAR(20));"
        f"INSERT INTO {database}.log VALUES {rows}, (NULL, NULL), (NULL, NULL);"
    )
    take(server, vault, [pattern(database, "log")], chunk_bytes=4000)
    assert compare(server, vault)[0].equal
    server.sql(
        f"DELETE FROM {database}.log WHERE n = 4 LIMIT 2;"
        f"INSERT INTO {database}.log VALUES (5, 'v5'), (5, 'v5'), (99, NULL);"
        f"UPDATE {database}.log SET v = 'other' WHERE n IS NULL LIMIT 1;"
    )
    result, found = compare(server, vault)
    table = only(result)
    assert (table.missing, table.extra, table.changed, table.key) == (3, 4, 0, ())
    assert sorted(found.missing, key=repr) == [(None, None), (b"4", b"v4"), (b"4", b"v4")]
    assert sorted(found.extra, key=repr) == sorted(
        [(b"5", b"v5"), (b"5", b"v5"), (b"99", None), (None, b"other")], key=repr
    )


@pytest.mark.parametrize(
    "alter",
    [
        "DROP PRIMARY KEY",
        "DROP PRIMARY KEY, ADD COLUMN other INT NOT NULL AUTO_INCREMENT PRIMARY KEY",
        "DROP PRIMARY KEY, ADD KEY (id)",
        "DROP PRIMARY KEY, ADD KEY (id, customer)",
        "DROP PRIMARY KEY, MODIFY id VARCHAR(20) NOT NULL, ADD PRIMARY KEY (id)",
        "MODIFY id BIGINT UNSIGNED NOT NULL",
        "DROP PRIMARY KEY, MODIFY id INT NULL, ADD KEY (id)",
        "RENAME COLUMN id TO number",
    ],
)
def test_rows_are_matched_by_the_snapshots_key_whatever_the_key_is_now(
    server: Server, database: str, vault: Path, small_parts: None, alter: str
) -> None:
    orders(server, database)
    take(server, vault, [pattern(database, "orders")], chunk_bytes=4000)
    server.sql(f"ALTER TABLE {database}.orders {alter};")
    result, _ = compare(server, vault)
    table = only(result)
    assert table.schema
    assert table.differing_rows == 0
    server.sql(
        f"UPDATE {database}.orders SET note = 'x' WHERE price IN (30.5, 60.5);"
        f"DELETE FROM {database}.orders WHERE price = 7.5;"
    )
    result, rows = compare(server, vault)
    table = only(result)
    assert (table.missing, table.extra, table.changed, table.key) == (1, 0, 2, ("id",))
    assert table.changed_columns == (("note", 2),)
    assert [row[0] for row in rows.missing] == [b"21"]


@pytest.mark.parametrize(
    ("alter", "gone"),
    [
        ("DROP COLUMN note", ("note",)),
        ("ADD COLUMN further INT FIRST", ()),
        ("MODIFY price DECIMAL(14,4)", ()),
        ("MODIFY made DATETIME(6)", ()),
        ("MODIFY made TIMESTAMP NULL", ()),
        ("MODIFY customer VARCHAR(30) CHARACTER SET latin1", ()),
        ("MODIFY customer TEXT", ()),
        ("MODIFY note VARCHAR(100)", ()),
        ("MODIFY id BIGINT NOT NULL", ()),
        ("MODIFY price VARCHAR(40)", ()),
        ("RENAME COLUMN note TO remark", ()),
        ("DROP note, RENAME COLUMN customer TO client, ADD n2 INT", ("customer", "note")),
    ],
)
def test_another_column_set_hides_no_difference_and_makes_none(
    server: Server,
    database: str,
    vault: Path,
    small_parts: None,
    alter: str,
    gone: tuple[str, ...],
) -> None:
    orders(server, database)
    take(server, vault, [pattern(database, "orders")], chunk_bytes=4000)
    server.sql(f"ALTER TABLE {database}.orders {alter};")
    table = only(compare(server, vault)[0])
    assert table.schema
    assert table.differing_rows == 0
    assert table.not_compared == gone
    server.sql(
        f"UPDATE {database}.orders SET made = '2027-01-01' WHERE id = 30;"
        f"UPDATE {database}.orders SET price = 1.25 WHERE id = 33;"
        f"DELETE FROM {database}.orders WHERE id = 60;"
    )
    result, rows = compare(server, vault)
    table = only(result)
    assert (table.missing, table.extra, table.changed) == (1, 0, 2)
    assert dict(table.changed_columns) == {"made": 1, "price": 1}
    assert [row[0] for row in rows.missing] == [b"60"]


def test_a_table_that_is_gone(server: Server, database: str, vault: Path) -> None:
    orders(server, database)
    server.sql(f"CREATE TABLE {database}.stays (id INT PRIMARY KEY);")
    take(server, vault, [pattern(database, "orders"), pattern(database, "stays")])
    server.sql(f"DROP TABLE {database}.orders;")
    result, _ = compare(server, vault)
    assert [(one.table.name, one.status) for one in result.tables] == [
        ("orders", "gone"),
        ("stays", "equal"),
    ]
    assert [one.kind for one in result.tables[0].schema] == ["table missing"]


def test_everything_changed_truncated_or_new(
    server: Server, database: str, vault: Path, small_parts: None
) -> None:
    orders(server, database)
    server.sql(f"CREATE TABLE {database}.fresh (id INT PRIMARY KEY, v INT);")
    take(server, vault, [f"{database}.*"], chunk_bytes=4000)
    numbers = ", ".join(f"({n}, {n})" for n in range(100))
    server.sql(
        f"UPDATE {database}.orders SET price = price + 1;"
        f"INSERT INTO {database}.fresh VALUES {numbers};"
    )
    fresh, changed = compare(server, vault)[0].tables
    assert (changed.changed, changed.changed_columns) == (ROWS, (("price", ROWS),))
    assert (fresh.rows, fresh.extra, fresh.live_rows) == (0, 100, 100)
    server.sql(f"TRUNCATE {database}.orders;")
    _, truncated = compare(server, vault)[0].tables
    assert (truncated.missing, truncated.extra, truncated.live_rows) == (ROWS, 0, 0)


def test_a_partial_snapshot_is_compared_under_its_filter(
    server: Server, database: str, vault: Path, small_parts: None
) -> None:
    orders(server, database)
    take(server, vault, [pattern(database, "orders")], where="id >= 300 -- of them")
    server.sql(f"UPDATE {database}.orders SET note = 'x' WHERE id IN (3, 303);")
    table = only(compare(server, vault)[0])
    assert (table.changed, table.missing, table.extra) == (1, 0, 0)


def test_keys_of_text_are_compared_byte_by_byte(
    server: Server, database: str, vault: Path, small_parts: None
) -> None:
    names = ", ".join(f"('{chr(97 + n % 26)}{n:03d}é', {n})" for n in range(100))
    server.sql(
        f"CREATE TABLE {database}.people (name VARCHAR(20) CHARACTER SET latin1 NOT NULL,"
        f" v INT, PRIMARY KEY (name)); INSERT INTO {database}.people VALUES {names};"
    )
    take(server, vault, [pattern(database, "people")], chunk_bytes=300)
    assert compare(server, vault)[0].equal
    server.sql(
        f"UPDATE {database}.people SET name = 'A000É' WHERE name = 'a000é';"
        f"UPDATE {database}.people SET v = -1 WHERE name = 'b001é';"
        f"INSERT INTO {database}.people VALUES ('', 0), ('zzzz', 0);"
    )
    result, rows = compare(server, vault)
    table = only(result)
    assert (table.missing, table.extra, table.changed) == (1, 3, 1)
    assert rows.missing[0][0] == "a000é".encode("latin-1")
    assert {row[0] for row in rows.extra} == {b"", b"zzzz", "A000É".encode("latin-1")}
    server.sql(
        f"ALTER TABLE {database}.people"
        " MODIFY name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL;"
    )
    table = only(compare(server, vault)[0])
    assert (table.missing, table.extra, table.changed) == (1, 3, 1)


def test_a_damaged_snapshot_does_not_pass_for_damage_of_the_table(
    server: Server, database: str, vault: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders(server, database)
    taken = take(server, vault, [pattern(database, "orders")])
    other = take(server, vault, [pattern(database, "orders")])
    server.sql(f"UPDATE {database}.orders SET price = 0;")
    lying = take(server, vault, [pattern(database, "orders")])
    parts = [vault / one.id / database / "orders" / "part-00000.parquet" for one in (other, lying)]
    size = parts[0].stat().st_size
    if parts[1].stat().st_size < size:  # the size alone must not tell
        parts[1].write_bytes(parts[1].read_bytes().ljust(size, b"\0"))
    parts[0].write_bytes(parts[1].read_bytes()[:size])
    store = open_store(str(vault))
    assert not diff(server.options(), store, taken.id, DiffOptions()).equal
    with pytest.raises(SnapshotUnusable, match="part-00000"):
        diff(server.options(), store, other.id, DiffOptions())


def test_the_command_says_it_in_lines_and_in_json(
    server: Server, database: str, vault: Path, tool: Shell
) -> None:
    orders(server, database)
    take(server, vault, [pattern(database, "orders")])
    done = tool("diff", "latest")
    assert (done.code, done.stdout.startswith("equal: ")) == (0, True), done.stderr
    server.sql(
        f"UPDATE {database}.orders SET price = 1 WHERE id = 30;"
        f"ALTER TABLE {database}.orders MODIFY note VARCHAR(100);"
    )
    done = tool("diff", "latest", f"{database}.orders", "--rows", "1", "-v")
    assert done.code == 3, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "changed: 1 row: price in 1" in lines
    assert "price: 10.50 -> 1.00" in lines
    assert any(line.startswith("undo:") and "MODIFY COLUMN `note` text" in line for line in lines)
    assert lines[-1].startswith("DIFFERENT: 1 of 1 table, ")
    record = tool.json("diff", "latest", "--rows", "1")
    assert record["status"] == "findings"
    [table] = record["tables"]
    assert (table["outcome"], table["changed_columns"]) == ("differs", {"price": 1})
    assert table["examples"][0]["before"]["price"] == "10.50"
    assert tool("diff", "latest", "no_such_table").code == 2

"""Two snapshots compared without a server: the same differences that the live tables had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tablevault.errors import SnapshotUnusable
from tablevault.ops import diff_stretches
from tablevault.ops.diff import diff
from tablevault.ops.diff_snapshots import diff_snapshots
from tablevault.ops.diff_terms import DiffOptions, DiffResult, TableDiff
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.roundtrip import pattern, take
from tests.support.shell import Shell

ROWS = 300
CREATE = (
    "CREATE TABLE {db}.orders (id INT NOT NULL, customer VARCHAR(30), note TEXT,"
    " price DECIMAL(10,2), made DATETIME, {key}) CHARACTER SET utf8mb4;"
)
DAMAGE = (
    "UPDATE {db}.orders SET price = price + 1 WHERE price IN (30.5, 200.5);"
    "UPDATE {db}.orders SET note = NULL WHERE price = 100.5;"
    "DELETE FROM {db}.orders WHERE price IN (0.5, 150.5);"
    "INSERT INTO {db}.orders (id) VALUES (-5), (1), (100000);"
)


@pytest.fixture(params=["whole", "merged", "merge given up", "in parts"])
def parts(
    request: pytest.FixtureRequest, small_units: None, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Stretches compared at once, and in several passes."""
    if request.param != "whole":
        monkeypatch.setattr(diff_stretches, "PASS_ROWS", 20 if request.param == "in parts" else 5)
        monkeypatch.setattr(diff_stretches, "PART_ROWS", 5)
        monkeypatch.setattr(diff_stretches, "SLICE_ROWS", 4)
    if request.param in ("merge given up", "in parts"):
        monkeypatch.setattr(diff_stretches, "HELD_ROWS", 9 if "given" in request.param else 0)
    return str(request.param)


def orders(server: Server, database: str, key: str = "PRIMARY KEY (id)") -> None:
    rows = ", ".join(
        f"({n * 3}, {'NULL' if n % 7 == 0 else repr(f'Zoë {n % 11}')}, REPEAT('n', {n % 40}),"
        f" {n}.5, '2026-01-01 00:00:00')"
        for n in range(ROWS)
    )
    server.sql(
        CREATE.format(db=database, key=key) + f"INSERT INTO {database}.orders VALUES {rows};"
    )


def compared(vault: Path, first: str, second: str, examples: int = 20) -> DiffResult:
    return diff_snapshots(open_store(str(vault)), first, second, DiffOptions(examples=examples))


def facts(table: TableDiff) -> tuple[object, ...]:
    rows = sorted((one.kind, one.before, one.after) for one in table.examples)
    return (
        *(table.status, table.missing, table.extra, table.changed, table.rows, table.live_rows),
        *(sorted(table.changed_columns), table.columns, table.not_compared, table.key),
        [str(one) for one in table.schema],
        [repr(row) for row in rows],
    )


@pytest.mark.parametrize(
    "alter",
    [
        "",
        "DROP PRIMARY KEY",
        "DROP PRIMARY KEY, ADD PRIMARY KEY (id DESC)",
        "DROP COLUMN note",
        "RENAME COLUMN id TO number",
        "RENAME COLUMN note TO remark, MODIFY made DATETIME AFTER id",
        "MODIFY id BIGINT UNSIGNED NOT NULL",
        "MODIFY customer VARCHAR(30) CHARACTER SET latin1",
        "MODIFY customer TEXT, ADD further INT FIRST",
    ],
)
def test_it_finds_what_the_live_diff_finds(
    server: Server, database: str, vault: Path, parts: str, alter: str
) -> None:
    orders(server, database)
    first = take(server, vault, [pattern(database, "orders")], chunk_bytes=4000).id
    damage = DAMAGE.format(db=database)
    if "UNSIGNED" in alter:
        damage = damage.replace("(-5), ", "")
    if "DROP COLUMN note" in alter:
        damage = damage.replace("note = NULL", "customer = 'other'")
    server.sql(damage)
    if alter:
        server.sql(f"ALTER TABLE {database}.orders {alter}".replace("-5", "5"))
    options = DiffOptions(examples=20)
    live = diff(server.options(), open_store(str(vault)), first, options)
    second = take(server, vault, [pattern(database, "orders")], chunk_bytes=3000).id
    [table] = compared(vault, first, second).tables
    assert table.missing == 2 and table.changed == 3
    assert facts(table) == facts(live.tables[0])
    assert compared(vault, second, second).equal


def test_a_table_without_a_key_is_a_multiset(
    server: Server, database: str, vault: Path, parts: str
) -> None:
    orders(server, database, "KEY (made)")
    server.sql(f"INSERT INTO {database}.orders SELECT * FROM {database}.orders WHERE id < 90")
    first = take(server, vault, [pattern(database, "orders")], chunk_bytes=4000).id
    server.sql(
        f"DELETE FROM {database}.orders WHERE id = 30 LIMIT 1;"
        f"INSERT INTO {database}.orders (id) VALUES (7), (7)"
    )
    second = take(server, vault, [pattern(database, "orders")], chunk_bytes=4000).id
    [table] = compared(vault, first, second).tables
    assert (table.missing, table.extra, table.changed, table.key) == (1, 2, 0, ())
    [table] = compared(vault, second, first).tables
    assert (table.missing, table.extra) == (2, 1)


def test_where_digests_agree_no_file_is_opened(
    server: Server, database: str, vault: Path, small_units: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders(server, database)
    # one chunk, and a value as long as before: its row groups are cut alike in both
    first = take(server, vault, [f"{database}.*"])
    server.sql(f"UPDATE {database}.orders SET note = REPEAT('~', LENGTH(note)) WHERE id = 450")
    second = take(server, vault, [f"{database}.*"])
    read = []
    group = diff_stretches.SnapshotSide.group

    def counted(self: object, layout: object, chunk: object, number: int) -> object:
        read.append(number)
        return group(self, layout, chunk, number)  # type: ignore[arg-type]

    monkeypatch.setattr(diff_stretches.SnapshotSide, "group", counted)
    assert compared(vault, second.id, second.id).equal
    assert not read
    result = compared(vault, first.id, second.id)
    assert result.tables[0].changed == 1
    assert len(read) == 2  # one row group on either side


def test_types_that_show_values_otherwise_are_said(
    server: Server, database: str, vault: Path, small_units: None
) -> None:
    orders(server, database)
    first = take(server, vault, [f"{database}.*"]).id
    server.sql(f"ALTER TABLE {database}.orders MODIFY price DECIMAL(14,4)")
    second = take(server, vault, [f"{database}.*"]).id
    result = compared(vault, first, second)
    assert result.tables[0].changed_columns == (("price", ROWS),)
    assert any("`price`" in hint and "another type" in hint for hint in result.hints)


def test_damage_is_not_taken_for_a_difference(
    server: Server, database: str, vault: Path, small_units: None
) -> None:
    orders(server, database)
    first = take(server, vault, [f"{database}.*"], chunk_bytes=4000).id
    server.sql(f"UPDATE {database}.orders SET note = 'x'")
    second = take(server, vault, [f"{database}.*"], chunk_bytes=4000).id
    (vault / second / database / "orders" / "part-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(SnapshotUnusable, match="chunk 1 of table"):
        compared(vault, first, second)


def test_the_command_tells_a_snapshot_from_a_table(
    tool: Shell, server: Server, database: str, vault: Path
) -> None:
    server.sql(
        f"CREATE TABLE {database}.t (id INT PRIMARY KEY); CREATE TABLE {database}.u (i INT);"
    )
    first = take(server, vault, [f"{database}.*"], name="1-before").id
    server.sql(f"INSERT INTO {database}.t VALUES (1); DROP TABLE {database}.u")
    second = take(server, vault, [f"{database}.*"], name="2-after").id
    for words in (["2-after"], ["latest"], [second], ["--with", "2-after"]):
        record = tool.json("diff", "1-before", *words, connect=False)
        assert (record["snapshot"], record["other"]) == (first, second)
        assert {one["table"].split(".")[1]: one["outcome"] for one in record["tables"]} == {
            "t": "differs",
            "u": "gone",
        }
    done = tool("diff", "1-before", "2-after", f"{database}.t", "--rows", "1", connect=False)
    assert done.code == 3
    assert f"1 ROW DIFFERS (0 in the snapshot, 1 in {second})" in done.stdout
    assert tool("diff", "latest", "--with", "2-after", connect=False).code == 0
    # a table's name stays a table's, and what is neither is said to be no table
    assert tool.json("diff", "1-before", "t")["other"] is None
    done = tool("diff", "1-before", "nothing", connect=False)
    assert done.code == 2

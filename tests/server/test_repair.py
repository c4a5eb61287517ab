"""`repair` puts back exactly what was lost, and never what changed again since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tablevault.errors import Unsupported, UsageError
from tablevault.model import TableName
from tablevault.ops import diff_buckets, diff_ranges, repair_stage
from tablevault.ops import repair as repairs
from tablevault.ops.options import RestoreOptions
from tablevault.ops.repair import repair, undo
from tablevault.ops.repair_start import plan_repair
from tablevault.ops.repair_terms import RepairOptions, RepairResult
from tablevault.ops.restore import restore
from tablevault.ops.swap import cleanup
from tablevault.ops.verify import verify
from tablevault.vault.catalog import list_snapshots, resolve
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.facts import facts, leftovers
from tests.support.roundtrip import pattern, take

ROWS = 300


@pytest.fixture(autouse=True)
def small_parts(small_units: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many row groups, ranges and batches although tables are small."""
    monkeypatch.setattr(diff_ranges, "SMALL_ROWS", 3)
    monkeypatch.setattr(diff_ranges, "READ_ROWS", 5)
    monkeypatch.setattr(diff_ranges, "HASHED_ROWS", 12)
    monkeypatch.setattr(diff_ranges, "_ASKED_ROWS", 2)
    monkeypatch.setattr(diff_buckets, "PART_ROWS", 5)
    monkeypatch.setattr(repair_stage, "BATCH_ROWS", 7)


def fix(server: Server, vault: Path, text: str = "latest", **options: Any) -> RepairResult:
    return repair(
        server.options(), open_store(str(vault)), text, RepairOptions(**options), vault / ".runs"
    )


def take_back(server: Server, vault: Path, run: str) -> RepairResult:
    return undo(server.options(), open_store(str(vault)), run, vault / ".runs")


def orders(server: Server, database: str) -> None:
    server.sql(
        "CREATE TABLE orders (id INT NOT NULL, customer VARCHAR(30), note TEXT,"
        " price DECIMAL(10,2), made DATETIME, PRIMARY KEY (id), KEY (customer))",
        database,
    )
    rows = ", ".join(
        f"({n * 3}, {'NULL' if n % 7 == 0 else repr(f'customer {n % 11}')}, REPEAT('n', {n % 40}),"
        f" {n}.5, '2026-01-01 00:00:00')"
        for n in range(ROWS)
    )
    server.sql(f"INSERT INTO orders VALUES {rows}", database)


DAMAGE = (
    "UPDATE orders SET price = price + 1 WHERE id % 30 = 0;"
    "UPDATE orders SET note = NULL, customer = '\\\\N' WHERE id IN (300, 303);"
    "UPDATE orders SET note = 'tab\\tline\\nzero\\0back\\\\' WHERE id = 306;"
    "DELETE FROM orders WHERE id IN (3, 450, 897);"
)
EXTRA = "INSERT INTO orders (id) VALUES (-5), (1), (100000);"


def test_all_is_as_it_was_and_can_be_taken_back(server: Server, database: str, vault: Path) -> None:
    orders(server, database)
    before = facts(server, database, "orders")
    take(server, vault, [pattern(database, "orders")], chunk_bytes=4000)
    server.sql(DAMAGE, database)
    damaged = facts(server, database, "orders")

    result = fix(server, vault)
    assert result.findings == ()
    [table] = result.tables
    assert (table.changed, table.inserted, table.deleted, table.held) == (31, 3, 0, 0)
    assert facts(server, database, "orders") == before

    undone = take_back(server, vault, result.run)
    assert undone.findings == ()
    assert facts(server, database, "orders") == damaged
    cleanup(server.options(), result.run, vault / ".runs")
    assert leftovers(server, database) == []
    assert facts(server, database, "orders") == damaged


def test_a_row_that_changed_again_is_told_and_left(
    server: Server, database: str, vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders(server, database)
    take(server, vault, [pattern(database, "orders")], chunk_bytes=4000)
    server.sql(DAMAGE, database)
    staged = repairs.move

    def write_between(*arguments: Any) -> Any:
        server.sql(
            "UPDATE orders SET price = 77 WHERE id = 30;"
            "UPDATE orders SET note = 'N' WHERE id = 60;"
            "INSERT INTO orders (id) VALUES (450); DELETE FROM orders WHERE id = 90;",
            database,
        )
        return staged(*arguments)

    monkeypatch.setattr(repairs, "move", write_between)
    result = fix(server, vault)
    told = " ".join(finding.message for finding in result.findings)
    assert "3 rows were not written" in told
    assert "1 row was put back only in part" in told and "(id) = (60)" in told
    for key in ("(30)", "(90)", "(450)"):
        assert key in told
    assert server.value("SELECT price FROM orders WHERE id = 30", database) == "77.00"
    # the column that the repair did not write is the application's
    assert server.query("SELECT price, note FROM orders WHERE id = 60", database) == [
        ("20.50", "N")
    ]
    assert server.value("SELECT customer FROM orders WHERE id = 450", database) is None
    assert server.value("SELECT COUNT(*) FROM orders WHERE id = 90", database) == "0"


@pytest.mark.parametrize("prove_all", [False, True])
def test_what_is_damaged_meanwhile_elsewhere_is_seen_by_who_compares_all_again(
    server: Server, database: str, vault: Path, monkeypatch: pytest.MonkeyPatch, prove_all: bool
) -> None:
    """What a repair says without looking again is when all other rows were equal."""
    orders(server, database)
    take(server, vault, [pattern(database, "orders")], chunk_bytes=4000)
    server.sql("UPDATE orders SET price = 1 WHERE id = 30", database)
    staged = repairs.move

    def write_between(*arguments: Any) -> Any:
        server.sql("UPDATE orders SET price = 77 WHERE id = 600", database)
        return staged(*arguments)

    monkeypatch.setattr(repairs, "move", write_between)
    result = fix(server, vault, prove_all=prove_all)
    [table] = result.tables
    assert (table.changed, table.again) == (1, prove_all)
    assert table.left is not None and table.compared is not None
    assert table.left.changed == prove_all
    assert [one.kind for one in result.findings] == ["differs"] * prove_all
    assert server.value("SELECT price FROM orders WHERE id = 600", database) == "77.00"


def test_extra_rows_are_kept_unless_they_are_to_go(
    server: Server, database: str, vault: Path
) -> None:
    orders(server, database)
    before = facts(server, database, "orders")
    taken = take(server, vault, [pattern(database, "orders")], chunk_bytes=4000)
    server.sql(DAMAGE + EXTRA, database)
    damaged = facts(server, database, "orders")
    kept = fix(server, vault)
    assert kept.findings == ()
    assert kept.tables[0].left is not None
    assert kept.tables[0].left.extra == 3
    assert server.value("SELECT COUNT(*) FROM orders", database) == str(ROWS + 3)
    gone = fix(server, vault, taken.id, delete_extra=True)
    assert gone.tables[0].deleted == 3
    assert facts(server, database, "orders") == before
    take_back(server, vault, gone.run)
    take_back(server, vault, kept.run)
    assert facts(server, database, "orders") == damaged


def test_what_is_overwritten_is_a_snapshot_of_its_own(
    server: Server, database: str, vault: Path
) -> None:
    orders(server, database)
    taken = take(server, vault, [pattern(database, "orders")], chunk_bytes=4000)
    server.sql(DAMAGE + EXTRA, database)
    result = fix(server, vault, delete_extra=True)
    store = open_store(str(vault))
    assert result.saved is not None
    saved = resolve(store, result.saved)
    assert saved.partial
    assert saved.tables[0].digest.rows == 31 + 3
    assert verify(store, saved.id).findings == ()
    assert resolve(store, "latest").id == taken.id
    with pytest.raises(UsageError, match="partial"):
        restore(server.options(), store, saved.id, RestoreOptions(), vault / ".runs")
    with pytest.raises(UsageError, match="has overwritten"):
        fix(server, vault, saved.id)
    options = RestoreOptions(as_table=TableName(database, "old_rows"), swap=True)
    restore(server.options(), store, saved.id, options, vault / ".runs")
    assert server.value("SELECT price FROM old_rows WHERE id = 30", database) == "11.50"
    assert server.value("SELECT COUNT(*) FROM old_rows", database) == "34"


def test_columns_and_conditions_restrict(server: Server, database: str, vault: Path) -> None:
    orders(server, database)
    take(server, vault, [pattern(database, "orders")], chunk_bytes=4000)
    server.sql(
        "UPDATE orders SET price = 0, note = 'x'; DELETE FROM orders WHERE id IN (6, 9)", database
    )
    result = fix(server, vault, columns=("price",))
    assert result.findings == ()
    assert result.tables[0].changed == ROWS - 2
    assert server.value("SELECT COUNT(*) FROM orders WHERE note = 'x'", database) == str(ROWS - 2)
    assert server.value("SELECT price FROM orders WHERE id = 12", database) == "4.50"
    fix(server, vault, where="id < 60 AND price < 4")
    assert server.query("SELECT id FROM orders WHERE note <> 'x' ORDER BY id", database) == [
        ("0",),
        ("3",),
        ("6",),
        ("9",),
    ]
    with pytest.raises(UsageError, match="no column nix"):
        fix(server, vault, columns=("nix",))
    with pytest.raises(UsageError, match="of the key"):
        fix(server, vault, columns=("id",))


def test_the_plan_changes_nothing(server: Server, database: str, vault: Path) -> None:
    orders(server, database)
    take(server, vault, [pattern(database, "orders")], chunk_bytes=4000)
    server.sql(DAMAGE + EXTRA, database)
    damaged = facts(server, database, "orders")
    result = plan_repair(
        server.options(),
        open_store(str(vault)),
        "latest",
        RepairOptions(),
        state_dir=vault / ".runs",
    )
    [plan] = result.plans
    assert (plan.rows, plan.columns[0]) == (34, "price")
    assert plan.repair_s > 0
    assert plan.restore_s > 0
    assert any("3 rows that the snapshot does not have are kept" in note for note in plan.notes)
    assert facts(server, database, "orders") == damaged
    assert leftovers(server, database) == []
    assert len(list_snapshots(open_store(str(vault)))) == 1


def test_tables_that_only_a_restore_puts_back_are_named(
    server: Server, database: str, vault: Path
) -> None:
    server.sql(
        "CREATE TABLE keyless (a INT); INSERT INTO keyless VALUES (1);"
        "CREATE TABLE retyped (id INT PRIMARY KEY, v VARCHAR(10), w INT);"
        "INSERT INTO retyped VALUES (1, '5', 5);",
        database,
    )
    take(server, vault, [pattern(database, name) for name in ("keyless", "retyped")])
    server.sql(
        "DELETE FROM keyless; ALTER TABLE retyped MODIFY v INT; UPDATE retyped SET w = 6", database
    )
    with pytest.raises(Unsupported) as refused:
        fix(server, vault, rows_only=True)
    assert "keyless: it has no key" in refused.value.message
    assert "retyped: column `v` is int" in refused.value.message
    assert "tablevault restore" in (refused.value.hint or "")
    assert leftovers(server, database) == []
    fix(server, vault, patterns=(f"{database}.retyped",), columns=("w",), rows_only=True)
    assert server.value("SELECT w FROM retyped", database) == "5"


STRICT = """
CREATE TABLE strict (
  id INT NOT NULL PRIMARY KEY, n INT NOT NULL, price DECIMAL(10,2) NOT NULL,
  name VARCHAR(20) NOT NULL, sort ENUM('a', 'b') NOT NULL, made TIMESTAMP NOT NULL,
  body LONGTEXT NOT NULL, raw LONGBLOB NOT NULL, doc JSON NOT NULL, spot POINT NOT NULL,
  flags BIT(9) NOT NULL);
INSERT INTO strict VALUES
  (1, 1, 1.5, 'one', 'a', '2026-01-01 00:00:01', 'body', X'00ff', '[1]', POINT(1, 2), b'101'),
  (2, 2, 2.5, 'two', 'b', '2026-01-01 00:00:02', '', X'', '{}', POINT(3, 4), b'0'),
  (3, 3, 3.5, '', 'a', '2026-01-01 00:00:03', 'x', X'01', 'null', POINT(5, 6), b'1');
"""


@pytest.mark.parametrize("infile", [True, False])
def test_columns_that_must_hold_a_value(
    server: Server, database: str, vault: Path, infile: bool
) -> None:
    """Beside a column that is repaired: they have no default, and are not written."""
    server.sql(STRICT, database)
    before = facts(server, database, "strict")
    take(server, vault, [pattern(database, "strict")])
    server.sql("UPDATE strict SET n = 0 WHERE id = 1; UPDATE strict SET price = 9, name = 'x' "
               "WHERE id = 2; DELETE FROM strict WHERE id = 3", database)  # fmt: skip
    was = server.value("SELECT @@GLOBAL.local_infile")
    server.sql(f"SET GLOBAL local_infile = {infile:d}")
    try:
        result = fix(server, vault)
    finally:
        server.sql(f"SET GLOBAL local_infile = {was}")
    assert result.findings == ()
    [table] = result.tables
    assert (table.changed, table.inserted) == (2, 1)
    assert facts(server, database, "strict") == before

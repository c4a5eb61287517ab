"""`repair` of a damaged definition: the ALTER first, then the rows; and its undo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tablevault.errors import CannotComplete
from tablevault.ops import diff_ranges, repair, repair_stage
from tablevault.ops.repair import undo
from tablevault.ops.repair_start import plan_repair
from tablevault.ops.repair_terms import RepairOptions, RepairResult
from tablevault.ops.runs import replay
from tablevault.ops.swap import cleanup
from tablevault.vault.journal import list_runs, read_journal
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.facts import facts, leftovers
from tests.support.roundtrip import pattern, take

ROWS = 120


@pytest.fixture(autouse=True)
def small_parts(small_units: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff_ranges, "SMALL_ROWS", 3)
    monkeypatch.setattr(diff_ranges, "READ_ROWS", 5)
    monkeypatch.setattr(repair_stage, "BATCH_ROWS", 7)


def shown(server: Server, database: str) -> tuple[object, ...]:
    """All of the table but the order of its indexes, which does not count."""
    found = facts(server, database, "item")
    lines = [line.rstrip(",") for line in found.create.splitlines()]
    keys = [line for line in lines if " KEY " in line]
    return found.checksum, found.values, [line for line in lines if line not in keys], sorted(keys)


@pytest.fixture
def item(server: Server, database: str, vault: Path) -> None:
    """A table, its snapshot, and a parent that it references."""
    rows = ", ".join(
        f"({n}, 'name {n % 7}', {n}.25, {n % 3 + 1}, {n * 2})" for n in range(1, ROWS + 1)
    )
    server.sql(
        "CREATE TABLE p (id INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO p VALUES (1), (2), (3);"
        "CREATE TABLE item (id INT NOT NULL, name VARCHAR(30), price DECIMAL(10,2) NOT NULL,"
        " parent INT, n INT, PRIMARY KEY (id), KEY by_name (name), UNIQUE KEY by_n (n),"
        " CONSTRAINT to_p FOREIGN KEY (parent) REFERENCES p (id)) ENGINE=InnoDB COMMENT='c';"
        f"INSERT INTO item VALUES {rows}",
        database,
    )
    take(server, vault, [pattern(database, "item")], chunk_bytes=1000)


def fix(server: Server, vault: Path, **options: Any) -> RepairResult:
    store = open_store(str(vault))
    return repair.repair(
        server.options(), store, "latest", RepairOptions(**options), vault / ".runs"
    )


# what was done to the table, and whether extra things must go to undo it
DAMAGES = {
    "retyped": ("ALTER TABLE item MODIFY price DECIMAL(10,0) NOT NULL", False),
    "dropped": ("ALTER TABLE item DROP COLUMN price", False),
    "dropped with its key": ("ALTER TABLE item DROP COLUMN n", False),
    "renamed": ("ALTER TABLE item RENAME COLUMN name TO title", False),
    "renamed, and rows": (
        "ALTER TABLE item RENAME COLUMN price TO cost; UPDATE item SET cost = 0 WHERE id < 9;"
        "DELETE FROM item WHERE id IN (50, 51)",
        False,
    ),
    "index dropped": ("ALTER TABLE item DROP KEY by_name", False),
    "primary key dropped": ("ALTER TABLE item DROP PRIMARY KEY", False),
    "foreign key dropped": ("ALTER TABLE item DROP FOREIGN KEY to_p", False),
    "option": ("ALTER TABLE item COMMENT = 'other'", False),
    "charset": ("ALTER TABLE item CONVERT TO CHARACTER SET latin1", False),
    "added": (
        "ALTER TABLE item ADD COLUMN extra INT FIRST, ADD KEY (extra);"
        "UPDATE item SET extra = id * 7, name = 'x' WHERE id % 5 = 0",
        True,
    ),
    "widened": (
        "ALTER TABLE item MODIFY price DECIMAL(12,4) NOT NULL;"
        "UPDATE item SET price = price + 0.0025 WHERE id < 20",
        False,
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.usefixtures("item")
def test_the_table_is_what_it_was_and_the_undo_takes_it_back(
    server: Server, database: str, vault: Path, damage: str
) -> None:
    before = shown(server, database)
    statement, extra = DAMAGES[damage]
    server.sql(statement, database)
    damaged = shown(server, database)
    assert damaged != before
    store, state = open_store(str(vault)), vault / ".runs"
    options = RepairOptions(delete_extra=extra)
    [plan] = plan_repair(server.options(), store, "latest", options).plans
    assert plan.schema and plan.obstacle is None
    assert shown(server, database) == damaged
    result = fix(server, vault, delete_extra=extra)
    assert result.findings == ()
    assert result.tables[0].altered == plan.schema
    assert shown(server, database) == before
    assert undo(server.options(), store, result.run, state).findings == ()
    if damage == "widened":  # what the ALTER rounds is in rows that differ, and comes back rounded
        assert shown(server, database)[2:] == damaged[2:]
    else:
        assert shown(server, database) == damaged
    cleanup(server.options(), result.run, state)
    assert leftovers(server, database) == []


def test_a_renamed_column_of_a_virtual_one_read_under_an_alias(
    server: Server, database: str, vault: Path
) -> None:
    server.sql(
        "CREATE TABLE item (id INT PRIMARY KEY, n INT, v INT GENERATED ALWAYS AS (n + 1) VIRTUAL,"
        " KEY by_v (v)); INSERT INTO item (id, n) VALUES (1, 1), (2, 2)",
        database,
    )
    take(server, vault, [pattern(database, "item")])
    before = shown(server, database)
    rename = "ALTER TABLE item RENAME COLUMN n TO m"
    if server.family == "mysql":  # such damage cannot be done there
        with pytest.raises(AssertionError, match="generated column dependency"):
            server.sql(rename, database)
        return
    server.sql(rename, database)
    server.sql("FLUSH TABLES; SELECT v FROM item AS other", database)
    assert fix(server, vault).findings == ()
    assert shown(server, database) == before


@pytest.mark.usefixtures("item")
def test_what_the_snapshot_does_not_have_stays(server: Server, database: str, vault: Path) -> None:
    server.sql(
        "ALTER TABLE item ADD COLUMN mine INT DEFAULT 5, ADD KEY mine (mine), DROP KEY by_name;"
        "UPDATE item SET price = 0 WHERE id = 7",
        database,
    )
    [plan] = plan_repair(server.options(), open_store(str(vault)), "latest", RepairOptions()).plans
    assert plan.kept == ("column `mine` extra", "key `mine` extra")
    assert fix(server, vault).findings == ()
    create = facts(server, database, "item").create
    assert "KEY `mine`" in create and "KEY `by_name`" in create
    assert server.value("SELECT price FROM item WHERE id = 7", database) == "7.25"
    assert server.value("SELECT SUM(mine) FROM item", database) == str(5 * ROWS)


@pytest.mark.usefixtures("item")
def test_rows_only(server: Server, database: str, vault: Path) -> None:
    server.sql("ALTER TABLE item DROP KEY by_name; UPDATE item SET price = 0", database)
    result = fix(server, vault, rows_only=True)
    assert result.tables[0].altered == ()
    assert "by_name" not in facts(server, database, "item").create
    assert server.value("SELECT price FROM item WHERE id = 7", database) == "7.25"


@pytest.mark.usefixtures("item")
def test_what_does_not_fit_the_old_definition_stays_and_is_told(
    server: Server, database: str, vault: Path
) -> None:
    server.sql(
        "ALTER TABLE item MODIFY name VARCHAR(90);"
        "INSERT INTO item VALUES (1000, REPEAT('x', 80), 1, NULL, -1)",
        database,
    )
    damaged = shown(server, database)
    with pytest.raises(CannotComplete, match="cannot be altered to what it was") as refused:
        fix(server, vault)
    assert "restore it as a whole" in (refused.value.hint or "")
    assert shown(server, database) == damaged
    [run] = [one for one in list_runs(vault / ".runs") if "repair" not in one]
    undo(server.options(), open_store(str(vault)), run, vault / ".runs")
    assert shown(server, database) == damaged
    cleanup(server.options(), run, vault / ".runs")
    assert leftovers(server, database) == []


@pytest.mark.usefixtures("item")
def test_cut_off_between_the_alter_and_the_rows(
    server: Server, database: str, vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shown(server, database)
    server.sql(DAMAGES["dropped"][0] + "; DELETE FROM item WHERE id = 3", database)
    damaged = shown(server, database)

    def dies(*_: object) -> None:
        raise CannotComplete("cut off")

    for onward in ("resume", "undo"):
        with monkeypatch.context() as patched:
            patched.setattr(repair, "stage", dies)
            with pytest.raises(CannotComplete, match="cut off") as failure:
                fix(server, vault)
        run = sorted(list_runs(vault / ".runs"))[-1]
        assert f"repair --resume {run}" in (failure.value.hint or "")
        assert replay(run, read_journal(vault / ".runs" / run)).status == "repairing"
        go_on = getattr(repair, onward)
        assert go_on(server.options(), open_store(str(vault)), run, vault / ".runs").findings == ()
        assert shown(server, database) == (before if onward == "resume" else damaged)
        if onward == "resume":
            undo(server.options(), open_store(str(vault)), run, vault / ".runs")
        assert shown(server, database) == damaged
        cleanup(server.options(), run, vault / ".runs")
    assert leftovers(server, database) == []

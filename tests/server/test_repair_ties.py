"""`repair` of tables with triggers, foreign keys, columns that set themselves, unique values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tablevault.errors import CannotComplete
from tablevault.model import Key, KeyColumn, TableName
from tablevault.mysql import sql_relations
from tablevault.mysql.connect import connect
from tablevault.ops import diff_ranges, repair_stage, repair_triggers
from tablevault.ops.repair import repair, undo
from tablevault.ops.repair_start import plan_repair
from tablevault.ops.repair_terms import RepairOptions, RepairResult
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.cutover import trigger_list
from tests.support.facts import facts, leftovers
from tests.support.roundtrip import pattern, take


@pytest.fixture(autouse=True)
def small_parts(small_units: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff_ranges, "SMALL_ROWS", 3)
    monkeypatch.setattr(diff_ranges, "READ_ROWS", 5)
    monkeypatch.setattr(diff_ranges, "HASHED_ROWS", 12)
    monkeypatch.setattr(diff_ranges, "_ASKED_ROWS", 2)
    monkeypatch.setattr(repair_stage, "BATCH_ROWS", 4)
    monkeypatch.setattr(repair_triggers, "WINDOW_S", 0.02)


def fix(server: Server, vault: Path, **options: Any) -> RepairResult:
    store = open_store(str(vault))
    return repair(server.options(), store, "latest", RepairOptions(**options), vault / ".runs")


def numbers(server: Server, database: str, columns: str, values: str, rows: int = 40) -> None:
    """Table `item` with `rows` rows; `values` is an f-string's text over n."""
    server.sql(f"CREATE TABLE item ({columns}) ENGINE=InnoDB", database)
    listed = ", ".join(f"({values.replace('@n', str(n))})" for n in range(1, rows + 1))
    server.sql(f"INSERT INTO item VALUES {listed}", database)


TRIGGERS = """
CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(80));
SET sql_mode = '';
CREATE TRIGGER upd BEFORE UPDATE ON item FOR EACH ROW SET NEW.v = NEW.v * 2;
CREATE TRIGGER `upd 2` BEFORE UPDATE ON item FOR EACH ROW SET NEW.v = NEW.v + 1;
SET sql_mode = 'ANSI_QUOTES';
CREATE TRIGGER "ins" AFTER INSERT ON item FOR EACH ROW INSERT INTO log (what) VALUES ('ins');
CREATE TRIGGER del AFTER DELETE ON item FOR EACH ROW INSERT INTO log (what) VALUES ('del');
"""
DAMAGE = (
    "UPDATE item SET v = 1000 + id WHERE id % 2 = 0; DELETE FROM item WHERE id IN (3, 5);"
    "INSERT INTO item VALUES (100, 1), (101, 1);"
)


def test_triggers_do_not_fire_and_are_what_they_were(
    server: Server, database: str, vault: Path
) -> None:
    numbers(server, database, "id INT PRIMARY KEY, v INT", "@n, @n")
    take(server, vault, [pattern(database, "item")], chunk_bytes=400)
    before = facts(server, database, "item")
    server.sql(DAMAGE, database)
    damaged = facts(server, database, "item")
    server.sql(TRIGGERS, database)
    triggers = trigger_list(server, database)
    store = open_store(str(vault))
    plan = plan_repair(server.options(), store, "latest", RepairOptions(delete_extra=True))
    notes = " ".join(plan.plans[0].notes)
    for name in ("upd", "upd 2", "ins", "del"):
        assert f"trigger `{name}` would fire" in notes
    result = fix(server, vault, delete_extra=True)
    assert result.findings == ()
    assert facts(server, database, "item") == before
    assert trigger_list(server, database) == triggers
    assert server.value("SELECT COUNT(*) FROM log", database) == "0"
    assert undo(server.options(), store, result.run, vault / ".runs").findings == ()
    assert facts(server, database, "item") == damaged
    assert trigger_list(server, database) == triggers
    assert server.value("SELECT COUNT(*) FROM log", database) == "0"


def test_triggers_may_be_let_fire(server: Server, database: str, vault: Path) -> None:
    numbers(server, database, "id INT PRIMARY KEY, v INT", "@n, @n")
    take(server, vault, [pattern(database, "item")], chunk_bytes=400)
    server.sql("DELETE FROM item WHERE id IN (3, 5)", database)
    server.sql(TRIGGERS, database)
    result = fix(server, vault, fire_triggers=True)
    assert result.tables[0].inserted == 2
    assert server.value("SELECT COUNT(*) FROM log", database) == "2"


def test_an_account_that_could_not_make_triggers_again_is_refused(
    server: Server, database: str, vault: Path
) -> None:
    numbers(server, database, "id INT PRIMARY KEY, v INT", "@n, @n")
    take(server, vault, [pattern(database, "item")], chunk_bytes=400)
    server.sql(DAMAGE, database)
    server.sql(TRIGGERS, database)
    triggers = trigger_list(server, database)
    user = f"u_{database}"
    server.sql(
        f"CREATE USER {user}@'%' IDENTIFIED BY 'Some-2-word';"
        f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, LOCK TABLES, TRIGGER ON {database}.*"
        f" TO {user}@'%';"
    )
    damaged = facts(server, database, "item")
    store, options = open_store(str(vault)), RepairOptions()
    account = server.options(user=user, password="Some-2-word")
    with pytest.raises(CannotComplete, match="could not be made again") as refused:
        repair(account, store, "latest", options, vault / ".runs")
    assert "--fire-triggers" in (refused.value.hint or "")
    assert trigger_list(server, database) == triggers
    assert facts(server, database, "item") == damaged
    server.sql(f"REVOKE TRIGGER ON {database}.* FROM {user}@'%'")
    with pytest.raises(CannotComplete, match="may not see") as blind:
        repair(account, store, "latest", RepairOptions(new=True), vault / ".runs")
    assert "grant" in (blind.value.hint or "").lower()
    assert facts(server, database, "item") == damaged
    server.sql(f"DROP USER {user}@'%'")
    assert leftovers(server, database) == []


def test_no_cascade_and_orphans_are_told(server: Server, database: str, vault: Path) -> None:
    numbers(server, database, "id INT PRIMARY KEY, code INT NOT NULL UNIQUE", "@n, @n")
    server.sql(
        "CREATE TABLE child (id INT PRIMARY KEY, parent INT,"
        " FOREIGN KEY (parent) REFERENCES item (code) ON DELETE CASCADE ON UPDATE CASCADE)"
        " ENGINE=InnoDB; INSERT INTO child SELECT id, code FROM item;",
        database,
    )
    take(server, vault, [pattern(database, "item")], chunk_bytes=400)
    server.sql("UPDATE item SET code = 500 WHERE id = 7", database)  # the child follows
    before = facts(server, database, "child")
    result = fix(server, vault)
    assert server.value("SELECT code FROM item WHERE id = 7", database) == "7"
    assert facts(server, database, "child") == before
    [finding] = result.findings
    assert finding.kind == "foreign key"
    assert "1 row has no parent" in finding.message
    assert "500" in finding.message


def test_columns_that_set_themselves_keep_their_values(
    server: Server, database: str, vault: Path
) -> None:
    numbers(
        server,
        database,
        "id INT PRIMARY KEY, v INT, at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP"
        " ON UPDATE CURRENT_TIMESTAMP, twice INT GENERATED ALWAYS AS (v * 2) STORED",
        "@n, @n, '2020-01-01 00:00:00', DEFAULT",
    )
    before = facts(server, database, "item")
    take(server, vault, [pattern(database, "item")], chunk_bytes=400)
    server.sql(
        "UPDATE item SET v = 0, at = at WHERE id < 10; UPDATE item SET v = 0 WHERE id > 30",
        database,
    )
    result = fix(server, vault)
    assert result.findings == ()
    assert facts(server, database, "item") == before


def test_unique_values_that_wait_for_each_other(server: Server, database: str, vault: Path) -> None:
    numbers(server, database, "id INT PRIMARY KEY, u INT UNIQUE, v INT", "@n, @n, 0")
    before = facts(server, database, "item")
    take(server, vault, [pattern(database, "item")], chunk_bytes=400)
    server.sql("UPDATE item SET u = u + 1 WHERE id > 20 ORDER BY id DESC", database)
    result = fix(server, vault)
    assert result.findings == ()
    assert facts(server, database, "item") == before


def test_a_unique_value_that_another_row_has_is_told(
    server: Server, database: str, vault: Path
) -> None:
    numbers(server, database, "id INT PRIMARY KEY, u INT UNIQUE, v INT", "@n, @n, 0")
    before = facts(server, database, "item")
    take(server, vault, [pattern(database, "item")], chunk_bytes=400)
    server.sql(
        "UPDATE item SET u = u + 100 WHERE id = 5; UPDATE item SET id = 99 WHERE id = 6;"
        "INSERT INTO item VALUES (200, 5, 1)",
        database,
    )
    result = fix(server, vault)
    told = [finding.message for finding in result.findings if finding.kind == "collision"]
    assert len(told) == 1
    assert "--delete-extra" in told[0]
    assert "Duplicate entry" in told[0]
    assert server.value("SELECT COUNT(*) FROM item", database) == "41"
    result = fix(server, vault, delete_extra=True)
    assert result.findings == ()
    assert facts(server, database, "item") == before


def test_a_key_of_a_zero_date(server: Server, database: str, vault: Path) -> None:
    """`IS NULL` holds for it, where the column is NOT NULL: it tells of no missing row."""
    rows = "CREATE TABLE {} (d DATETIME NOT NULL, v INT, PRIMARY KEY (d)) ENGINE=InnoDB;"
    server.sql(
        f"SET sql_mode = ''; {rows.format('item')} {rows.format('other')}"
        "INSERT INTO item VALUES ('0000-00-00', 1), ('2026-01-01', 2), ('2026-01-02', 3);"
        "INSERT INTO other SELECT * FROM item WHERE d < '2026-01-02';",
        database,
    )
    before = facts(server, database, "item")
    take(server, vault, [pattern(database, "item")])
    server.sql("UPDATE item SET v = 9 WHERE v < 3; DELETE FROM item WHERE v = 3", database)
    damaged = facts(server, database, "item")
    result = fix(server, vault)
    assert result.findings == ()
    assert facts(server, database, "item") == before
    key = Key("PRIMARY", (KeyColumn("d"),))
    with connect(server.options()) as conn:
        tables = (TableName(database, "item"), TableName(database, "other"))
        assert conn.one(sql_relations.count_lacking(*tables, key)) == (b"1",)
    undo(server.options(), open_store(str(vault)), result.run, vault / ".runs")
    assert facts(server, database, "item") == damaged


def test_keys_that_a_collation_takes_for_equal(server: Server, database: str, vault: Path) -> None:
    numbers(
        server,
        database,
        "k VARCHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY,"
        " s VARCHAR(10) CHARACTER SET latin1 COLLATE latin1_swedish_ci",
        "'Key @n', 'abc'",
    )
    before = facts(server, database, "item")
    take(server, vault, [pattern(database, "item")], chunk_bytes=400)
    server.sql(
        "UPDATE item SET s = 'ABC' WHERE k LIKE '%1';UPDATE item SET k = 'KEY 7' WHERE k = 'Key 7'",
        database,
    )
    told = fix(server, vault)
    assert [finding.kind for finding in told.findings] == ["collision", "changed again"]
    assert fix(server, vault, delete_extra=True).findings == ()
    assert facts(server, database, "item") == before

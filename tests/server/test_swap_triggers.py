"""The swap and triggers: they come from the snapshot, and none is dropped that could not return."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tablevault.errors import CannotComplete
from tablevault.ops.swap import swap
from tests.servers import Server
from tests.support.cutover import Cut, own_tables, staged, trigger_list

TABLES = """
CREATE TABLE item (id INT AUTO_INCREMENT PRIMARY KEY, n INT, note VARCHAR(40)) ENGINE=InnoDB;
CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(80)) ENGINE=InnoDB;
INSERT INTO item (id, n) VALUES (1, 10), (2, 20);
"""
# order matters: doubled, then one more; names and table as people write them
TRIGGERS = '''
SET sql_mode = '';
CREATE TRIGGER `twice` BEFORE INSERT ON `item` FOR EACH ROW SET NEW.n = NEW.n * 2;
CREATE TRIGGER one_more BEFORE INSERT ON item FOR EACH ROW SET NEW.n = NEW.n + 1;
CREATE TRIGGER before_all BEFORE INSERT ON item FOR EACH ROW PRECEDES twice SET NEW.n = NEW.n + 5;
SET sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES';
DELIMITER //
CREATE TRIGGER "logs ""all""" AFTER INSERT ON "item" FOR EACH ROW BEGIN
  -- a comment; with a semicolon, and FOR EACH ROW in it
  INSERT INTO log (what) VALUES (CONCAT('é new ', NEW.id));
END//
DELIMITER ;
CREATE TRIGGER logs_gone AFTER DELETE ON item FOR EACH ROW
  INSERT INTO log (what) VALUES (CONCAT('gone ', OLD.id));
'''


@pytest.fixture
def items(server: Server, database: str) -> str:
    server.sql(TABLES, database)
    server.sql(TRIGGERS, database)
    return database


def check_firing(server: Server, schema: str) -> None:
    """The three in their order, once each: (n + 5) * 2 + 1."""
    server.sql("DELETE FROM log; INSERT INTO item (id, n) VALUES (90, 1)", schema)
    server.sql("DELETE FROM item WHERE id = 90", schema)
    assert server.query("SELECT what FROM log ORDER BY id", schema) == [
        ("é new 90",),
        ("gone 90",),
    ]
    server.sql("INSERT INTO item (id, n) VALUES (91, 1)", schema)
    assert server.value("SELECT n FROM item WHERE id = 91", schema) == "13"
    server.sql("DELETE FROM item WHERE id = 91; DELETE FROM log", schema)


def test_triggers_are_what_they_were(server: Server, vault: Path, items: str) -> None:
    before = trigger_list(server, items)
    assert len(before) == 5
    cut = Cut(server, vault, staged(server, vault, items, ["item"]))
    assert server.value("SELECT COUNT(*) FROM log", items) == "0"  # loading fired none
    assert cut.swap().findings == ()
    assert trigger_list(server, items) == before
    check_firing(server, items)
    cut.rollback(yes=True)
    assert trigger_list(server, items) == before
    check_firing(server, items)
    cut.cleanup()
    assert trigger_list(server, items) == before
    assert own_tables(server, items) == []


def test_the_snapshot_s_triggers_win_and_it_is_said(
    server: Server, vault: Path, items: str
) -> None:
    before = trigger_list(server, items)
    cut = Cut(server, vault, staged(server, vault, items, ["item"]))
    server.sql(
        """DROP TRIGGER one_more; DROP TRIGGER twice;
           CREATE TRIGGER twice BEFORE INSERT ON item FOR EACH ROW SET NEW.n = NEW.n * 3;
           CREATE TRIGGER newer BEFORE UPDATE ON item FOR EACH ROW SET NEW.note = 'changed'""",
        items,
    )
    changed = trigger_list(server, items)
    hints = " / ".join(cut.swap().hints)
    assert trigger_list(server, items) == before
    assert "`newer` of" in hints and "is not in the snapshot" in hints
    assert "`twice` of" in hints and "changed since the snapshot" in hints
    assert "`one_more` of" in hints and "will be there again" in hints
    cut.rollback()
    assert trigger_list(server, items) == changed


def test_a_trigger_that_cannot_come_back_stops_the_swap(
    server: Server, vault: Path, items: str
) -> None:
    cut = Cut(server, vault, staged(server, vault, items, ["item"]))
    server.sql("DROP TRIGGER twice; ALTER TABLE log ADD n INT", items)
    server.sql("CREATE TRIGGER twice BEFORE INSERT ON log FOR EACH ROW SET NEW.n = 1", items)
    before = trigger_list(server, items)
    with pytest.raises(CannotComplete, match=r"`twice` of .*item cannot come back: table .*log"):
        cut.swap()
    assert trigger_list(server, items) == before


@pytest.fixture
def poor(server: Server, items: str) -> Iterator[Server]:
    """An account that may drop triggers, but not make one in the name of another account."""
    server.sql(
        f"""DROP USER IF EXISTS 'poor'@'%'; CREATE USER 'poor'@'%' IDENTIFIED BY 'poor';
            GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, TRIGGER,
              LOCK TABLES, REFERENCES ON `{items}`.* TO 'poor'@'%'"""
    )
    yield server
    server.sql("DROP USER 'poor'@'%'")


def test_no_trigger_is_dropped_that_the_account_could_not_make(
    poor: Server, vault: Path, items: str
) -> None:
    run = staged(poor, vault, items, ["item"])
    before = trigger_list(poor, items)
    with pytest.raises(CannotComplete, match=r"trigger `.*` could not be made again") as caught:
        swap(poor.options(user="poor", password="poor"), run, vault / ".runs")
    assert caught.value.hint and "nothing was touched" in caught.value.hint
    assert trigger_list(poor, items) == before
    assert len(own_tables(poor, items)) == 1


def test_a_trigger_the_account_may_make_is_moved_without_locks(
    server: Server, vault: Path, database: str
) -> None:
    """Table privileges only: no LOCK TABLES, the same result."""
    server.sql(TABLES, database)
    server.sql(
        f"""DROP USER IF EXISTS 'poor'@'%'; CREATE USER 'poor'@'%' IDENTIFIED BY 'poor';
            GRANT SELECT, INSERT, UPDATE, CREATE, DROP, ALTER, TRIGGER, REFERENCES, INDEX
              ON `{database}`.* TO 'poor'@'%'; SET GLOBAL log_bin_trust_function_creators = 1"""
    )
    try:
        connection = server.connect(user="poor", password="poor", database=database)
        connection.cursor().execute(
            "CREATE TRIGGER mine BEFORE INSERT ON item FOR EACH ROW SET NEW.n = 7"
        )
        connection.close()
        before = trigger_list(server, database)
        run = staged(server, vault, database, ["item"])
        done = swap(server.options(user="poor", password="poor"), run, vault / ".runs")
        assert done.status == "swapped"
        assert trigger_list(server, database) == before
    finally:
        server.sql("DROP USER 'poor'@'%'; SET GLOBAL log_bin_trust_function_creators = 0")


def test_keep_new_is_refused_where_triggers_would_fire_again(
    server: Server, vault: Path, items: str
) -> None:
    cut = Cut(server, vault, staged(server, vault, items, ["item"]))
    with pytest.raises(CannotComplete, match="INSERT triggers"):
        cut.swap(keep_new=True)


def test_a_copy_gets_no_triggers(server: Server, vault: Path, items: str) -> None:
    from tablevault.model import TableName

    before = trigger_list(server, items)
    run = staged(server, vault, items, ["item"], as_table=TableName(items, "item_copy"))
    done = Cut(server, vault, run).swap()
    assert trigger_list(server, items) == before
    assert any("gets no triggers" in hint for hint in done.hints)

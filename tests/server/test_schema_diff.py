"""Every difference between two definitions is named, and what is shown for its undo undoes it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tablevault.model import TableDef, TableName
from tablevault.mysql import catalog
from tablevault.mysql.connect import Connection, connect
from tablevault.mysql.session import defining
from tablevault.ops.schema_diff import schema_differences, undo_statements
from tests.servers import Server
from tests.support.facts import show_create

TABLE = (
    "CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, a INT DEFAULT -1 COMMENT 'it''s', "
    "s VARCHAR(20) CHARACTER SET latin1 NOT NULL DEFAULT 'q', e VARCHAR(20) COLLATE utf8mb4_bin, "
    "ts TIMESTAMP(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), "
    "v INT GENERATED ALWAYS AS (a * 2) VIRTUAL, w VARCHAR(30) GENERATED ALWAYS AS (CONCAT(s, s)) "
    "STORED, b BIT(3) DEFAULT b'101', en ENUM('a', 'b,)`') DEFAULT 'a', c INT CHECK (c > 0), "
    "hid INT INVISIBLE DEFAULT 7, pid INT, amount DECIMAL(8,2), KEY ka (a) COMMENT 'why', "
    "UNIQUE KEY u (s(5), a), KEY kv (v), FULLTEXT KEY ft (e), CONSTRAINT low CHECK (a < 1000), "
    "CONSTRAINT {fk} FOREIGN KEY (pid) REFERENCES p (id) ON DELETE CASCADE) "
    "CHARACTER SET utf8mb4 COMMENT='before'"
)
TRIGGERS = (
    "CREATE TRIGGER {one} BEFORE INSERT ON t FOR EACH ROW SET NEW.a = NEW.a + 1",
    "CREATE TRIGGER {two} BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.a = 1; SET NEW.c = 1; END",
    "CREATE TRIGGER {three} AFTER UPDATE ON t FOR EACH ROW SET @x = 'it''s ä'",
)

# what somebody did, and what must be said of it
CASES = {
    "column dropped": ("ALTER TABLE t DROP COLUMN amount", ["column `amount` missing"]),
    "column dropped with its key": (
        "ALTER TABLE t DROP COLUMN v",
        ["column `v` missing", "key `kv` missing"],
    ),
    "column added": ("ALTER TABLE t ADD COLUMN n INT AFTER a", ["column `n` extra"]),
    "column renamed": (
        "ALTER TABLE t RENAME COLUMN amount TO total",
        ["column `amount` renamed: to `total`"],
    ),
    "column renamed that a key has": (
        "ALTER TABLE t RENAME COLUMN e TO f",
        ["column `e` renamed: to `f`"],
    ),
    "column dropped, another one added elsewhere": (
        "ALTER TABLE t DROP COLUMN amount, ADD COLUMN total DECIMAL(8,2) FIRST",
        ["column `total` extra", "column `amount` missing"],
    ),
    "type": (
        "ALTER TABLE t MODIFY amount DECIMAL(10,2)",
        ["column `amount` changed: type"],
    ),
    "type and place": (
        "ALTER TABLE t MODIFY amount DOUBLE FIRST",
        ["column `amount` changed: type, place"],
    ),
    "order": (
        "ALTER TABLE t MODIFY b BIT(3) DEFAULT b'101' AFTER id, MODIFY id INT NOT NULL "
        "AUTO_INCREMENT AFTER amount",
        ["column `id` moved", "column `b` moved"],
    ),
    "default": ("ALTER TABLE t ALTER COLUMN a SET DEFAULT 5", ["column `a` changed: default"]),
    "no default": ("ALTER TABLE t ALTER COLUMN a DROP DEFAULT", ["column `a` changed: default"]),
    "nullability": (
        "ALTER TABLE t MODIFY amount DECIMAL(8,2) NOT NULL",
        ["column `amount` changed: nullability"],
    ),
    "charset": (
        "ALTER TABLE t MODIFY e VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_bin",
        ["column `e` changed: charset"],
    ),
    "collation": (
        "ALTER TABLE t MODIFY e VARCHAR(20) COLLATE utf8mb4_general_ci",
        ["column `e` changed: collation"],
    ),
    "expression": (
        "ALTER TABLE t MODIFY v INT GENERATED ALWAYS AS (a * 3) VIRTUAL",
        ["column `v` changed: generation"],
    ),
    "stored, no longer computed": (
        "ALTER TABLE t MODIFY w VARCHAR(30)",
        ["column `w` changed: generation, storage of the generated value"],
    ),
    "computed, no longer stored": (
        "ALTER TABLE t DROP COLUMN amount, ADD COLUMN amount DECIMAL(8,2) "
        "GENERATED ALWAYS AS (a * 2) VIRTUAL",
        ["column `amount` changed: generation, storage of the generated value"],
    ),
    "column comment": (
        "ALTER TABLE t MODIFY a INT DEFAULT -1 COMMENT 'other'",
        ["column `a` changed: comment"],
    ),
    "on update": (
        "ALTER TABLE t MODIFY ts TIMESTAMP(3) NULL DEFAULT CURRENT_TIMESTAMP(3)",
        ["column `ts` changed: on update"],
    ),
    "members": (
        "ALTER TABLE t MODIFY en ENUM('a', 'b,)`', 'c') DEFAULT 'a'",
        ["column `en` changed: type"],
    ),
    "column no longer hidden": (
        "ALTER TABLE t MODIFY hid INT DEFAULT 7",
        ["column `hid` changed: visibility"],
    ),
    "key dropped": ("ALTER TABLE t DROP KEY ka", ["key `ka` missing"]),
    "key added": ("ALTER TABLE t ADD KEY more (amount)", ["key `more` extra"]),
    "key renamed": ("ALTER TABLE t RENAME INDEX ka TO kb", ["key `ka` renamed: to `kb`"]),
    "key changed": (
        "ALTER TABLE t DROP KEY u, ADD KEY u (s(5), a)",
        ["key `u` changed"],
    ),
    "primary key": (
        "ALTER TABLE t MODIFY id INT NOT NULL, DROP PRIMARY KEY",
        ["column `id` changed: auto_increment", "key `PRIMARY` missing"],
    ),
    "counting column dropped": (
        "ALTER TABLE t DROP COLUMN id",
        ["column `id` missing", "key `PRIMARY` missing"],
    ),
    "foreign key dropped": (
        "ALTER TABLE t DROP FOREIGN KEY {fk}",
        ["foreign key `{fk}` missing"],
    ),
    "foreign key dropped with its column": (
        "ALTER TABLE t DROP FOREIGN KEY {fk}, DROP KEY {fk}, DROP COLUMN pid",
        ["column `pid` missing", "key `{fk}` missing", "foreign key `{fk}` missing"],
    ),
    "foreign key changed": (
        "ALTER TABLE t DROP FOREIGN KEY {fk}; ALTER TABLE t ADD CONSTRAINT {fk} FOREIGN KEY (pid) "
        "REFERENCES p (id)",
        ["foreign key `{fk}` changed"],
    ),
    "foreign key added": (
        "ALTER TABLE t ADD CONSTRAINT {fk}2 FOREIGN KEY (a) REFERENCES p (id)",
        ["foreign key `{fk}2` extra"],
    ),
    "check dropped": ("ALTER TABLE t DROP CONSTRAINT low", ["check `low` missing"]),
    "check added": (
        "ALTER TABLE t ADD CONSTRAINT more CHECK (a > -9)",
        ["check `more` extra"],
    ),
    "check changed": (
        "ALTER TABLE t DROP CONSTRAINT low; ALTER TABLE t ADD CONSTRAINT low CHECK (a < 999)",
        ["check `low` changed"],
    ),
    "table comment": ("ALTER TABLE t COMMENT='after'", ["option `COMMENT` changed"]),
    "row format": ("ALTER TABLE t ROW_FORMAT=COMPRESSED", ["option `ROW_FORMAT` changed"]),
    "options": (
        "ALTER TABLE t COMMENT='', STATS_PERSISTENT=0, ROW_FORMAT=COMPRESSED, "
        "MAX_ROWS=1000, AUTO_INCREMENT=900",
        [
            "option `COMMENT` changed",
            "option `MAX_ROWS` changed",
            "option `STATS_PERSISTENT` changed",
            "option `ROW_FORMAT` changed",
        ],
    ),
    "charset of new columns": ("ALTER TABLE t DEFAULT CHARSET=latin1", ["charset changed"]),
    "all text in another charset": (
        "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb3",
        [
            "charset changed",
            "column `s` changed: charset",
            "column `e` changed: charset",
            "column `w` changed: charset",
            "column `en` changed: charset",
        ],
    ),
    "partitioned": (
        "ALTER TABLE t DROP FOREIGN KEY {fk}, DROP KEY ft, DROP KEY u; "
        "ALTER TABLE t PARTITION BY HASH (id) PARTITIONS 3",
        [
            "key `u` missing",
            "key `ft` missing",
            "partitions changed",
            "foreign key `{fk}` missing",
        ],
    ),
    "trigger dropped": ("DROP TRIGGER {one}", ["trigger `{one}` missing"]),
    "trigger added": (
        "CREATE TRIGGER {one}_ BEFORE UPDATE ON t FOR EACH ROW SET NEW.a = 1",
        ["trigger `{one}_` extra"],
    ),
    "trigger of another body": (
        "DROP TRIGGER {one}; CREATE TRIGGER {one} BEFORE INSERT ON t FOR EACH ROW "
        "PRECEDES {two} SET NEW.a = NEW.a + 2",
        ["trigger `{one}` changed: body"],
    ),
    "trigger of another mode": (
        "SET sql_mode = 'ANSI'; DROP TRIGGER {three}; "
        "CREATE TRIGGER {three} AFTER UPDATE ON t FOR EACH ROW SET @x = 'it''s ä'",
        ["trigger `{three}` changed: sql_mode"],
    ),
    "trigger of another definer": (
        "DROP TRIGGER {three}; CREATE DEFINER=nobody@localhost "
        "TRIGGER {three} AFTER UPDATE ON t FOR EACH ROW SET @x = 'it''s ä'",
        ["trigger `{three}` changed: definer"],
    ),
    "triggers in another order": (
        "DROP TRIGGER {one}; CREATE TRIGGER {one} BEFORE INSERT ON t FOR EACH ROW "
        "SET NEW.a = NEW.a + 1",
        ["trigger `{two}` moved"],
    ),
}


@pytest.fixture
def conn(server: Server) -> Iterator[Connection]:
    with connect(server.options()) as conn:
        yield conn


def fill(text: str) -> str:
    """The text with the names of its constraints and triggers."""
    for name, value in (("fk", "parent"), ("one", "g1"), ("two", "g2"), ("three", "g3")):
        text = text.replace(f"{{{name}}}", value)
    return text


def set_up(server: Server, database: str) -> None:
    made = ["CREATE TABLE p (id INT PRIMARY KEY)", TABLE, *TRIGGERS]
    server.sql("DELIMITER //\n" + "".join(f"{fill(one)}//\n" for one in made), database)


def look(server: Server, database: str) -> list[str]:
    """The definition through the server's own client; the order of indexes does not count."""
    shown = re.sub(r" AUTO_INCREMENT=\d+", "", show_create(server, database, "t"))
    triggers = server.query(
        "SELECT TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION, ACTION_STATEMENT, ACTION_ORDER, "
        "SQL_MODE, DEFINER, CHARACTER_SET_CLIENT, COLLATION_CONNECTION "
        "FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = DATABASE() "
        "ORDER BY TRIGGER_NAME",
        database,
    )
    lines = [line.rstrip(",") for line in shown.splitlines()]
    keys = [line for line in lines if re.match(r"\s+(\w+ )?KEY `", line)]
    return [*(line for line in lines if line not in keys), *sorted(keys), *map(str, triggers)]


def definition(conn: Connection, database: str) -> TableDef:
    return catalog.table_definition(conn, TableName(database, "t"), identity=False)


@pytest.mark.parametrize("case", CASES)
def test_a_difference_is_named_and_undone(
    server: Server, database: str, conn: Connection, case: str
) -> None:
    done, said = CASES[case]
    set_up(server, database)
    before, shown = definition(conn, database), look(server, database)
    server.sql(fill(done), database)
    assert look(server, database) != shown
    differences = schema_differences(before, definition(conn, database))
    assert [str(one) for one in differences] == [fill(text) for text in said]
    undo(conn, before, definition(conn, database))
    assert look(server, database) == shown
    assert schema_differences(before, definition(conn, database)) == ()


def test_a_table_that_is_gone_comes_back_empty(
    server: Server, database: str, conn: Connection
) -> None:
    set_up(server, database)
    before, shown = definition(conn, database), look(server, database)
    server.sql("DROP TABLE t", database)
    [gone] = schema_differences(before, None)
    assert str(gone) == "table missing"
    with defining(conn):
        for statement in gone.undo:
            conn.execute(statement)
    assert look(server, database) == shown


def undo(conn: Connection, before: TableDef, after: TableDef) -> None:
    with defining(conn):
        for statement in undo_statements(schema_differences(before, after)):
            conn.execute(statement)


def test_block_size_of_each_index_needs_a_second_look(
    server: Server, database: str, conn: Connection
) -> None:
    """MariaDB writes it only where it is not the table's, and keeps it when the table's goes."""
    set_up(server, database)
    before, shown = definition(conn, database), look(server, database)
    server.sql("ALTER TABLE t ROW_FORMAT=COMPRESSED, KEY_BLOCK_SIZE=4", database)
    differences = schema_differences(before, definition(conn, database))
    assert ["compare again" in one.note for one in differences] == [False, True]
    for _ in range(2):
        undo(conn, before, definition(conn, database))
    assert look(server, database) == shown


PERIODS = {
    "versioning dropped": (
        "CREATE TABLE t (id INT PRIMARY KEY, a INT) WITH SYSTEM VERSIONING",
        "DROP SYSTEM VERSIONING",
        ["option `WITH SYSTEM VERSIONING` changed"],
    ),
    "versioning added": (
        "CREATE TABLE t (id INT PRIMARY KEY, a INT)",
        "ADD SYSTEM VERSIONING",
        ["option `WITH SYSTEM VERSIONING` changed"],
    ),
    "column of a versioned table": (
        "CREATE TABLE t (id INT PRIMARY KEY, a INT) WITH SYSTEM VERSIONING",
        "MODIFY a BIGINT, ADD b INT",
        ["column `b` extra", "column `a` changed: type"],
    ),
    "period dropped": (
        "CREATE TABLE t (id INT, s DATE NOT NULL, e DATE NOT NULL, PERIOD FOR p (s, e))",
        "DROP PERIOD FOR p",
        ["period missing"],
    ),
    "period added": (
        "CREATE TABLE t (id INT, s DATE NOT NULL, e DATE NOT NULL)",
        "ADD PERIOD FOR p (s, e)",
        ["period extra"],
    ),
}


@pytest.mark.parametrize("case", PERIODS)
def test_periods_of_mariadb(mariadb: Server, database: str, case: str) -> None:
    create, alter, said = PERIODS[case]
    mariadb.sql(create, database)
    with connect(mariadb.options()) as conn:
        before, shown = definition(conn, database), look(mariadb, database)
        mariadb.sql(f"SET system_versioning_alter_history = KEEP; ALTER TABLE t {alter}", database)
        assert look(mariadb, database) != shown
        differences = schema_differences(before, definition(conn, database))
        assert [str(one) for one in differences] == said
        undo(conn, before, definition(conn, database))
    assert look(mariadb, database) == shown


def test_equal_definitions_do_not_differ(server: Server, database: str, conn: Connection) -> None:
    set_up(server, database)
    before = definition(conn, database)
    server.sql(
        "ALTER TABLE t AUTO_INCREMENT=77, DROP KEY ka, ADD KEY ka (a) COMMENT 'why'", database
    )
    assert schema_differences(before, definition(conn, database)) == ()

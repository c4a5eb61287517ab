"""Swap, rollback, cleanup of tables on their own: ids, rows of both sides, what stays by name."""

from __future__ import annotations

import itertools
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tablevault.errors import CannotComplete, ConsentNeeded
from tablevault.vault.journal import read_journal
from tests.servers import Server
from tests.support.cutover import Cut, definitions, own_tables, staged
from tests.support.shell import Shell

ITEMS = """
CREATE TABLE item (
  id INT NOT NULL AUTO_INCREMENT, name VARCHAR(40) CHARACTER SET latin1 NOT NULL, n INT,
  PRIMARY KEY (id), KEY (n)) ENGINE=InnoDB ROW_FORMAT=DYNAMIC COMMENT='it''s what we sell'
  PARTITION BY HASH (id) PARTITIONS 3;
INSERT INTO item (name, n) VALUES ('a', 1), ('b', 2), ('c', 3);
CREATE VIEW cheap AS SELECT id, name FROM item WHERE n < 3;
"""


@pytest.fixture
def items(server: Server, database: str) -> str:
    server.sql(ITEMS, database)
    return database


def ids(server: Server, schema: str, table: str = "item") -> str | None:
    return server.value(f"SELECT GROUP_CONCAT(id ORDER BY id) FROM `{table}`", schema)


def next_id(server: Server, schema: str) -> int:
    server.sql("INSERT INTO item (name, n) VALUES ('next', 9)", schema)
    return int(server.value("SELECT MAX(id) FROM item", schema) or 0)


def test_all_that_hangs_on_the_name_stays(server: Server, vault: Path, items: str) -> None:
    server.sql(
        f"""DROP USER IF EXISTS 'clerk'@'%'; CREATE USER 'clerk'@'%' IDENTIFIED BY 'clerk';
            GRANT SELECT ON `{items}`.item TO 'clerk'@'%';
            GRANT SELECT ON `{items}`.cheap TO 'clerk'@'%'"""
    )
    try:
        before = definitions(server, items)
        cut = Cut(server, vault, staged(server, vault, items, ["item"]))
        server.sql("UPDATE item SET name = 'ruined'", items)
        done = cut.swap()
        assert (done.status, done.findings, done.hints) == ("swapped", (), ())
        assert definitions(server, items) == before
        clerk = server.connect(user="clerk", password="clerk", database=items)
        cursor = clerk.cursor()
        for table in ("item", "cheap"):
            cursor.execute(f"SELECT name FROM {table} ORDER BY id LIMIT 1")
            assert cursor.fetchall() == [("a",)]
        clerk.close()
    finally:
        server.sql("DROP USER 'clerk'@'%'")


def test_ids_go_on_where_the_live_table_was(server: Server, vault: Path, items: str) -> None:
    cut = Cut(server, vault, staged(server, vault, items, ["item"]))
    server.sql("INSERT INTO item (id, name, n) VALUES (70, 'x', 1)", items)
    server.sql("DELETE FROM item WHERE id = 70", items)
    cut.swap()
    assert next_id(server, items) == 71
    server.sql("INSERT INTO item (id, name, n) VALUES (90, 'x', 1)", items)
    with pytest.raises(ConsentNeeded, match=r"2 rows of .*item written since the swap"):
        cut.rollback()
    cut.rollback(yes=True)
    assert next_id(server, items) == 91


def test_ids_issued_while_it_is_swapped_are_left_out(
    server: Server, vault: Path, items: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application that inserts at every look: its next ids are beyond what the swap saw."""
    from tablevault.ops.cutover_checks import AutoIncrement

    cut = Cut(server, vault, staged(server, vault, items, ["item"]))
    look = AutoIncrement.fit

    def busy(self: AutoIncrement) -> None:
        if server.family == "mariadb":  # on MySQL the table is locked here
            server.sql("INSERT INTO item (name, n) VALUES ('busy', 1), ('busy', 2)", items)
        look(self)

    monkeypatch.setattr(AutoIncrement, "fit", busy)
    cut.swap()
    issued = int(server.value(f"SELECT MAX(id) FROM `{own_tables(server, items)[0]}`", items) or 0)
    assert next_id(server, items) > issued + (10 if server.family == "mariadb" else 0)


def test_new_rows_are_counted_and_carried_over(server: Server, vault: Path, items: str) -> None:
    cut = Cut(server, vault, staged(server, vault, items, ["item"]))
    rows = ", ".join(f"({n}, 'new {n}', {n})" for n in range(100, 2700))
    server.sql(f"UPDATE item SET n = 0; INSERT INTO item (id, name, n) VALUES {rows}", items)
    done = cut.swap(keep_new=True)
    assert [(t.new_rows, t.carried) for t in done.tables] == [(2600, 2600)]
    assert server.value("SELECT COUNT(*) FROM item", items) == "2603"
    assert server.value("SELECT SUM(n) FROM item WHERE id < 100", items) == "6"
    assert cut.swap(keep_new=True).tables[0].carried == 0  # again: nothing twice


def test_rows_are_carried_along_any_key(server: Server, vault: Path, database: str) -> None:
    server.sql(
        """CREATE TABLE pair (a VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german1_ci, b INT,
             v BLOB, u INT UNIQUE, g INT AS (b + 1), PRIMARY KEY (a, b));
           INSERT INTO pair (a, b, v, u) VALUES ('ä', 1, X'00FF', 1), ('z', 1, NULL, 2)""",
        database,
    )
    cut = Cut(server, vault, staged(server, vault, database, ["pair"]))
    server.sql(
        """INSERT INTO pair (a, b, v, u) VALUES ('Ö', 7, X'FE00', 3), ('ä', 0, 'x', NULL);
           UPDATE pair SET u = 9 WHERE a = 'z'; INSERT INTO pair (a, b, u) VALUES ('y', 5, 2)""",
        database,
    )
    done = cut.swap(keep_new=True)
    assert [(t.new_rows, t.carried) for t in done.tables] == [(3, 2)]
    (finding,) = done.findings  # ('y', 5) has the unique value of ('z', 1)
    assert (finding.kind, "1 new rows did not fit" in finding.message) == ("not carried over", True)
    found = server.query("SELECT HEX(a), b, HEX(v), g FROM pair ORDER BY a, b", database)
    assert ("D6", "7", "FE00", "8") in found and len(found) == 4


def test_without_a_key_rows_are_counted_by_number(
    server: Server, vault: Path, database: str
) -> None:
    server.sql("CREATE TABLE bare (n INT); INSERT INTO bare VALUES (1), (1)", database)
    cut = Cut(server, vault, staged(server, vault, database, ["bare"]))
    server.sql("INSERT INTO bare VALUES (1), (2), (3)", database)
    with pytest.raises(CannotComplete, match="no key"):
        cut.swap(keep_new=True)
    assert cut.swap().tables[0].new_rows == 3
    server.sql("INSERT INTO bare VALUES (8), (8), (8), (8)", database)
    with pytest.raises(ConsentNeeded, match=r"1 rows of .*bare"):
        cut.rollback()  # 6 rows against 5: all that can be told without a key


def test_a_rollback_after_deletes_needs_no_consent(server: Server, vault: Path, items: str) -> None:
    """Rows that came with the restore are in the snapshot, too."""
    cut = Cut(server, vault, staged(server, vault, items, ["item"]))
    server.sql("DELETE FROM item WHERE id > 1", items)
    cut.swap()
    assert ids(server, items) == "1,2,3"
    assert cut.rollback().status == "rolled back"
    assert ids(server, items) == "1"
    assert cut.rollback().status == "rolled back"  # again: nothing to do


def test_a_table_that_is_gone_is_put_back(server: Server, vault: Path, items: str) -> None:
    cut = Cut(server, vault, staged(server, vault, items, ["item"]))
    server.sql("DROP VIEW cheap; DROP TABLE item", items)
    done = cut.swap()
    assert (done.tables[0].kept, done.tables[0].new_rows) == (None, None)
    assert ids(server, items) == "1,2,3"
    server.sql("INSERT INTO item (name, n) VALUES ('d', 4)", items)
    with pytest.raises(ConsentNeeded, match="1 rows"):
        cut.rollback()
    cut.rollback(yes=True)
    assert "item" not in definitions(server, items)


def test_several_tables_change_in_one_statement(server: Server, vault: Path, database: str) -> None:
    for name in ("a", "b", "c"):
        server.sql(
            f"CREATE TABLE {name} (id INT PRIMARY KEY); INSERT INTO {name} VALUES (1)", database
        )
    cut = Cut(server, vault, staged(server, vault, database, ["a", "b", "c"]))
    server.sql("DELETE FROM a; DELETE FROM b; DELETE FROM c", database)
    cut.swap()
    steps = [e["step"] for e in read_journal(cut.state / cut.run) if e["kind"] == "cut-over"]
    renames = {step for step in steps if step.startswith("renaming")}
    (rename,) = renames
    assert all(f".{name} to" in rename for name in "abc")
    assert [ids(server, database, name) for name in "abc"] == ["1", "1", "1"]


def test_named_checks_come_back_or_it_is_said(server: Server, vault: Path, database: str) -> None:
    server.sql(
        "CREATE TABLE amount (id INT PRIMARY KEY, n INT, CONSTRAINT positive CHECK (n > 0));"
        "INSERT INTO amount VALUES (1, 1)",
        database,
    )
    before = definitions(server, database)
    cut = Cut(server, vault, staged(server, vault, database, ["amount"]))
    done = cut.swap()
    assert done.findings == ()
    if server.family == "mariadb":
        assert definitions(server, database) == before and done.hints == ()
    else:
        assert any("CHECKs positive" in hint for hint in done.hints)
    with pytest.raises(AssertionError, match=r"(?i)constraint"):
        server.sql("INSERT INTO amount VALUES (2, -1)", database)


def test_no_second_without_a_word(server: Server, vault: Path, items: str) -> None:
    cut = Cut(server, vault, staged(server, vault, items, ["item"]))
    cut.swap()
    cut.rollback()
    times = [event.time for event in cut.events]
    assert max(b - a for a, b in itertools.pairwise(times)) <= 1.0


def test_a_cut_over_of_tables_in_use_is_interrupted_whole(
    tool: Shell, server: Server, vault: Path, items: str
) -> None:
    run = staged(server, vault, items, ["item"])
    holder = server.connect(database=items, autocommit=False)
    holder.cursor(buffered=True).execute("SELECT COUNT(*) FROM item")
    try:
        process = tool.start("swap", run, "--json")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(4)
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=40)
    finally:
        holder.close()
    assert process.returncode == 130, (out, told)
    cut = Cut(server, vault, run)
    assert cut.swap().status == "swapped"


def test_the_command_line_asks_before_rows_go(tool: Shell, server: Server, items: str) -> None:
    snapshot = tool.json("snapshot", f"{items}.item")["snapshot"]
    server.sql("INSERT INTO item (name, n) VALUES ('d', 4)", items)
    swapped: dict[str, Any] = tool.json("restore", snapshot, "--swap", "--keep-new")
    assert (swapped["outcome"], swapped["tables"][0]["table"]) == ("swapped", f"{items}.item")
    assert ids(server, items) == "1,2,3,4"
    server.sql("INSERT INTO item (name, n) VALUES ('e', 5)", items)
    refused = tool("rollback", swapped["run"])
    assert refused.code == 4
    assert "1 rows" in refused.stderr and "--yes" in refused.stderr
    assert tool("rollback", swapped["run"], "--yes").code == 0
    assert ids(server, items) == "1,2,3,4"
    assert tool("cleanup", swapped["run"]).code == 0
    assert own_tables(server, items) == []


def test_orphans_found_afterwards_are_an_exit_code(
    tool: Shell, server: Server, database: str
) -> None:
    server.sql(
        """CREATE TABLE p (id INT PRIMARY KEY); CREATE TABLE c (id INT PRIMARY KEY, p INT,
             CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p (id));
           INSERT INTO p VALUES (1)""",
        database,
    )
    snapshot = tool.json("snapshot", f"{database}.p")["snapshot"]
    server.sql("INSERT INTO p VALUES (2); INSERT INTO c VALUES (1, 2)", database)
    refused = tool("restore", snapshot, "--swap")
    assert refused.code == 4
    assert "`c_p`" in refused.stderr and "--allow-orphans" in refused.stderr
    run = next(path.parent.name for path in (tool.vault / ".runs").glob("*/journal.jsonl"))
    assert tool("swap", run, "--allow-orphans").code == 0

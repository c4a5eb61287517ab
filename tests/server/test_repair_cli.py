"""`tablevault repair` as it is typed: the plan, --columns, --rows-only, exit codes, the undo."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.servers import Server
from tests.support.facts import facts
from tests.support.shell import Shell

TABLE = """
CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(30), price DECIMAL(10,2), note TEXT,
  KEY k (name));
INSERT INTO item VALUES (1, 'one', 1.50, 'a'), (2, 'two', 2.50, 'b'), (3, NULL, NULL, NULL);
"""


@pytest.fixture
def name(tool: Shell, server: Server, database: str) -> str:
    server.sql(TABLE, database)
    assert tool("snapshot", f"{database}.item").code == 0
    return f"{database}.item"


def test_a_plan_says_what_it_would_do_and_a_repair_does_it(
    tool: Shell, server: Server, database: str, name: str
) -> None:
    before = facts(server, database, "item")
    server.sql("UPDATE item SET price = 9 WHERE id = 1; DELETE FROM item WHERE id = 3", database)
    plan = tool("repair", "latest", name)
    assert plan.code == 3
    assert f"{name}: 2 rows would be written" in plan.stdout
    assert "update 1 row: price in 1" in plan.stdout and "insert 1 missing row" in plan.stdout
    assert "nothing was changed: the same command with --execute does it" in plan.stdout
    assert tool("repair", "latest", name, "--dry-run").code == 3
    done = tool("repair", "latest", name, "--execute")
    assert done.code == 0, done.stderr
    proven = (
        "1 row updated, 1 inserted; each of these rows proven equal to the snapshot, every other"
    )
    assert proven in done.stdout
    assert facts(server, database, "item") == before
    assert tool("repair", "latest", name).code == 0
    undo = done.stdout.splitlines()[done.stdout.splitlines().index("to undo it:") + 1]
    assert tool(*shlex.split(undo)[1:], connect=False).code == 0
    assert server.value("SELECT price FROM item WHERE id = 1", database) == "9.00"


def test_only_some_columns(tool: Shell, server: Server, database: str, name: str) -> None:
    server.sql(
        "UPDATE item SET price = 9, note = 'x', name = 'y'; DELETE FROM item WHERE id = 2;"
        "ALTER TABLE item MODIFY note VARCHAR(99), DROP KEY k, MODIFY price DECIMAL(10,0)",
        database,
    )
    plan = json.loads(tool("repair", "latest", name, "--columns", "price,name", "--json").stdout)
    [table] = plan["plans"]
    assert (table["rows"], set(table["changed_columns"])) == (2, {"price", "name"})
    assert [text for text in table["alter"] if "note" in text] == []
    assert any("missing rows stay missing" in note for note in table["notes"])
    done = tool("repair", "latest", name, "--columns", "price,name", "--execute")
    assert done.code == 0, done.stderr
    assert server.query("SELECT * FROM item ORDER BY id", database) == [
        ("1", "one", "1.50", "x"),
        ("3", None, None, "x"),
    ]
    create = facts(server, database, "item").create
    assert "`note` varchar(99)" in create and "decimal(10,2)" in create and "KEY `k`" not in create


def test_what_cannot_be_meant(tool: Shell, name: str) -> None:
    for words in (
        ("--columns", "nix"),
        ("--columns", "id"),
        ("--columns", "price", "--delete-extra"),
        ("--execute", "--dry-run"),
        ("--undo", "x"),
    ):
        refused = tool("repair", "latest", name, *words)
        assert refused.code == 2, words
    assert tool("repair", "latest").code == 2


def test_a_definition_alone(tool: Shell, server: Server, database: str, name: str) -> None:
    before = facts(server, database, "item")
    server.sql("ALTER TABLE item DROP KEY k, RENAME COLUMN price TO cost", database)
    plan = tool("repair", "latest", name)
    assert plan.code == 3
    assert "first ALTER TABLE" in plan.stdout and "RENAME COLUMN `cost` TO `price`" in plan.stdout
    refused = tool("repair", "latest", name, "--rows-only", "--execute")
    assert refused.code and "column `price` is called `cost` now" in refused.stderr
    done = tool("repair", "latest", name, "--execute", "--json")
    assert done.code == 0, done.stderr
    [table] = json.loads(done.stdout)["tables"]
    assert table["altered"] and table["proven"]  # every row was compared after the ALTER
    assert facts(server, database, "item") == before

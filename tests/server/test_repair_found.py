"""`repair` goes by what the last diff has found, and takes no row on trust."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tablevault.errors import CannotComplete
from tablevault.events import Event, Hint
from tablevault.model import TableName
from tablevault.ops import repair as repairs
from tablevault.ops import repair_run, repair_stage
from tablevault.ops.diff import diff
from tablevault.ops.diff_terms import DiffOptions
from tablevault.ops.options import RestoreOptions
from tablevault.ops.repair import repair, undo
from tablevault.ops.repair_start import plan_repair
from tablevault.ops.repair_terms import RepairOptions, RepairResult
from tablevault.ops.restore import restore
from tablevault.vault.kept_rows import RowsWriter, kept_path, open_kept
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.facts import facts, leftovers
from tests.support.roundtrip import pattern, take
from tests.support.shell import Shell

TABLE = """
CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(30), price DECIMAL(10,2), note TEXT);
INSERT INTO item VALUES (1, 'one', 1.5, 'tab\\tline\\nback\\\\'), (2, NULL, NULL, NULL),
  (3, '', 3.5, 'N'), (4, 'four', 4.5, '\\\\N'), (5, 'five', 5.5, 'zero\\0'), (6, 'six', 6, 'x');
"""
DAMAGE = """
UPDATE item SET note = NULL WHERE id = 1; UPDATE item SET price = 9, name = '' WHERE id = 2;
DELETE FROM item WHERE id IN (3, 4); INSERT INTO item VALUES (7, 'new\\t', NULL, '');
"""


class Damaged:
    """A table that was taken and damaged, and what repairs it."""

    def __init__(self, server: Server, database: str, vault: Path) -> None:
        self.server, self.database, self.vault = server, database, vault
        server.sql(TABLE, database)
        self.whole = facts(server, database, "item")
        self.store = open_store(str(vault), create=True)
        self.taken = take(server, vault, [pattern(database, "item")])
        self.path = kept_path(vault / ".runs", self.taken.id, TableName(database, "item"))
        self.hints: list[str] = []
        server.sql(DAMAGE, database)

    def compare(self) -> str:
        found = diff(
            self.server.options(),
            self.store,
            "latest",
            DiffOptions(),
            state_dir=self.vault / ".runs",
        )
        return found.run

    def repair(self, **options: Any) -> RepairResult:
        def observe(event: Event) -> None:
            if isinstance(event, Hint):
                self.hints.append(event.message)

        wanted = RepairOptions(**options)
        return repair(
            self.server.options(), self.store, "latest", wanted, self.vault / ".runs", observe
        )

    def undo(self, run: str) -> None:
        assert undo(self.server.options(), self.store, run, self.vault / ".runs").findings == ()

    def facts(self) -> Any:
        return facts(self.server, self.database, "item")

    def sql(self, statements: str) -> None:
        self.server.sql(statements, self.database)


@pytest.fixture
def damaged(server: Server, database: str, vault: Path) -> Iterator[Damaged]:
    yield Damaged(server, database, vault)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repair may not compare anything."""

    def compare(*_: object, **__: object) -> None:
        raise AssertionError("it was compared anew")

    monkeypatch.setattr(repair_run, "compare", compare)


@pytest.mark.usefixtures("blind")
def test_what_a_diff_has_found_is_put_back_without_looking_again(
    damaged: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair_stage, "BATCH_ROWS", 2)
    before = damaged.facts()
    run = damaged.compare()
    assert (damaged.path.stat().st_mode & 0o777, damaged.path.parent.stat().st_mode & 0o777) == (
        0o600,
        0o700,
    )
    result = damaged.repair(delete_extra=True)
    assert result.findings == ()
    [table] = result.tables
    assert (table.changed, table.inserted, table.deleted) == (2, 2, 1)
    assert table.compared is not None and table.left is not None
    assert (table.compared.run, table.compared.before, table.again) == (run, True, False)
    assert table.left.differing_rows == 0
    assert damaged.facts() == damaged.whole
    assert any(f"diff {run} found is put back" in hint for hint in damaged.hints)
    assert not damaged.path.exists()  # it is not so any more
    damaged.undo(result.run)
    assert damaged.facts() == before


@pytest.mark.usefixtures("blind")
def test_a_plan_is_a_comparison_too(damaged: Damaged) -> None:
    arguments = damaged.server.options(), damaged.store, "latest", RepairOptions()
    planned = plan_repair(*arguments, state_dir=damaged.vault / ".runs")
    result = damaged.repair()
    [table] = result.tables
    assert table.compared is not None
    assert table.compared.run == planned.run
    assert table.left is not None and table.left.extra == 1
    assert (table.changed, table.inserted) == (2, 2)


@pytest.mark.usefixtures("blind")
def test_columns_and_conditions_restrict_what_was_found(damaged: Damaged) -> None:
    damaged.compare()
    result = damaged.repair(columns=("price",), where="id < 4")
    [table] = result.tables
    assert (table.changed, table.inserted, table.held) == (1, 0, 0)
    rows = damaged.server.query("SELECT id, name, price, note FROM item", damaged.database)
    assert ("2", "", None, None) in rows and ("1", "one", "1.50", None) in rows


@pytest.mark.usefixtures("blind")
def test_a_row_that_changed_since_the_diff_is_left_and_told(damaged: Damaged) -> None:
    damaged.compare()
    damaged.sql(
        "UPDATE item SET note = 'mine' WHERE id = 1; UPDATE item SET note = 'too' WHERE id = 2;"
        "INSERT INTO item (id) VALUES (3); UPDATE item SET name = 'other' WHERE id = 7;"
    )
    result = damaged.repair(delete_extra=True)
    told = " ".join(finding.message for finding in result.findings)
    assert "3 rows were not written" in told
    assert "1 row was put back only in part" in told
    assert damaged.server.query("SELECT id, name, note FROM item", damaged.database) == [
        ("1", "one", "mine"),
        ("2", None, "too"),
        ("3", None, None),
        ("4", "four", "\\N"),
        ("5", "five", "zero\0"),
        ("6", "six", "x"),
        ("7", "other", ""),
    ]


@pytest.mark.parametrize("prove_all", [False, True])
def test_what_was_damaged_since_the_diff_is_not_called_equal(
    damaged: Damaged, prove_all: bool
) -> None:
    damaged.compare()
    damaged.sql("UPDATE item SET price = 0 WHERE id = 6")
    result = damaged.repair(prove_all=prove_all)
    [table] = result.tables
    assert (table.changed, table.again) == (2, prove_all)
    assert [one.kind for one in result.findings] == ["differs"] * prove_all
    assert damaged.server.value("SELECT price FROM item WHERE id = 6", damaged.database) == "0.00"


def _another(damaged: Damaged, **facts: Any) -> None:
    """The same rows, of something else."""
    kept = open_kept(damaged.path)
    assert kept is not None
    lines = b"".join(line + b"\n" for line in kept.lines())
    writer = RowsWriter(damaged.path)
    writer.write(lines)
    writer.commit({**kept.facts, **facts})
    kept.close()


def _flip(damaged: Damaged) -> None:
    content = bytearray(damaged.path.read_bytes())
    content[len(content) // 3] ^= 1
    damaged.path.write_bytes(content)


UNFIT = {
    "altered or replaced": lambda one: one.sql("ALTER TABLE item COMMENT = 'x', FORCE"),
    "replaced": lambda one: one.sql(
        "CREATE TABLE copy LIKE item; INSERT INTO copy SELECT * FROM item;"
        "RENAME TABLE item TO gone, copy TO item"
    ),
    "damaged": _flip,
    "of another server": lambda one: _another(one, server="elsewhere"),
    "of another snapshot": lambda one: _another(one, chunks="0" * 64),
    "of other columns": lambda one: _another(one, columns=["id", "name", "price", "nix"]),
    "a time to come": lambda one: _another(one, ended=time.time() + 1000),
    "min old": lambda one: _another(one, ended=time.time() - 4000),
    "another version": lambda one: _another(one, ended=None),
}


@pytest.mark.parametrize("reason", UNFIT)
def test_what_does_not_fit_is_said_and_compared_anew(damaged: Damaged, reason: str) -> None:
    damaged.compare()
    UNFIT[reason](damaged)
    damaged.sql("UPDATE item SET price = 0 WHERE id = 6")
    result = damaged.repair(delete_extra=True, rows_only=reason != "altered or replaced")
    [table] = result.tables
    assert (table.changed, table.inserted, table.deleted) == (3, 2, 1)
    assert table.compared is not None and not table.compared.before
    told = " ".join(damaged.hints)
    assert "is compared anew" in told and reason in told
    assert damaged.facts().checksum == damaged.whole.checksum


def test_another_diff_takes_its_place(damaged: Damaged) -> None:
    """A table that was found equal since has nothing kept, nor one that was put back."""
    damaged.compare()
    damaged.repair(from_diff="never", delete_extra=True)
    assert not damaged.path.exists()
    damaged.sql(DAMAGE.replace("7", "8"))
    first = damaged.compare()
    second = damaged.compare()
    kept = open_kept(damaged.path)
    assert kept is not None and kept.facts["run"] == second != first
    kept.close()
    options = RestoreOptions(swap=True)
    restore(damaged.server.options(), damaged.store, "latest", options, damaged.vault / ".runs")
    damaged.compare()
    assert not damaged.path.exists()


def test_a_diff_may_be_named(damaged: Damaged) -> None:
    first, last = damaged.compare(), damaged.compare()
    with pytest.raises(CannotComplete, match=f"diff {first} found cannot be put back"):
        damaged.repair(from_diff=first)
    _another(damaged, ended=time.time() - 4000)
    damaged.sql("ALTER TABLE item ADD COLUMN more INT")
    with pytest.raises(CannotComplete, match="altered first"):
        damaged.repair(from_diff=last, delete_extra=True)
    with pytest.raises(CannotComplete, match="altered or replaced"):
        damaged.repair(from_diff=last, rows_only=True)
    assert leftovers(damaged.server, damaged.database) == []
    damaged.compare()
    kept = open_kept(damaged.path)
    assert kept is not None
    run = kept.facts["run"]
    kept.close()
    _another(damaged, ended=time.time() - 4000)
    [table] = damaged.repair(from_diff=run, rows_only=True).tables
    assert table.compared is not None and table.compared.before
    assert (table.changed, table.inserted) == (2, 2)


def test_where_too_much_differs_nothing_is_kept(
    damaged: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tablevault.ops import repair_terms

    damaged.compare()
    monkeypatch.setattr(repair_terms, "ALWAYS_FEW", 1)
    found = diff(
        damaged.server.options(),
        damaged.store,
        "latest",
        DiffOptions(),
        state_dir=damaged.vault / ".runs",
    )
    assert any("too many rows differ to be kept" in hint for hint in found.hints)
    assert not damaged.path.exists()
    assert [path for path in damaged.path.parent.rglob("*") if path.is_file()] == []
    assert damaged.repair(delete_extra=True).findings == ()
    assert damaged.facts() == damaged.whole


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(damaged: Damaged) -> None:
    folder = damaged.vault / ".runs" / "diffs"
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("no folder")
    result = damaged.repair(delete_extra=True)
    assert result.findings == ()
    assert damaged.facts() == damaged.whole
    damaged.sql("UPDATE item SET price = 0")
    damaged.compare()


def test_killed_after_its_first_batch_it_goes_on(
    damaged: Damaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are in the run's own tables by then: the file is gone, and not needed."""
    damaged.compare()

    def ends(*_: object) -> None:
        raise CannotComplete("killed")

    with monkeypatch.context() as patched:
        patched.setattr(repairs, "repaired_tables", ends)
        with pytest.raises(CannotComplete) as ended:
            damaged.repair(delete_extra=True)
    run = str(ended.value.hint).split("repair --resume ")[1].split("`")[0]
    result = repairs.resume(damaged.server.options(), damaged.store, run, damaged.vault / ".runs")
    [table] = result.tables
    assert table.compared is not None and table.compared.before
    assert table.left is not None and table.left.differing_rows == 0
    assert damaged.facts() == damaged.whole


def test_the_command_line_says_by_what_it_goes(tool: Shell, server: Server, database: str) -> None:
    server.sql(TABLE, database)
    before = facts(server, database, "item")
    assert tool("snapshot", f"{database}.item").code == 0
    server.sql("UPDATE item SET price = 9 WHERE id = 1", database)
    found = json.loads(tool("diff", "latest", "--json").stdout)
    server.sql("UPDATE item SET price = 9 WHERE id = 6", database)
    done = tool("repair", "latest", f"{database}.item", "--execute")
    assert done.code == 0, done.stderr
    assert f"what diff {found['run']} found is put back" in done.stderr
    assert "1 row updated; each of these rows proven equal to the snapshot" in done.stdout
    assert f"every other row was equal when diff {found['run']} ended at" in done.stdout
    assert "--prove-all" in done.stdout
    again = tool("repair", "latest", f"{database}.item", "--execute", "--json")
    [table] = json.loads(again.stdout)["tables"]
    assert (table["changed"], table["proven"], table["compared"]["before"]) == (1, True, False)
    assert facts(server, database, "item") == before
    assert tool("repair", "latest", f"{database}.item", "--from-diff", "x", "--execute").code == 4
    assert tool("repair", "--resume", "x", "--diff-age", "0").code == 2

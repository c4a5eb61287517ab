"""Random damage to random tables is put back, exactly; and what the repair did is taken back.

Some dozens of tables a run; TABLEVAULT_GENERATED=2000 asks for as many (make test-nightly).
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tablevault.errors import CannotComplete
from tablevault.ops import repair_stage
from tablevault.ops.repair import repair, undo
from tablevault.ops.repair_start import plan_repair
from tablevault.ops.repair_terms import RepairOptions
from tablevault.ops.swap import cleanup
from tablevault.vault.store import LocalStore, open_store
from tests.server.test_diff_generated import _SESSION, Damage, attempt, damages, rows_of
from tests.servers import Server
from tests.support.facts import checksum, quoted
from tests.support.generated import GeneratedTable, examples, tables
from tests.support.generated_columns import forms
from tests.support.roundtrip import take

TABLES_AN_EXAMPLE = 4
WANTED = int(os.environ.get("TABLEVAULT_GENERATED", "24"))
SETTINGS = examples(WANTED // TABLES_AN_EXAMPLE)
_numbers = itertools.count()

Seen = tuple[str, list[tuple[str, ...]]]


@pytest.fixture(autouse=True)
def small_batches(small_parts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair_stage, "BATCH_ROWS", 3)


def keyed(kind: str, name: str) -> st.SearchStrategy[GeneratedTable]:
    """Tables that may be repaired; of some of them a plan says that their key is no use."""
    return tables(kind, name).filter(lambda one: "PRIMARY KEY" in one.create and len(one.rows) > 2)


class Ward:
    """Tables that were taken, then damaged."""

    def __init__(
        self, server: Server, database: str, vault: Path, made: Sequence[GeneratedTable], size: int
    ) -> None:
        self.server, self.database, self.made = server, database, made
        self.state_dir = vault / ".runs"
        self.by_diff = 0  # tables that were put back by what a diff had kept
        halves = [dataclasses.replace(table, rows=table.rows[::2]) for table in made]
        script = _SESSION + "".join(half.script() for half in halves)
        note(script)
        server.sql(
            f"DROP DATABASE `{database}`; CREATE DATABASE `{database}` CHARACTER SET utf8mb4"
        )
        server.sql(script, database)
        take(server, vault, [f"`{database}`.*"], chunk_bytes=size)
        self.store: LocalStore = open_store(str(vault))
        self.before = {one.name: self.seen(one) for one in made}

    def seen(self, table: GeneratedTable) -> Seen:
        """CHECKSUM TABLE and every value; the columns are those of the beginning.

        Without the checksum where a column is VIRTUAL: MariaDB 10.11 gave three for the same rows
        of such a table, on three servers that had just been made.
        """
        columns = (*table.columns, *table.generated)
        rows = sorted(rows_of(self.server, self.database, table.name, columns))
        if " VIRTUAL" in table.create:
            return "", rows
        return checksum(self.server, self.database, table.name), rows

    def damage(self, table: GeneratedTable, statements: Sequence[str]) -> None:
        for statement in statements:
            note(statement)
            attempt(self.server, _SESSION + statement, self.database)

    def repairable(self, kept: bool = False, **options: bool) -> list[GeneratedTable]:
        """By a plan; with `kept` the repair will go by what that has found."""
        plans = plan_repair(
            self.server.options(),
            self.store,
            "latest",
            RepairOptions(**options),
            state_dir=self.state_dir if kept else None,
        ).plans
        names = {plan.table.name for plan in plans if plan.obstacle is None}
        return [one for one in self.made if one.name in names]

    def repair(self, chosen: Sequence[GeneratedTable], **options: bool) -> str:
        patterns = tuple(f"{self.database}.{one.name}" for one in chosen)
        wanted = RepairOptions(patterns=patterns, threads=2, **options)
        result = repair(self.server.options(), self.store, "latest", wanted, self.state_dir)
        assert result.findings == ()
        self.by_diff += sum(bool(one.compared and one.compared.before) for one in result.tables)
        return result.run

    def take_back(self, run: str) -> None:
        assert undo(self.server.options(), self.store, run, self.state_dir).findings == ()

    def altered_back(self, run: str) -> None:
        """As `take_back`.  A value may not fit the type any more that it had: then it is kept.

        MariaDB makes TEXT of a BIT by its bytes, and takes digits alone when it makes a BIT of it.
        """
        try:
            self.take_back(run)
        except CannotComplete as refused:
            note(refused.message)
            assert "cannot be altered to what it was" in refused.message
            [kept] = re.findall(r" are in table \w+\.(.+) as they were", refused.hint or "")
            assert self.server.query(f"SELECT 1 FROM {quoted(kept)} LIMIT 1", self.database)

    def clean(self, run: str) -> None:
        cleanup(self.server.options(), run, self.state_dir)


def test_random_damage_is_put_back_exactly(server: Server, database: str, tmp_path: Path) -> None:
    made = st.tuples(*(keyed(server.kind, f"t{n}") for n in range(TABLES_AN_EXAMPLE))).map(list)
    lists = st.lists(st.lists(damages, min_size=2, max_size=4), min_size=TABLES_AN_EXAMPLE)
    repaired = by_diff = 0

    @SETTINGS
    @given(made, lists, st.sampled_from((200, 2000, 1 << 20)))
    def is_put_back(made: list[GeneratedTable], done: list[list[Damage]], size: int) -> None:
        nonlocal repaired, by_diff
        number = next(_numbers)
        kept, vault = number % 2 == 0, tmp_path / f"vault{number}"
        ward = Ward(server, database, vault, made, size)
        for table, damage in zip(made, done, strict=False):
            rows = [one for one in damage if one.kind not in ("drop", "unkey")]
            ward.damage(table, [one.statement(table) for one in rows])
        damaged = {one.name: ward.seen(one) for one in made}
        if chosen := ward.repairable(kept, delete_extra=True):
            run = ward.repair(chosen, delete_extra=True)
            by_diff += ward.by_diff
            assert {one.name: ward.seen(one) for one in made} == {
                one.name: (ward.before if one in chosen else damaged)[one.name] for one in made
            }
            ward.take_back(run)
            assert {one.name: ward.seen(one) for one in made} == damaged
            ward.clean(run)
            note(f"repaired {[one.name for one in chosen]}")
            repaired += sum(ward.before[one.name] != damaged[one.name] for one in chosen)
        shutil.rmtree(vault)

    is_put_back()
    assert repaired > WANTED / 4
    assert by_diff


@st.composite
def alterations(draw: st.DrawFn, kind: str, table: GeneratedTable) -> str:
    column = quoted(draw(st.sampled_from(table.columns)))
    other = f"{draw(forms(kind)).type} NULL"
    clause = draw(
        st.sampled_from(
            (
                f"DROP COLUMN {column}",
                f"ADD COLUMN `new one` {other} FIRST",
                f"RENAME COLUMN {column} TO `called otherwise`",
                f"MODIFY COLUMN {column} {other}",
                f"MODIFY COLUMN {column} TEXT CHARACTER SET utf8mb4",
                "DROP KEY second",
                "COMMENT='other'",
                "CONVERT TO CHARACTER SET utf8mb4",
            )
        )
    )
    return f"ALTER TABLE {quoted(table.name)} {clause};"


@st.composite
def altered(draw: st.DrawFn, kind: str) -> tuple[GeneratedTable, list[str]]:
    table = draw(keyed(kind, "t"))
    damage = [one.statement(table) for one in draw(st.lists(damages, max_size=2))]
    return table, [
        *damage,
        *(draw(alterations(kind, table)) for _ in range(draw(st.integers(1, 2)))),
    ]


def test_random_alterations_are_put_back_exactly(
    server: Server, database: str, tmp_path: Path
) -> None:
    """What the old definition has no room for any more may refuse the ALTER."""
    repaired = 0

    @examples(WANTED)
    @given(altered(server.kind))
    def is_put_back(drawn: tuple[GeneratedTable, list[str]]) -> None:
        nonlocal repaired
        table, statements = drawn
        vault = tmp_path / f"vault{next(_numbers)}"
        ward = Ward(server, database, vault, [table], 2000)
        ward.damage(table, statements)
        if ward.repairable(delete_extra=True):
            try:
                run = ward.repair([table], delete_extra=True)
            except CannotComplete as refused:
                note(refused.message)
                assert "cannot be altered to what it was" in refused.message
            else:
                assert ward.seen(table) == ward.before[table.name]
                ward.altered_back(run)
                ward.clean(run)
                repaired += 1
        shutil.rmtree(vault)

    is_put_back()
    assert repaired > WANTED / 4

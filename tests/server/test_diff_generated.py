"""Random damage to random tables is found, all of it and nothing else.

What is to be found is worked out here, from what the server's own client shows before and after.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tablevault.model import TableDef
from tablevault.ops.diff import diff
from tablevault.ops.diff_terms import DiffOptions, TableDiff
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.facts import quoted
from tests.support.generated import GeneratedTable, examples, tables
from tests.support.roundtrip import take

TABLES_AN_EXAMPLE = 6
WANTED = int(os.environ.get("TABLEVAULT_GENERATED", "40"))
_SESSION = "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', time_zone = '+00:00';\n"
_numbers = itertools.count()

Row = tuple[str, ...]


@dataclass(frozen=True)
class Damage:
    """One thing done to some rows: those whose hash leaves `rest` over `of`."""

    kind: str  # delete | copy | null | insert | drop | unkey
    column: int
    of: int
    rest: int

    def statement(self, table: GeneratedTable) -> str:
        name = quoted(table.name)
        column = quoted(table.columns[self.column % len(table.columns)])
        cells = ", ".join(f"HEX({quoted(one)})" for one in table.columns)
        some = f"CRC32(CONCAT_WS(',', {cells})) % {self.of} = {self.rest % self.of}"
        match self.kind:
            case "delete":
                return f"DELETE FROM {name} WHERE {some};"
            case "copy":  # a value that another row has: keys move, or stay where they would clash
                other = f"(SELECT {column} AS v FROM {name} LIMIT 1) AS other"
                return f"UPDATE IGNORE {name} JOIN {other} SET {name}.{column} = v WHERE {some};"
            case "null":
                return f"UPDATE IGNORE {name} SET {column} = NULL WHERE {some};"
            case "drop" if len(table.columns) > 1:
                return f"ALTER TABLE {name} DROP COLUMN {column};"
            case "unkey":
                return f"ALTER TABLE {name} DROP PRIMARY KEY;"
        return "".join(f"INSERT IGNORE INTO {name} {row};\n" for row in table.rows[1::2])


damages = st.builds(
    Damage,
    st.sampled_from(["delete", "delete", "copy", "copy", "null", "insert", "drop", "unkey"]),
    st.integers(0, 20),
    st.integers(1, 6),
    st.integers(0, 5),
)


def rows_of(server: Server, schema: str, name: str, columns: Sequence[str]) -> list[Row]:
    """Every value in hexadecimal, through the client; FLOAT as the double of the same value."""
    cells = ", ".join(
        f"IF({quoted(one)} IS NULL, 'N', HEX(CONVERT({quoted(one)} USING binary)))"
        for one in columns
    )
    text = server.sql(f"{_SESSION} SELECT {cells} FROM {quoted(name)}", schema)
    return [tuple(line.split("\t")) for line in text.splitlines()]


def expected(
    before: Sequence[Row], after: Sequence[Row], key: Sequence[int]
) -> tuple[int, int, int]:
    """Missing, extra and changed rows; `key` are the positions of what tells rows apart."""
    gone = list((Counter(before) - Counter(after)).elements())
    new = list((Counter(after) - Counter(before)).elements())
    changed = 0
    if key:
        keys = [tuple(row[at] for at in key) for row in gone]
        others = [tuple(row[at] for at in key) for row in new]
        changed = sum((Counter(keys) & Counter(others)).values())
    return len(gone) - changed, len(new) - changed, changed


def check(found: TableDiff, definition: TableDef, before: list[Row], after: list[Row]) -> None:
    """`before` and `after` have the compared columns, in their order."""
    wanted = [part.name for part in definition.row_key.columns] if definition.row_key else []
    key = [found.columns.index(name) for name in wanted if name in found.columns]
    key = key if len(key) == len(wanted) else []
    assert found.key == tuple(found.columns[at] for at in key)
    assert (found.missing, found.extra, found.changed) == expected(before, after, key)
    assert (found.rows, found.live_rows) == (len(before), len(after))


@pytest.mark.parametrize("keep_schema", [True, False])
def test_random_damage_is_found_exactly(
    server: Server, database: str, tmp_path: Path, small_parts: None, keep_schema: bool
) -> None:
    made = st.tuples(*(tables(server.kind, f"t{n}") for n in range(TABLES_AN_EXAMPLE))).map(list)
    lists = st.lists(st.lists(damages, max_size=4), min_size=TABLES_AN_EXAMPLE)

    @examples(WANTED // TABLES_AN_EXAMPLE)
    @given(made, lists, st.integers(1, 3), st.sampled_from((200, 2000, 1 << 20)))
    def is_found(
        made: list[GeneratedTable], done: list[list[Damage]], threads: int, chunk_bytes: int
    ) -> None:
        script = _SESSION
        for table in made:
            half = dataclasses.replace(table, rows=table.rows[::2])
            script += half.script()
        server.sql(
            f"DROP DATABASE `{database}`; CREATE DATABASE `{database}` CHARACTER SET utf8mb4"
        )
        server.sql(script, database)
        vault = tmp_path / f"vault{next(_numbers)}"
        taken = take(server, vault, [f"`{database}`.*"], chunk_bytes=chunk_bytes)
        before = {one.name: rows_of(server, database, one.name, one.columns) for one in made}
        note(script)
        for table, damage in zip(made, done, strict=False):
            kept = [one for one in damage if not keep_schema or one.kind not in ("drop", "unkey")]
            for one in kept:
                statement = one.statement(table)
                note(statement)
                attempt(server, _SESSION + statement, database)
        result = diff(
            server.options(), open_store(str(vault)), taken.id, DiffOptions(threads=threads)
        )
        definitions = {one.definition.table: one.definition for one in taken.tables}
        for found in result.tables:
            name = found.table.name
            columns = next(one.columns for one in made if one.name == name)
            places = [columns.index(column) for column in found.columns]
            old = [tuple(row[at] for at in places) for row in before[name]]
            new = rows_of(server, database, name, found.columns)
            check(found, definitions[found.table], old, new)
        shutil.rmtree(vault)

    is_found()


def attempt(server: Server, statement: str, database: str) -> None:
    """Do it if the server does: what it refuses is no damage."""
    try:
        server.sql(statement, database)
    except AssertionError as refused:
        assert "sql failed" in str(refused)

"""Random changes to random tables: an incremental snapshot is what a full one would be."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
from pathlib import Path

from hypothesis import given, note
from hypothesis import strategies as st

from tablevault.ops.diff_snapshots import diff_snapshots
from tablevault.ops.diff_terms import DiffOptions
from tablevault.ops.verify import verify
from tablevault.vault.catalog import remove_snapshot
from tablevault.vault.store import open_store
from tests.server.test_diff_generated import Damage, attempt, damages
from tests.servers import Server
from tests.support.generated import GeneratedTable, examples, tables
from tests.support.roundtrip import take

TABLES_AN_EXAMPLE = 6
WANTED = int(os.environ.get("TABLEVAULT_GENERATED", "40"))
_SESSION = "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', time_zone = '+00:00';\n"
_numbers = itertools.count()


def test_it_is_what_a_full_snapshot_is(
    server: Server, database: str, tmp_path: Path, small_units: None
) -> None:
    made = st.tuples(*(tables(server.kind, f"t{n}") for n in range(TABLES_AN_EXAMPLE))).map(list)
    lists = st.lists(st.lists(damages, max_size=4), min_size=TABLES_AN_EXAMPLE)

    @examples(WANTED // TABLES_AN_EXAMPLE)
    @given(made, lists, st.integers(1, 3), st.sampled_from((200, 2000, 1 << 20)))
    def is_alike(
        made: list[GeneratedTable], done: list[list[Damage]], threads: int, chunk_bytes: int
    ) -> None:
        halves = (dataclasses.replace(table, rows=table.rows[::2]) for table in made)
        script = _SESSION + "".join(half.script() for half in halves)
        note(script)
        server.sql(
            f"DROP DATABASE `{database}`; CREATE DATABASE `{database}` CHARACTER SET utf8mb4"
        )
        server.sql(script, database)
        vault = tmp_path / f"vault{next(_numbers)}"
        store = open_store(str(vault), create=True)
        how = {"threads": threads, "chunk_bytes": chunk_bytes}
        first = take(server, vault, [f"`{database}`.*"], **how)
        for table, some in zip(made, done, strict=False):
            for one in some:
                note(one.statement(table))
                attempt(server, _SESSION + one.statement(table), database)
        taken = take(server, vault, [f"`{database}`.*"], incremental=True, **how)
        full = take(server, vault, [f"`{database}`.*"], **how)
        remove_snapshot(store, first.id)
        found = verify(store, taken.id)
        assert (found.findings, found.chunks_checked) == ((), found.chunks)
        for mine, whole in zip(taken.tables, full.tables, strict=True):
            assert (mine.definition.table, mine.digest) == (whole.definition.table, whole.digest)
            assert mine.definition.create_sql == whole.definition.create_sql
        assert diff_snapshots(store, taken.id, full.id, DiffOptions()).equal
        for table, some in zip(made, done, strict=False):
            [entry] = [one for one in taken.tables if one.definition.table.name == table.name]
            if not some:
                assert entry.reused is not None and entry.reused.chunks == entry.chunk_count
        shutil.rmtree(vault)

    is_alike()

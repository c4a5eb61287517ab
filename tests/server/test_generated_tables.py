"""Whole tables that nobody thought of come back as they were.

Some dozens a run; TABLEVAULT_GENERATED=2000 asks for as many tables a server (make test-nightly).
"""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from tests.servers import Server
from tests.support.facts import quoted
from tests.support.generated import GeneratedTable, tables
from tests.support.roundtrip import put_back, take

TABLES_AN_EXAMPLE = 8
WANTED = int(os.environ.get("TABLEVAULT_GENERATED", "40"))
_SESSION = "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', time_zone = '+00:00';\n"
_numbers = itertools.count()


def look(server: Server, schema: str, made: list[GeneratedTable]) -> list[str]:
    """Definition, checksum and every value in hexadecimal, of all tables, through the client."""
    questions = []
    for table in made:
        name = quoted(table.name)
        cells = ", ".join(f"HEX(CONVERT({quoted(one)} USING binary))" for one in table.columns)
        questions.append(f"SHOW CREATE TABLE {name}; CHECKSUM TABLE {name};")
        questions.append(f"SELECT '{table.name}', {cells} FROM {name};")
    return sorted(server.sql("\n".join(questions), schema).splitlines())


def test_generated_tables_come_back(
    server: Server, database: str, tmp_path: Path, small_units: None
) -> None:
    made = st.tuples(*(tables(server.kind, f"t{n}") for n in range(TABLES_AN_EXAMPLE))).map(list)

    @settings(
        max_examples=max(1, WANTED // TABLES_AN_EXAMPLE),
        derandomize="TABLEVAULT_GENERATED" not in os.environ,
        database=None,
        phases=[Phase.generate],  # a failure tells its statements; shrinking would take hours
        suppress_health_check=list(HealthCheck),
    )
    @given(made, st.integers(1, 3), st.sampled_from((200, 2000, 1 << 20)))
    def comes_back(made: list[GeneratedTable], threads: int, chunk_bytes: int) -> None:
        script = _SESSION + "".join(table.script() for table in made)
        note(script)
        drops = "".join(f"DROP TABLE IF EXISTS {quoted(table.name)};" for table in made)
        server.sql(
            f"DROP DATABASE `{database}`; CREATE DATABASE `{database}` CHARACTER SET utf8mb4"
        )
        server.sql(script, database)
        before = look(server, database, made)
        vault = tmp_path / f"vault{next(_numbers)}"
        taken = take(server, vault, [f"`{database}`.*"], threads=threads, chunk_bytes=chunk_bytes)
        server.sql(drops, database)
        assert put_back(server, vault, taken.id).status == "swapped"
        assert look(server, database, made) == before
        shutil.rmtree(vault)

    comes_back()

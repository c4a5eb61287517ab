"""Whole tables that nobody thought of come back as they were.

Some dozens a run; TABLEVAULT_GENERATED=2000 asks for as many tables a server (make test-nightly).
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
from pathlib import Path

from hypothesis import given, note
from hypothesis import strategies as st

from tests.servers import Server
from tests.support.facts import literal, quoted
from tests.support.generated import GeneratedTable, examples, tables
from tests.support.roundtrip import put_back, take

TABLES_AN_EXAMPLE = 8
WANTED = int(os.environ.get("TABLEVAULT_GENERATED", "40"))
_SESSION = (
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00';\n"
)
_NAME = re.compile(r"CONSTRAINT `(?:[^`]|``)*` CHECK")
_numbers = itertools.count()


def look(server: Server, schema: str, made: list[GeneratedTable]) -> list[str]:
    """Definition, checksum and every value in hexadecimal, of all tables, through the client."""
    questions = []
    for table in made:
        name = quoted(table.name)
        values = [f"HEX(CONVERT({quoted(one)} USING binary))" for one in table.columns]
        cells = ", ".join([*values, *map(quoted, table.generated)])
        questions.append(f"SHOW CREATE TABLE {name};")
        if not table.generated:  # MariaDB's is another one after a look at a generated column
            questions.append(f"CHECKSUM TABLE {name};")
        questions.append(f"SELECT {literal(table.name)}, {cells} FROM {name};")
    lines = server.sql("\n".join(questions), schema).splitlines()
    if server.family == "mysql":  # a CHECK gets another name, and with it another place
        lines = [",".join(sorted(_NAME.sub("CHECK", line).split(",\\n"))) for line in lines]
    return sorted(lines)


def test_generated_tables_come_back(
    server: Server, database: str, tmp_path: Path, small_units: None
) -> None:
    made = st.tuples(*(tables(server.kind, f"t{n}") for n in range(TABLES_AN_EXAMPLE))).map(list)

    @examples(WANTED // TABLES_AN_EXAMPLE)
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
        now = look(server, database, made)
        assert now == before, [sorted(set(before) - set(now)), sorted(set(now) - set(before))]
        shutil.rmtree(vault)

    comes_back()

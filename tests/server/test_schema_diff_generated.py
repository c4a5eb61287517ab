"""Tables that nobody thought of, altered at random: what is said to undo it undoes it.

Some dozens a run; TABLEVAULT_GENERATED=2000 asks for as many tables a server (make test-nightly).
"""

from __future__ import annotations

import itertools
import os
import re

from hypothesis import given, note
from hypothesis import strategies as st

from tablevault.errors import StatementFailed
from tablevault.model import TableDef, TableName
from tablevault.mysql import catalog
from tablevault.mysql.connect import Connection, connect
from tablevault.mysql.session import defining
from tablevault.ops.schema_diff import schema_differences, undo_statements
from tests.servers import Server
from tests.support.facts import quoted, show_create
from tests.support.generated import GeneratedTable, examples, tables
from tests.support.generated_columns import forms

WANTED = int(os.environ.get("TABLEVAULT_GENERATED", "40"))
_numbers = itertools.count()


@st.composite
def alterations(draw: st.DrawFn, kind: str, table: GeneratedTable) -> list[str]:
    """Up to five clauses; what an earlier one did may make the server refuse a later one."""
    clauses = []
    for number in range(draw(st.integers(1, 5))):
        name = quoted(draw(st.sampled_from(table.columns)))
        place = draw(st.sampled_from(("", " FIRST", f" AFTER {quoted(table.columns[-1])}")))
        new, other = quoted(f"new{number}"), f"{draw(forms(kind)).type} NULL"
        clauses.append(
            draw(
                st.sampled_from(
                    (
                        f"DROP COLUMN {name}",
                        f"ADD COLUMN {new} {other}{place}",
                        f"ADD COLUMN {new} {other}{place}",
                        f"RENAME COLUMN {name} TO {quoted(f'called {number}')}",
                        f"MODIFY COLUMN {name} {other}{place}",
                        f"MODIFY COLUMN {name} {other}{place}",
                        f"CHANGE COLUMN {name} `both {number}` {other}{place}",
                        f"ADD KEY {quoted(f'k{number}')} ({name})",
                        f"ADD UNIQUE KEY {quoted(f'u{number}')} ({name})",
                        f"ADD CONSTRAINT `c{number}` CHECK ({name} IS NOT NULL)",
                        "DROP KEY second",
                        "DROP PRIMARY KEY",
                        "RENAME INDEX second TO third",
                        f"COMMENT='it''s {number}'",
                        "ROW_FORMAT=COMPRESSED",
                        "DEFAULT CHARSET=koi8r",
                        "CONVERT TO CHARACTER SET utf8mb3",
                    )
                )
            )
        )
    return clauses


@st.composite
def altered_tables(draw: st.DrawFn, kind: str) -> tuple[GeneratedTable, list[str]]:
    table = draw(tables(kind, f"t{next(_numbers)}"))
    return table, draw(alterations(kind, table))


def look(server: Server, schema: str, table: str) -> list[str]:
    """The definition through the server's own client; the order of indexes does not count."""
    lines = [line.rstrip(",") for line in show_create(server, schema, table).splitlines()]
    keys = [line for line in lines if re.match(r"\s+(\w+ )?KEY `", line)]
    return [*(line for line in lines if line not in keys), *sorted(keys)]


def definition(conn: Connection, schema: str, table: str) -> TableDef:
    return catalog.table_definition(conn, TableName(schema, table), identity=False)


def test_what_is_shown_undoes_any_alteration(server: Server, database: str) -> None:
    done = refused = 0

    @examples(WANTED)
    @given(altered_tables(server.kind))
    def is_undone(drawn: tuple[GeneratedTable, list[str]]) -> None:
        nonlocal done, refused
        table, clauses = drawn
        note(f"{table.create};\n" + "\n".join(clauses))
        conn.execute(table.create)
        before, shown = definition(conn, database, table.name), look(server, database, table.name)
        for clause in clauses:
            try:
                conn.execute(f"ALTER TABLE {quoted(table.name)} {clause}")
                done += 1
            except StatementFailed:
                refused += 1
        differences = schema_differences(before, definition(conn, database, table.name))
        statements = undo_statements(differences)
        note("\n".join(statements))
        assert bool(differences) == (look(server, database, table.name) != shown)
        for statement in statements:
            conn.execute(statement)
        assert look(server, database, table.name) == shown
        assert schema_differences(before, definition(conn, database, table.name)) == ()
        conn.execute(f"DROP TABLE {quoted(table.name)}")

    with connect(server.options()) as conn, defining(conn):
        conn.execute(f"USE `{database}`")
        is_undone()
    assert done > refused

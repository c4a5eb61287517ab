"""The tables of tests/cases, altered and dropped: what is said to undo it brings each one back."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tablevault.errors import StatementFailed, Unsupported
from tablevault.model import TableName
from tablevault.mysql import catalog
from tablevault.mysql.connect import Connection, connect
from tablevault.mysql.session import defining
from tablevault.ops.schema_diff import schema_differences, undo_statements
from tests.servers import Server
from tests.support.cases import Case, cases
from tests.support.facts import quoted, show_create, tables

ALTERATIONS = (
    "ADD COLUMN tv_extra INT",
    "COMMENT = 'changed'",
    "DEFAULT CHARSET = koi8r",
    "ENGINE = InnoDB, ROW_FORMAT = DYNAMIC",
    "REMOVE PARTITIONING",
)


@pytest.fixture
def other(server: Server, database: str) -> Iterator[str]:
    """A second schema, for what reaches across."""
    server.sql(f"CREATE DATABASE `{database}_b`")
    yield f"{database}_b"
    server.sql(f"SET foreign_key_checks = 0; DROP DATABASE IF EXISTS `{database}_b`")


def shown(server: Server, table: TableName) -> list[str]:
    """The order of indexes and constraints, and the next AUTO_INCREMENT, do not count."""
    text = re.sub(r" AUTO_INCREMENT=\d+", "", show_create(server, table.schema, table.name))
    lines = [line.rstrip(",") for line in text.splitlines()]
    sortable = [line for line in lines if re.match(r"\s+((\w+ )?KEY `|CONSTRAINT)", line)]
    return [*(line for line in lines if line not in sortable), *sorted(sortable)]


def altered(conn: Connection, table: TableName) -> int:
    """Apply what the server lets pass; how many of it that was."""
    done = 0
    for alteration in ALTERATIONS:
        try:
            conn.execute(f"ALTER TABLE {quoted(table.schema)}.{quoted(table.name)} {alteration}")
            done += 1
        except StatementFailed:
            continue
    return done


# a MERGE table cannot be looked at while those it consists of are altered
ALONE = [case for case in cases() if case.name != "engine_merge"]


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.name)
def test_a_case_comes_back(server: Server, database: str, other: str, case: Case) -> None:
    if case.on(server.kind).absent:
        with pytest.raises(AssertionError, match="sql failed"):
            server.sql(case.statements(database)[0])
        return
    server.sql(case.statements(database)[0])
    names = [
        TableName(s, name) for s in (database, other) for name in tables(server, s, views=False)
    ]
    with connect(server.options()) as conn, defining(conn):
        conn.execute("SET foreign_key_checks = 0")
        refused: list[Unsupported] = []
        before = catalog.table_definitions(conn, names, refused)
        for definition in before:
            table = definition.table
            then = shown(server, table)
            if altered(conn, table):
                now = catalog.table_definition(conn, table)
                differences = schema_differences(definition, now)
                for statement in undo_statements(differences):
                    conn.execute(statement)
                assert shown(server, table) == then
                again = catalog.table_definition(conn, table)
                assert schema_differences(definition, again) == ()
            conn.execute(f"DROP TABLE {quoted(table.schema)}.{quoted(table.name)}")
            for statement in undo_statements(schema_differences(definition, None)):
                conn.execute(statement)
            assert shown(server, table) == then
    assert before or refused

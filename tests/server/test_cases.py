"""Every trap of tests/cases: it comes back exactly, or is refused before the snapshot starts.

What "exactly" means is asked by three routes: the digest of the wire bytes, the server's digest of
what stands there after the restore, and hexadecimal values through the server's own client.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path

import pytest

from tablevault.errors import TablevaultError
from tablevault.model import Snapshot
from tablevault.mysql.connect import Purpose, connect
from tablevault.mysql.sql_digest import digest_query, parse_digest
from tablevault.rows.kinds import specs_of
from tests.servers import Server
from tests.support.cases import PROPERTY, Case, Expectation, Outcome, cases
from tests.support.facts import Facts, checksum, facts, is_sequence, nameless, quoted, tables
from tests.support.roundtrip import put_back, take


@pytest.fixture
def other(server: Server, database: str) -> Iterator[str]:
    """A second schema, for what reaches across."""
    name = f"{database}_b"
    server.sql(f"CREATE DATABASE `{name}`")
    yield name
    server.sql(f"SET foreign_key_checks = 0; DROP DATABASE IF EXISTS `{name}`")


def every_table(server: Server, schemas: list[str]) -> list[tuple[str, str]]:
    return [
        (schema, name)
        for schema in schemas
        for name in tables(server, schema, views=False)
        if not name.startswith("_tv_")
    ]


def look(server: Server, names: list[tuple[str, str]]) -> dict[tuple[str, str], Facts]:
    return {(schema, name): facts(server, schema, name) for schema, name in names}


def ruin(server: Server, names: list[tuple[str, str]], *, drop: bool) -> None:
    statements = [
        f"ALTER SEQUENCE {quoted(schema)}.{quoted(name)} RESTART;"
        if is_sequence(server, schema, name) and not drop
        else f"{'DROP TABLE' if drop else 'TRUNCATE'} {quoted(schema)}.{quoted(name)};"
        for schema, name in names
    ]
    server.sql("SET foreign_key_checks = 0;" + "".join(statements))


def assert_digests(server: Server, taken: Snapshot) -> None:
    """What the server hashes now is what was hashed on the wire."""
    with connect(server.options(), Purpose.DIGEST) as connection:
        for entry in taken.tables:
            one = entry.definition
            specs = specs_of(one.table, one.columns, server.family)
            query = digest_query(one.table, specs, one.columns, server.family)
            assert parse_digest(connection.one(query)) == entry.digest, one.table


def assert_same(
    server: Server, before: dict[tuple[str, str], Facts], expected: Expectation
) -> None:
    for (schema, name), then in before.items():
        now = facts(server, schema, name)
        if expected.names:
            assert nameless(now.create) == nameless(then.create)
        else:
            assert now.create == then.create
        assert now.values == then.values
        if not expected.checksum:
            assert checksum(server, schema, name) == then.checksum


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_case(
    server: Server,
    database: str,
    other: str,
    vault: Path,
    case: Case,
    record_property: Callable[[str, object], None],
) -> None:
    expected = case.on(server.kind)
    verdict = "FAILED"
    try:
        verdict = run(server, [database, other], vault, case, expected)
    finally:
        outcome = Outcome(case.name, case.about, server.kind, verdict)
        record_property(PROPERTY, astuple(outcome))


def run(server: Server, schemas: list[str], vault: Path, case: Case, expected: Expectation) -> str:
    create, data = case.statements(schemas[0])
    if expected.absent:
        with pytest.raises(AssertionError, match="sql failed"):
            server.sql(create)
        return f"not there: {expected.absent}"
    server.sql(create)
    server.sql(data)
    names = every_table(server, schemas)
    patterns = case.expect.get("tables") or [f"`{schema}`.*" for schema in dict(names)]
    assert patterns
    patterns = [pattern.replace("{schema}", schemas[0]) for pattern in patterns]
    if expected.refused:
        with pytest.raises(TablevaultError) as refusal:
            take(server, vault, patterns)
        assert re.search(expected.refused, refusal.value.message), refusal.value.message
        assert not list(vault.glob("*/manifest.json"))
        return "refused: " + refusal.value.message.replace(schemas[0] + ".", "").splitlines()[0]
    before = look(server, names)
    taken = take(server, vault, patterns)
    assert {(e.definition.table.schema, e.definition.table.name) for e in taken.tables} == {*names}
    ruin(server, names, drop=case.drops)
    assert put_back(server, vault, taken.id).status == "swapped"
    assert_digests(server, taken)
    assert_same(server, before, expected)
    return expected.verdict

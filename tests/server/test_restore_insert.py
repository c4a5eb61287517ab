"""Where LOAD DATA LOCAL is off, rows go in by INSERT: said, proven, or refused beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Server
from tests.support.facts import checksum, facts, leftovers
from tests.support.roundtrip import pattern, put_back, take
from tests.support.shell import Shell
from tests.support.values import SAMPLES


@pytest.fixture
def no_local_infile(server: Server) -> Iterator[None]:
    before = server.value("SELECT @@GLOBAL.local_infile")
    server.sql("SET GLOBAL local_infile = 0;")
    yield
    server.sql(f"SET GLOBAL local_infile = {before};")


@pytest.fixture
def small_packets(server: Server) -> Iterator[None]:
    """One megabyte is what a statement may have, of new connections."""
    before = server.value("SELECT @@GLOBAL.max_allowed_packet")
    server.sql("SET GLOBAL max_allowed_packet = 1048576;")
    yield
    server.sql(f"SET GLOBAL max_allowed_packet = {before};")


@pytest.mark.usefixtures("no_local_infile")
def test_every_type_goes_in_by_insert(server: Server, database: str, vault: Path) -> None:
    mode = "SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00';\n"
    for sample in SAMPLES:
        server.sql(mode + ";\n".join(sample.statements(database)) + ";")
    server.sql(f"CREATE TABLE {database}.keyless AS SELECT id, n.v4 FROM {database}.texts n;")
    names = [*(sample.name for sample in SAMPLES), "keyless"]
    before = {name: facts(server, database, name) for name in names}
    taken = take(server, vault, [pattern(database, name) for name in names])
    for name in names:
        server.sql(f"TRUNCATE {database}.{name}")
    put_back(server, vault, taken.id)
    for name in names:
        assert facts(server, database, name) == before[name], name


@pytest.mark.usefixtures("no_local_infile")
def test_the_person_is_told(tool: Shell, server: Server, database: str) -> None:
    server.sql(
        f"CREATE TABLE {database}.t (id INT PRIMARY KEY); INSERT INTO {database}.t VALUES (1);"
    )
    assert tool("snapshot", f"{database}.t").code == 0
    done = tool("restore", "latest", "--swap")
    assert done.code == 0, done.stderr
    assert "local_infile" in done.stderr + done.stdout
    assert "INSERT" in done.stderr + done.stdout


def test_a_row_too_large_for_insert_is_refused_before_anything_starts(
    tool: Shell, server: Server, database: str, request: pytest.FixtureRequest
) -> None:
    server.sql(
        f"CREATE TABLE {database}.t (id INT PRIMARY KEY, b LONGBLOB);"
        f"INSERT INTO {database}.t VALUES (1, REPEAT('x', 700000));"
    )
    assert tool("snapshot", f"{database}.t").code == 0
    request.getfixturevalue("no_local_infile")
    request.getfixturevalue("small_packets")
    done = tool("restore", "latest", "--swap")
    assert done.code == 4, done.stderr
    assert "max_allowed_packet" in done.error
    assert "local_infile" in done.hint
    assert leftovers(server, database) == []


def test_a_row_of_twenty_megabytes(tool: Shell, server: Server, database: str) -> None:
    """Larger than a row group, and than a packet of the protocol."""
    limit = server.value("SELECT @@GLOBAL.max_allowed_packet")
    server.sql("SET GLOBAL max_allowed_packet = 67108864;")
    try:
        server.sql(
            f"CREATE TABLE {database}.t (id INT PRIMARY KEY, b LONGBLOB, t LONGTEXT);"
            f"INSERT INTO {database}.t VALUES (1, REPEAT(X'00095C0AFF', 4200000), 'a'), "
            "(2, '', REPEAT('ä\\t', 3000000)), (3, NULL, NULL);"
        )
        before = checksum(server, database, "t")
        assert tool("snapshot", f"{database}.t").code == 0
        assert tool("verify", "latest", connect=False).code == 0
        server.sql(f"TRUNCATE {database}.t")
        done = tool("restore", "latest", "--swap")
        assert done.code == 0, done.stderr
        assert checksum(server, database, "t") == before
    finally:
        server.sql(f"SET GLOBAL max_allowed_packet = {limit};")


def test_a_row_above_max_allowed_packet_is_restored_or_refused(
    tool: Shell, server: Server, database: str, request: pytest.FixtureRequest
) -> None:
    """The server sends no row above its limit: the snapshot fails by name and leaves nothing."""
    server.sql(
        f"CREATE TABLE {database}.t (id INT PRIMARY KEY, b LONGBLOB, c LONGBLOB);"
        f"INSERT INTO {database}.t VALUES (1, REPEAT('x', 900000), REPEAT('y', 900000));"
    )
    before = checksum(server, database, "t")
    request.getfixturevalue("small_packets")
    done = tool("snapshot", f"{database}.t")
    if done.code != 0:
        assert done.code in (4, 5), done.stderr
        assert tool.json("list", connect=False)["snapshots"] == []
        return
    server.sql(f"TRUNCATE {database}.t")
    restored = tool("restore", "latest", "--swap")
    assert restored.code in (0, 4), restored.stderr
    if restored.code == 0:
        assert checksum(server, database, "t") == before

"""Transactions as large as the server takes them: its limits really set, and kept to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tablevault.events import Hint
from tablevault.mysql.connect import connect
from tablevault.ops.options import RestoreOptions, SnapshotOptions
from tablevault.ops.restore import restore
from tablevault.ops.snapshot import snapshot
from tablevault.ops.terms import Terms, read_terms
from tablevault.vault.store import LocalStore, open_store
from tests.servers import Server
from tests.support.facts import checksum

ROWS = 12_000
KIB = 1 << 10


@pytest.fixture
def taken(server: Server, database: str, vault: Path) -> LocalStore:
    """A snapshot of 3 MB in one row group."""
    server.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, pad VARCHAR(300));"
        "CREATE TABLE n (s INT PRIMARY KEY);"
        "INSERT INTO n WITH RECURSIVE r (s) AS (SELECT 1 UNION ALL SELECT s + 1 FROM r"
        " WHERE s < 120) SELECT s FROM r;"
        "INSERT INTO t SELECT x.s * 1000 + y.s, REPEAT(CHAR(97 + y.s % 26), 240) FROM n x, n y"
        " WHERE y.s <= 100;",
        database,
    )
    store = open_store(str(vault), create=True)
    snapshot(server.options(), store, SnapshotOptions(patterns=(f"{database}.t",)))
    return store


@pytest.fixture
def limited(server: Server) -> Iterator[Callable[[str, int], None]]:
    """Set a global limit for one test."""
    before: dict[str, str | None] = {}

    def limit(name: str, value: int) -> None:
        before[name] = server.value(f"SELECT @@GLOBAL.{name}")
        server.sql(f"SET GLOBAL {name} = {value}")

    yield limit
    for name, value in before.items():
        server.sql(f"SET GLOBAL {name} = {value}")


def terms(server: Server, *, log_bin: bool = True) -> Terms:
    with connect(server.options()) as connection:
        return read_terms(connection, log_bin=log_bin)


def test_an_unlimited_server_takes_whole_row_groups(server: Server) -> None:
    found = terms(server)
    assert found == Terms(True, None, None, builders=found.builders)
    assert found.builders.pool_bytes > 1 << 20


def test_the_cache_of_the_binary_log_bounds_a_transaction(
    server: Server,
    database: str,
    taken: LocalStore,
    limited: Callable[[str, int], None],
    tmp_path: Path,
) -> None:
    limited("max_binlog_cache_size", 64 * KIB)
    found = terms(server)
    assert found.transaction_bytes == 32 * KIB
    assert found.bound_by == f"max_binlog_cache_size = {64 * KIB}"
    assert terms(server, log_bin=False).transaction_bytes is None
    before, hints = checksum(server, database, "t"), []
    server.sql("FLUSH BINARY LOGS")
    result = restore(
        server.options(),
        taken,
        "latest",
        RestoreOptions(swap=True),
        tmp_path / "runs",
        lambda event: hints.append(event.message) if isinstance(event, Hint) else None,
    )
    assert result.status == "swapped"
    assert checksum(server, database, "t") == before
    assert any("max_binlog_cache_size" in hint for hint in hints), hints
    assert max(transaction_sizes(server)) <= 64 * KIB


def transaction_sizes(server: Server) -> list[int]:
    """Bytes of the row events of each transaction in the newest binary log."""
    logs = server.query("SHOW BINARY LOGS")
    show = f"SHOW BINLOG EVENTS IN '{logs[-1][0]}'"
    sizes, size = [], 0
    for event in server.query(show):
        kind, start, end = str(event[2]), int(str(event[1])), int(str(event[4]))
        if kind.lower().startswith(("write_rows", "delete_rows")):
            size += end - start
        elif kind.lower() in ("xid", "query") and size:
            sizes.append(size)
            size = 0
    assert len(sizes) > 20, sizes
    return sizes

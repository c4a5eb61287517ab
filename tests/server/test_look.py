"""A restore looks at the live keys while it builds indexes, and counts by that at the swap."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tablevault.errors import CannotComplete, ConnectionLost
from tablevault.mysql import keysets
from tablevault.ops import restore_tasks
from tablevault.ops.options import RestoreResult
from tests.servers import Server
from tests.support.facts import numbers
from tests.support.roundtrip import pattern, put_back, take

Scanned = list[str]


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> Scanned:
    """The tables whose keys are digested, in order, whoever does it; whatever their size."""
    monkeypatch.setattr(restore_tasks, "LOOK_FROM_BYTES", 1)
    names: Scanned = []
    digest_keys = keysets.digest_keys

    def noted(conn: Any, definition: Any, table: Any, index: str = "") -> Any:
        names.append(table.name if not table.name.startswith("_tv_new") else f"new by {index}")
        return digest_keys(conn, definition, table, index)

    monkeypatch.setattr(keysets, "digest_keys", noted)
    return names


@pytest.fixture
def restored(server: Server, database: str, vault: Path) -> Callable[[], RestoreResult]:
    """Of a table that nobody has written to for some seconds."""
    server.sql(
        "CREATE TABLE orders (id INT PRIMARY KEY, v INT, w INT, KEY v (v), KEY w (w));"
        f"INSERT INTO orders SELECT seq, seq % 7, seq % 9 FROM {numbers(3000)}",
        database,
    )
    taken = take(server, vault, [pattern(database, "orders")])
    time.sleep(keysets.MARGIN_S + 1.1)
    return lambda: put_back(server, vault, taken.id, indexes="after")


def new_rows(result: RestoreResult) -> list[str]:
    """What was said of rows that are not in the snapshot."""
    assert result.status == "swapped"
    return [hint.split(":")[1].split(" are")[0].strip() for hint in result.hints if "rows" in hint]


def test_each_table_is_scanned_once(
    restored: Callable[[], RestoreResult], scanned: Scanned
) -> None:
    assert new_rows(restored()) == []
    assert sorted(scanned) == ["new by v", "orders"]


def test_what_was_written_after_the_look_is_counted(
    server: Server,
    database: str,
    restored: Callable[[], RestoreResult],
    scanned: Scanned,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stands = keysets.stands

    def written_before(*seen: Any) -> bool:
        server.sql("INSERT INTO orders VALUES (5000, 1, 1), (5001, 1, 1)", database)
        return stands(*seen)

    monkeypatch.setattr(keysets, "stands", written_before)
    assert new_rows(restored()) == ["2 rows"]
    assert sorted(scanned) == ["new by v", "orders", "orders"]


@pytest.mark.parametrize("error", [ConnectionLost("killed"), CannotComplete("refused")])
def test_a_look_that_fails_costs_a_scan_and_no_restore(
    restored: Callable[[], RestoreResult],
    scanned: Scanned,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def fail(conn: Any, *_: object) -> None:
        if isinstance(error, ConnectionLost):
            conn.abort()  # as a DBA does who ends what reads a live table for long
        raise error

    monkeypatch.setattr(keysets, "_quiet", fail)
    assert new_rows(restored()) == []
    assert sorted(scanned) == ["new by v", "orders"]


def test_a_swap_of_its_own_has_seen_nothing(
    server: Server, database: str, vault: Path, scanned: Scanned
) -> None:
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT, KEY v (v)); INSERT INTO t VALUES (1, 1)",
               database)  # fmt: skip
    taken = take(server, vault, [pattern(database, "t")])
    time.sleep(keysets.MARGIN_S + 1.1)
    assert put_back(server, vault, taken.id, indexes="after", swap=False).status == "proven"
    assert scanned == []

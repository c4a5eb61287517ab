"""One instant, whatever the application does meanwhile; and nothing of ours in its way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mysql.connector  # noqa: F401  (before the threads do)
import pytest

from tablevault.errors import CannotComplete, LockNotGranted, TablevaultError
from tablevault.events import ChunkDone, Event, PhaseBegan
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.snapshot import snapshot
from tablevault.vault.catalog import list_snapshots
from tablevault.vault.store import LocalStore, open_store
from tests.servers import Server

pytestmark = pytest.mark.usefixtures("small_units")

ROWS = 400
TOTAL = 2 * ROWS * 100


@pytest.fixture
def accounts(server: Server, database: str) -> str:
    """Two tables between which amounts are moved: their sum never changes."""
    rows = ", ".join(f"({n}, 100, REPEAT('x', 200))" for n in range(ROWS))
    for name in ("a", "b"):
        server.sql(
            f"CREATE TABLE {database}.{name} (id INT PRIMARY KEY, amount INT, filler VARCHAR(250));"
            f"INSERT INTO {database}.{name} VALUES {rows};"
        )
    return database


@pytest.fixture
def store(vault: Path) -> LocalStore:
    return open_store(str(vault), create=True)


@contextmanager
def transfers(server: Server, schema: str) -> Iterator[Callable[[], int]]:
    """A writer at full speed; yields how many transfers there were so far."""
    stop, done = threading.Event(), [0]

    def work() -> None:
        connection = server.connect(autocommit=False)
        cursor = connection.cursor()
        while not stop.is_set():
            row = done[0] % ROWS
            try:
                cursor.execute(f"UPDATE {schema}.a SET amount = amount - 1 WHERE id = {row}")
                cursor.execute(
                    f"UPDATE {schema}.b SET amount = amount + 1 WHERE id = {ROWS - 1 - row}"
                )
                connection.commit()
            except Exception:
                connection.rollback()
                continue
            done[0] += 1
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield lambda: done[0]
    finally:
        stop.set()
        thread.join()


def duck(statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement, by DuckDB."""
    import duckdb

    with duckdb.connect() as connection:
        rows: list[tuple[Any, ...]] = connection.execute(statement).fetchall()
        return rows


def sums(vault: Path, snapshot_id: str, schema: str) -> tuple[int, int]:
    """Sum and count of both tables, read by another reader of Parquet."""
    files = [str(vault / snapshot_id / schema / name / "*.parquet") for name in ("a", "b")]
    [(total, count)] = duck(f"SELECT SUM(amount), COUNT(*) FROM read_parquet({files})")
    return int(total), int(count)


@pytest.mark.parametrize("lock", ["auto", "tables", "ftwrl"])
def test_a_sum_over_two_tables_never_shows_a_transfer(
    server: Server, accounts: str, vault: Path, store: LocalStore, lock: str
) -> None:
    options = SnapshotOptions(
        patterns=(f"{accounts}.*",), lock=lock, chunk_bytes=4000, threads=3, lock_wait_s=20
    )
    with transfers(server, accounts) as done:
        for _ in range(3):
            before = done()
            taken = snapshot(server.options(), store, options)
            assert done() > before
            assert sums(vault, taken.id, accounts) == (TOTAL, 2 * ROWS)
    assert done() > 50


def test_no_lock_is_said(server: Server, accounts: str, store: LocalStore) -> None:
    taken = snapshot(
        server.options(), store, SnapshotOptions(patterns=(f"{accounts}.*",), lock="none")
    )
    assert taken.lock == "none"
    assert any("different instants" in hint for hint in taken.hints)


@pytest.mark.parametrize("lock", ["tables", "ftwrl"])
def test_a_lock_that_does_not_come_is_given_up_whole(
    server: Server, accounts: str, store: LocalStore, lock: str
) -> None:
    """Behind an open transaction that writes; on MariaDB FTWRL does not wait for it."""
    holder = server.connect(autocommit=False)
    holder.cursor().execute(f"UPDATE {accounts}.a SET amount = 1 WHERE id = 1")
    options = SnapshotOptions(patterns=(f"{accounts}.*",), lock=lock, lock_wait_s=2)
    began = time.monotonic()
    try:
        if lock == "tables":
            with pytest.raises(LockNotGranted, match=r"LOCK TABLES .* within 2 s") as caught:
                snapshot(server.options(), store, options)
            assert "idle in transaction" in caught.value.message
            assert time.monotonic() - began < 15
            assert list_snapshots(store) == []
        else:
            snapshot(server.options(), store, options)
        application = server.connect()
        began = time.monotonic()
        application.cursor().execute(f"UPDATE {accounts}.a SET amount = 2 WHERE id = 2")
        application.cursor().execute(f"UPDATE {accounts}.b SET amount = 2 WHERE id = 2")
        assert time.monotonic() - began < 1
        application.close()
    finally:
        holder.rollback()
        holder.close()


def statement_aside(server: Server, statement: str) -> tuple[threading.Thread, list[str]]:
    """Run a statement in a thread; how it ended stands in the list."""
    ended: list[str] = []

    def work() -> None:
        connection = server.connect()
        try:
            connection.cursor().execute(statement)
            ended.append("done")
        except Exception as error:
            ended.append(str(error))
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread, ended


DDL = {
    "alter": "ALTER TABLE {db}.b ADD COLUMN w INT DEFAULT 1",
    "type": "ALTER TABLE {db}.b MODIFY amount BIGINT",
    "rename": "RENAME TABLE {db}.a TO {db}.x, {db}.b TO {db}.a, {db}.x TO {db}.b",
    "truncate": "TRUNCATE {db}.b",
    "drop": "DROP TABLE {db}.b",
    "comment": "ALTER TABLE {db}.b COMMENT 'another'",
    "rename column": "ALTER TABLE {db}.b RENAME COLUMN amount TO amount2",
}


@pytest.mark.parametrize("ddl", DDL)
def test_ddl_between_the_look_and_the_lock_fails_the_snapshot(
    server: Server, accounts: str, store: LocalStore, ddl: str
) -> None:
    def observe(event: Event) -> None:
        if isinstance(event, PhaseBegan) and event.phase == "locking":
            server.sql(DDL[ddl].format(db=accounts))

    with pytest.raises(TablevaultError) as caught:
        snapshot(server.options(), store, SnapshotOptions(patterns=(f"{accounts}.*",)), observe)
    assert caught.value.exit_code == 4, caught.value
    assert accounts in caught.value.message
    assert list_snapshots(store) == []


def test_ddl_that_waits_is_yielded_to(server: Server, accounts: str, store: LocalStore) -> None:
    aside: list[Any] = []

    def observe(event: Event) -> None:
        if isinstance(event, ChunkDone) and not aside:
            aside.append(statement_aside(server, DDL["alter"].format(db=accounts)))
            time.sleep(4)  # the readers hold their metadata locks meanwhile

    options = SnapshotOptions(
        patterns=(f"{accounts}.*",), lock="tables", ddl_wait_s=1, chunk_bytes=4000
    )
    with pytest.raises(CannotComplete, match="gave way to a DDL"):
        snapshot(server.options(), store, options, observe)
    [(thread, ended)] = aside
    thread.join(10)
    assert ended == ["done"]
    assert list_snapshots(store) == []


def test_ddl_is_kept_waiting_while_the_application_runs(
    server: Server, accounts: str, vault: Path, store: LocalStore
) -> None:
    aside: list[Any] = []
    took: list[float] = []

    def observe(event: Event) -> None:
        if isinstance(event, ChunkDone) and not aside:
            aside.append(statement_aside(server, DDL["alter"].format(db=accounts)))
            time.sleep(0.5)
            began = time.monotonic()
            server.sql(f"SELECT COUNT(*) FROM {accounts}.b; UPDATE {accounts}.b SET amount = 0;")
            took.append(time.monotonic() - began)
            assert aside[0][1] == [], "the DDL did not wait"

    options = SnapshotOptions(patterns=(f"{accounts}.*",), lock="auto", chunk_bytes=4000)
    taken = snapshot(server.options(), store, options, observe)
    [(thread, ended)] = aside
    thread.join(10)
    assert ended == ["done"]
    assert took[0] < 2
    assert sums(vault, taken.id, accounts) == (TOTAL, 2 * ROWS)


def test_other_readers_of_parquet_agree(
    server: Server, accounts: str, vault: Path, store: LocalStore
) -> None:
    server.sql(
        f"CREATE TABLE {accounts}.t (id BIGINT UNSIGNED PRIMARY KEY, d DECIMAL(12,3), f DOUBLE, "
        f"at DATETIME(6), day DATE, name VARCHAR(40), n INT);"
        f"INSERT INTO {accounts}.t SELECT id, id / 7, id / 3, '2020-01-01' + INTERVAL id HOUR, "
        f"'2020-01-01' + INTERVAL id DAY, CONCAT('näme ', id), "
        f"IF(id % 3, id, NULL) FROM {accounts}.a;"
    )
    taken = snapshot(
        server.options(), store, SnapshotOptions(patterns=(f"{accounts}.t",), chunk_bytes=3000)
    )
    files = str(vault / taken.id / accounts / "t" / "*.parquet")
    [ours] = duck(
        'SELECT COUNT(*), SUM(id), SUM(d), COUNT(n), SUM(n), MIN("at")::VARCHAR, '
        "MAX(day)::VARCHAR, "
        f"SUM(LENGTH(name)), ROUND(SUM(f), 3) FROM read_parquet('{files}')"
    )
    theirs = server.query(
        "SELECT COUNT(*), SUM(id), SUM(d), COUNT(n), SUM(n), LEFT(MIN(at), 19), MAX(day), "
        f"SUM(CHAR_LENGTH(name)), ROUND(SUM(f), 3) FROM {accounts}.t"
    )[0]
    assert [str(value) for value in ours[:8]] == list(theirs[:8])
    assert float(ours[8]) == pytest.approx(float(theirs[8] or 0))

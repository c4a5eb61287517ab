"""Tables without transactions: nobody writes to them while they are read, and no longer."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tablevault.errors import CannotComplete
from tablevault.events import Event, Hint
from tablevault.model import TableName
from tablevault.mysql import locks
from tablevault.mysql.connect import connect
from tablevault.mysql.held_lock import HeldLock
from tablevault.mysql.server import privileges
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.snapshot import snapshot
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.roundtrip import pattern, put_back

NUMBERS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 900)"


def run(session: Any, statement: str) -> None:
    cursor = session.cursor()
    cursor.execute(statement)
    cursor.close()


def held(server: Server, database: str, mode: str) -> HeldLock:
    with connect(server.options()) as asking:
        granted = privileges(asking)
    tables = [TableName(database, name) for name in ("bare", "t")]
    return locks.acquire(
        connect(server.options()),
        mode,
        tables,
        5,
        granted,
        lambda: connect(server.options()),
        without_transactions=tables[:1],
    )


@pytest.mark.parametrize("mode", ["auto", "tables", "ftwrl"])
def test_who_writes_waits_until_the_rows_are_read(server: Server, database: str, mode: str) -> None:
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 0);", database)
    server.sql("CREATE TABLE bare (id INT) ENGINE=MyISAM; INSERT INTO bare VALUES (1)", database)
    with (
        server.connect(database=database) as app,
        server.connect(database=database) as other,
        held(server, database, mode) as lock,
    ):
        lock.release_reads()
        run(other, "UPDATE t SET v = 1")  # those with transactions go on
        writer = threading.Thread(target=run, args=(app, "UPDATE bare SET id = 2"))
        writer.start()
        time.sleep(0.5)
        assert writer.is_alive() and lock.alive()
        lock.release_rows()
        writer.join(10)
        assert not writer.is_alive()


def test_a_writer_of_both_kinds_is_let_through(server: Server, database: str) -> None:
    """It holds a row of the one and waits for the other: no try may keep it there."""
    server.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 0); "
               "CREATE TABLE bare (id INT) ENGINE=MyISAM", database)  # fmt: skip
    with server.connect(database=database, autocommit=False) as app:
        run(app, "UPDATE t SET v = 1")

        def go_on() -> None:
            time.sleep(0.5)
            run(app, "SELECT COUNT(*) INTO @n FROM bare")
            app.commit()

        writer = threading.Thread(target=go_on)
        writer.start()
        with held(server, database, "tables") as lock:
            writer.join(10)
            assert lock.alive()


def test_a_lock_that_was_lost_is_no_snapshot(server: Server, database: str) -> None:
    server.sql("CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE bare (id INT) ENGINE=MyISAM",
               database)  # fmt: skip
    with held(server, database, "auto") as lock:
        lock.release_reads()
        for connection, _ in lock._rows:
            server.sql(f"KILL {connection.id}")
        with pytest.raises(CannotComplete, match="lost while they were read"):
            lock.release_rows()


def test_a_snapshot_under_writers_is_one_instant(
    server: Server, database: str, vault: Path, small_units: None
) -> None:
    """Each statement raises all rows by one: a snapshot has all of them alike, and none waits."""
    engine = "MyISAM" if server.family == "mysql" else "Aria TRANSACTIONAL=0"
    server.sql(
        f"CREATE TABLE bare (id INT PRIMARY KEY, v INT NOT NULL, w VARCHAR(90)) ENGINE={engine}; "
        f"INSERT INTO bare {NUMBERS} SELECT n, 0, SHA2(n, 256) FROM r; ANALYZE TABLE bare;",
        database,
    )
    events: list[Event] = []
    ending = threading.Event()

    def write() -> None:
        with server.connect(database=database) as app:
            while not ending.is_set():
                run(app, "UPDATE bare SET v = v + 1")

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        store = open_store(str(vault), create=True)
        options = SnapshotOptions((pattern(database, "bare"),), chunk_bytes=10_000)
        taken = snapshot(server.options(), store, options, events.append)
    finally:
        ending.set()
        for writer in writers:
            writer.join()
    assert taken.tables[0].chunk_count > 3
    hints = [event.message for event in events if isinstance(event, Hint)]
    assert any("locked while they are read" in hint and "bare" in hint for hint in hints), hints
    assert put_back(server, vault, taken.id).status == "swapped"
    assert server.query("SELECT COUNT(*), COUNT(DISTINCT v) FROM bare", database) == [("900", "1")]

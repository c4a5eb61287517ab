"""Snapshot locks: which one, for how long, and that a lock given up leaves nothing behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tablevault.errors import CannotComplete, LockNotGranted
from tablevault.model import TableName
from tablevault.mysql import locks
from tablevault.mysql.connect import Connection, Purpose, connect
from tablevault.mysql.identity import identities
from tablevault.mysql.locks import HeldLock, LockKind
from tablevault.mysql.server import Privileges, privileges
from tests.servers import Server

ALL = Privileges(frozenset({"ALL PRIVILEGES"}))


@pytest.fixture
def conn(server: Server, database: str) -> Iterator[Connection]:
    with connect(server.options()) as conn:
        conn.execute(f"CREATE TABLE `{database}`.t (id INT PRIMARY KEY, v INT)")
        conn.execute(f"INSERT INTO `{database}`.t VALUES (1, 0), (2, 0)")
        yield conn


@pytest.fixture
def app(server: Server, database: str, conn: Connection) -> Iterator[Any]:
    """The application: a session of its own that knows nothing of tablevault."""
    session = server.connect(database=database)
    yield session
    session.close()


def run(session: Any, statement: str) -> None:
    cursor = session.cursor()
    cursor.execute(statement)
    if cursor.description:
        cursor.fetchall()
    cursor.close()


@contextmanager
def meanwhile(session: Any, statement: str) -> Iterator[Callable[[], bool]]:
    """`statement` runs in another thread; the value says whether it has ended."""
    thread = threading.Thread(target=run, args=(session, statement))
    thread.start()
    time.sleep(0.3)
    yield lambda: not thread.is_alive()
    thread.join(30)
    assert not thread.is_alive()


def take(server: Server, conn: Connection, database: str, mode: str, wait_s: float = 5) -> HeldLock:
    return locks.acquire(
        conn,
        mode,
        [TableName(database, "t")],
        wait_s,
        privileges(conn),
        lambda: connect(server.options()),
        exported=[TableName(database, "t")] if mode == "export" else [],
    )


@pytest.mark.parametrize("mode", ["auto", "tables", "ftwrl", "export"])
def test_one_instant_for_all_readers(
    server: Server, conn: Connection, database: str, app: Any, mode: str
) -> None:
    """A writer that raises both rows in turn is seen by every reader at the same count."""
    writer_ends = threading.Event()

    def write() -> None:
        while not writer_ends.is_set():
            run(app, "UPDATE t SET v = v + 1 WHERE id = 1")
            run(app, "UPDATE t SET v = v + 1 WHERE id = 2")

    writer = threading.Thread(target=write)
    writer.start()
    readers = [connect(server.options(), Purpose.READ) for _ in range(3)]
    try:
        with take(server, conn, database, mode) as held:
            for reader in readers:
                reader.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
                time.sleep(0.05)
            held.release_reads()
            time.sleep(0.1)
            seen = [r.query(f"SELECT id, v FROM `{database}`.t ORDER BY id") for r in readers]
    finally:
        writer_ends.set()
        writer.join()
        for reader in readers:
            reader.close()
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("mode", ["auto", "tables", "ftwrl", "export"])
def test_writers_wait_only_for_the_instant(
    server: Server, conn: Connection, database: str, app: Any, mode: str
) -> None:
    with take(server, conn, database, mode) as held:
        with meanwhile(app, "UPDATE t SET v = 1 WHERE id = 1") as ended:
            assert not ended()
            held.release_reads()
            time.sleep(0.3)
            assert ended()
        assert held.alive()


@pytest.mark.parametrize("mode", ["auto", "export"])
def test_it_keeps_ddl_out_and_the_application_in(
    server: Server, conn: Connection, database: str, app: Any, mode: str
) -> None:
    with (
        connect(server.options(), Purpose.READ) as reader,
        server.connect(database=database) as other,
        take(server, conn, database, mode) as held,
    ):
        reader.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        held.release_reads()
        assert held.keeps_ddl_out, held.hints
        reader.query(f"SELECT * FROM `{database}`.t")
        with meanwhile(app, "ALTER TABLE t ADD COLUMN n INT") as ended:
            assert not ended()
            run(other, "SELECT * FROM t")
            run(other, "UPDATE t SET v = 5")
            reader.execute("COMMIT")
            time.sleep(0.2)
            assert not ended()
            held.release_all()


def test_ddl_is_let_in_on_demand(server: Server, conn: Connection, database: str, app: Any) -> None:
    held = locks.acquire(
        conn,
        "auto",
        [TableName(database, "t")],
        5,
        ALL,
        lambda: connect(server.options()),
        keep_ddl_out=False,
    )
    held.release_reads()
    assert not held.keeps_ddl_out
    run(app, "ALTER TABLE t ADD COLUMN n INT")
    held.release_all()


@pytest.mark.parametrize(("mode", "words"), [("tables", "LOCK TABLES"), ("export", "FLUSH TABLES")])
def test_given_up_behind_an_open_writer(
    server: Server, conn: Connection, database: str, app: Any, mode: str, words: str
) -> None:
    run(app, "BEGIN")
    run(app, "UPDATE t SET v = 7 WHERE id = 1")
    began = time.monotonic()
    with pytest.raises(LockNotGranted) as failure:
        take(server, conn, database, mode, 2)
    assert time.monotonic() - began < 5
    assert words in failure.value.message and "within 2 s" in failure.value.message
    assert f"connection {app.connection_id} (" in failure.value.message
    with server.connect(database=database) as other:
        run(other, "SET SESSION innodb_lock_wait_timeout = 1, lock_wait_timeout = 1")
        run(other, "UPDATE t SET v = 8 WHERE id = 2")
        run(app, "COMMIT")
        run(other, "ALTER TABLE t ADD COLUMN n INT")
    assert conn.alive()


@pytest.mark.parametrize("mode", ["tables", "export"])
def test_gotten_when_the_writer_ends_in_time(
    server: Server, conn: Connection, database: str, app: Any, mode: str
) -> None:
    run(app, "BEGIN")
    run(app, "UPDATE t SET v = 7 WHERE id = 1")
    ender = threading.Timer(0.7, lambda: run(app, "COMMIT"))
    ender.start()
    with take(server, conn, database, mode) as held:
        ender.join()
        assert held.kind is LockKind(mode)


def test_backup_stage_waits_for_no_transaction(mariadb: Server, database: str) -> None:
    with connect(mariadb.options()) as conn, mariadb.connect(database=database) as app:
        run(app, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
        run(app, "INSERT INTO t VALUES (1, 0), (2, 0)")
        run(app, "BEGIN")
        run(app, "UPDATE t SET v = 7")
        with meanwhile(app, "UPDATE t SET v = SLEEP(1.5) WHERE id = 1") as ended:
            began = time.monotonic()
            with take(mariadb, conn, database, "auto") as held:
                assert held.kind is LockKind.BACKUP_STAGE
                assert time.monotonic() - began < 1 and not ended()


def test_tables_without_transactions_keep_being_written(mariadb: Server, database: str) -> None:
    with connect(mariadb.options()) as conn, mariadb.connect(database=database) as app:
        run(app, "CREATE TABLE t (id INT PRIMARY KEY)")
        run(app, "CREATE TABLE old (id INT) ENGINE=MyISAM")
        with take(mariadb, conn, database, "auto") as held:
            held.release_reads()
            assert not held.keeps_ddl_out and "engines without transactions" in held.hints[0]
            run(app, "INSERT INTO old VALUES (1)")


def test_ftwrl_does_not_start_behind_a_query(
    server: Server, conn: Connection, database: str, app: Any
) -> None:
    with meanwhile(app, "SELECT SLEEP(4) FROM t WHERE id = 1"):
        time.sleep(1)
        with pytest.raises(LockNotGranted, match=f"connection {app.connection_id} .*SLEEP"):
            take(server, conn, database, "ftwrl", 1)
        with server.connect(database=database) as other:
            run(other, "SELECT * FROM t")
            run(other, "UPDATE t SET v = 3 WHERE id = 2")


@pytest.mark.parametrize("mode", ["auto", "export"])
def test_an_abandoned_lock_goes_with_its_connection(
    server: Server, conn: Connection, database: str, app: Any, mode: str
) -> None:
    held = take(server, conn, database, mode)
    for connection in {conn, *(c for c, _ in (*held._instant, *held._ddl))}:
        connection.abort()
    assert not held.alive()
    run(app, "UPDATE t SET v = 1")
    held.release_all()


def test_what_is_not_exported_is_locked_with_it(
    server: Server, conn: Connection, database: str, app: Any
) -> None:
    """All of them stand still at the instant, those without transactions until they are read."""
    run(app, "CREATE TABLE other (id INT PRIMARY KEY)")
    run(app, "CREATE TABLE old (id INT) ENGINE=MyISAM")
    tables = [TableName(database, name) for name in ("t", "other", "old")]
    with (
        server.connect(database=database) as second,
        server.connect(database=database) as third,
        locks.acquire(
            conn,
            "export",
            tables,
            5,
            ALL,
            lambda: connect(server.options()),
            without_transactions=tables[2:],
            exported=tables[:1],
        ) as held,
        meanwhile(app, "UPDATE t SET v = 1") as written,
        meanwhile(second, "INSERT INTO other VALUES (1)") as other_written,
        meanwhile(third, "INSERT INTO old VALUES (1)") as old_written,
    ):
        assert not written() and not other_written() and not old_written()
        held.release_reads()
        time.sleep(0.3)
        assert written() and other_written() and not old_written()
        held.release_rows()
        time.sleep(0.3)
        assert old_written()


def test_an_export_is_given_up_as_a_whole_while_another_table_is_written(
    server: Server, conn: Connection, database: str, app: Any
) -> None:
    run(app, "CREATE TABLE other (id INT PRIMARY KEY)")
    run(app, "BEGIN")
    run(app, "INSERT INTO other VALUES (1)")
    tables = [TableName(database, name) for name in ("t", "other")]
    with pytest.raises(LockNotGranted):
        locks.acquire(
            conn,
            "export",
            tables,
            1,
            ALL,
            lambda: connect(server.options()),
            exported=tables[:1],
        )
    with server.connect(database=database) as other:
        run(other, "SET SESSION innodb_lock_wait_timeout = 1, lock_wait_timeout = 1")
        run(other, "UPDATE t SET v = 8 WHERE id = 2")
        run(app, "COMMIT")
        run(other, "ALTER TABLE t ADD COLUMN n INT")


def test_an_export_is_had_among_alters(
    server: Server, conn: Connection, database: str, app: Any
) -> None:
    """An ALTER that waits keeps it from nothing, and does not slip in when it is given back."""
    stop = threading.Event()

    def alter() -> None:
        while not stop.is_set():
            run(app, "ALTER TABLE t FORCE")

    thread = threading.Thread(target=alter)
    thread.start()
    try:
        for _ in range(5):
            with take(server, conn, database, "export", 20) as held:
                time.sleep(0.1)
                before = identities(conn, [TableName(database, "t")])
                held.release_reads()
                assert held.keeps_ddl_out, held.hints
                time.sleep(0.2)
                assert identities(conn, [TableName(database, "t")]) == before
    finally:
        stop.set()
        thread.join(30)


def choose(conn: Connection, mode: str, *held: str) -> LockKind:
    return locks.choose(
        conn, locks.LockMode(mode), [TableName("s", "t")], Privileges(frozenset(held))
    )[0]


def test_choice_follows_the_privileges(conn: Connection) -> None:
    mariadb = conn.server.family == "mariadb"
    gentlest = LockKind.BACKUP_STAGE if mariadb else LockKind.INSTANCE_AND_TABLES
    everything = ("SELECT", "LOCK TABLES", "RELOAD", "BACKUP_ADMIN")
    assert choose(conn, "auto", *everything) is gentlest
    assert choose(conn, "auto", "SELECT", "LOCK TABLES") is LockKind.TABLES
    assert choose(conn, "tables", *everything) is LockKind.TABLES
    assert choose(conn, "ftwrl", "RELOAD") is LockKind.FTWRL
    assert choose(conn, "export", *everything) is LockKind.EXPORT
    assert choose(conn, "none") is LockKind.NONE
    for mode in ("auto", "tables", "ftwrl", "export"):
        with pytest.raises(CannotComplete) as failure:
            choose(conn, mode, "SELECT")
        assert "grant" in (failure.value.hint or "")


def test_a_lock_that_the_server_forbids_though_it_was_granted(
    server: Server, conn: Connection, database: str, app: Any
) -> None:
    """As on a service where RELOAD is granted and what it is for is not."""
    server.sql(
        f"DROP USER IF EXISTS granted; CREATE USER granted IDENTIFIED BY 'pw';"
        f"GRANT SELECT, LOCK TABLES ON `{database}`.* TO granted"
    )
    options = server.options(user="granted", password="pw")
    try:
        with connect(options) as theirs:
            held = locks.acquire(
                theirs, "auto", [TableName(database, "t")], 5, ALL, lambda: connect(options)
            )
            with held:
                assert held.kind is LockKind.TABLES and "forbids" in held.why
                assert held.hints and not held.keeps_ddl_out
                with meanwhile(app, "UPDATE t SET v = 1") as ended:
                    assert not ended()
                    held.release_reads()
    finally:
        server.sql("DROP USER granted")

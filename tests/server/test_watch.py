"""Looking on: waiting DDL, who is in the way, how far an index is; and never a failure."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tablevault.model import TableName
from tablevault.mysql import pressure, sink, watch
from tablevault.mysql.connect import Connection, Purpose, connect
from tests.servers import Server


@pytest.fixture
def conn(server: Server, database: str) -> Iterator[Connection]:
    with connect(server.options()) as conn:
        conn.execute(f"CREATE TABLE `{database}`.t (id INT PRIMARY KEY, v INT)")
        conn.execute(f"INSERT INTO `{database}`.t VALUES (1, 0), (2, 0)")
        yield conn


def run(session: Any, statement: str) -> None:
    cursor = session.cursor()
    cursor.execute(statement)
    if cursor.description:
        cursor.fetchall()
    cursor.close()


def ask(session: Any, statement: str) -> None:
    with contextlib.suppress(Exception):  # it is killed in the middle
        run(session, statement)


def await_seen(look: Any, timeout_s: float = 5) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_waiting_ddl_and_its_blocker(server: Server, conn: Connection, database: str) -> None:
    table, other = TableName(database, "t"), TableName(database, "other")
    with server.connect(database=database) as app, server.connect(database=database) as admin:
        run(app, "START TRANSACTION")
        run(app, "SELECT * FROM t")
        thread = threading.Thread(target=run, args=(admin, "ALTER TABLE t COMMENT 'secret'"))
        thread.start()
        [waiting] = await_seen(lambda: watch.ddl_waiting_on(conn, [table]).sessions)
        assert waiting.id == admin.connection_id
        assert waiting.statement == "ALTER TABLE t COMMENT '…'"
        assert watch.ddl_waiting_on(conn, [other]).sessions == ()
        sighting = watch.blockers(conn, table, ignore=[admin.connection_id])
        assert f"connection {app.connection_id} (" in sighting.lines[0]
        assert "idle in transaction" in sighting.lines[0]
        run(app, "ROLLBACK")
        thread.join(10)
    assert watch.ddl_waiting_on(conn, [table]).sessions == ()


def test_running_queries(server: Server, conn: Connection, database: str) -> None:
    with server.connect(database=database) as app:
        thread = threading.Thread(target=ask, args=(app, "SELECT SLEEP(3), 'pass word' FROM t"))
        thread.start()
        found = await_seen(lambda: watch.running_queries(conn, 1).sessions)
        assert [s.id for s in found] == [app.connection_id]
        assert "pass word" not in str(found[0]) and "SELECT SLEEP(3)" in str(found[0])
        assert watch.running_queries(conn, 1, ignore=[app.connection_id]).sessions == ()
        assert watch.running_queries(conn, 60).sessions == ()
        conn.execute(f"KILL QUERY {app.connection_id}")
        thread.join(10)


def test_an_account_that_may_see_nothing(server: Server, conn: Connection, database: str) -> None:
    table = TableName(database, "t")
    server.sql(
        "DROP USER IF EXISTS tv_blind@'%'; CREATE USER tv_blind@'%' IDENTIFIED BY 'pw1!Xy'; "
        f"GRANT SELECT ON `{database}`.* TO tv_blind@'%';"
    )
    try:
        with (
            connect(server.options(user="tv_blind", password="pw1!Xy")) as blind,
            server.connect(database=database) as app,
        ):
            run(app, "START TRANSACTION")
            run(app, "SELECT * FROM t")
            sighting = watch.blockers(blind, table)
            assert app.connection_id not in {s.id for s in sighting.sessions}
            assert "PROCESS" in (sighting.hint or "")
            assert watch.ddl_waiting_on(blind, [table]).sessions == ()
            assert "PROCESS" in (watch.running_queries(blind, 1).hint or "")
            watch.index_progress(blind, app.connection_id)
            watch.status_counters(blind)
    finally:
        server.sql("DROP USER tv_blind@'%'")


def test_index_progress(server: Server, conn: Connection, database: str) -> None:
    with server.connect(database=database) as app:
        run(app, "CREATE TABLE big (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(200))")
        run(app, "INSERT INTO big (v) VALUES (REPEAT('x', 200)), (REPEAT('y', 200))")
        grow = "INSERT INTO big (v) SELECT LEFT(CONCAT(id, REVERSE(v)), 200) FROM big LIMIT 40000"
        for _ in range(16):
            run(app, grow)
        if server.family == "mysql":
            server.sql(
                "UPDATE performance_schema.setup_consumers SET ENABLED = 'YES' "
                "WHERE NAME = 'events_stages_current'"
            )
        alter = "ALTER TABLE big ADD KEY v (v), ADD KEY w (v, id)"
        thread = threading.Thread(target=run, args=(app, alter))
        thread.start()
        seen = []
        while thread.is_alive():
            progress = watch.index_progress(conn, app.connection_id)
            if progress is not None and progress.percent is not None:
                seen.append(progress.percent)
            time.sleep(0.005)
        thread.join()
    assert seen and all(0 <= percent <= 100 for percent in seen)
    assert len(set(seen)) > 1, seen
    assert watch.index_progress(conn, 999_999_999) is None


def test_status_counters(conn: Connection) -> None:
    counters = watch.status_counters(conn)
    assert counters["Innodb_buffer_pool_read_requests"] > 0
    assert counters["Innodb_history_list_length"] >= 0
    assert counters["Threads_running"] >= 1


def test_statements_that_change_rows_are_counted_and_loads_are_not(
    server: Server, conn: Connection, database: str
) -> None:
    server.sql(f"CREATE TABLE {database}.w (n INT PRIMARY KEY)")
    table = f"{database}.w"

    def counted(work: Callable[[], object]) -> int:
        before = pressure.look(conn).writes
        work()
        return pressure.look(conn).writes - before

    assert counted(lambda: server.sql(f"SELECT COUNT(*) FROM {table}")) == 0
    token = sink.new_token()
    load = f"LOAD DATA LOCAL INFILE '{token}' INTO TABLE {table}"
    with connect(server.options(), Purpose.LOAD) as loader:
        assert counted(lambda: sink.load_rows(loader, load, token, [b"1\n2\n"], 2)) == 0
    for statement in (
        f"INSERT INTO {table} VALUES (3)",
        f"UPDATE {table} SET n = 4 WHERE n = 3",
        f"REPLACE INTO {table} VALUES (4)",
        f"DELETE FROM {table} WHERE n = 4",
        f"PREPARE p FROM 'INSERT INTO {table} VALUES (5)'; EXECUTE p",
    ):
        assert counted(partial(server.sql, statement)) == 1, statement

"""A real replica that falls behind: loaders wait for it, and go on when it has caught up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tablevault.demo.server import PrivateServer
from tablevault.errors import CannotComplete, ServerUnavailable
from tablevault.events import Hint, Throttled, Waiting
from tablevault.mysql import replication
from tablevault.mysql.connect import connect
from tablevault.mysql.options import ConnectOptions
from tablevault.ops.options import RestoreOptions, SnapshotOptions
from tablevault.ops.restore import restore
from tablevault.ops.snapshot import snapshot
from tablevault.vault.store import LocalStore, open_store
from tests.faults.place import Restoring, wait_for
from tests.servers import Server, programs
from tests.support.facts import checksum

ACCOUNT = "tv_both"


@pytest.fixture
def replica(server: Server, database: str) -> Iterator[PrivateServer]:
    """A server that replicates from `server`, on which the account of the primary works."""
    own = programs(server.kind)
    with PrivateServer(programs=own, binlog=False, extra_args=("--server-id=2",)) as made:
        yield from _replicating(made, server, database)


def _replicating(made: PrivateServer, server: Server, database: str) -> Iterator[PrivateServer]:
    status = "SHOW BINARY LOG STATUS" if server.kind == "mysql" else "SHOW MASTER STATUS"
    [(file, position, *_)] = server.query(status)
    made.sql(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    reach = {
        "HOST": f"'{server.host}'",
        "PORT": str(server.port),
        "USER": f"'{server.user}'",
        "PASSWORD": f"'{server.password}'",
        "LOG_FILE": f"'{file}'",
        "LOG_POS": position,
    }
    word, change = (
        ("SOURCE", "REPLICATION SOURCE")
        if server.kind == "mysql"
        else (
            "MASTER",
            "MASTER",
        )
    )
    listed = ", ".join(f"{word}_{name} = {value}" for name, value in reach.items())
    if server.kind == "mysql":
        listed += ", GET_SOURCE_PUBLIC_KEY = 1"
    made.sql(f"CHANGE {change} TO {listed}; START REPLICA;")
    server.sql(
        f"CREATE USER {ACCOUNT} IDENTIFIED BY '{server.password}'; GRANT ALL ON *.* TO {ACCOUNT};"
    )
    with closing(server.connect()) as primary:
        yield made
        made.sql("STOP REPLICA")
        primary.cursor().execute(f"DROP USER {ACCOUNT}")


@pytest.fixture
def taken(server: Server, replica: PrivateServer, database: str, vault: Path) -> LocalStore:
    """A snapshot of a table with some row groups; the replica has it, too."""
    server.sql(
        "CREATE TABLE n (s INT PRIMARY KEY);"
        "INSERT INTO n WITH RECURSIVE r (s) AS (SELECT 1 UNION ALL SELECT s + 1 FROM r"
        " WHERE s < 100) SELECT s FROM r;"
        "CREATE TABLE t (id INT PRIMARY KEY, a INT, pad VARCHAR(100), KEY (a));"
        "INSERT INTO t SELECT x.s * 1000 + y.s, y.s, REPEAT('t', 80) FROM n x, n y;",
        database,
    )
    store = open_store(str(vault), create=True)
    snapshot(server.options(), store, SnapshotOptions(patterns=(f"{database}.t",)))
    return store


def account(at: Server | PrivateServer, server: Server) -> ConnectOptions:
    return ConnectOptions(host=at.host, port=at.port, user=ACCOUNT, password=server.password)


@contextmanager
def held_back(
    replica: PrivateServer, server: Server, database: str, seconds: float
) -> Iterator[Any]:
    """The replica applies nothing, and is that far behind already."""
    caught_up(replica, server)
    with closing(
        server.connect(host=replica.host, port=replica.port, password=replica.password)
    ) as session:
        session.cursor().execute("FLUSH TABLES WITH READ LOCK")
        server.sql("CREATE TABLE late (id INT)", database)
        wait_for(lambda: (lag(replica, server) or 0) > seconds, why="the replica to lag")
        yield session
        session.cursor().execute("UNLOCK TABLES")


def caught_up(replica: PrivateServer, server: Server) -> None:
    wait_for(
        lambda: lag(replica, server) == 0,
        within_s=30,
        why=f"the replica to catch up: {replica.sql('SHOW REPLICA STATUS')}",
    )


def lag(replica: PrivateServer, server: Server) -> float | None:
    with connect(account(replica, server)) as connection:
        return replication.lag_s(connection)


def begun(server: Server, store: LocalStore, to: ConnectOptions, **options: Any) -> Restoring:
    chosen = RestoreOptions(**{"swap": True, "indexes": "after", "max_lag_s": 2.0, **options})
    state = Path(store.root) / ".runs"
    return Restoring(lambda observer: restore(to, store, "latest", chosen, state, observer)).start()


def test_loaders_wait_for_a_replica_and_go_on(
    small_units: None, server: Server, replica: PrivateServer, database: str, taken: LocalStore
) -> None:
    before, name = checksum(server, database, "t"), f"{replica.host}:{replica.port}"
    with held_back(replica, server, database, 3.0):
        restoring = begun(server, taken, account(server, server), replicas=(name,))
        waiting = restoring.wait_event(Waiting, lambda event: event.what.startswith("the replica"))
        assert waiting.what == f"the replica {name}"
        assert "s behind, the limit is 2 s" in waiting.blockers[0]
        held = restoring.wait_event(Throttled)
        assert held.held and held.what == waiting.what and held.limit == "2 s"
        assert restoring.running
    assert restoring.succeeded().status == "swapped"
    assert checksum(server, database, "t") == before
    assert not restoring.of(Throttled)[-1].held
    assert restoring.gap_s < 2.0
    assert "replicate from the server" not in restoring.told


def test_a_replica_that_stays_behind_ends_the_run_resumable(
    small_units: None, server: Server, replica: PrivateServer, database: str, taken: LocalStore
) -> None:
    name = f"{replica.host}:{replica.port}"
    with held_back(replica, server, database, 3.0):
        chosen = {"replicas": (name,), "pressure_wait_s": 1.5}
        failure = begun(server, taken, account(server, server), **chosen).failed(4)
        assert f"the replica {name}" in failure.message and "the limit is 2 s" in failure.message
        assert "--max-lag" in (failure.hint or "") and "--resume" in (failure.hint or "")
        restoring = begun(
            server, taken, account(server, server), replicas=(name,), emergency=True, new=True
        )
        assert restoring.succeeded().status == "swapped", "an emergency waits for nobody"


def test_a_server_that_is_itself_behind_is_spared_but_not_waited_for(
    small_units: None, server: Server, replica: PrivateServer, database: str, taken: LocalStore
) -> None:
    """What keeps it behind here is a lock that does not hinder us: another session's row lock."""
    caught_up(replica, server)
    with closing(
        server.connect(host=replica.host, port=replica.port, password=replica.password)
    ) as session:
        cursor = session.cursor()
        cursor.execute("BEGIN")
        cursor.execute(f"UPDATE {database}.n SET s = 1001 WHERE s = 1")
        server.sql("UPDATE n SET s = 1002 WHERE s = 1", database)
        wait_for(lambda: (lag(replica, server) or 0) > 3, why="the replica to lag")
        restoring = begun(server, taken, account(replica, server), into=database, swap=False)
        assert restoring.succeeded().status == "proven"
        slowed = restoring.of(Throttled)
        assert slowed and "itself a replica" in slowed[0].what and slowed[0].pause_s
        assert not any(event.held for event in slowed)
        cursor.execute("ROLLBACK")


def test_who_is_no_replica_is_refused_and_who_is_not_named_is_hinted_at(
    server: Server, replica: PrivateServer, database: str, taken: LocalStore
) -> None:
    to = account(server, server)
    not_one = begun(server, taken, to, replicas=(f"{server.host}:{server.port}",))
    assert isinstance(not_one.failed(4), CannotComplete)
    assert "replicates from nobody" in not_one.told
    nobody = begun(server, taken, to, replicas=("127.0.0.1:1",))
    assert isinstance(nobody.failed(5), ServerUnavailable)
    unnamed = begun(server, taken, to)
    assert unnamed.succeeded().status == "swapped"
    assert any("name them with --replica" in hint.message for hint in unnamed.of(Hint))

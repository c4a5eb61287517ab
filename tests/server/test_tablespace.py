"""`snapshot --tablespace`: file and rows of one instant, and no rows lost for want of a file."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mysql.connector  # noqa: F401  (before the threads do)
import pytest

from tablevault.errors import UsageError
from tablevault.events import Event, Hint, PhaseBegan, Progress
from tablevault.ops import consistent, tablespace_copies, tablespace_plan
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.snapshot import snapshot
from tablevault.vault import raw_copy
from tablevault.vault.catalog import list_snapshots
from tablevault.vault.store import LocalStore, open_store
from tests.server.test_snapshot_consistency import TOTAL, accounts, duck, transfers  # noqa: F401
from tests.servers import Server
from tests.support.facts import checksum
from tests.support.shell import Shell
from tests.support.tablespaces import assert_tidy, imported, kept, slowed, take, unpacked


def test_file_and_rows_are_of_one_instant_whatever_is_written(
    server: Server,
    accounts: str,  # noqa: F811
    vault: Path,
    store: LocalStore,
) -> None:
    with transfers(server, accounts) as done:
        for _ in range(2):
            before = done()
            taken = take(server, store, accounts, threads=3, lock_wait_s=20)
            assert done() > before
            assert taken.lock == "export"
            assert (kept(taken), taken.features) == (["a", "b"], ("tablespaces",))
    assert_tidy(store, taken)
    sums = []
    for number, name in enumerate("ab"):
        imported(server, vault, taken, number, f"{name}2")
        rows = server.query(f"SELECT id, amount, filler FROM {name}2 ORDER BY id", accounts)
        files = vault / taken.id / accounts / name / "*.parquet"
        wanted = duck(f"SELECT id, amount, filler FROM read_parquet('{files}') ORDER BY id")
        assert rows == [(str(a), str(b), c) for a, b, c in wanted]
        sums.append(int(server.value(f"SELECT SUM(amount) FROM {name}2", accounts) or 0))
    assert sum(sums) == TOTAL
    assert taken.hints == () or "tablespace" not in str(taken.hints)


TABLES = {
    "bare": "CREATE TABLE bare (v VARCHAR(20))",
    "compact": "CREATE TABLE compact (id INT PRIMARY KEY, v TEXT) ROW_FORMAT=COMPACT",
    "computed": "CREATE TABLE computed (id INT PRIMARY KEY, a INT, b INT AS (a + 1) VIRTUAL, "
    "c INT AS (a * 2) STORED, KEY (c))",
    "instant": "CREATE TABLE instant (id INT PRIMARY KEY, gone INT, v VARCHAR(20))",
    "lobs": "CREATE TABLE lobs (id INT PRIMARY KEY, v LONGBLOB)",
    "places": "CREATE TABLE places (id INT PRIMARY KEY, p POINT NOT NULL)",
    "hollow": "CREATE TABLE hollow (id INT PRIMARY KEY)",
}
FILL = """
INSERT INTO bare VALUES ('a'), (NULL), ('a');
INSERT INTO compact VALUES (1, REPEAT('c', 20000)), (2, NULL);
INSERT INTO computed (id, a) VALUES (1, 5), (2, NULL);
INSERT INTO instant VALUES (1, 1, 'x');
ALTER TABLE instant ADD COLUMN later INT NOT NULL DEFAULT 7, ALGORITHM=INSTANT;
ALTER TABLE instant DROP COLUMN gone, ALGORITHM=INSTANT;
INSERT INTO instant VALUES (2, 'y', 9);
INSERT INTO lobs VALUES (1, REPEAT('l', 3000000));
INSERT INTO places VALUES (1, ST_GeomFromText('POINT(1 2)'));
"""
VERSIONED = """
CREATE TABLE versioned (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING;
INSERT INTO versioned VALUES (1, 1), (2, 2);
UPDATE versioned SET v = 5 WHERE id = 1; DELETE FROM versioned WHERE id = 2;
"""


def test_every_kind_of_table_that_is_kept_comes_back_by_import(
    server: Server, database: str, vault: Path, store: LocalStore
) -> None:
    tables = dict(TABLES)
    server.sql(";".join(tables.values()) + ";" + FILL, database)
    if server.family == "mariadb":
        server.sql(VERSIONED, database)
        tables["versioned"] = ""
    taken = take(server, store, database)
    assert set(kept(taken)) == set(tables)
    assert_tidy(store, taken)
    for number, entry in enumerate(taken.tables):
        name = entry.definition.table.name
        imported(server, vault, taken, number, f"{name}_2")
        assert checksum(server, database, f"{name}_2") == checksum(server, database, name), name
        assert "OK" in server.sql(f"CHECK TABLE {name}_2", database)
    if "versioned" in tables:
        rows = "SELECT id, v, row_start, row_end FROM {} FOR SYSTEM_TIME ALL ORDER BY 1, 2, 3"
        assert server.query(rows.format("versioned_2"), database) == server.query(
            rows.format("versioned"), database
        )


def test_what_has_no_file_to_keep_is_said_and_taken_as_always(
    server: Server, shop: str, store: LocalStore
) -> None:
    server.sql(
        "CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM; INSERT INTO old VALUES (1);"
        "CREATE TABLE words (id INT PRIMARY KEY, v TEXT, FULLTEXT KEY (v));",
        shop,
    )
    events: list[Event] = []
    taken = take(server, store, shop, events.append)
    assert kept(taken) == ["t"]
    assert {entry.definition.table.name for entry in taken.tables} == {"t", "old", "words"}
    [hint] = [hint for hint in taken.hints if "no tablespace is kept" in hint]
    assert f"{shop}.old (its engine is MyISAM)" in hint
    assert f"{shop}.words (its index `v` is FULLTEXT)" in hint
    assert hint in [event.message for event in events if isinstance(event, Hint)]
    assert_tidy(store, taken)


def test_with_nothing_to_keep_the_snapshot_is_one_like_any_other(
    tool: Shell, server: Server, database: str
) -> None:
    server.sql("CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM", database)
    done = tool("snapshot", f"{database}.old", "--tablespace")
    assert done.code == 0, done.stderr
    assert "no tablespace is kept" in done.stderr
    taken = open_store(str(tool.vault))
    [listed] = list_snapshots(taken)
    assert listed.snapshot is not None
    assert listed.snapshot.features == ()
    assert listed.snapshot.lock in ("tables", "instance+tables")


def test_an_account_that_may_not_export_gets_its_rows(
    server: Server, shop: str, store: LocalStore
) -> None:
    server.sql(
        "DROP USER IF EXISTS few; CREATE USER few IDENTIFIED BY 'pw';"
        f"GRANT PROCESS ON *.* TO few; GRANT SELECT, LOCK TABLES ON `{shop}`.* TO few"
    )
    try:
        options = SnapshotOptions(patterns=(f"{shop}.*",), tablespace=True)
        taken = snapshot(server.options(user="few", password="pw"), store, options)
    finally:
        server.sql("DROP USER few")
    assert (kept(taken), taken.lock) == ([], "tables")
    assert any("may not FLUSH TABLES" in hint for hint in taken.hints), taken.hints
    assert_tidy(store, taken)


def test_a_lock_that_does_not_come_costs_the_file_alone(
    mariadb: Server, database: str, vault: Path
) -> None:
    """BACKUP STAGE does not wait for an open writer."""
    mariadb.sql("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)", database)
    writer = mariadb.connect(database=database, autocommit=False)
    writer.cursor().execute("INSERT INTO t VALUES (2)")
    store = open_store(str(vault), create=True)
    taken = take(mariadb, store, database, lock_wait_s=1)
    writer.close()
    assert (kept(taken), taken.lock) == ([], "backup-stage")
    assert any("was not granted within 1 s" in hint for hint in taken.hints)
    assert_tidy(store, taken)


def test_rows_that_are_not_committed_are_in_no_file(
    mariadb: Server, database: str, vault: Path
) -> None:
    """A prepared XA transaction whose connection is gone holds no lock there; MySQL keeps it."""
    mariadb.sql("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)", database)
    application = mariadb.connect(database=database)
    cursor = application.cursor()
    for statement in ("XA START 'x'", "INSERT INTO t VALUES (2)", "XA END 'x'", "XA PREPARE 'x'"):
        cursor.execute(statement)
    application.close()
    store = open_store(str(vault), create=True)
    try:
        while not mariadb.query("XA RECOVER"):
            time.sleep(0.05)
        taken = take(mariadb, store, database)
    finally:
        mariadb.sql("XA ROLLBACK 'x'")
    assert (kept(taken), taken.lock, taken.tables[0].digest.rows) == ([], "export", 1)
    assert any("1 prepared XA transactions" in hint for hint in taken.hints), taken.hints
    assert_tidy(store, taken)


@contextmanager
def written_to(server: Server, schema: str) -> Iterator[Callable[[], list[float]]]:
    """Writes to `t` one after the other; yields how long each has taken."""
    took: list[float] = []
    stop = threading.Event()

    def work() -> None:
        connection = server.connect(database=schema)
        cursor = connection.cursor()
        while not stop.is_set():
            began = time.monotonic()
            cursor.execute("UPDATE t SET v = CONCAT(v, '') WHERE id = 1")
            took.append(time.monotonic() - began)
            time.sleep(0.01)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield lambda: took
    finally:
        stop.set()
        thread.join()


def test_who_writes_waits_for_the_copy_and_it_is_never_silent(
    server: Server, shop: str, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowed(monkeypatch, 0.06)
    events: list[Event] = []
    raw: list[list[Path]] = []

    def observe(event: Event) -> None:
        events.append(event)
        if isinstance(event, PhaseBegan) and event.phase in ("reading", "sealing"):
            raw.append(list(store.root.glob("*/.writing-*")))

    with written_to(server, shop) as took:
        taken = take(server, store, shop, observe)
        assert kept(taken) == ["t"]
        assert max(took()) > 1, "it was not locked"
    assert [len(files) for files in raw] == [1, 0], "a raw copy is left when the manifest comes"
    copying = [event for event in events if event.phase == "copying"]
    done = [event.bytes_done for event in copying if isinstance(event, Progress)]
    assert len(done) > 2
    assert done == sorted(done) and 0 < done[1] < done[-1]
    times = [event.time for event in events]
    assert max(b - a for a, b in itertools.pairwise(times)) < 1.5
    percents = [event.percent for event in events if event.percent is not None]
    assert percents == sorted(percents)
    packing = [one for one in events if one.phase == "packing" and isinstance(one, Progress)]
    assert packing and packing[-1].bytes_done <= packing[-1].bytes_total


@pytest.mark.parametrize("how", ["slow", "hanging"])
def test_a_copy_that_takes_too_long_is_given_up_and_the_lock_with_it(
    server: Server, shop: str, store: LocalStore, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    server.sql("CREATE TABLE small (id INT PRIMARY KEY)", shop)
    slowed(monkeypatch, 0.3)
    let_go = threading.Event()
    if how == "hanging":  # as on a file system that does not answer
        monkeypatch.setattr(raw_copy, "copy", lambda *_: let_go.wait(60))
    with written_to(server, shop) as took:
        taken = take(server, store, shop, tablespace_lock_s=1.0)
        assert 0.8 < max(took()) < 10
    let_go.set()
    assert "t" not in kept(taken)
    [hint] = [hint for hint in taken.hints if "no tablespace is kept" in hint]
    assert f"{shop}.t (its " in hint and "within 1 s (--tablespace-lock)" in hint
    assert taken.lock == "export"
    time.sleep(0.2)
    assert_tidy(store, taken)


def test_what_would_take_too_long_is_not_begun(
    server: Server, shop: str, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.sql("CREATE TABLE small (id INT PRIMARY KEY)", shop)
    monkeypatch.setattr(tablespace_plan, "_try_out", lambda copies, copy: 200_000)
    events: list[Event] = []
    taken = take(server, store, shop, events.append, tablespace_lock_s=2.0)
    assert kept(taken) == ["small"]
    [hint] = [hint for hint in taken.hints if "no tablespace is kept" in hint]
    assert f"{shop}.t (with its" in hint and "--tablespace-lock allows 2 s" in hint
    said = [event.message for event in events if isinstance(event, Hint)]
    assert any("1 tablespace," in one and "2 s at most" in one for one in said)


def test_a_full_vault_costs_the_file_alone(
    server: Server, shop: str, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalStore, "free_bytes", lambda self: 100_000)
    taken = take(server, store, shop)
    assert kept(taken) == []
    assert any("no room for a copy" in hint for hint in taken.hints), taken.hints
    assert_tidy(store, taken)


def test_an_error_while_copying_lets_the_tables_go(
    server: Server, shop: str, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(tablespace_plan, "_try_out", lambda copies, copy: 1e9)
    monkeypatch.setattr(raw_copy, "copy", broken)
    with pytest.raises(RuntimeError, match="unforeseen"):
        take(server, store, shop)
    server.sql("SET lock_wait_timeout = 2; ALTER TABLE t ADD COLUMN n INT", shop)
    assert list_snapshots(store) == []
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("wrong", ["no .cfg came with the lock", "another tablespace id"])
def test_a_file_of_another_server_is_not_taken_for_this_ones(
    server: Server,
    shop: str,
    store: LocalStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
) -> None:
    """As when the server is elsewhere, and another one has a data directory of that name here."""
    server.sql("CREATE TABLE other (id INT PRIMARY KEY)", shop)
    folder = Path(server.value("SELECT @@datadir") or "") / shop
    plain = tablespace_plan._copy

    def elsewhere(one: Any) -> tablespace_copies.Copy:
        found = plain(one)
        if one.table.name == "t":
            if "cfg" in wrong:
                found.path = tmp_path / "t.ibd"
                found.path.write_bytes((folder / "t.ibd").read_bytes())
            else:
                found.path = folder / "other.ibd"
                found.size_bytes = found.path.stat().st_size
        return found

    monkeypatch.setattr(tablespace_plan, "_copy", elsewhere)
    taken = take(server, store, shop)
    assert kept(taken) == ["other"], taken.hints
    assert any(wrong in hint and f"{shop}.t (" in hint for hint in taken.hints), taken.hints
    assert_tidy(store, taken)


def test_a_cfg_that_lay_there_before_is_none_that_came(
    server: Server, shop: str, store: LocalStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = Path(server.value("SELECT @@datadir") or "") / shop
    (folder / "t.cfg").write_bytes(b"left by a crash")
    taken = take(server, store, shop)
    assert kept(taken) == ["t"]
    found = (store.root / taken.id / shop / "t" / "tablespace.cfg").read_bytes()
    assert found != b"left by a crash" and b"t" in found


def test_a_lock_that_is_lost_costs_the_file_alone(
    server: Server, shop: str, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowed(monkeypatch, 0.05)
    killed: list[int] = []
    lock_on: list[int] = []
    plain = consistent.locks.acquire

    def acquire(conn: Any, *words: Any, **more: Any) -> Any:
        held = plain(conn, *words, **more)
        lock_on.append(conn.id)
        return held

    monkeypatch.setattr(consistent.locks, "acquire", acquire)

    def kill(event: Event) -> None:
        if event.phase == "copying" and not killed:
            killed.append(lock_on[0])
            server.sql(f"KILL {lock_on[0]}")

    taken = take(server, store, shop, kill)
    assert killed and kept(taken) == []
    assert any("the lock was lost" in hint for hint in taken.hints), taken.hints
    assert_tidy(store, taken)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"where": "id > 1"}, "--where"), ({"lock": "tables"}, "--lock tables")],
)
def test_options_that_do_not_go_together(
    server: Server, database: str, store: LocalStore, options: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        take(server, store, database, **options)


def test_list_and_show_say_which_tables_have_one(tool: Shell, server: Server, shop: str) -> None:
    server.sql("CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM", shop)
    done = tool("snapshot", f"{shop}.*", "--tablespace", "--json")
    assert done.code == 0, done.stderr
    listed = tool("list", connect=False).stdout
    assert "1 tablespace" in listed
    shown = tool("show", "latest", connect=False).stdout
    assert "TABLESPACE" in shown and "export" in shown
    verified = tool("verify", "latest", connect=False)
    assert verified.code == 0 and "1 of 1 tablespace" in verified.stdout
    assert tool("drill", "latest").code == 0
    assert tool("snapshot", f"{shop}.*").code == 0
    assert "TABLESPACE" not in tool("show", "latest", connect=False).stdout


def test_an_incremental_snapshot_keeps_the_file_anew(
    server: Server, shop: str, store: LocalStore
) -> None:
    first = take(server, store, shop)
    second = take(server, store, shop, incremental=True)
    assert second.tables[0].reused is not None
    assert kept(second) == ["t"]
    store.remove_tree(first.id)
    assert_tidy(store, second)
    assert len(unpacked(store.root / second.id / second.tables[0].path)) > 1 << 20

"""`doctor` on a real server: what it finds, what it cannot see, and what a restore refuses for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tablevault.mysql.connect import connect
from tablevault.mysql.inspect import Inspector
from tests.servers import Server
from tests.support.shell import Done, Shell

POOR = "tv_doctor_poor"
RIGHTS = "SELECT, INSERT, CREATE, ALTER, DROP"


@pytest.fixture
def orders(server: Server, database: str) -> str:
    """A plain table of two rows."""
    server.sql(
        f"""CREATE TABLE `{database}`.orders (id INT PRIMARY KEY, state VARCHAR(20), KEY (state));
            INSERT INTO `{database}`.orders VALUES (1, 'a'), (2, 'b');"""
    )
    return f"{database}.orders"


@pytest.fixture
def poor(tool: Shell, server: Server, vault: Path) -> Iterator[Shell]:
    """A shell whose account has nothing yet."""
    server.sql(f"DROP USER IF EXISTS {POOR}@'%'; CREATE USER {POOR}@'%' IDENTIFIED BY 'tv-poor-1';")
    yield Shell(server, vault, password="tv-poor-1", user=POOR)
    server.sql(f"DROP USER {POOR}@'%';")


def findings(shell: Shell, *words: str) -> tuple[int, list[dict[str, Any]]]:
    done = shell("doctor", *words, "--json")
    return done.code, json.loads(done.stdout)["findings"]


def of(found: list[dict[str, Any]], severity: str) -> list[str]:
    return [f"{one['name']}: {one['message']}" for one in found if one["severity"] == severity]


@contextmanager
def setting(server: Server, name: str, value: str) -> Iterator[None]:
    before = server.value(f"SELECT @@GLOBAL.{name}")
    server.sql(f"SET GLOBAL {name} = {value};")
    try:
        yield
    finally:
        restored = before if str(before).isdigit() else f"'{before}'"
        server.sql(f"SET GLOBAL {name} = {restored};")


def test_a_sound_server_is_found_sound(tool: Shell, orders: str) -> None:
    code, found = findings(tool, orders)
    assert code == 0, found
    assert of(found, "fatal") == []
    fine = {one["name"] for one in found if one["severity"] == "ok"}
    assert {"privileges", "lock", "local_infile", "key", "column type", "connections"} <= fine
    for one in found:
        assert set(one) == {"severity", "name", "message", "remedy", "fatal_for", "table"}


def test_every_missing_privilege_is_named_for_its_command(
    poor: Shell, server: Server, database: str, orders: str
) -> None:
    server.sql(f"GRANT SELECT ON {orders} TO {POOR}@'%';")
    code, found = findings(poor, orders)
    assert code == 3
    by_command = {
        command: " ".join(one["message"] for one in found if command in one["fatal_for"])
        for command in ("snapshot", "restore", "swap")
    }
    assert "may take no lock" in by_command["snapshot"]
    for privilege in ("CREATE", "INSERT", "ALTER", "DROP"):
        assert privilege in by_command["restore"]
    assert f"lacks ALTER on {orders}" in by_command["swap"]
    warnings = " ".join(of(found, "warning"))
    assert "without TRIGGER" in warnings
    assert "without PROCESS" in warnings
    fatal = [one for one in found if one["severity"] == "fatal"]
    assert all("grant" in one["remedy"].lower() for one in fatal)

    server.sql(f"GRANT {RIGHTS}, LOCK TABLES, TRIGGER, REFERENCES ON `{database}`.* TO {POOR}@'%';")
    code, found = findings(poor, orders)
    assert (code, of(found, "fatal")) == (0, [])
    assert poor("doctor", orders, "--no-binlog").code == 3
    assert poor("doctor", orders, "--for", "snapshot").code == 0


def test_what_cannot_be_seen_is_said_and_is_no_failure(
    poor: Shell, server: Server, database: str, orders: str
) -> None:
    server.sql(f"GRANT {RIGHTS}, LOCK TABLES, TRIGGER ON `{database}`.* TO {POOR}@'%';")
    code, found = findings(poor, orders)
    assert code == 0, of(found, "fatal")
    assert "transactions: long transactions cannot be seen" in of(found, "note")


def test_a_restore_names_all_that_stands_in_its_way_at_once(
    tool: Shell, poor: Shell, server: Server, database: str, orders: str
) -> None:
    tool.json("snapshot", orders)
    server.sql(f"GRANT SELECT, INSERT ON `{database}`.* TO {POOR}@'%';")
    with setting(server, "read_only", "1"):
        began = time.monotonic()
        refused = poor("restore", "latest")
        seconds = time.monotonic() - began
        assert tool("restore", "latest").code == 0  # exempt from read_only
    assert refused.code == 4
    assert "2 things stand in the way" in refused.error
    assert "(1) the server takes no writes: read_only" in refused.error
    assert "(2) the account lacks CREATE, ALTER, DROP" in refused.error
    assert "(1) connect to the primary" in refused.hint
    assert f"ON `{database}`.* TO the account" in refused.hint
    assert seconds < 5


def test_binlog_format_statement_is_refused_before_anything_is_made(
    mariadb: Server, vault: Path, database: str
) -> None:
    tool = Shell(mariadb, vault)
    mariadb.sql(f"CREATE TABLE `{database}`.t (id INT PRIMARY KEY) SELECT 1 AS id;")
    tool.json("snapshot", f"{database}.t")
    if mariadb.value("SELECT @@log_bin") == "0":
        _, found = findings(tool, f"{database}.t")
        assert "binlog: a restore is not written to a binary log" in of(found, "ok")
        return
    with setting(mariadb, "binlog_format", "'STATEMENT'"):
        refused = tool("restore", "latest")
        assert refused.code == 4
        assert "binlog_format = STATEMENT" in refused.error
        assert tool("restore", "latest", "--no-binlog").code == 0


def test_rows_too_large_for_insert_are_refused(tool: Shell, server: Server, database: str) -> None:
    server.sql(
        f"""CREATE TABLE `{database}`.big (id INT PRIMARY KEY, t LONGTEXT);
            INSERT INTO `{database}`.big VALUES (1, REPEAT('x', 900000));"""
    )
    snapshot = tool.json("snapshot", f"{database}.big")["snapshot"]
    with setting(server, "max_allowed_packet", "1048576"):
        code, found = findings(tool, "--snapshot", snapshot, "--for", "restore")
        assert code == 0
        assert "fits into" in " ".join(of(found, "ok"))
        with setting(server, "local_infile", "0"):
            code, found = findings(tool, "--snapshot", snapshot, "--for", "restore")
            assert code == 3
            assert "may not let in by INSERT" in " ".join(of(found, "fatal"))
            refused = tool("restore", "latest")
            assert refused.code == 4
            assert "may not let in by INSERT" in refused.error


def test_all_that_is_special_about_tables_is_named(
    mariadb: Server, vault: Path, database: str
) -> None:
    tool = Shell(mariadb, vault)
    mariadb.sql(
        f"""USE `{database}`;
        CREATE TABLE odd (a INET6, b UUID, c INT);
        CREATE TABLE isam (id INT PRIMARY KEY) ENGINE=MyISAM;
        CREATE TABLE merged (id INT PRIMARY KEY) ENGINE=MERGE UNION=(isam);
        CREATE TABLE parent (id INT PRIMARY KEY, t TEXT, FULLTEXT words (t));
        CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id));
        CREATE TRIGGER tick BEFORE INSERT ON parent FOR EACH ROW SET NEW.t = 'x';
        CREATE TABLE _tv_new_0123abcd_parent (id INT);"""
    )
    code, found = findings(tool, f"{database}.*")
    assert code == 3
    fatal = " ".join(of(found, "fatal"))
    assert "has type" not in fatal  # every type of this server comes back
    assert f"{database}.merged has engine MRG_MyISAM" in fatal and "isam" not in fatal
    notes = " ".join(of(found, "note"))
    assert f"table {database}.odd has no usable key" in notes
    assert f"{database}.child to {database}.parent" in notes
    assert f"locked against writing while read: {database}.isam" in notes
    assert f"tick on {database}.parent" in notes
    assert f"FULLTEXT words of {database}.parent" in notes
    assert f"{database}._tv_new_0123abcd_parent" in notes
    assert "whose journal is not here" in notes


def unfinished(shell: Shell, server: Server, vault: Path, table: str) -> str:
    """A restore that was killed while it waited to make its staging table; its run."""
    blocker = server.connect()
    cursor = blocker.cursor()
    cursor.execute("FLUSH TABLES WITH READ LOCK")
    try:
        process = shell.start("restore", "latest", "-q")
        runs = vault / ".runs"
        deadline = time.monotonic() + 20
        while not any('"creating"' in f.read_text() for f in runs.glob("*/journal.jsonl")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        busy = shell("restore", "latest", "-q")
        assert busy.code == 7, busy.stderr
        assert f"is restoring {table} at this moment" in busy.error
        process.kill()
        process.communicate()
    finally:
        cursor.execute("UNLOCK TABLES")
        blocker.close()
    return next(f.parent.name for f in runs.glob("*/journal.jsonl"))


def test_an_unfinished_run_is_offered_both_ways(
    tool: Shell, server: Server, vault: Path, orders: str
) -> None:
    tool.json("snapshot", orders)
    run = unfinished(tool, server, vault, orders)
    refused = tool("restore", "latest")
    assert refused.code == 4
    assert f"run {run} has begun to restore {orders} and was not finished" in refused.error
    for way in (f"restore --resume {run}", f"cleanup {run}", "--new"):
        assert way in refused.hint
    code, found = findings(tool, orders)
    assert code == 3
    assert [one["name"] for one in found if one["severity"] == "fatal"] == ["run"]

    assert tool("restore", "latest", "--new").code == 0  # beside it
    code, found = findings(tool, orders, "--for", "snapshot")
    assert code == 0
    notes = [one for one in found if one["name"] == "leftovers"]
    assert any(one["remedy"].startswith("tablevault swap ") for one in notes)
    assert tool("cleanup", run).code == 0
    assert tool("restore", "latest").code == 0


def test_of_another_server_a_run_says_nothing(
    tool: Shell, server: Server, vault: Path, orders: str
) -> None:
    tool.json("snapshot", orders)
    run = unfinished(tool, server, vault, orders)
    journal = vault / ".runs" / run / "journal.jsonl"
    uuid = json.loads(journal.read_text().splitlines()[1])["server_uuid"]
    lines = []
    for line in journal.read_text().replace(uuid, "another").splitlines():
        record = json.loads(line)
        record.pop("crc")
        lines.append(record)
    from tablevault.vault.journal import _line

    journal.write_bytes(b"".join(_line(record) for record in lines))
    assert tool("restore", "latest").code == 0


def test_the_figures_are_asked_quickly(
    server: Server, orders: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(server.options()) as connection:
        seen = Inspector(connection)
        holder = server.connect()
        holder.start_transaction()
        cursor = holder.cursor()
        cursor.execute(f"UPDATE {orders} SET state = 'c' WHERE id = 1")
        try:
            time.sleep(1.1)
            long = seen.long_transactions(0)
            assert long is not None
            assert any(f"connection {holder.connection_id}, " in line for line in long)
            holders = seen.lock_holders([_table(orders)])
            if server.family == "mysql":
                assert holders is not None
                assert any(f"connection {holder.connection_id} " in line for line in holders)
        finally:
            holder.rollback()
            holder.close()
        assert (seen.history_length or 0) >= 0
        assert seen.engines is not None
        assert "innodb" in seen.engines
        began = time.monotonic()
        assert seen.ask("SELECT SLEEP(10)") in (None, [(b"1",)])  # cut off, not waited for
        assert time.monotonic() - began < 6
        monkeypatch.setattr(seen, "_deadline", 0.0)
        assert seen.ask("SELECT 1") is None
        assert seen.unseen["SELECT 1"] == "the server answers too slowly"


def _table(name: str) -> Any:
    from tablevault.model import TableName

    return TableName(*name.split("."))


def test_usage(tool: Shell, orders: str) -> None:
    def hinted(done: Done) -> bool:
        return done.code == 2 and bool(done.error)

    assert hinted(tool("doctor", "no_such_schema.t"))
    assert tool("doctor", orders, "--snapshot", "latest").code in (2, 6)


def test_history_that_could_not_come_back(
    tool: Shell, server: Server, database: str, orders: str
) -> None:
    if server.family == "mysql":
        with pytest.raises(AssertionError, match="sql failed"):
            server.sql("CREATE TABLE v (id INT PRIMARY KEY) WITH SYSTEM VERSIONING", database)
        return
    server.sql(
        "CREATE TABLE fine (id INT PRIMARY KEY) WITH SYSTEM VERSIONING;"
        "CREATE TABLE numbered (id INT PRIMARY KEY) WITH SYSTEM VERSIONING "
        "PARTITION BY SYSTEM_TIME LIMIT 10 (PARTITION p HISTORY, PARTITION n CURRENT);"
        "CREATE TABLE by_trx (id INT PRIMARY KEY, b BIGINT UNSIGNED GENERATED ALWAYS AS ROW START, "
        "e BIGINT UNSIGNED GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (b, e)) "
        "WITH SYSTEM VERSIONING;",
        database,
    )
    code, found = findings(tool, f"{database}.*")
    assert code == 3
    assert sorted(of(found, "fatal")) == [
        f"history: table {database}.by_trx is system-versioned by transaction ids, which another "
        "table of the server explains",
        f"history: table {database}.numbered is partitioned BY SYSTEM_TIME LIMIT: which partition "
        "a row of its history is in could not be brought back",
    ]


def test_it_says_which_tablespaces_a_snapshot_would_keep(
    tool: Shell, server: Server, database: str, orders: str, poor: Shell
) -> None:
    server.sql("CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM", database)
    [found] = [one for one in of(findings(tool, orders)[1], "ok") if "tablespace" in one]
    assert found == "tablespaces: snapshot --tablespace would keep the files of 1 of 1 table"
    [found] = [one for one in of(findings(tool, f"{database}.*")[1], "ok") if "tablespace" in one]
    assert "1 of 2 tables" in found and f"{database}.old (its engine is MyISAM)" in found
    server.sql(f"GRANT SELECT ON `{database}`.* TO {POOR}@'%'")
    [found] = [one for one in of(findings(poor, orders)[1], "ok") if "tablespace" in one]
    assert "would keep none: the account may not FLUSH TABLES" in found

"""The policy of the preflight's checks, on made-up servers."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from tablevault.errors import CannotComplete
from tablevault.model import Digest, ServerInfo, Snapshot, TableDef, TableEntry, TableName
from tablevault.mysql.inspect import Inspector
from tablevault.mysql.server import Privileges
from tablevault.ops import (
    checks_indexes,
    checks_rights,
    checks_server,
    checks_space,
    checks_tables,
    doctor,
    server_disks,
)
from tablevault.ops.checks_vault import tight_vault
from tablevault.ops.checkup import COMMANDS, Advice, Patient, Restoring, Severity, fatal
from tablevault.ops.server_disks import Disk
from tablevault.vault.store import Store

TABLE = TableName("shop", "orders")
CREATE = (
    "CREATE TABLE `orders` (\n  `id` int NOT NULL,\n  `s` varchar(9),\n  PRIMARY KEY (`id`),\n"
    "  KEY `s` (`s`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci"
)


class FakeConnection:
    """What checks read of a connection without asking it."""

    notes: tuple[str, ...] = ()
    closed = False


class FakeServer:
    """An Inspector's answers, made up."""

    def __init__(self, family: str = "mariadb", version: tuple[int, int, int] = (10, 11, 11)):
        text = ".".join(map(str, version))
        self.server = ServerInfo(family, version, text, "u", 0, socket.gethostname(), 3306)
        self.mariadb = family == "mariadb"
        self.settings: dict[str, str] = {"max_connections": "100"}
        self.status: dict[str, str] = {"threads_connected": "10"}
        self.privileges: Privileges | None = Privileges(frozenset({"ALL PRIVILEGES"}))
        self.unseen: dict[str, str] = {}
        self.connection = FakeConnection()
        self.collations: frozenset[str] | None = frozenset({"utf8mb4_general_ci"})
        self.engines: frozenset[str] | None = frozenset({"innodb"})
        self.free: list[tuple[str, int, int]] | None = None
        self.changed: list[str] = []

    number = Inspector.number
    is_on = Inspector.is_on

    def tables(self, wanted: object) -> dict[TableName, Any]:
        return {}

    def in_group(self) -> bool:
        return True

    def disks(self) -> list[tuple[str, int, int]] | None:
        return self.free

    def row_versions(self, tables: object) -> list[str]:
        return self.changed


def entry(create: str = CREATE, *, wire: int = 100_000_000, largest: int = 1000) -> TableEntry:
    definition = TableDef(TABLE, create, (), None, estimated_bytes=wire)
    return TableEntry(definition, "p", "c", "", 1, Digest(1000), wire, wire // 5, largest)


def patient(server: FakeServer, one: TableEntry | None = None, **changes: Any) -> Patient:
    one = one or entry()
    snapshot = cast(Snapshot, object())
    made = Patient(
        cast(Inspector, server),
        (TABLE,),
        frozenset(COMMANDS),
        snapshot,
        (Restoring(one, TABLE, min(one.wire_bytes, 16 << 20)),),
    )
    return dataclasses.replace(made, **changes)


def severities(found: Iterable[Advice]) -> list[str]:
    return [one.severity.value for one in found]


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ((10, 6, 20), False),
        ((10, 7, 1), True),
        ((10, 11, 10), True),
        ((10, 11, 11), False),
        ((11, 4, 4), True),
        ((11, 4, 5), False),
        ((11, 7, 1), True),
        ((11, 7, 2), False),
        ((11, 8, 0), False),
        ((12, 1, 0), False),
    ],
)
def test_the_bulk_insert_bug_by_version(version: tuple[int, int, int], affected: bool) -> None:
    [found] = checks_tables.known_bugs(patient(FakeServer(version=version)))
    assert ("MDEV-34703" in found.message) == affected


def test_the_bulk_insert_bug_is_a_warning_where_the_defaults_turn_it_on() -> None:
    server = FakeServer(version=(10, 11, 10))
    server.settings |= {"unique_checks": "OFF", "foreign_key_checks": "OFF"}
    assert severities(checks_tables.known_bugs(patient(server))) == ["warning"]
    server.settings["unique_checks"] = "ON"
    assert severities(checks_tables.known_bugs(patient(server))) == ["note"]


@pytest.mark.parametrize(
    ("ddl", "read", "severity"), [("4", "4", "ok"), ("1", "4", "note"), ("8", "2", "note")]
)
def test_how_many_threads_build_an_index(ddl: str, read: str, severity: str) -> None:
    server = FakeServer("mysql", (9, 7, 0))
    assert list(checks_indexes.builders(patient(server))) == []
    server.settings |= {"innodb_ddl_threads": ddl, "innodb_parallel_read_threads": read}
    [found] = checks_indexes.builders(patient(server))
    assert found.severity.value == severity
    fewest = "innodb_ddl_threads" if int(ddl) < int(read) else "innodb_parallel_read_threads"
    assert severity == "ok" or fewest in (found.remedy or "")


def test_instant_columns_of_mysql() -> None:
    server = FakeServer("mysql", (8, 0, 30))
    assert severities(checks_tables.known_bugs(patient(server))) == ["note"]
    server.changed = ["shop.orders"]
    assert severities(checks_tables.known_bugs(patient(server))) == ["warning"]
    assert severities(checks_tables.known_bugs(patient(FakeServer("mysql", (8, 0, 32))))) == ["ok"]


@pytest.mark.parametrize(
    ("family", "version", "held", "severity"),
    [
        ("mariadb", (10, 11, 1), {"SUPER"}, "fatal"),  # no longer part of SUPER
        ("mariadb", (10, 11, 1), {"READ_ONLY ADMIN"}, "warning"),
        ("mariadb", (10, 6, 1), {"SUPER"}, "warning"),
        ("mysql", (8, 4, 0), {"CONNECTION_ADMIN"}, "warning"),
        ("mysql", (8, 4, 0), {"INSERT"}, "fatal"),
    ],
)
def test_read_only(
    family: str, version: tuple[int, int, int], held: set[str], severity: str
) -> None:
    server = FakeServer(family, version)
    server.settings["read_only"] = "ON"
    server.privileges = Privileges(frozenset(held))
    assert severities(checks_server.writable(patient(server))) == [severity]


def test_super_read_only_exempts_nobody() -> None:
    server = FakeServer("mysql", (8, 4, 0))
    server.settings |= {"read_only": "ON", "super_read_only": "ON"}
    [found] = checks_server.writable(patient(server))
    assert found.severity is Severity.FATAL


@pytest.mark.parametrize(
    ("limit", "largest", "severity"),
    [(1 << 40, 1000, "ok"), (8 << 20, 1000, "note"), (1 << 20, 2 << 20, "fatal")],
)
def test_transactions_against_the_binlog_cache(limit: int, largest: int, severity: str) -> None:
    server = FakeServer()
    server.settings |= {"log_bin": "ON", "max_binlog_cache_size": str(limit)}
    found = list(checks_server.binlog(patient(server, entry(largest=largest))))
    assert severities(found) == [severity]
    assert severities(checks_server.binlog(patient(server, log_bin=False))) == ["ok"]


def test_a_group_takes_transactions_of_its_limit() -> None:
    server = FakeServer("mysql", (8, 4, 0))
    server.settings["group_replication_transaction_size_limit"] = str(1 << 10)
    found = list(checks_server.cluster(patient(server, entry(largest=1 << 20))))
    assert severities(found) == ["fatal"]


@pytest.mark.parametrize(("largest", "severity"), [(1000, "note"), (2 << 20, "fatal")])
def test_galera_is_named_and_takes_row_groups_in_parts(largest: int, severity: str) -> None:
    server = FakeServer()
    server.settings |= {"wsrep_on": "ON", "wsrep_max_ws_size": str(1 << 20)}
    server.status["wsrep_ready"] = "OFF"
    found = checks_server.cluster(patient(server, entry(largest=largest)))
    assert severities(found) == ["warning", severity, "fatal"]


@pytest.mark.parametrize(
    ("size", "wire", "severity"),
    [(100 << 20, 10 << 30, "warning"), (100 << 20, 1 << 20, "ok"), (4 << 30, 10 << 30, "ok")],
)
def test_redo_against_the_load(size: int, wire: int, severity: str) -> None:
    server = FakeServer()
    server.settings["innodb_log_file_size"] = str(size)
    [found] = checks_server.redo(patient(server, entry(wire=wire)))
    assert found.severity == severity
    modern = FakeServer("mysql", (8, 4, 0))
    modern.settings["innodb_redo_log_capacity"] = str(size)
    [found] = checks_server.redo(patient(modern, entry(wire=wire)))
    assert found.severity == severity


def test_connections_leave_room() -> None:
    server = FakeServer()
    assert severities(checks_server.connections(patient(server))) == ["ok"]
    server.status["threads_connected"] = "98"
    [found] = checks_server.connections(patient(server))
    assert "2 of 100 connections are free" in found.message
    server.status = {}
    assert severities(checks_server.connections(patient(server))) == ["note"]


def test_a_keyless_table_where_a_key_is_demanded() -> None:
    bare = "CREATE TABLE `orders` (\n  `id` int\n) ENGINE=InnoDB"
    server = FakeServer("mysql", (8, 4, 0))
    server.settings["sql_require_primary_key"] = "ON"
    server.connection.notes = ("sql_generate_invisible_primary_key is on and ...",)
    found = [one for one in checks_tables.keys(patient(server, entry(bare))) if one.fatal_for]
    assert len(found) == 2
    assert not [one for one in checks_tables.keys(patient(server)) if one.fatal_for]


def test_an_unknown_collation_and_engine() -> None:
    server = FakeServer("mysql", (8, 0, 40))
    server.collations, server.engines = frozenset({"utf8mb4_bin"}), frozenset({"myisam"})
    [found] = checks_tables.collations(patient(server))
    assert "utf8mb4_general_ci" in found.message
    assert [one.name for one in checks_tables.engines(patient(server))] == ["engine"]
    server.collations = frozenset({"general_ci"})  # as MariaDB lists its newer ones
    assert list(checks_tables.collations(patient(server))) == []


@pytest.mark.parametrize(
    ("free", "severity"), [(10 << 30, "ok"), (110_000_000, "warning"), (40_000_000, "fatal")]
)
def test_space_on_a_server_of_this_machine(
    free: int, severity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeServer()
    (tmp_path / "pid").write_text("1")
    server.settings |= {
        "datadir": str(tmp_path),
        "tmpdir": str(tmp_path),
        "pid_file": str(tmp_path / "pid"),
    }
    monkeypatch.setattr(server_disks, "measured", lambda folder: Disk(folder, 1, free, 1 << 40))
    assert severities(checks_space.space(patient(server))) == [severity]


def test_space_elsewhere_is_seen_by_the_plugin_or_said() -> None:
    server = FakeServer()
    server.settings |= {"datadir": "/data/db/", "tmpdir": "/tmp"}
    [found] = checks_space.space(patient(server))
    assert found.severity is Severity.NOTE
    assert "data and indexes about 0.12 GB" in found.message
    server.free = [("/", 1 << 40, 1 << 41), ("/data", 1_000_000, 1 << 41)]
    found_ones = list(checks_space.space(patient(server)))
    assert severities(found_ones) == ["fatal", "ok"]
    assert "/data/db/" in found_ones[0].message


def test_without_the_binary_log_triggers_can_be_made_again() -> None:
    one = entry()
    definition = dataclasses.replace(one.definition, triggers=("CREATE TRIGGER ...",))
    one = dataclasses.replace(one, definition=definition)
    server = FakeServer("mysql", (8, 4, 0))
    server.privileges = Privileges(schemas={"shop": frozenset({"ALL PRIVILEGES"})})

    def troubled() -> bool:
        found = checks_rights.rights(patient(server, one, commands=frozenset({"swap"})))
        return any("1419" in advice.message for advice in found)

    assert not troubled()
    server.settings["log_bin"] = "ON"
    assert troubled()
    server.settings["log_bin_trust_function_creators"] = "ON"
    assert not troubled()


def test_unseen_privileges_are_no_missing_ones() -> None:
    server = FakeServer()
    server.privileges = None
    server.unseen["privileges"] = "denied"
    assert severities(checks_rights.rights(patient(server))) == ["note"]


def test_one_obstacle_speaks_for_itself_and_several_are_numbered() -> None:
    one = fatal(("restore",), "x", "the disk is full", "free it")
    two = fatal(("restore",), "y", "the server sleeps", "wake it")
    doctor.refuse([])
    with pytest.raises(CannotComplete, match=r"^the disk is full$"):
        doctor.refuse([one])
    with pytest.raises(CannotComplete) as caught:
        doctor.refuse([one, two])
    assert caught.value.message == (
        "2 things stand in the way: (1) the disk is full; (2) the server sleeps"
    )
    assert caught.value.hint == "(1) free it; (2) wake it"


def test_a_vault_that_may_be_too_small_is_said() -> None:
    class Small:
        uri = "/vault"

        def free_bytes(self) -> int | None:
            return 1_000_000_000

    store = cast(Store, Small())
    assert tight_vault(store, 1_900_000_000) is None
    assert "may take up to about 1.50 GB" in str(tight_vault(store, 3_000_000_000))

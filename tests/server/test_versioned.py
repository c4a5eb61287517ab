"""System-versioned tables where a server could not take their history as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tablevault.errors import CannotComplete, TablevaultError
from tablevault.vault.manifest import load_manifest
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.facts import facts, tables
from tests.support.roundtrip import pattern, put_back, take

TABLE = (
    "CREATE TABLE t (id INT PRIMARY KEY, a INT) WITH SYSTEM VERSIONING; "
    "INSERT INTO t VALUES (1, 1), (2, 2); UPDATE t SET a = 3;"
)


def test_a_snapshot_names_what_its_reader_must_know(
    mariadb: Server, database: str, vault: Path
) -> None:
    mariadb.sql(TABLE + "CREATE TABLE plain (id INT PRIMARY KEY);", database)
    versioned = take(mariadb, vault, [pattern(database, "t")])
    plain = take(mariadb, vault, [pattern(database, "plain")], name="plain")
    assert versioned.features == ("system-versioning",)
    assert plain.features == ()
    assert load_manifest(open_store(str(vault)), versioned.id) == versioned


def test_history_is_not_taken_where_current_rows_end_in_another_year(
    mariadb: Server, mariadb_new: Server, database: str, vault: Path
) -> None:
    mariadb.sql(TABLE, database)
    taken = take(mariadb, vault, [pattern(database, "t")])
    mariadb_new.sql(f"CREATE DATABASE {database}")
    try:
        with pytest.raises(TablevaultError, match="end in another year"):
            put_back(mariadb_new, vault, taken.id)
        assert tables(mariadb_new, database) == []
    finally:
        mariadb_new.sql(f"DROP DATABASE {database}")


def test_new_rows_are_not_carried_over_without_their_history(
    mariadb: Server, database: str, vault: Path
) -> None:
    mariadb.sql(TABLE, database)
    taken = take(mariadb, vault, [pattern(database, "t")])
    mariadb.sql("INSERT INTO t VALUES (9, 9)", database)
    live = facts(mariadb, database, "t")
    with pytest.raises(CannotComplete, match="would lose their history"):
        put_back(mariadb, vault, taken.id, keep_new=True)
    assert facts(mariadb, database, "t") == live

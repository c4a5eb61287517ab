"""Fixtures of the tests that need a real server."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from tablevault.engine import plan
from tablevault.mysql.source import RowSource
from tablevault.ops import diff_buckets, diff_ranges, reading
from tablevault.vault.store import LocalStore, open_store
from tests.servers import Server
from tests.support.facts import numbers
from tests.support.shell import Shell


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few rows and row groups of two kilobytes, so that small tables have many."""
    monkeypatch.setattr(plan, "MIN_CHUNK_ROWS", 3)
    monkeypatch.setattr(reading, "RowSource", functools.partial(RowSource, limit_bytes=2000))


@pytest.fixture
def small_parts(small_units: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges that are narrowed down and read in pieces although tables are small."""
    monkeypatch.setattr(diff_ranges, "SMALL_ROWS", 3)
    monkeypatch.setattr(diff_ranges, "READ_ROWS", 5)
    monkeypatch.setattr(diff_ranges, "HASHED_ROWS", 12)
    monkeypatch.setattr(diff_ranges, "_ASKED_ROWS", 2)
    monkeypatch.setattr(diff_buckets, "PART_ROWS", 5)
    monkeypatch.setattr(diff_buckets, "PASS_ROWS", 20)


@pytest.fixture
def tool(server: Server, vault: Path) -> Shell:
    """The command line against the server and a fresh vault."""
    return Shell(server, vault)


@pytest.fixture
def store(vault: Path) -> LocalStore:
    """A fresh vault."""
    return open_store(str(vault), create=True)


@pytest.fixture
def shop(server: Server, database: str) -> str:
    """A schema with a table of some megabytes."""
    server.sql(
        "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(200), KEY (v));"
        f"INSERT INTO t (v) SELECT CONCAT(seq, REPEAT('x', seq % 150)) FROM {numbers(20000)};",
        database,
    )
    return database

"""Fixtures of the tests that need a real server."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from tablevault.engine import plan
from tablevault.mysql.source import RowSource
from tablevault.ops import reading
from tests.servers import Server
from tests.support.shell import Shell


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few rows and row groups of two kilobytes, so that small tables have many."""
    monkeypatch.setattr(plan, "MIN_CHUNK_ROWS", 3)
    monkeypatch.setattr(reading, "RowSource", functools.partial(RowSource, limit_bytes=2000))


@pytest.fixture
def tool(server: Server, vault: Path) -> Shell:
    """The command line against the server and a fresh vault."""
    return Shell(server, vault)

"""A small vault to restore from, runs that can be watched from inside, servers that may be hurt.

Every test runs on each server of `--servers`, those with a server of their own as well (`kind`).

The long tests are marked `slow` and left out unless asked for: `pytest tests/faults -m slow`, or
TABLEVAULT_TEST_SLOW=1 for all.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tablevault.demo.server import PrivateServer
from tablevault.engine import plan
from tablevault.mysql.options import ConnectOptions
from tablevault.mysql.source import RowSource
from tablevault.ops import reading, retrying
from tests.faults.place import Place, server_of, take
from tests.faults.proxy import Proxy
from tests.servers import Server, programs

HERE = Path(__file__).parent


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that starts servers itself does so with the programs of each kind asked for."""
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", metafunc.config.getoption("--servers").split(","))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("TABLEVAULT_TEST_SLOW") or "slow" in (config.getoption("markexpr") or ""):
        return
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    left_out = [item for item in ours if item.get_closest_marker("slow")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of some hundred rows and row groups of 8 KiB, so that small tables have many."""
    monkeypatch.setattr(plan, "MIN_CHUNK_ROWS", 400)
    monkeypatch.setattr(reading, "RowSource", functools.partial(RowSource, limit_bytes=8192))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away is waited for two seconds only."""
    monkeypatch.setitem(retrying.Patience.__init__.__kwdefaults__, "away_s", 2.0)


@pytest.fixture
def place(server: Server, database: str, vault: Path, small_units: None) -> Place:
    """A snapshot of two small tables on the shared server; the live ones were changed since."""
    return take(server, database, vault)


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A wire to the shared server."""
    with Proxy(server.host, server.port) as wire:
        yield wire


@pytest.fixture
def through(proxy: Proxy, place: Place) -> ConnectOptions:
    """The server, by way of the proxy."""
    return place.through(proxy)


@pytest.fixture
def started(kind: str) -> Iterator[Callable[..., PrivateServer]]:
    """Start private servers with options of one's own; they end with the test."""
    running: list[PrivateServer] = []

    def start(**options: Any) -> PrivateServer:
        server = PrivateServer(programs=programs(kind), **options)
        server.__enter__()
        running.append(server)
        return server

    yield start
    for server in running:
        server.close()


@pytest.fixture
def mortal(started: Callable[..., PrivateServer]) -> PrivateServer:
    """A server of one's own that may be killed."""
    return started()


@pytest.fixture
def unlogged(started: Callable[..., PrivateServer]) -> PrivateServer:
    """As `mortal`, without a binary log: tables may come as tablespaces."""
    return started(binlog=False)


@pytest.fixture
def lane_place(unlogged: PrivateServer, vault: Path, small_units: None) -> Place:
    """As `mortal_place`, on that server, and the snapshot keeps the tablespaces."""
    unlogged.sql("CREATE DATABASE shop")
    return take(server_of(unlogged), "shop", vault, tablespaces=True)


@pytest.fixture
def mortal_place(mortal: PrivateServer, vault: Path, small_units: None) -> Place:
    """As `place`, on the server that may be killed."""
    mortal.sql("CREATE DATABASE shop")
    return take(server_of(mortal), "shop", vault, orders=10_000)

"""Fixtures: real servers, fresh schemas, empty vaults.

A server that is missing is a failure, never a skip.  `--servers` names the servers to test on
(`mariadb`, the default, is a private one that is started here); tests that need another one than
those named are deselected, and pytest says how many.  `--also` names servers for those tests alone
whose subject is the server's own ways (`DIALECT`).

With pytest-xdist (`-n 2`) each worker starts servers of its own.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

from tablevault.demo.server import PrivateServer
from tablevault.errors import TablevaultError
from tests.servers import Server, ServerMissing, programs
from tests.support.browser import find_browser
from tests.support.cases import PROPERTY, Outcome, report_lines
from tests.support.formatters import find_formatters
from tests.support.systemd import find_systemd

KINDS = ("mariadb", "mysql", "mariadb-new")
_FIXTURES = {"mariadb": "mariadb", "mysql": "mysql", "mariadb_new": "mariadb-new"}
DIALECT = frozenset(
    f"test_{subject}"
    for subject in (
        *("cases", "generated_tables", "charsets", "values_roundtrip", "golden_restore"),
        *("catalog", "digest_sql", "rows_typed", "keywalk", "snapshot_keys", "source", "sink"),
        *("locks", "swap", "swap_keys", "swap_triggers", "restore_insert", "keysets"),
    )
)
_numbers = itertools.count(1)

# Hypothesis draws from the literals of whatever modules of ours are loaded, too.  Which those are
# hangs on the tests that a worker ran before, so that one commit drew other examples in each run.
providers._get_local_constants = Constants

# a loaded machine is no failure; what must be fast is measured in bench/
settings.register_profile(
    "same-each-run", deadline=None, derandomize="TABLEVAULT_GENERATED" not in os.environ
)
settings.load_profile("same-each-run")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--servers",
        default="mariadb",
        metavar="KIND,...",
        help="servers to test on: mariadb (default), mysql, mariadb-new",
    )
    parser.addoption(
        "--also",
        default="",
        metavar="KIND,...",
        help="servers for the tests of values, definitions, locks and swaps alone",
    )
    parser.addoption(
        "--not-tested",
        default=[],
        action="append",
        metavar="KIND: REASON",
        help="said at the end of the run; for a caller that knows why a server is not in --also",
    )


def _kinds(config: pytest.Config, option: str) -> list[str]:
    kinds = [kind for kind in config.getoption(option).split(",") if kind]
    for kind in kinds:
        if kind not in KINDS:
            raise pytest.UsageError(f"{option}: unknown kind {kind!r}, not one of {KINDS}")
    return kinds


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `server` runs once on each server asked for."""
    if "server" in metafunc.fixturenames:
        kinds = _kinds(metafunc.config, "--servers")
        if metafunc.module.__name__.rpartition(".")[2] in DIALECT:
            kinds = list(dict.fromkeys([*kinds, *_kinds(metafunc.config, "--also")]))
        metafunc.parametrize("server", kinds, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that need a server; leave out those that need one not asked for."""
    asked = set(_kinds(config, "--servers"))
    kept, left_out = [], []
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        needed = {kind for fixture, kind in _FIXTURES.items() if fixture in names}
        if "database" in names and not needed and "server" not in names:
            needed = {"mariadb"}
        if needed or "server" in names:
            item.add_marker(pytest.mark.server)
        if item.get_closest_marker("mysql"):
            needed.add("mysql")
        (kept if needed <= asked else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def _running(kind: str) -> Iterator[Server]:
    try:
        with PrivateServer(programs=programs(kind)) as server:
            yield Server.of(kind, server)
    except ServerMissing as error:
        pytest.fail(str(error), pytrace=False)
    except TablevaultError as error:
        pytest.fail(f"no {kind} server to test on: {error} ({error.hint})", pytrace=False)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A private MariaDB, as the machine's packages have it; it is never stopped or restarted."""
    yield from _running("mariadb")


@pytest.fixture(scope="session")
def mysql() -> Iterator[Server]:
    """A private MySQL; only with `--servers mysql`."""
    yield from _running("mysql")


@pytest.fixture(scope="session")
def mariadb_new() -> Iterator[Server]:
    """A private MariaDB of a newer version; only with `--servers mariadb-new`."""
    yield from _running("mariadb-new")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """Each server asked for with `--servers`, one after the other."""
    found: Server = request.getfixturevalue(request.param.replace("-", "_"))
    return found


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh schema on the server the test uses (`mariadb` unless it names another)."""
    names = request.fixturenames
    fixture = next((name for name in ("server", *_FIXTURES) if name in names), "mariadb")
    on: Server = request.getfixturevalue(fixture)
    # a server that is kept up may be tested on by two sessions at once
    name = f"tv_test_{os.getpid()}_{next(_numbers)}"
    on.sql(f"DROP DATABASE IF EXISTS `{name}`; CREATE DATABASE `{name}` CHARACTER SET utf8mb4;")
    yield name
    on.sql(f"DROP DATABASE IF EXISTS `{name}`;")


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    """Where a vault may be made: it does not exist yet."""
    return tmp_path / "vault"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of tests/cases, and what was not tested; the closing line comes after it."""
    outcomes = [
        Outcome(*value)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == PROPERTY and report.when == "call"
    ]
    if outcomes:
        terminalreporter.section("cases by server")
        for line in report_lines(outcomes):
            terminalreporter.write_line(line)
    if find_browser() is None:
        terminalreporter.write_line("== not tested on a browser: no headless Chromium is installed")
    if not find_formatters():
        terminalreporter.write_line("== not tested on man: neither mandoc nor groff is installed")
    if find_systemd() is None:
        terminalreporter.write_line("== not tested on systemd: no systemd-analyze is installed")
    for line in terminalreporter.config.getoption("--not-tested"):
        terminalreporter.write_line(f"== not tested on {line}")

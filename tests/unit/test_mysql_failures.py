"""What error numbers mean: lost, transient, or failed, and what to do about it."""

from __future__ import annotations

import pytest
from mysql.connector.errors import (
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ReadTimeoutError,
    get_exception,
    get_mysql_exception,
)

from tablevault.errors import ConnectionLost, ServerUnavailable, StatementFailed
from tablevault.mysql import failures


def packet(errno: int, text: bytes, state: bytes = b"#42000") -> bytes:
    return b"\xff" + errno.to_bytes(2, "little") + state + text


@pytest.mark.parametrize(
    ("errno", "transient"), [(1205, True), (1213, True), (1020, True), (1062, False)]
)
def test_statements_that_failed(errno: int, transient: bool) -> None:
    raw = packet(errno, b"it happened.")
    driver = get_exception(b"\x00\x00\x00\x01" + raw)
    for failure in (failures.translate(driver, "ALTER t"), failures.packet_error(raw, "ALTER t")):
        assert isinstance(failure, StatementFailed)
        assert (failure.errno, failure.transient) == (errno, transient)
        assert failure.message == f"ALTER t: it happened ({errno})"
        assert failure.exit_code == 4


@pytest.mark.parametrize("errno", sorted(failures.LOST))
def test_lost_connections(errno: int) -> None:
    failure = failures.translate(get_mysql_exception(errno, "gone"), "SELECT 1")
    assert isinstance(failure, ConnectionLost)
    assert "SELECT 1" in failure.message


@pytest.mark.parametrize(
    "error",
    [
        OSError(104, "Connection reset by peer"),
        BrokenPipeError(32, "Broken pipe"),
        InterfaceError(errno=2013),
        OperationalError("MySQL Connection not available"),
        ReadTimeoutError(errno=3024),
        TimeoutError("timed out"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_an_answer_is_a_loss(error: Exception) -> None:
    failure = failures.translate(error, "COMMIT")
    assert isinstance(failure, ConnectionLost)
    assert "COMMIT" in failure.message
    assert failure.exit_code == 5


def test_a_server_side_time_limit_is_no_loss() -> None:
    failure = failures.translate(get_mysql_exception(3024, "maximum time exceeded"), "SELECT 1")
    assert isinstance(failure, StatementFailed)
    assert "max_execution_time" in (failure.hint or "")


@pytest.mark.parametrize(
    ("errno", "text", "word"),
    [
        (1142, "SELECT command denied", "privilege"),
        (1040, "Too many connections", "max_connections"),
        (1153, "Got a packet bigger", "max_allowed_packet"),
        (1290, "running with --read-only", "read_only"),
        (3948, "Loading local data is disabled", "local_infile"),
        (1114, "The table 't' is full", "tmpdir"),
        (1030, 'Got error 28 "No space left on device" from storage engine', "disk is full"),
        (3, "Error writing file './x' (errno: 28 - No space left on device)", "disk is full"),
    ],
)
def test_advice(errno: int, text: str, word: str) -> None:
    assert word in (failures.hint_for(errno, text) or "")


def test_no_advice_where_there_is_none() -> None:
    assert failures.hint_for(1062) is None
    assert failures.hint_for(1030, "Got error 12 from storage engine") is None


def test_error_packets_without_sense() -> None:
    for raw in (b"", b"\xff", b"\xff\x01", b"\x00\x01\x02"):
        assert isinstance(failures.packet_error(raw, "SELECT 1"), ConnectionLost)
    old = failures.packet_error(b"\xff\x28\x04no state \xff", "SELECT 1")
    assert "no state" in old.message


def test_long_messages_are_bounded() -> None:
    failure = failures.translate(get_mysql_exception(1064, "x" * 100_000), "SELECT 1")
    assert len(failure.message) < 1000


@pytest.mark.parametrize("plugin", ["client_ed25519", "parsec"])
def test_plugins_that_the_driver_lacks_are_named(plugin: str) -> None:
    from mysql.connector.plugins import get_auth_plugin

    with pytest.raises(NotSupportedError) as raised:
        get_auth_plugin(plugin)
    failure = failures.connect_error(raised.value, "h:1", "joe")
    assert isinstance(failure, ServerUnavailable)
    assert plugin in failure.message and "joe" in failure.message
    assert "caching_sha2_password" in (failure.hint or "")

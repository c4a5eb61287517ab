"""Sessions: every setting is what it must be, whatever the server's globals are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tablevault.errors import CannotComplete
from tablevault.mysql import session
from tablevault.mysql.connect import Purpose, connect
from tests.servers import Server

HOSTILE = {
    "sql_mode": "'ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE'",
    "time_zone": "'-07:00'",
    "sql_select_limit": "2",
    "completion_type": "1",
    "net_write_timeout": "5",
    "unique_checks": "0",
    "sql_auto_is_null": "1",
    "autocommit": "0",
}


@pytest.fixture
def hostile(server: Server) -> Iterator[None]:
    """A server whose globals are each of them wrong for us."""
    before = {name: server.value(f"SELECT @@GLOBAL.{name}") for name in HOSTILE}
    isolation = "tx_isolation" if server.family == "mariadb" else "transaction_isolation"
    before[isolation] = server.value(f"SELECT @@GLOBAL.{isolation}")
    for name, value in {**HOSTILE, isolation: "'READ-COMMITTED'"}.items():
        server.sql(f"SET GLOBAL {name} = {value}")
    yield
    for name, value in before.items():
        text = value if value is not None and value.isdigit() else f"'{value}'"
        server.sql(f"SET GLOBAL {name} = {text}")


@pytest.mark.parametrize("purpose", list(Purpose))
def test_hostile_globals_do_not_reach_us(server: Server, hostile: None, purpose: Purpose) -> None:
    with connect(server.options(), purpose) as conn:
        found = conn.session
        assert found["transaction_isolation"] == "REPEATABLE-READ"
        assert found["time_zone"] == "+00:00"
        assert set(found["sql_mode"].split(",")) == set(session.SQL_MODE.split(","))
        assert (found["unique_checks"], found["autocommit"]) == ("ON", "ON")
        assert found["foreign_key_checks"] == ("OFF" if purpose is Purpose.LOAD else "ON")
        results = found["character_set_results"]
        assert results == ("" if purpose in (Purpose.READ, Purpose.DIGEST) else "utf8mb4")
        assert len(conn.query("SELECT 1 UNION SELECT 2 UNION SELECT 3")) == 3
        assert conn.query(r"SELECT 'a\'b'") == [(b"a'b",)]


def test_the_digest_depends_on(server: Server) -> None:
    with connect(server.options(), Purpose.DIGEST) as conn:
        assert set(session.digest_settings(conn.session)) == {
            "time_zone",
            "sql_mode",
            "character_set_results",
            "transaction_isolation",
        }


def test_waits_are_stated(server: Server) -> None:
    with connect(server.options(), lock_wait_s=3) as conn:
        assert conn.session["lock_wait_timeout"] == "3"
        assert conn.session["innodb_lock_wait_timeout"] == "3"


def test_a_setting_that_does_not_stick_is_an_error(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_read = session.read

    def lying(conn: object, names: object) -> dict[str, str]:
        found = true_read(conn, names)  # type: ignore[arg-type]
        return {**found, "time_zone": "SYSTEM"} if "time_zone" in found else found

    monkeypatch.setattr(session, "read", lying)
    with pytest.raises(CannotComplete, match="time_zone is 'SYSTEM'"):
        connect(server.options(), Purpose.READ)


def test_a_setting_that_is_refused_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(session._ALL, "time_zone", "Mars/Olympus")  # type: ignore[arg-type]
    with pytest.raises(CannotComplete, match="time_zone"):
        connect(server.options())


def test_leaving_the_binary_log(server: Server) -> None:
    with connect(server.options(), Purpose.LOAD, no_binlog=True) as conn:
        assert conn.session["sql_log_bin"] == "OFF"
    with connect(server.options(), Purpose.LOAD) as conn:
        assert conn.session["sql_log_bin"] == "ON"


def test_leaving_the_binary_log_needs_a_privilege(server: Server) -> None:
    server.sql("DROP USER IF EXISTS tv_poor@'%'; CREATE USER tv_poor@'%' IDENTIFIED BY 'x'")
    try:
        with pytest.raises(CannotComplete, match="--no-binlog") as failure:
            connect(server.options(user="tv_poor", password="x"), Purpose.LOAD, no_binlog=True)
        assert "BINLOG ADMIN" in (failure.value.hint or "")
        for purpose in Purpose:
            with connect(server.options(user="tv_poor", password="x"), purpose) as conn:
                assert conn.notes == ()
    finally:
        server.sql("DROP USER tv_poor@'%'")


def test_hostile_globals_and_a_poor_account(server: Server, hostile: None) -> None:
    server.sql("DROP USER IF EXISTS tv_poor@'%'; CREATE USER tv_poor@'%' IDENTIFIED BY 'x'")
    try:
        for purpose in Purpose:
            connect(server.options(user="tv_poor", password="x"), purpose).close()
    finally:
        server.sql("DROP USER tv_poor@'%'")


def test_statement_binlog_is_refused(mariadb: Server) -> None:
    before = mariadb.value("SELECT @@GLOBAL.binlog_format")
    mariadb.sql("SET GLOBAL binlog_format = 'STATEMENT'")
    try:
        with pytest.raises(CannotComplete, match="binlog_format"):
            connect(mariadb.options(), Purpose.LOAD)
        connect(mariadb.options(), Purpose.LOAD, no_binlog=True).close()
        connect(mariadb.options(), Purpose.READ).close()
    finally:
        mariadb.sql(f"SET GLOBAL binlog_format = '{before}'")


def test_an_invisible_key_that_cannot_be_turned_off_is_noted(mysql: Server) -> None:
    mysql.sql("SET GLOBAL sql_generate_invisible_primary_key = ON")
    mysql.sql("DROP USER IF EXISTS tv_poor@'%'; CREATE USER tv_poor@'%' IDENTIFIED BY 'x'")
    try:
        with connect(mysql.options(user="tv_poor", password="x"), Purpose.LOAD) as conn:
            assert "sql_generate_invisible_primary_key" in conn.notes[0]
        with connect(mysql.options(), Purpose.LOAD) as conn:
            assert conn.notes == ()
    finally:
        mysql.sql("DROP USER tv_poor@'%'")
        mysql.sql("SET GLOBAL sql_generate_invisible_primary_key = OFF")


@pytest.mark.parametrize(
    ("found", "value", "same"),
    [
        ("ON", "1", True),
        ("0.000000", "0", True),
        ("B,A", "A,B", True),
        ("", "utf8mb4", False),
        ("18446744073709551615", "18446744073709551614", False),
        ("REPEATABLE-READ", "READ-COMMITTED", False),
    ],
)
def test_spellings(found: str, value: str, same: bool) -> None:
    assert session._same(found, value) is same

"""TIMESTAMPs of servers whose default time zone is not UTC: snapshot, restore, verify, diff.

One fixed zone and one with daylight saving, whose repeated hour has two moments under one text.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tablevault.demo.programs import find_program
from tablevault.demo.server import PrivateServer
from tablevault.ops.diff import diff
from tablevault.ops.diff_terms import EQUAL, DiffOptions, DiffResult
from tablevault.vault.store import open_store
from tests.servers import Server, programs
from tests.support.facts import Facts, facts
from tests.support.roundtrip import pattern, put_back, take

FIXED, SAVING = "+05:45", "Europe/Berlin"
HOUR = "2024-10-27 0{}:{:02}:00"  # 00:xx and 01:xx in UTC are both 02:xx in Berlin
TABLES = ("t", "by_time", "parted")
CREATE = """
CREATE TABLE t (id INT PRIMARY KEY, ts TIMESTAMP(6) NULL, dt DATETIME,
  made TIMESTAMP NOT NULL DEFAULT '2024-03-31 03:30:00',
  touched TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, KEY (ts));
CREATE TABLE by_time (ts TIMESTAMP NOT NULL DEFAULT '2001-01-01 12:00:00', n INT,
  PRIMARY KEY (ts, n));
CREATE TABLE parted (id INT, ts TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, KEY (id))
  PARTITION BY RANGE (UNIX_TIMESTAMP(ts)) (
    PARTITION a VALUES LESS THAN (UNIX_TIMESTAMP('2024-10-27 03:00:00')),
    PARTITION b VALUES LESS THAN MAXVALUE);
INSERT INTO t (id, ts, dt) VALUES (1, '2024-03-31 01:59:59.999999', '2024-03-31 02:30:00'),
  (2, '2024-03-31 03:00:00', NOW()), (3, NULL, NULL);
"""
IN_UTC = "SET time_zone = '+00:00', sql_mode = '';" + "".join(
    f"INSERT INTO by_time VALUES ('{HOUR.format(hour, minute)}', {minute});"
    f"INSERT INTO parted VALUES ({minute}, '{HOUR.format(hour, minute)}');"
    for hour in (0, 1)
    for minute in range(0, 60, 4)
)
IN_UTC += (
    "INSERT INTO t (id, ts, dt) VALUES (4, '0000-00-00', '0000-00-00'), "
    "(5, '1970-01-01 00:00:01', NULL), (6, '2038-01-19 03:14:07.999999', '9999-12-31 23:59:59');"
)


@pytest.fixture(scope="module")
def abroad(server: Server) -> Iterator[tuple[Server, PrivateServer]]:
    """A server of the same kind that was started in a zone of its own, and knows others by name."""
    zone = (f"--default-time-zone={FIXED}",)
    with PrivateServer(programs=programs(server.kind), extra_args=zone) as private:
        zones = subprocess.run(
            [find_program("mariadb-tzinfo-to-sql"), f"/usr/share/zoneinfo/{SAVING}", SAVING],
            capture_output=True,
            check=True,
        ).stdout
        there = Server.of(server.kind, private)
        # around the rows stand statements that only MariaDB knows
        rows = zones[zones.index(b"INSERT INTO time_zone (") : zones.index(b"UNLOCK TABLES")]
        there.sql(rows, "mysql")
        yield there, private


@pytest.fixture(params=[FIXED, SAVING])
def there(abroad: tuple[Server, PrivateServer], request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server with its default in one of both zones."""
    found, _ = abroad
    found.sql(f"SET GLOBAL time_zone = '{request.param}'")
    assert found.value("SELECT @@session.time_zone") == request.param
    found.sql("CREATE DATABASE zone CHARACTER SET utf8mb4")
    yield found
    found.sql("DROP DATABASE zone")


def look(server: Server) -> dict[str, Facts]:
    return {name: facts(server, "zone", name) for name in TABLES}


def differs(server: Server, vault: Path, snapshot: str) -> DiffResult:
    return diff(server.options(), open_store(str(vault)), snapshot, DiffOptions())


def test_moments_stay(there: Server, vault: Path, small_units: None) -> None:
    there.sql(CREATE + IN_UTC, "zone")
    before = look(there)
    moments = there.sql("SELECT UNIX_TIMESTAMP(ts), n FROM by_time ORDER BY 1", "zone")
    assert len(before["by_time"].values) == 30
    taken = take(there, vault, [pattern("zone", name) for name in TABLES], chunk_bytes=200)
    assert differs(there, vault, taken.id).equal
    there.sql("TRUNCATE t; TRUNCATE by_time; TRUNCATE parted;", "zone")
    assert put_back(there, vault, taken.id).status == "swapped"
    assert look(there) == before
    assert there.sql("SELECT UNIX_TIMESTAMP(ts), n FROM by_time ORDER BY 1", "zone") == moments
    assert differs(there, vault, taken.id).equal


def test_an_hour_that_has_the_same_text_is_seen(
    there: Server, vault: Path, small_units: None
) -> None:
    there.sql(CREATE + IN_UTC, "zone")
    taken = take(there, vault, [pattern("zone", name) for name in TABLES])
    there.sql(
        "SET time_zone = '+00:00'; UPDATE by_time SET ts = ts + INTERVAL 1 HOUR, n = n + 1000 "
        f"WHERE ts = '{HOUR.format(0, 4)}';"
        f"UPDATE parted SET ts = ts + INTERVAL 1 HOUR WHERE ts = '{HOUR.format(0, 8)}'",
        "zone",
    )
    found = differs(there, vault, taken.id)
    changed = {str(table.table) for table in found.tables if table.status != EQUAL}
    assert sorted(changed) == ["zone.by_time", "zone.parted"]


def test_defaults_of_new_rows_are_the_zone_s(there: Server, vault: Path) -> None:
    there.sql(CREATE, "zone")
    taken = take(there, vault, [pattern("zone", name) for name in TABLES])
    assert put_back(there, vault, taken.id).status == "swapped"
    there.sql("INSERT INTO t (id) VALUES (9)", "zone")
    text = there.value("SELECT made FROM t WHERE id = 9", "zone")
    assert text == "2024-03-31 03:30:00"

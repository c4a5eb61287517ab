"""Guard: what a maintenance changed beside what it was to change, whatever became of it."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tablevault.errors import UsageError
from tablevault.model import Snapshot
from tablevault.ops.expectation import parse_expectation
from tablevault.ops.guard import EXPECTED, UNCHANGED, UNEXPECTED, GuardOptions, guard
from tablevault.ops.options import SnapshotOptions
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.shell import Shell

SHOP = """
CREATE TABLE orders (id INT PRIMARY KEY, status VARCHAR(20) NOT NULL, note VARCHAR(40));
CREATE TABLE payments (id INT PRIMARY KEY, amount DECIMAL(10,2) NOT NULL);
CREATE TABLE quiet (id INT PRIMARY KEY, v INT);
INSERT INTO orders VALUES (1, 'new', 'a'), (2, 'paid', 'b'), (3, 'sent', NULL);
INSERT INTO payments VALUES (1, 10.25), (2, 20.50), (3, 30.75);
INSERT INTO quiet VALUES (1, 1), (2, 2);
"""
# What was meant for `orders`, and the accident: another table changed as well.
ACCIDENT = """
ALTER TABLE orders MODIFY status VARCHAR(30) NOT NULL;
ALTER TABLE payments MODIFY amount INT NOT NULL;
"""


@pytest.fixture
def shop(server: Server, database: str) -> str:
    server.sql(SHOP, database)
    return database


@pytest.fixture
def tool(server: Server, vault: Path) -> Shell:
    return Shell(server, vault)


def verdicts(
    server: Server, vault: Path, shop: str, sql: str, *expected: str
) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Guard all tables while `sql` runs; by table, the verdict and what nobody expected."""
    options = GuardOptions(
        patterns=(f"{shop}.*",),
        snapshot=SnapshotOptions(name="guard"),
        expectations=tuple(parse_expectation(one.replace("shop", shop)) for one in expected),
    )

    def maintenance(before: Snapshot) -> str:
        server.sql(sql, shop)
        return before.id

    store = open_store(str(vault), create=True)
    taken, found = guard(server.options(), store, options, maintenance)
    assert found.snapshot == taken
    return {one.diff.table.name: (one.verdict, one.unexpected) for one in found.tables}


def test_the_accident(server: Server, vault: Path, shop: str) -> None:
    found = verdicts(server, vault, shop, ACCIDENT, "shop.orders:status")
    assert found["quiet"] == (UNCHANGED, ())
    assert found["orders"] == (EXPECTED, ())
    verdict, beyond = found["payments"]
    assert verdict == UNEXPECTED
    assert any("column `amount` changed" in one for one in beyond), beyond


def test_other_columns_and_rows_than_expected(server: Server, vault: Path, shop: str) -> None:
    sql = "UPDATE orders SET status = 'x', note = 'y' WHERE id < 3; DELETE FROM quiet WHERE id = 1"
    found = verdicts(server, vault, shop, sql, "shop.orders:status", "quiet:v")
    assert found["orders"] == (UNEXPECTED, ("2 rows changed: note in 2",))
    assert found["quiet"] == (UNEXPECTED, ("1 row missing",))
    assert found["payments"] == (UNCHANGED, ())


def test_a_table_that_may_change_as_a_whole(server: Server, vault: Path, shop: str) -> None:
    sql = "DROP TABLE quiet; ALTER TABLE orders DROP COLUMN note; DROP TABLE payments"
    found = verdicts(server, vault, shop, sql, "shop.q*", "shop.orders")
    assert found["quiet"] == (EXPECTED, ())
    assert found["orders"] == (EXPECTED, ())
    assert found["payments"] == (UNEXPECTED, ("the table is gone",))


def test_an_expectation_that_fits_nothing_stops_it_first(
    server: Server, vault: Path, shop: str
) -> None:
    with pytest.raises(UsageError, match=r"order is expected to change, but is not guarded") as bad:
        verdicts(server, vault, shop, "DROP TABLE quiet", "shop.order")
    assert bad.value.hint == f"did you mean {shop}.orders?"
    assert server.value("SELECT COUNT(*) FROM quiet", shop) == "2"
    assert [path.name for path in vault.iterdir() if path.name != ".runs"] == []


def maintenance(server: Server, shop: str, sql: str, then: str = "") -> list[str]:
    """A maintenance as people write it: a program of its own that talks to the server."""
    program = (
        "import sys, time; import mysql.connector as c; "
        f"x = c.connect(host={server.host!r}, port={server.port}, user={server.user!r}, "
        f"password=sys.argv[1], database={shop!r}, use_pure=True); u = x.cursor()\n"
        f"for one in {[one for one in sql.split(';') if one.strip()]!r}: u.execute(one)\n"
        f"x.commit(); print('migrated', flush=True)\n{then}"
    )
    return ["--", sys.executable, "-c", program, server.password]


def test_from_the_accident_to_the_command_that_puts_it_back(
    tool: Shell, server: Server, shop: str
) -> None:
    before = server.query("SELECT * FROM payments ORDER BY id", shop)
    done = tool(
        "guard",
        f"{shop}.*",
        "--expect-change",
        f"{shop}.orders:status",
        *connection(server),
        *maintenance(server, shop, ACCIDENT),
        connect=False,
    )
    assert done.code == 3, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "migrated"  # its output is passed through
    assert lines[1].startswith("the command ended with exit code 0 after ")
    assert lines[2] == "CHANGED UNEXPECTEDLY: 1 of 3 tables"
    assert lines[3].startswith(f"  {shop}.payments: column `amount` changed")
    assert f"changed as expected: 1 table ({shop}.orders)" in lines
    assert f"unchanged: 1 table ({shop}.quiet)" in lines
    words = shlex.split(lines[-1])
    assert words[:2] == ["tablevault", "repair"]  # an ALTER, and no row differs beyond it
    subprocess.run(
        [sys.executable, "-m", "tablevault", *words[1:]],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=tool.environment(),
        timeout=60,
    )
    assert server.query("SELECT * FROM payments ORDER BY id", shop) == before
    assert "varchar(30)" in str(server.query("SHOW CREATE TABLE orders", shop))


def connection(server: Server) -> list[str]:
    return ["-h", server.host, "-P", str(server.port), "-u", server.user]


def test_a_command_that_fails_is_compared_all_the_same(
    tool: Shell, server: Server, shop: str
) -> None:
    where = [*connection(server), "--json"]
    sql = "UPDATE payments SET amount = 0 WHERE id = 2"
    command = maintenance(server, shop, sql, "sys.exit(7)")
    done = tool("guard", f"{shop}.*", *where, *command, connect=False)
    assert done.code == 3
    record = json.loads(done.stdout)
    assert record["command"]["exit_code"] == 7
    by_name = {one["table"]: one for one in record["tables"]}
    assert by_name[f"{shop}.payments"]["unexpected"] == ["1 row changed: amount in 1"]
    [command_back] = record["put_back"]
    words = shlex.split(command_back)[1:]
    assert words[0] == "repair"
    assert tool(words[0], *words[1:], connect=False).code == 0
    assert server.value("SELECT amount FROM payments WHERE id = 2", shop) == "20.50"
    # with nothing amiss the failure of the command is what the exit code says
    done = tool("guard", f"{shop}.*", *where, "--", "sh", "-c", "exit 7", connect=False)
    assert done.code == 4
    assert json.loads(done.stdout)["status"] == "failed"


def test_an_interrupted_command_is_compared_all_the_same(
    tool: Shell, server: Server, shop: str
) -> None:
    command = maintenance(server, shop, "DELETE FROM quiet WHERE id = 1", "time.sleep(60)")
    process = subprocess.Popen(
        tool.words("guard", f"{shop}.*", *connection(server), *command, connect=False),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=tool.environment(),
        start_new_session=True,  # no terminal: nobody but tablevault can tell the command
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"migrated\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    text = out.decode()
    assert "the command was ended by SIGINT" in text or "the command ended with exit code" in text
    assert f"{shop}.quiet: 1 row missing" in text


def test_a_command_that_is_not_there_costs_no_snapshot(
    tool: Shell, server: Server, shop: str
) -> None:
    where = connection(server)
    done = tool("guard", f"{shop}.*", *where, "--", "no-such-migration", connect=False)
    assert done.code == 2
    assert done.error.endswith("there is no command 'no-such-migration'")
    assert not tool.vault.exists() or not any(tool.vault.iterdir())


def test_begin_and_end(tool: Shell, server: Server, shop: str) -> None:
    begun = tool.json("guard", f"{shop}.*", "--begin", "--expect-change", f"{shop}.quiet")
    server.sql("DELETE FROM quiet; INSERT INTO orders VALUES (4, 'odd', NULL)", shop)
    words = shlex.split(begun["end_command"])[1:]
    done = tool(words[0], *words[1:], connect=False)
    assert done.code == 3
    assert f"{shop}.orders: 1 row extra" in done.stdout
    assert f"changed as expected: 1 table ({shop}.quiet)" in done.stdout
    # without being told which: the newest of that name
    assert tool("guard", "--end", "--expect-change", "quiet").code == 3


def test_a_snapshot_that_is_still_true_is_used_again(
    tool: Shell, server: Server, shop: str
) -> None:
    taken = tool.json("snapshot", f"{shop}.*")["snapshot"]
    first = tool.json("guard", f"{shop}.*", "--snapshot", taken, "--begin")
    assert first["snapshot"] == taken
    server.sql("UPDATE quiet SET v = 9", shop)
    second = tool.json("guard", f"{shop}.*", "--snapshot", taken, "--begin")
    assert second["snapshot"] != taken
    server.sql("CREATE TABLE late (id INT PRIMARY KEY)", shop)
    third = tool.json("guard", f"{shop}.*", "--snapshot", second["snapshot"], "--begin")
    assert third["snapshot"] not in (taken, second["snapshot"])


def test_its_snapshot_may_share_what_has_not_changed(
    tool: Shell, server: Server, shop: str, vault: Path
) -> None:
    base = tool("snapshot", f"{shop}.*", "--name", "night").stdout.split()[-1]
    server.sql("INSERT INTO payments VALUES (4, 1)", shop)

    def shared(*words: str) -> dict[str, bool]:
        """Of the files of the snapshot that a guard takes, whether another one has them too."""
        taken = tool.json("guard", f"{shop}.*", "--begin", *words)["snapshot"]
        found = tool.json("guard", "--end", "--snapshot", taken)
        assert {one["verdict"] for one in found["tables"]} == {UNCHANGED}
        paths = (vault / taken).rglob("*.parquet")
        return {path.parent.name: path.stat().st_nlink > 1 for path in paths}

    assert shared() == {"orders": False, "payments": False, "quiet": False}
    assert shared("--base", base) == {"orders": True, "payments": False, "quiet": True}
    # the newest one has the new row
    assert shared("--incremental") == {"orders": True, "payments": True, "quiet": True}
    refused = tool("guard", "--end", "--incremental")
    assert refused.code == 2
    assert "--end takes none" in refused.error


def test_nothing_changed(tool: Shell, server: Server, shop: str) -> None:
    where = connection(server)
    expected = ["--expect-change", f"{shop}.orders"]
    done = tool("guard", f"{shop}.*", *expected, *where, "--", "true", connect=False)
    assert done.code == 0
    assert "unchanged: 3 tables" in done.stdout
    assert f"hint: {shop}.orders was expected to change, and did not" in done.stdout
    assert "to put it back" not in done.stdout

"""The command line against a real server: the story it must win, and what goes wrong before."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Server
from tests.terminal import run_on_terminal


class Shell:
    """Calls tablevault as a person would, against one server and one vault."""

    def __init__(self, server: Server, vault: Path) -> None:
        self.server = server
        self.vault = vault
        self.program = [sys.executable, "-m", "tablevault"]
        self.environment = {
            key: value
            for key, value in {**server.environment(), "TABLEVAULT_VAULT": str(vault)}.items()
            if not key.startswith("XDG_")
        }

    def __call__(
        self, command: str, *words: str, connect: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.program, command, *words, *(self.server.arguments() if connect else ())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**self.environment, **environment},
        )

    def json(self, command: str, *words: str, connect: bool = True) -> dict[str, Any]:
        done = self(command, *words, "--json", connect=connect)
        record: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == record.get("exit_code", 0), done.stderr
        return record


@pytest.fixture
def shell(server: Server, vault: Path) -> Shell:
    return Shell(server, vault)


@pytest.fixture
def orders(server: Server, database: str) -> str:
    """A table with a secondary index and 20,000 rows; its qualified name."""
    rows = ",".join(f"({number}, 's{number % 7}', {number}/3)" for number in range(1, 20001))
    server.sql(
        f"""CREATE TABLE `{database}`.orders (
              id INT PRIMARY KEY AUTO_INCREMENT, state VARCHAR(20), price DECIMAL(12,2),
              KEY (state)) ENGINE=InnoDB;
            INSERT INTO `{database}`.orders VALUES {rows};"""
    )
    return f"{database}.orders"


def checksum(server: Server, table: str) -> str:
    return str(server.query(f"CHECKSUM TABLE {table}"))


def ruin(server: Server, table: str) -> None:
    server.sql(f"UPDATE {table} SET price = 0 WHERE id > 100;")


def test_the_story(shell: Shell, server: Server, orders: str, tmp_path: Path) -> None:
    before = checksum(server, orders)
    taken = shell("snapshot", orders, "--name", "before")
    assert taken.returncode == 0, taken.stderr
    snapshot = taken.stdout.splitlines()[-1]
    assert snapshot.endswith("-before")
    assert shell("verify", snapshot, connect=False).returncode == 0

    ruin(server, orders)
    ruined = checksum(server, orders)
    assert ruined != before
    events = tmp_path / "events.jsonl"
    proven = shell.json("restore", snapshot, "--events", str(events))
    assert (proven["status"], proven["outcome"]) == ("ok", "proven")
    assert proven["snapshot"] == snapshot
    assert checksum(server, orders) == ruined  # nothing live was touched

    swapped = shell.json("swap", proven["run"])
    assert (swapped["outcome"], swapped["run"]) == ("swapped", proven["run"])
    assert checksum(server, orders) == before
    assert shell.json("rollback", proven["run"])["outcome"] == "rolled back"
    assert checksum(server, orders) == ruined

    again = shell("restore", "latest", "--swap", "-q")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert checksum(server, orders) == before

    records = [json.loads(line) for line in events.read_text().splitlines()]
    assert {"RunBegan", "PhaseBegan", "RunEnded"} <= {record["type"] for record in records}
    for record in records:
        assert {"type", "time", "run", "phase", "percent"} <= set(record)
    assert {record["run"] for record in records} == {proven["run"]}


def test_the_printed_swap_command_swaps(shell: Shell, server: Server, orders: str) -> None:
    before = checksum(server, orders)
    shell("snapshot", orders)
    ruin(server, orders)
    stopped = shell("restore", "latest", "-q")
    command = stopped.stdout.strip()
    assert command.startswith("tablevault swap ")
    elsewhere = {**shell.environment, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    del elsewhere["TABLEVAULT_VAULT"]
    done = subprocess.run(
        command.replace("tablevault", f"{sys.executable} -m tablevault", 1),
        shell=True,
        env=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert checksum(server, orders) == before


def test_a_yes_on_a_terminal_swaps(shell: Shell, server: Server, orders: str) -> None:
    before = checksum(server, orders)
    shell("snapshot", orders)
    ruin(server, orders)
    code, output = run_on_terminal(
        [*shell.program, "restore", "latest", *server.arguments()],
        answers=[("[y/N] ", "y\n")],
        columns=200,
        environment=shell.environment,
    )
    assert code == 0, output
    assert f"swap the restored table {orders} into place" in output
    assert checksum(server, orders) == before


def test_list_and_show_say_what_there_is(shell: Shell, orders: str) -> None:
    taken = shell.json("snapshot", orders)
    assert taken["run"]
    listed = shell.json("list", connect=False)["snapshots"]
    assert [one["snapshot"] for one in listed] == [taken["snapshot"]]
    shown = shell.json("show", "latest", connect=False)
    assert shown["tables"][0]["table"] == orders
    assert shown["rows"] == 20000
    text = shell("show", "latest", connect=False).stdout
    assert "20,000" in text
    created = shell("show", "latest", "--create", connect=False).stdout
    assert created.startswith("CREATE TABLE")
    assert created.rstrip().endswith(";")


def test_damage_is_a_finding(shell: Shell, vault: Path, orders: str) -> None:
    snapshot = shell.json("snapshot", orders)["snapshot"]
    part = next(vault.glob(f"{snapshot}/*/*/*.parquet"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.chmod(0o600)
    part.write_bytes(content)
    done = shell("verify", snapshot, "--depth", "files", connect=False)
    assert done.returncode == 3, done.stderr
    assert orders in done.stdout
    assert "chunk 0" in done.stdout


def test_a_wrong_password_is_refused_and_not_repeated(shell: Shell, orders: str) -> None:
    done = shell("snapshot", orders, MYSQL_PWD="not-the-password")
    assert done.returncode == 5
    assert "not-the-password" not in done.stdout + done.stderr
    assert any(line.startswith("tablevault: error:") for line in done.stderr.splitlines())


@pytest.mark.parametrize("pattern", ["{database}.absent", "no_such_schema.*"])
def test_a_table_that_is_not_there_is_said(
    shell: Shell, database: str, vault: Path, pattern: str
) -> None:
    done = shell("snapshot", pattern.format(database=database))
    assert done.returncode in (2, 4)
    assert "Traceback" not in done.stderr
    assert shell.json("list", connect=False)["snapshots"] == []


def wait_until_one_waits(server: Server, process: subprocess.Popen[str]) -> None:
    """Until a statement of the process stands before a lock."""
    waiting = (
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for%lock%'"
        " OR STATE LIKE 'Waiting for%flush%' OR STATE LIKE 'Waiting for backup%'"
    )
    with server.connect() as connection:
        while True:
            assert process.poll() is None
            cursor = connection.cursor()
            cursor.execute(waiting)
            if cursor.fetchall() != [(0,)]:
                return
            time.sleep(0.05)


def test_an_interrupted_snapshot_does_not_exist(shell: Shell, server: Server, orders: str) -> None:
    blocker = server.connect()
    cursor = blocker.cursor()
    cursor.execute(f"LOCK TABLES {orders} WRITE")  # the snapshot has to wait
    try:
        process = subprocess.Popen(
            [*shell.program, "snapshot", orders, "--json", *server.arguments()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=shell.environment,
        )
        wait_until_one_waits(server, process)
        process.send_signal(signal.SIGTERM)
        output, told = process.communicate(timeout=20)
    finally:
        cursor.execute("UNLOCK TABLES")
        blocker.close()
    assert process.returncode == 130, told
    assert json.loads(output)["status"] == "interrupted"
    assert "Traceback" not in told
    assert shell.json("list", connect=False)["snapshots"] == []


def test_a_profile_is_enough(shell: Shell, server: Server, orders: str, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        f'[profile.here]\nhost = "{server.host}"\nport = {server.port}\n'
        f'user = "{server.user}"\nvault = "{tmp_path}/other"\ntables = ["{orders}"]\n'
    )
    environment = {**shell.environment}
    del environment["TABLEVAULT_VAULT"]
    done = subprocess.run(
        [*shell.program, "snapshot", "-q", "--config", str(config), "--profile", "here"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "other" / done.stdout.strip() / "manifest.json").exists()

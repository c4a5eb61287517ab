"""A password that the keyring holds: it opens connections, and stands nowhere afterwards."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.servers import Server
from tests.support.shell import Shell

WITHOUT = ("env", "-u", "MYSQL_PWD")  # else it would be the password
BACKEND = "tests.support.file_keyring.FileKeyring"


@pytest.fixture
def shell(server: Server, vault: Path) -> Shell:
    return Shell(server, vault)


@pytest.fixture
def orders(server: Server, database: str) -> str:
    server.sql(
        f"CREATE TABLE {database}.orders (id INT PRIMARY KEY, v VARCHAR(20));"
        f"INSERT INTO {database}.orders VALUES (1, 'a'), (2, 'b');"
    )
    return f"{database}.orders"


@pytest.fixture
def ring(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyring that holds the password of the service `db one`, for processes begun here."""
    (tmp_path / "ring").mkdir()
    file = tmp_path / "ring" / "keyring.json"
    file.write_text(json.dumps({"db one": {server.user: server.password}}))
    monkeypatch.setenv("KEYRING_FILE", str(file))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", BACKEND)


@pytest.mark.usefixtures("ring")
def test_a_run_leaves_no_trace_of_it(
    shell: Shell, server: Server, orders: str, vault: Path, tmp_path: Path
) -> None:
    assert len(server.password) >= 8
    (tmp_path / "events").mkdir()
    words = ("--password-keyring", "db one", "--events", str(tmp_path / "events/all"), "-v")
    taken = shell("snapshot", orders, *words, prefix=WITHOUT)
    assert taken.code == 0, taken.stderr
    server.sql(f"DELETE FROM {orders};")
    environment = shell.environment()
    del environment["MYSQL_PWD"]
    process = subprocess.Popen(
        shell.words("restore", "latest", orders, *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    seen = set()
    while process.poll() is None:
        seen |= command_lines()
    told = process.stdout.read() if process.stdout else ""
    process.wait()
    if process.stdout:
        process.stdout.close()
    assert process.returncode == 0, told
    assert any(b"--password-keyring" in line for line in seen)
    assert not any(server.password.encode() in line for line in seen if b"keyring" in line)
    assert "--password-keyring 'db one'" in told  # in the command that swaps
    for path in (*vault.rglob("*"), *(tmp_path / "events").rglob("*")):
        assert not path.is_file() or server.password.encode() not in path.read_bytes(), path
    for text in (told, *shell.said):
        assert server.password not in text


@pytest.mark.usefixtures("ring")
def test_of_a_server_that_a_job_names(
    shell: Shell, orders: str, server: Server, vault: Path, tmp_path: Path
) -> None:
    config = tmp_path / "tablevault.toml"
    config.write_text(
        f'[server.db]\nhost = "{server.host}"\nport = {server.port}\nuser = "{server.user}"\n'
        'password_keyring = "db one"\n'
        f'[job.nightly]\nserver = "db"\nsteps = ["snapshot {orders}", "drill latest"]\n'
    )
    done = shell("job", "nightly", "--config", str(config), connect=False, prefix=WITHOUT)
    assert done.code == 0, done.stderr


@pytest.mark.usefixtures("ring")
def test_one_without_it_begins_nothing(shell: Shell, orders: str, vault: Path) -> None:
    done = shell("snapshot", orders, "--password-keyring", "db two", prefix=WITHOUT)
    assert done.code == 2
    assert "the keyring's 'db two' for" in done.error
    assert not list(vault.glob("*"))


def command_lines() -> set[bytes]:
    """What `ps` would show now."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.add(path.read_bytes())
    return found

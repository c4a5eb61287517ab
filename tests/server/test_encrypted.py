"""Encrypted tables come back encrypted, on servers that hold a key; elsewhere nothing is made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tablevault.demo.server import PrivateServer
from tablevault.errors import TablevaultError
from tests.servers import Server
from tests.support.facts import facts, leftovers
from tests.support.keyring import encrypting
from tests.support.roundtrip import pattern, put_back, take

WORD = "nobody-reads-this-on-the-disk"
ENCRYPTED = {
    "mysql": "ENCRYPTION='Y'",
    "mariadb": "ENCRYPTED=YES ENCRYPTION_KEY_ID=1",
}
SPACES = {
    "mysql": "SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES "
    "WHERE ENCRYPTION = 'Y' AND NAME LIKE 'safe/%'",
    "mariadb": "SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES_ENCRYPTION "
    "WHERE ENCRYPTION_SCHEME = 1 AND NAME LIKE 'safe/%'",
}

pytestmark = pytest.mark.mysql


@pytest.fixture(params=["mariadb", "mysql"])
def keyed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, PrivateServer]]:
    """A server with a key, and an encrypted table of a few hundred rows in the schema `safe`."""
    kind = request.param
    with encrypting(kind, tmp_path / "keys") as private:
        server = Server.of(kind, private)
        rows = ",".join(f"({n}, '{WORD}')" for n in range(400))
        server.sql(
            "CREATE DATABASE safe CHARACTER SET utf8mb4; USE safe;"
            "CREATE TABLE t (id INT PRIMARY KEY, word VARCHAR(60), KEY (word), FULLTEXT (word)) "
            f"{ENCRYPTED[kind]}; INSERT INTO t VALUES {rows};"
        )
        yield server, private


def on_disk(private: PrivateServer) -> bool:
    """Whether the word stands anywhere in the files of the schema."""
    private.stop()
    return any(
        WORD.encode() in path.read_bytes() for path in (private.data_directory / "safe").iterdir()
    )


def test_it_comes_back_encrypted(keyed: tuple[Server, PrivateServer], vault: Path) -> None:
    server, private = keyed
    before = facts(server, "safe", "t")
    assert server.value(SPACES[server.family]) not in ("0", None)
    taken = take(server, vault, [pattern("safe", "t")])
    server.sql("DELETE FROM safe.t")
    assert put_back(server, vault, taken.id).status == "swapped"
    assert facts(server, "safe", "t") == before
    assert not on_disk(private)


def test_a_server_without_a_key_makes_nothing(
    keyed: tuple[Server, PrivateServer], request: pytest.FixtureRequest, vault: Path
) -> None:
    server, _ = keyed
    taken = take(server, vault, [pattern("safe", "t")])
    keyless: Server = request.getfixturevalue(server.kind)
    keyless.sql("CREATE DATABASE safe; CREATE TABLE safe.t (id INT)")
    try:
        with pytest.raises(TablevaultError, match=r"(?i)key|encrypt") as refusal:
            put_back(keyless, vault, taken.id)
        assert refusal.value.exit_code == 4
        assert leftovers(keyless, "safe") == []
        assert keyless.value("SELECT COUNT(*) FROM safe.t") == "0"
    finally:
        keyless.sql("DROP DATABASE safe")

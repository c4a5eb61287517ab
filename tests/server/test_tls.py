"""TLS: demanded means active, and rows are read and loaded over it as over plain TCP.

The certificate and key in `tls/` are of no use but for these tests.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tablevault.demo.server import PrivateServer
from tablevault.errors import ServerUnavailable, UsageError
from tablevault.mysql import sink, wire
from tablevault.mysql.connect import ConnectOptions, Purpose, connect
from tablevault.mysql.source import RowSource
from tests import tables
from tests.proxy import CutProxy
from tests.servers import Server

FILES = Path(__file__).parent / "tls"
CA = str(FILES / "ca.pem")
COLD = "not-known-to-the-cache"
pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateServer]:
    keys = tmp_path_factory.mktemp("tls")
    for file in FILES.glob("*.pem"):
        shutil.copy(file, keys)
    arguments = [
        f"--ssl-ca={keys}/ca.pem",
        f"--ssl-cert={keys}/server-cert.pem",
        f"--ssl-key={keys}/server-key.pem",
    ]
    with PrivateServer(binlog=False, extra_args=arguments) as server:
        yield server


def options(server: PrivateServer, **changes: object) -> ConnectOptions:
    known = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": server.user,
        "password": server.password,
    }
    return ConnectOptions(**{**known, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["preferred", "required", "verify_ca", "verify_identity"])
def test_tls_is_active(secure: PrivateServer, mode: str) -> None:
    with connect(options(secure, ssl_mode=mode, ssl_ca=CA)) as conn:
        row = conn.one("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        assert row is not None and row[1]


def test_disabled_means_plain(secure: PrivateServer) -> None:
    with connect(options(secure, ssl_mode="disabled")) as conn:
        assert conn.one("SHOW SESSION STATUS LIKE 'Ssl_cipher'") == (b"Ssl_cipher", b"")


@pytest.mark.parametrize("mode", ["verify_ca", "verify_identity"])
def test_an_unknown_authority_is_refused(secure: PrivateServer, mode: str) -> None:
    with pytest.raises(ServerUnavailable, match=r"(?i)certificate"):
        connect(options(secure, ssl_mode=mode))


def test_another_host_name_is_refused(secure: PrivateServer) -> None:
    with pytest.raises(ServerUnavailable, match=r"(?i)certificate|hostname"):
        connect(options(secure, host="localhost", ssl_mode="verify_identity", ssl_ca=CA))
    with connect(options(secure, host="localhost", ssl_mode="verify_ca", ssl_ca=CA)) as conn:
        assert conn.alive()


def test_a_server_without_tls_is_refused(mariadb: Server) -> None:
    with pytest.raises(ServerUnavailable, match="does not offer TLS"):
        connect(mariadb.options(ssl_mode="required"))


def test_a_socket_file_speaks_no_tls(secure: PrivateServer) -> None:
    with pytest.raises(UsageError, match="socket"):
        connect(options(secure, socket=secure.socket, ssl_mode="required"))


def test_rows_go_both_ways_over_tls(secure: PrivateServer) -> None:
    with (
        connect(options(secure, ssl_mode="required"), Purpose.READ) as reader,
        connect(options(secure, ssl_mode="required"), Purpose.LOAD) as loader,
    ):
        loader.execute("CREATE DATABASE tls")
        loader.execute("CREATE TABLE tls.t (id INT PRIMARY KEY, s VARCHAR(2000))")
        token = sink.new_token()
        blocks = [b"".join(b"%d\t%s\n" % (n, b"x" * 1000) for n in range(3000))]
        statement = (
            f"LOAD DATA LOCAL INFILE '{token}' INTO TABLE tls.t CHARACTER SET binary (id, s)"
        )
        sink.load_rows(loader, statement, token, blocks, 3000)
        specs = tables.specs_in(reader, "tls", "t")
        assert wire.reader(reader.driver) is not None
        batches = list(RowSource(reader, tables.select(specs, "tls", "t"), specs))
        assert sum(batch.rows for batch in batches) == 3000
        loader.execute("DROP DATABASE tls")


@pytest.fixture
def cold(mysql: Server) -> Iterator[str]:
    """An account whose password the server has not in its cache."""
    name = "tv_cold"
    mysql.sql(
        f"CREATE USER {name}@'%' IDENTIFIED WITH caching_sha2_password BY '{COLD}';FLUSH PRIVILEGES"
    )
    yield name
    mysql.sql(f"DROP USER {name}@'%'")


def test_a_password_never_passes_a_bare_wire(mysql: Server, cold: str) -> None:
    """The server asks for it in the clear until it has it in its cache, which takes TLS once."""
    with CutProxy(mysql.host, mysql.port) as wire_tap:
        account = {"port": wire_tap.port, "user": cold, "password": COLD}
        with pytest.raises(ServerUnavailable, match="in the clear") as raised:
            connect(mysql.options(**account, ssl_mode="disabled"))
        assert "TLS" in (raised.value.hint or "") and COLD not in str(raised.value)
        with connect(mysql.options(**account)) as encrypted:
            assert encrypted.alive()
        with connect(mysql.options(**account, ssl_mode="disabled")) as hashed:
            assert hashed.alive()
        assert cold.encode() in wire_tap.sent
        assert COLD.encode() not in wire_tap.sent


def test_over_a_socket_file_it_may(mysql: Server, cold: str) -> None:
    account = {"user": cold, "password": COLD, "socket": mysql.socket}
    with connect(mysql.options(**account)) as conn:
        assert conn.alive()

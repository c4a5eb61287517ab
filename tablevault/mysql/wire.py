"""The wire under a connection: opening one, its socket, its time limits, its end.

The pure Python connector is used always, so that every machine behaves alike, and never with
compression, which it cannot read in large results.  Rows are received from its socket without
being decoded twice (`reader`; else `get_rows(raw=True)`).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from tablevault.errors import CannotComplete, ConnectionLost, ServerUnavailable, UsageError
from tablevault.mysql import failures
from tablevault.mysql.driver import PACKET_BYTES, driver_class, shut, socket_of, wire_errors

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tablevault.mysql.options import ConnectOptions

STREAM_SILENCE_S = 600.0  # of a server that sends rows: as long as it waits for a client itself
_DEPRECATE_EOF = 1 << 24
_MULTI_STATEMENTS = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time at all


class Driver(Protocol):
    """What the rest of this room uses of a driver connection."""

    connection_id: int | None
    unread_result: bool

    def cmd_query(self, query: bytes, *, read_timeout: float | None = None) -> dict[str, Any]: ...

    def get_rows(
        self, count: int | None = None, *, raw: bool = True, read_timeout: float | None = None
    ) -> tuple[list[tuple[bytes | None, ...]], dict[str, Any] | None]: ...

    def cmd_load(
        self,
        query: bytes,
        token: str,
        blocks: Iterable[Buffer],
        on_bytes: Callable[[int], None] | None,
        packet_bytes: int = PACKET_BYTES,
    ) -> dict[str, Any]: ...


def _connect_errors() -> tuple[type[Exception], ...]:
    """What a failed connect raises: also what the driver trips over when it meets no handshake."""
    tripped = (NotImplementedError, ValueError, IndexError, struct.error)
    return (*wire_errors(), ServerUnavailable, *tripped)


def open_driver(options: ConnectOptions, *, local_infile: bool = False) -> Driver:
    """An authenticated driver connection; reads time out until `set_read_timeout(None)`.

    Raises ServerUnavailable, without the password, and UsageError for options that contradict.
    """
    driver = driver_class()()
    driver.tls_required = options.tls_required
    if options.socket and options.tls_required:
        raise UsageError(
            "--ssl-mode demands TLS, which is not spoken over a socket file",
            hint="give --host, or leave --ssl-mode out",
        )
    try:
        driver.connect(**_arguments(options, local_infile))
    except _connect_errors() as error:
        release(driver)
        raise failures.connect_error(error, options.target, options.user) from None
    _check_tls(driver, options)
    _tune_socket(driver)
    set_read_timeout(driver, options.connect_timeout_s)
    return driver  # type: ignore[no-any-return]


def _arguments(options: ConnectOptions, local_infile: bool) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "user": options.user,
        "password": options.password or "",
        "connection_timeout": options.connect_timeout_s,
        "charset": "utf8mb4",
        "autocommit": True,
        "allow_local_infile": local_infile,
        # one statement a call: a value that broke out of its quotes could not start another
        "client_flags": [-_MULTI_STATEMENTS],
        "conn_attrs": {"program_name": "tablevault"},
    }
    if options.socket:
        arguments["unix_socket"] = options.socket
    else:
        arguments["host"], arguments["port"] = options.host, options.port
    if options.ssl_mode == "disabled":
        arguments["ssl_disabled"] = True
    if options.ssl_ca:
        arguments["ssl_ca"] = options.ssl_ca
    if options.ssl_mode in ("verify_ca", "verify_identity"):
        arguments["ssl_verify_cert"] = True
    if options.ssl_mode == "verify_identity":
        arguments["ssl_verify_identity"] = True
    return arguments


def _check_tls(driver: Any, options: ConnectOptions) -> None:
    """The driver falls back to plain text without a word: look at the socket itself."""
    if options.tls_required and not isinstance(socket_of(driver), ssl.SSLSocket):
        release(driver)
        raise ServerUnavailable(
            f"the connection to {options.target} is not encrypted, which --ssl-mode demands",
            hint="enable TLS on the server, or use --ssl-mode preferred",
        )


def _tune_socket(driver: Any) -> None:
    """A dead peer is noticed within two minutes, and small packets are not held back."""
    sock = socket_of(driver)
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", 30),
        ("TCP_KEEPINTVL", 10),
        ("TCP_KEEPCNT", 6),
        ("TCP_USER_TIMEOUT", 120_000),
    ):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def set_read_timeout(driver: Any, seconds: int | None) -> None:
    """How long a read may take before the connection is given up; None: as long as TCP lives."""
    driver.read_timeout = seconds
    sock = socket_of(driver)
    if sock is not None:
        sock.settimeout(seconds)


def reader(driver: Any) -> socket.socket | None:
    """The socket to receive a result from after `cmd_query`, or None to use `get_rows`.

    Offered only where the bytes are plain row packets that end in a classic EOF packet.
    """
    from mysql.connector.network import NetworkBrokerPlain

    sock = socket_of(driver)
    broker = getattr(getattr(driver, "_socket", None), "_netbroker", None)
    if sock is None or type(broker) is not NetworkBrokerPlain:
        return None
    if driver.client_flags & _DEPRECATE_EOF or not hasattr(driver, "_handle_server_status"):
        return None
    sock.settimeout(STREAM_SILENCE_S)
    return sock


def refuse_compression(driver: Any) -> None:
    """Raises CannotComplete for a compressed connection: large results cannot be read from it."""
    if driver.client_flags & (1 << 5):
        raise CannotComplete(
            "the connection uses the compressed protocol, which cannot carry a snapshot",
            hint="leave compress out of the connection options",
        )


def end_result(driver: Any, status_flags: int | None) -> None:
    """Tell the driver that its result has been read; `status_flags` are those of the EOF packet.

    None after an error packet, which carries no flags.
    """
    if status_flags is not None:
        driver._handle_server_status(status_flags)
    driver.unread_result = False


def release(driver: Any) -> None:
    """Close the socket without a word; only by the thread that uses the connection.

    By a reset, which ends a SELECT that the server is still sending.  After an orderly end the
    kernel answers the server that there is no room yet, for as long as it remembers the socket:
    on MySQL and MariaDB the SELECT held the table's metadata lock for up to 107 s.
    """
    sock = socket_of(driver)
    shut(driver)
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.close()


def close(driver: Any) -> None:
    """Say goodbye where no answer is pending, and close the socket in any case."""
    with contextlib.suppress(*wire_errors()):
        sock = socket_of(driver)
        if sock is not None and not driver.unread_result:
            sock.settimeout(2.0)
            driver.cmd_quit()
            sock.close()
            return
    release(driver)


def lost(doing: str, why: str) -> ConnectionLost:
    """The error for a stream that ended where it must not."""
    return ConnectionLost(f"connection lost while running {doing}: {why}")

"""All that is known of the driver's inside: the only module that imports mysql.connector.

The pure Python connector is used always, so that every machine behaves alike, and never with
compression, which it cannot read in large results.  Three things reach behind its public API,
each with a stated way out when a release changes them:

* the socket, to receive rows without decoding them twice (`reader`; else `get_rows(raw=True)`);
* the hook that answers LOAD DATA LOCAL, to stream from memory (`_handle_load_data_infile`);
* the handshake, to refuse a server without TLS before a password is on its way.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from tablevault.errors import CannotComplete, ConnectionLost, ServerUnavailable, UsageError
from tablevault.mysql import failures

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tablevault.mysql.options import ConnectOptions

PACKET_BYTES = 1 << 20  # a packet of a LOAD stream, at most: one copy and one send each
PENDING_ERROR_WAIT_S = 2.0
_DEPRECATE_EOF = 1 << 24
_CLIENT_SSL = 1 << 11
_MULTI_STATEMENTS = 1 << 16


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


@functools.cache
def wire_errors() -> tuple[type[Exception], ...]:
    """The exceptions that a driver or a socket raises, to be given to `failures.translate`.

    ValueError, IndexError, struct.error and TypeError are not among them: a driver that trips
    over an answer with one of those is a crash, and shall read as one.
    """
    from mysql.connector.errors import Error

    return (Error, OSError)


def _connect_errors() -> tuple[type[Exception], ...]:
    """What a failed connect raises: also what the driver trips over when it meets no handshake."""
    tripped = (NotImplementedError, ValueError, IndexError, struct.error)
    return (*wire_errors(), ServerUnavailable, *tripped)


@functools.cache
def _driver_class() -> type[Any]:
    from mysql.connector.connection import MySQLConnection
    from mysql.connector.errors import get_exception

    driver_errors = wire_errors()

    class StreamingConnection(MySQLConnection):  # type: ignore[misc]
        """A driver connection that hands LOAD DATA LOCAL its data from memory, or nothing."""

        tls_required = False
        _offer: tuple[str, Iterable[Buffer], Callable[[int], None] | None, int] | None = None

        def _do_handshake(self) -> None:
            super()._do_handshake()
            if self.tls_required and not self._handshake["capabilities"] & _CLIENT_SSL:
                raise ServerUnavailable(
                    "the server does not offer TLS, which --ssl-mode demands",
                    hint="enable TLS on the server, or use --ssl-mode preferred",
                )

        def cmd_load(
            self,
            query: bytes,
            token: str,
            blocks: Iterable[Buffer],
            on_bytes: Callable[[int], None] | None,
            packet_bytes: int = PACKET_BYTES,
        ) -> dict[str, Any]:
            self._offer = (token, blocks, on_bytes, packet_bytes)
            try:
                return self.cmd_query(query)  # type: ignore[no-any-return]
            finally:
                self._offer = None

        def _handle_load_data_infile(
            self, filename: str, *args: object, **kwargs: object
        ) -> dict[str, Any]:
            offer, self._offer = self._offer, None
            if offer is None or filename != offer[0]:
                shut(self)
                raise ServerUnavailable(
                    "the server asked for a file that was not offered; the connection was closed",
                    hint="do not trust this server: no file was opened",
                )
            _, blocks, on_bytes, packet_bytes = offer
            try:
                for block in blocks:
                    self._send_block(block, on_bytes, packet_bytes)
                self._socket.send(b"")
            except driver_errors as error:
                self._raise_pending(error)
            except BaseException:
                # the end of the stream must never be told: half a load would be committed
                shut(self)
                raise
            return self._handle_ok(self._socket.recv())  # type: ignore[no-any-return]

        def _send_block(
            self, block: Buffer, on_bytes: Callable[[int], None] | None, packet_bytes: int
        ) -> None:
            with memoryview(block) as view, view.cast("B") as octets:
                for start in range(0, len(octets), packet_bytes):
                    part = octets[start : start + packet_bytes]
                    self._socket.send(part)
                    if on_bytes is not None:
                        on_bytes(len(part))

        def _raise_pending(self, error: Exception) -> None:
            """The server hung up on us: what it said before is the cause, if it said anything."""
            packet: bytes | bytearray = b""
            with contextlib.suppress(*driver_errors):
                packet = self._socket.recv(PENDING_ERROR_WAIT_S)
            shut(self)
            if len(packet) > 4 and packet[4] == 0xFF:
                raise get_exception(packet) from error
            raise error

    return StreamingConnection


def open_driver(options: ConnectOptions, *, local_infile: bool = False) -> Driver:
    """An authenticated driver connection; reads time out until `set_read_timeout(None)`.

    Raises ServerUnavailable, without the password, and UsageError for options that contradict.
    """
    driver = _driver_class()()
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
    if options.tls_required and not isinstance(_socket_of(driver), ssl.SSLSocket):
        release(driver)
        raise ServerUnavailable(
            f"the connection to {options.target} is not encrypted, which --ssl-mode demands",
            hint="enable TLS on the server, or use --ssl-mode preferred",
        )


def _tune_socket(driver: Any) -> None:
    """A dead peer is noticed within two minutes, and small packets are not held back."""
    sock = _socket_of(driver)
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
    sock = _socket_of(driver)
    if sock is not None:
        sock.settimeout(seconds)


def reader(driver: Any) -> socket.socket | None:
    """The socket to receive a result from after `cmd_query`, or None to use `get_rows`.

    Offered only where the bytes are plain row packets that end in a classic EOF packet.
    """
    from mysql.connector.network import NetworkBrokerPlain

    sock = _socket_of(driver)
    broker = getattr(getattr(driver, "_socket", None), "_netbroker", None)
    if sock is None or type(broker) is not NetworkBrokerPlain:
        return None
    if driver.client_flags & _DEPRECATE_EOF or not hasattr(driver, "_handle_server_status"):
        return None
    sock.settimeout(None)
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


def shut(driver: Any) -> None:
    """End both directions of the socket at once, from any thread; nothing is sent."""
    sock = _socket_of(driver)
    if sock is None:
        return
    with contextlib.suppress(OSError):
        # not SSLSocket's own: that one takes the TLS state away under a reader's feet
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def release(driver: Any) -> None:
    """Close the socket without a word; only by the thread that uses the connection."""
    sock = _socket_of(driver)
    shut(driver)
    if sock is not None:
        sock.close()


def close(driver: Any) -> None:
    """Say goodbye where no answer is pending, and close the socket in any case."""
    with contextlib.suppress(*wire_errors()):
        sock = _socket_of(driver)
        if sock is not None and not driver.unread_result:
            sock.settimeout(2.0)
            driver.cmd_quit()
    release(driver)


def _socket_of(driver: Any) -> socket.socket | None:
    sock = getattr(getattr(driver, "_socket", None), "sock", None)
    return sock if isinstance(sock, socket.socket) else None


def lost(doing: str, why: str) -> ConnectionLost:
    """The error for a stream that ended where it must not."""
    return ConnectionLost(f"connection lost while running {doing}: {why}")

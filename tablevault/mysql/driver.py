"""The driver's connection class, with the hooks that reach behind its public API.

Each has a stated way out when a release changes it:

* the answer to LOAD DATA LOCAL, streamed from memory (`_handle_load_data_infile`): nothing is
  loaded, and INSERT is the other way;
* the handshake, to refuse a server without TLS before a password is on its way: TLS is looked at
  once more on the socket of the open connection;
* the authentication, to keep a password off a bare wire: `test_tls.py` finds it there.
"""

from __future__ import annotations

import contextlib
import functools
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tablevault.errors import AccountRefused, ServerUnavailable

if TYPE_CHECKING:
    from typing_extensions import Buffer

PACKET_BYTES = 1 << 20  # a packet of a LOAD stream, at most: one copy and one send each
PENDING_ERROR_WAIT_S = 2.0
_CLIENT_SSL = 1 << 11


@functools.cache
def wire_errors() -> tuple[type[Exception], ...]:
    """The exceptions that a driver or a socket raises, to be given to `failures.translate`.

    ValueError, IndexError, struct.error and TypeError are not among them: a driver that trips
    over an answer with one of those is a crash, and shall read as one.
    """
    from mysql.connector.errors import Error

    return (Error, OSError)


@functools.cache
def driver_class() -> type[Any]:
    """The driver's connection, with what this room needs of its inside."""
    from mysql.connector.connection import MySQLConnection
    from mysql.connector.errors import get_exception
    from mysql.connector.network import MySQLTCPSocket

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

        def _do_auth(self, *args: Any, **kwargs: Any) -> bool:
            channel, password = self._socket, (self._password or "").encode()
            send = channel.send

            def guarded(payload: bytes, *args: Any, **kwargs: Any) -> None:
                # caching_sha2_password asks for the password itself when it has it not in its cache
                # and the driver hands it out over a bare wire as over TLS
                bare = isinstance(channel, MySQLTCPSocket) and not self._ssl_active
                if password and bare and bytes(payload) == password + b"\0":
                    raise AccountRefused(
                        "the server asks for the password in the clear, over a connection without "
                        "TLS: it was not sent",
                        hint="leave --ssl-mode disabled out, enable TLS on the server, or use its "
                        "socket file",
                    )
                send(payload, *args, **kwargs)

            channel.send = guarded
            try:
                return super()._do_auth(*args, **kwargs)  # type: ignore[no-any-return]
            finally:
                del channel.send

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


def shut(driver: Any) -> None:
    """End both directions of the socket at once, from any thread; nothing is sent."""
    sock = socket_of(driver)
    if sock is None:
        return
    with contextlib.suppress(OSError):
        # not SSLSocket's own: that one takes the TLS state away under a reader's feet
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def socket_of(driver: Any) -> socket.socket | None:
    """The socket itself, while there is one."""
    sock = getattr(getattr(driver, "_socket", None), "sock", None)
    return sock if isinstance(sock, socket.socket) else None

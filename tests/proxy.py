"""A wire that can be cut: forwards to a server until it has passed so many bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class CutProxy:
    """Listens on 127.0.0.1; `cut_after(n)` cuts both ways n bytes of the server's later on."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.sent = bytearray()  # what clients said
        self._left: int | None = None
        self._sockets: list[socket.socket] = []
        self._start(self._accept)

    def cut_after(self, server_bytes: int) -> None:
        """Let so many more bytes of the server pass, then close every connection."""
        self._left = server_bytes

    def cut(self) -> None:
        """Close every connection now."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _start(self, work: object, *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()  # type: ignore[arg-type]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            self._start(self._forward, client, server, False)
            self._start(self._forward, server, client, True)

    def _forward(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(65536):
                if not counted:
                    self.sent += data
                if counted and self._left is not None:
                    data, self._left = data[: self._left], self._left - len(data)
                    sink.sendall(data)
                    if self._left <= 0:
                        break
                    continue
                sink.sendall(data)
        except OSError:
            pass
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> CutProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        for each in self._sockets:
            each.close()

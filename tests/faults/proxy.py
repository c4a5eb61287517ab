"""A wire that fails on demand: stalls, cuts and slows what passes, per connection and direction.

A test steers it while it runs: on all connections at once, on one `Wire`, or by a `Rule` that
waits for a statement to pass.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

_BLOCK = 65536
_TO_SERVER, _TO_CLIENT = "to server", "to client"


@dataclass
class Rule:
    """When a client's bytes contain `pattern`, do `act`, after they were forwarded or before."""

    pattern: bytes
    act: Callable[[Wire], None]
    before: bool = False
    times: int = 1
    skip: int = 0  # matches that are let pass
    hits: int = 0
    wires: list[Wire] = field(default_factory=list)


class Wire:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._sockets = {_TO_SERVER: (client, server), _TO_CLIENT: (server, client)}
        self._open = {way: threading.Event() for way in self._sockets}
        for gate in self._open.values():
            gate.set()
        self.passed = {_TO_SERVER: 0, _TO_CLIENT: 0}  # bytes
        self.cut_at: dict[str, int] = {}  # bytes, by direction

    def stall(self, way: str | None = None) -> None:
        """Let nothing pass, and lose nothing, until `go_on`."""
        for each in (way,) if way else self._open:
            self._open[each].clear()

    def go_on(self) -> None:
        """Undo `stall`."""
        for gate in self._open.values():
            gate.set()

    def cut(self) -> None:
        """Close both ends."""
        for each in self._sockets[_TO_SERVER]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.go_on()

    def cut_before_the_answer(self, after_s: float = 0.5) -> None:
        """Let the client's bytes pass and the server work; close both ends before it is heard."""
        self.stall(_TO_CLIENT)
        threading.Timer(after_s, self.cut).start()

    def cut_client(self) -> None:
        """Close the client's end only: the server does not notice, as behind a dead router."""
        client, _ = self._sockets[_TO_SERVER]
        self._open[_TO_SERVER].clear()
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        for each in self._sockets[_TO_SERVER]:
            each.close()

    def forward(self, way: str) -> None:
        """The body of one direction's thread."""
        source, sink = self._sockets[way]
        with contextlib.suppress(OSError):
            while data := source.recv(_BLOCK):
                rule = self._proxy.matching(data) if way == _TO_SERVER else None
                self._open[way].wait()
                if rule is not None and rule.before:
                    rule.wires.append(self)
                    rule.act(self)
                self._send(way, sink, data)
                if rule is not None and not rule.before:
                    rule.wires.append(self)
                    rule.act(self)
        if self._open[way].is_set():
            self.cut()

    def _send(self, way: str, sink: socket.socket, data: bytes) -> None:
        limit = self.cut_at.get(way)
        if limit is not None and self.passed[way] + len(data) >= limit:
            sink.sendall(data[: max(0, limit - self.passed[way])])
            self.cut()
            return
        sink.sendall(data)
        self.passed[way] += len(data)
        if self._proxy.bytes_s:
            time.sleep(len(data) / self._proxy.bytes_s)


class Proxy:
    """Listens on 127.0.0.1 and forwards to a server; `port` is where."""

    host = "127.0.0.1"

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.wires: list[Wire] = []
        self.rules: list[Rule] = []
        self.bytes_s: float | None = None  # how fast each direction of each connection is
        self._refusing = False
        self._holding = False
        self._closed = False
        self._start(self._accept)

    def when(
        self,
        pattern: bytes,
        act: Callable[[Wire], None],
        *,
        before: bool = False,
        times: int = 1,
        skip: int = 0,
    ) -> Rule:
        """Do `act` when a client sends `pattern`, `times` times, after `skip` other matches."""
        rule = Rule(pattern, act, before, times, skip)
        self.rules.append(rule)
        return rule

    def matching(self, data: bytes) -> Rule | None:
        """The rule that `data` sets off, counted."""
        for rule in self.rules:
            if rule.pattern in data and rule.hits < rule.times + rule.skip:
                rule.hits += 1
                if rule.hits > rule.skip:
                    return rule
        return None

    def stall(self) -> None:
        """Stall all connections there are."""
        for wire in list(self.wires):
            wire.stall()

    def go_on(self) -> None:
        """Undo `stall` and `hold`."""
        self._holding = False
        for wire in list(self.wires):
            wire.go_on()

    def cut(self) -> None:
        """Cut all connections there are."""
        for wire in list(self.wires):
            wire.cut()

    def refuse(self, refusing: bool = True) -> None:
        """Close new connections at once, as when nobody listens."""
        self._refusing = refusing

    def hold(self) -> None:
        """Stall all connections there are, and those to come as well, until `go_on`."""
        self._holding = True
        self.stall()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._refusing:
                    raise ConnectionRefusedError
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            wire = Wire(self, client, server)
            self.wires.append(wire)
            if self._holding:
                wire.stall()
            if self._closed:
                wire.close()
                continue
            self._start(wire.forward, _TO_SERVER)
            self._start(wire.forward, _TO_CLIENT)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        self._listener.close()
        for wire in self.wires:
            wire.close()

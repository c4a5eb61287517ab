"""Connections: opening one, asking it, and ending it from another thread.

A `Connection` belongs to one thread at a time; `abort()` and the attributes `busy_since` and
`statement` may be used from any.  Results are raw: the bytes the server sent, NULL as None.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tablevault.errors import ConnectionLost, StatementFailed, TablevaultError
from tablevault.model import ServerInfo
from tablevault.mysql import failures, server, session, wire
from tablevault.mysql.driver import PACKET_BYTES, shut, wire_errors
from tablevault.mysql.options import ConnectOptions
from tablevault.mysql.session import Purpose

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["ConnectOptions", "Connection", "Executed", "Purpose", "connect"]

PREFIX = "/* tablevault */ "
Row = tuple[bytes | None, ...]
_ROWS = re.compile(r"^(INSERT .*? VALUES) .*")


@dataclass(frozen=True)
class Executed:
    """What the server said of a statement without a result set."""

    affected: int
    warnings: int
    info: str = ""


class Connection:
    """One session on one server, prepared for its purpose.

    `session` holds the settings as read back, `notes` what could not be had and why it matters.
    After any ConnectionLost the object is of no further use.
    """

    def __init__(self, driver: wire.Driver, target: str) -> None:
        self.driver = driver
        self.target = target
        self.id: int = driver.connection_id or 0
        self.server: ServerInfo
        self.session: dict[str, str] = {}
        self.notes: tuple[str, ...] = ()
        self.warning_count = 0  # of the last statement
        self.busy_since: float | None = None  # time.monotonic(), None while idle
        self.statement = ""  # what it is doing, or did last
        self._closed: str | None = None

    def query(self, sql: str | bytes, *, timeout_s: float | None = None) -> list[Row]:
        """The rows of a statement, raw; empty for one without a result set.

        With `timeout_s` a server that stays silent for so long between packets costs the
        connection: ConnectionLost.
        """
        return self._ask(sql, timeout_s)[1]

    def named(self, sql: str, *, timeout_s: float | None = None) -> list[dict[str, bytes | None]]:
        """The rows of a statement by column name, for those whose columns differ by version."""
        names, rows = self._ask(sql, timeout_s)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _ask(self, sql: str | bytes, timeout_s: float | None) -> tuple[list[str], list[Row]]:
        with self.doing(sql):
            result = self.driver.cmd_query(_prefixed(sql), read_timeout=timeout_s)
            if "columns" not in result:
                self.warning_count = result.get("warning_count", 0)
                return [], []
            rows, eof = self.driver.get_rows(raw=True, read_timeout=timeout_s)
            self.warning_count = (eof or {}).get("warning_count", 0)
            names = [column[0] for column in result["columns"]]
            return names, [tuple(None if v is None else bytes(v) for v in row) for row in rows]

    def one(self, sql: str | bytes, *, timeout_s: float | None = None) -> Row | None:
        """The first row of a statement, or None when it has none."""
        rows = self.query(sql, timeout_s=timeout_s)
        return rows[0] if rows else None

    def execute(self, sql: str | bytes, *, timeout_s: float | None = None) -> Executed:
        """Run a statement; the rows of one that has a result set are read and dropped."""
        with self.doing(sql):
            result = self.driver.cmd_query(_prefixed(sql), read_timeout=timeout_s)
            if "columns" in result:
                _, eof = self.driver.get_rows(raw=True, read_timeout=timeout_s)
                result = eof or {}
            return self._executed(result)

    def send_query(self, sql: str | bytes) -> dict[str, Any]:
        """Send a statement and read no further than its column header; inside `doing` only."""
        return self.driver.cmd_query(_prefixed(sql))

    def load(
        self,
        sql: str | bytes,
        token: str,
        blocks: Iterable[Buffer],
        on_bytes: Callable[[int], None] | None = None,
    ) -> Executed:
        """Run `LOAD DATA LOCAL INFILE '<token>'`, answered with `blocks` and nothing else.

        Whatever `blocks` raises is raised here, and the connection is closed, so that no row of
        an open transaction stays.
        """
        # max_allowed_packet limits a packet, not a row or a file
        allowed = int(self.session.get("max_allowed_packet", PACKET_BYTES))
        size = max(1024, min(PACKET_BYTES, allowed // 2))
        with self.doing(sql):
            done = self.driver.cmd_load(_prefixed(sql), token, blocks, on_bytes, size)
            return self._executed(done)

    def warnings(self) -> list[str]:
        """The warnings of the last statement, as `message (number)`."""
        rows = self.query("SHOW WARNINGS")
        return [f"{text(row[2])} ({text(row[1])})" for row in rows]

    def alive(self, *, timeout_s: float = 5.0) -> bool:
        """Whether the server still answers on this connection."""
        try:
            self.query("SELECT 1", timeout_s=timeout_s)
        except TablevaultError:
            return False
        return True

    def limit_silence(self, seconds: int) -> None:
        """From now on a server that is silent for so long costs the connection: ConnectionLost."""
        wire.set_read_timeout(self.driver, seconds)

    def close(self) -> None:
        """Say goodbye if one can, and release the socket; never raises, may be repeated."""
        if self._closed is None:
            self._closed = "closed"
            wire.close(self.driver)
        else:
            wire.release(self.driver)

    def abort(self) -> None:
        """End a call that is blocked in another thread: it raises ConnectionLost at once.

        The statement may go on on the server: see `server.kill`.
        """
        if self._closed is None:
            self._closed = "aborted"
        shut(self.driver)

    @property
    def closed(self) -> bool:
        """Whether this end has closed or aborted the connection, or seen it lost."""
        return self._closed is not None

    @contextmanager
    def doing(self, sql: str | bytes) -> Iterator[None]:
        """Mark the connection busy with `sql`, and translate what goes wrong meanwhile."""
        what = _summary(sql)
        expected: tuple[type[Exception], ...] = (TablevaultError, *wire_errors())
        if self._closed is not None:
            raise ConnectionLost(f"connection {self.id} to {self.target} is {self._closed}")
        self.statement, self.busy_since = what, time.monotonic()
        try:
            yield
        except expected as error:
            failure = failures.translate(error, what)
            if isinstance(failure, ConnectionLost) and self._closed == "aborted":
                failure = ConnectionLost(f"connection {self.id} aborted while running {what}")
            if not isinstance(failure, StatementFailed):
                self._give_up()
            if failure is error:
                raise
            raise failure from None
        except BaseException:
            # an answer may be half read: whoever spoke next would hear its predecessor's
            self._give_up()
            raise
        finally:
            self.busy_since = None

    def _give_up(self) -> None:
        if self._closed is None:
            self._closed = "lost"
        wire.release(self.driver)

    def _executed(self, result: dict[str, Any]) -> Executed:
        self.warning_count = result.get("warning_count", 0)
        return Executed(
            result.get("affected_rows", 0), self.warning_count, result.get("info_msg", "")
        )

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Connection {self.id} to {self.target}>"


def connect(
    options: ConnectOptions,
    purpose: Purpose = Purpose.CONTROL,
    *,
    no_binlog: bool = False,
    lock_wait_s: int = 60,
) -> Connection:
    """Open a connection whose session is set, and read back, for `purpose`.

    Raises ServerUnavailable (exit 5) when it cannot be had, CannotComplete when the server does
    not take a setting that the purpose depends on.
    """
    driver = wire.open_driver(options, local_infile=purpose is Purpose.LOAD)
    conn = Connection(driver, options.target)
    try:
        session.prepare(conn, purpose, no_binlog=no_binlog, lock_wait_s=lock_wait_s)
        conn.server = server.detect(conn)
        wire.set_read_timeout(driver, None)
    except BaseException:
        conn.close()
        raise
    return conn


def text(value: bytes | None) -> str:
    """A raw value as text; NULL as the empty string."""
    return "" if value is None else value.decode("utf-8", "replace")


def _prefixed(sql: str | bytes) -> bytes:
    raw = sql.encode("utf-8", "surrogateescape") if isinstance(sql, str) else bytes(sql)
    prefix = PREFIX.encode()
    return raw if raw.startswith(prefix.rstrip()) else prefix + raw


def _summary(sql: str | bytes, limit: int = 120) -> str:
    """The statement's beginning, on one line: enough to know it by, too short for its data."""
    head = sql[: limit * 4]
    shown = head if isinstance(head, str) else head.decode("utf-8", "replace")
    shown = " ".join(shown.removeprefix(PREFIX.rstrip()).split())
    shown = _ROWS.sub(r"\1 …", shown)  # rows are production data, and errors get logged
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"

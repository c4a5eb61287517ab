"""Giving way to DDL: an open consistent read makes it wait, and behind it the application."""

from __future__ import annotations

from collections.abc import Sequence

from tablevault.engine.poller import Poller
from tablevault.errors import CannotComplete
from tablevault.events import Reporter, Waiting
from tablevault.model import TableName
from tablevault.mysql import watch
from tablevault.mysql.connect import Connection, ConnectOptions, Purpose, connect

_DDL_POLL_S = 1.0


def ddl_watch(target: ConnectOptions, tables: Sequence[TableName]) -> Poller[watch.Sighting]:
    """Which DDL waits for the metadata locks that our reading holds, by a connection apart."""
    opened: list[Connection] = []

    def ask() -> watch.Sighting:
        if not opened:
            opened.append(connect(target, Purpose.CONTROL))
        return watch.ddl_waiting_on(opened[0], tables)

    def close() -> None:
        for connection in opened:
            connection.close()

    return Poller(ask, every_s=_DDL_POLL_S, close=close)


def yield_to_ddl(
    reporter: Reporter, seen: watch.Sighting | None, patience_s: float, who: str = "snapshot"
) -> None:
    """Give way: behind a DDL that waits for us, the application's own statements queue up."""
    for session in seen.sessions if seen else ():
        reporter.emit(
            Waiting(
                what=f"a DDL waits for this {who}",
                seconds=session.seconds,
                blockers=(str(session),),
            )
        )
        if session.seconds > patience_s:
            raise CannotComplete(
                f"the {who} gave way to a DDL that waited for it: {session}",
                hint="begin it again when the DDL is done, or raise --ddl-wait",
            )

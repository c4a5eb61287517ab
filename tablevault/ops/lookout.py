"""The lookout of a restore: one connection of its own that watches the server for the coordinator.

It can neither hang nor fail the restore: it answers when it can, a lost connection is opened
again, and what this account may not see is simply not seen, and said once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tablevault.engine.poller import Poller
from tablevault.errors import StatementFailed, TablevaultError
from tablevault.mysql import pressure, watch
from tablevault.mysql import server as servers
from tablevault.mysql.connect import Connection

LOOK_EVERY_S = 0.5
_DEEP_EVERY_S = 2.0  # process list and locks, while something stands still


@dataclass(frozen=True)
class View:
    """What was seen at one look."""

    at_s: float  # monotonic
    pressure: pressure.Pressure = field(default_factory=pressure.Pressure)
    percents: dict[int, float] = field(default_factory=dict)  # of ALTERs, by connection id
    states: dict[int, str] = field(default_factory=dict)  # the server's word, by connection id
    blockers: tuple[str, ...] = ()
    unseen: str | None = None  # what could not be seen, and why


class Lookout:
    """Looks every half second; deeper while `deep` is set.

    `connections` gives the ids of the workers' connections, `building` those that run an ALTER.
    """

    def __init__(
        self,
        open_connection: Callable[[], Connection],
        connections: Callable[[], Sequence[int]],
        building: Callable[[], Sequence[int]],
    ) -> None:
        self.deep = False  # set by the coordinator
        self._open_connection = open_connection
        self._connections = connections
        self._building = building
        self._connection: Connection | None = None
        self._deep_view: tuple[float, dict[int, str], tuple[str, ...], str | None] | None = None
        self.poller: Poller[View] = Poller(self._look, every_s=LOOK_EVERY_S, close=self._close)

    @property
    def view(self) -> View:
        """The latest look; an empty one before the first."""
        return self.poller.latest or View(at_s=time.monotonic())

    def _look(self) -> View:
        try:
            return self._look_now()
        except TablevaultError as error:
            if not isinstance(error, StatementFailed):
                self._close()
            return View(at_s=time.monotonic(), unseen=error.message)

    def _look_now(self) -> View:
        if self._connection is None or self._connection.closed:
            self._connection = self._open_connection()
        connection = self._connection
        percents = {}
        for number in self._building():
            seen = watch.index_progress(connection, number)
            if seen is not None and seen.percent is not None:
                percents[number] = seen.percent
        states, blockers, unseen = self._look_deep(connection)
        return View(
            at_s=time.monotonic(),
            pressure=pressure.look(connection),
            percents=percents,
            states=states,
            blockers=blockers,
            unseen=unseen,
        )

    def _look_deep(
        self, connection: Connection
    ) -> tuple[dict[int, str], tuple[str, ...], str | None]:
        """States of our sessions and who is in their way, at most every two seconds."""
        if not self.deep:
            self._deep_view = None
            return {}, (), None
        now_s = time.monotonic()
        if self._deep_view is None or now_s - self._deep_view[0] > _DEEP_EVERY_S:
            ours = set(self._connections())
            states = {
                process.id: process.state or process.command
                for process in servers.processes(connection)
                if process.id in ours
            }
            seen = watch.blockers(connection, None, ignore=ours)
            self._deep_view = (now_s, states, seen.lines, seen.hint)
        return self._deep_view[1:]

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

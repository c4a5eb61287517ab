"""The lookout of a restore: one connection of its own that watches the server for the coordinator.

It can neither hang nor fail the restore: it answers when it can, a lost connection is opened
again, and what this account may not see is simply not seen, and said once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from tablevault.engine.poller import Poller
from tablevault.errors import ServerUnavailable, StatementFailed, TablevaultError
from tablevault.mysql import lock_waits, pressure, replication, watch
from tablevault.mysql import server as servers
from tablevault.mysql.connect import Connection

LOOK_EVERY_S = 0.5
_DEEP_EVERY_S = 2.0  # process list and locks, while something stands still
_WRITTEN_S = 10.0  # for so long after a write others count as writing
_STALE_AFTER_S = 4.0  # a look that is older says nothing of now
_SILENT_S = 10  # of its own connection; then it opens another
_SHOWN_IDLE = 5
GONE = "gone"  # the state of a connection that the server does not have
WAITS_FOR_US = frozenset(
    {
        *("sleep", GONE, "reading from net", "writing to net"),
        *("receiving from client", "sending to client"),
    }
)
"""States in which the server does nothing for a statement until this side has sent or read."""
LOCK_WAITS = ("metadata lock", "backup lock", "global read lock", "table flush")


@dataclass(frozen=True)
class View:
    """What was seen at one look."""

    at_s: float  # monotonic
    pressure: pressure.Pressure = field(default_factory=pressure.Pressure)
    writers: bool = False  # whether others write, as far as it is to be seen
    own_lag_s: float | None = None  # where the server is itself a replica
    percents: dict[int, float] = field(default_factory=dict)  # of ALTERs, by connection id
    states: dict[int, str] = field(default_factory=dict)  # the server's word, by connection id
    blockers: tuple[str, ...] = ()
    unseen: str | None = None  # what could not be seen, and why
    away: bool = False  # the server does not answer


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
        self._waited_since_s: float | None = None  # for the first look
        self._writes: tuple[int, float] | None = None  # how many, and when there was a new one
        self._connection: Connection | None = None
        self._replicates: bool | None = None  # whether the server is a replica; None: not asked yet
        self._deep_view: tuple[float, dict[int, str], tuple[str, ...], str | None] | None = None
        self.poller: Poller[View] = Poller(self._look, every_s=LOOK_EVERY_S, close=self._close)

    @property
    def view(self) -> View:
        """The latest look; an empty one before the first.

        Of one that is too old only the counters count, and it says why nothing newer is there.
        """
        now_s = time.monotonic()
        latest = self.poller.latest
        failure = self.poller.failure
        if failure is not None:
            return View(at_s=now_s, unseen=f"the monitor has failed: {failure!r}")
        if latest is None:  # the server may have stopped before it answered once
            self._waited_since_s = self._waited_since_s or now_s
            latest = View(at_s=self._waited_since_s)
        silent_s = now_s - latest.at_s
        if silent_s < _STALE_AFTER_S:
            return latest
        unseen = f"it has not answered the monitor for {silent_s:.0f} s"
        return replace(latest, states={}, blockers=(), unseen=latest.unseen or unseen, away=True)

    def _look(self) -> View:
        try:
            return self._look_now()
        except TablevaultError as error:
            if not isinstance(error, StatementFailed):
                self._close()
            away = isinstance(error, ServerUnavailable) and not error.answered
            return View(at_s=time.monotonic(), unseen=error.message, away=away)

    def _look_now(self) -> View:
        if self._connection is None or self._connection.closed:
            self._connection = self._open_connection()
            self._connection.limit_silence(_SILENT_S)
        connection = self._connection
        percents = {}
        for number in self._building():
            seen = watch.index_progress(connection, number)
            if seen is not None and seen.percent is not None:
                percents[number] = seen.percent
        states, blockers, unseen = self._look_deep(connection)
        pressed = pressure.look(connection)
        own_lag_s = self._own_lag(connection)
        return View(
            at_s=time.monotonic(),
            pressure=pressed,
            writers=self._others_write(pressed.writes) or own_lag_s is not None,
            own_lag_s=own_lag_s,
            percents=percents,
            states=states,
            blockers=blockers,
            unseen=unseen,
        )

    def _others_write(self, writes: int) -> bool:
        """Whether there was a writing statement of late: loaders have none, they LOAD DATA.

        Those that must INSERT see themselves here, and go as if others were there.
        """
        now_s = time.monotonic()
        if self._writes is None:
            self._writes = (writes, now_s - _WRITTEN_S)
        elif writes != self._writes[0]:  # less after another start of the server
            self._writes = (writes, now_s)
        return now_s - self._writes[1] < _WRITTEN_S

    def _own_lag(self, connection: Connection) -> float | None:
        """How far the server itself is behind, where it is a replica and the account may see it."""
        try:
            if self._replicates is None:
                self._replicates = replication.replicates(connection)
            return replication.lag_s(connection) if self._replicates else None
        except StatementFailed:
            self._replicates = False
            return None

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
            processes = servers.processes(connection)
            states = dict.fromkeys(ours, GONE)
            states |= {one.id: one.state or one.command for one in processes if one.id in ours}
            for waiting, holding in lock_waits.row_lock_waits(connection).items():
                if waiting in ours:
                    states[waiting] = f"waiting for a row lock of connection {holding}"
            seen = watch.blockers(connection, None, ignore=ours)
            lines = seen.lines
            if not lines and any(mark in " ".join(states.values()).lower() for mark in LOCK_WAITS):
                lines = _idle_lines(processes, {*ours, connection.id})
            self._deep_view = (now_s, states, lines, seen.hint)
        return self._deep_view[1:]

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _idle_lines(processes: Sequence[servers.Process], ignore: Collection[int]) -> tuple[str, ...]:
    """Sessions that idle outside a transaction: they may hold LOCK TABLES or a global read lock."""
    idle = [one for one in processes if one.command == "Sleep" and one.id not in ignore]
    idle.sort(key=lambda one: -one.seconds)
    lines = [
        f"connection {one.id} ({one.user}@{one.host.rsplit(':', 1)[0]}), idle {one.seconds} s"
        for one in idle[:_SHOWN_IDLE]
    ]
    more = len(idle) - len(lines)
    return (*lines, f"and {more} more that idle") if more else tuple(lines)

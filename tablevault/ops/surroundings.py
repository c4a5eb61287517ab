"""What lies around the server of a restore: its disks, and its replicas.

Each is watched by a thread of its own, because each may hang: a replica that is away, a mount that
does not answer.  None of them can hang or fail the restore.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tablevault.engine.poller import Poller
from tablevault.engine.throttle import Strain
from tablevault.errors import CannotComplete, StatementFailed, TablevaultError
from tablevault.mysql import inspect, replication
from tablevault.mysql import server as servers
from tablevault.mysql.connect import Connection, ConnectOptions, connect
from tablevault.ops import server_disks, strains
from tablevault.ops.options import RestoreOptions

LOOK_EVERY_S = 1.0
_STALE_AFTER_S = 10.0  # a look that is older says nothing of now
_SILENT_S = 5


@dataclass(frozen=True)
class _Seen:
    at_s: float  # monotonic
    disks: tuple[server_disks.Disk, ...] = ()
    behind_s: float | None = None


class Surroundings:
    """The watchers; a context in which they look.  `unseen` names what was not seen of late."""

    def __init__(self, watchers: Sequence[DiskWatch | ReplicaWatch], max_lag_s: float) -> None:
        self._watchers = watchers
        self._max_lag_s = max_lag_s

    def looked(self) -> Surroundings:
        """After a first look, here and now: what is in the way from the start must be known then.

        Takes some seconds at most for each that does not answer.
        """
        for watcher in self._watchers:
            watcher.poller.latest = watcher.look()
        return self

    def __enter__(self) -> Surroundings:
        for watcher in self._watchers:
            watcher.poller.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for watcher in self._watchers:
            watcher.poller.stop()

    def strains(self, bytes_left: float) -> Iterator[Strain]:
        """All that is known of now; `bytes_left` is what is still to be loaded and indexed."""
        for watcher in self._watchers:
            seen = watcher.seen
            if seen is None:
                continue
            yield from strains.of_disks(seen.disks, bytes_left)
            if seen.behind_s is not None and isinstance(watcher, ReplicaWatch):
                yield strains.of_replica(watcher.name, seen.behind_s, self._max_lag_s)

    def unseen(self) -> list[str]:
        """The replicas whose lag is not known now."""
        return [
            watcher.name
            for watcher in self._watchers
            if isinstance(watcher, ReplicaWatch) and watcher.lost
        ]


class _Watch:
    """One connection that is opened when it is needed, and again when it was lost."""

    def __init__(self, open_connection: Callable[[], Connection]) -> None:
        self._open_connection = open_connection
        self._connection: Connection | None = None
        self.poller: Poller[_Seen] = Poller(self.look, every_s=LOOK_EVERY_S, close=self._close)

    @property
    def seen(self) -> _Seen | None:
        """The latest look, while it says anything of now."""
        latest = self.poller.latest
        if latest is None or time.monotonic() - latest.at_s > _STALE_AFTER_S:
            return None
        return latest

    def look(self) -> _Seen:
        """One look; the latest again when nothing can be seen."""
        try:
            return self._look_now()
        except TablevaultError:
            self._close()
            return self.poller.latest or _Seen(time.monotonic())

    def _look_now(self) -> _Seen:
        raise NotImplementedError

    def _opened(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._open_connection()
            self._connection.limit_silence(_SILENT_S)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class DiskWatch(_Watch):
    """The disks of the server that is restored to."""

    def __init__(self, open_connection: Callable[[], Connection]) -> None:
        super().__init__(open_connection)
        self._settings: dict[str, str] | None = None
        self._local = False

    def _look_now(self) -> _Seen:
        if self._settings is None:
            connection = self._opened()
            self._settings = servers.settings(connection, server_disks.FOLDERS)
            self._local = server_disks.is_local(self._settings, connection.server.hostname)
            if self._local:
                self._close()  # nothing more to ask
        folders = dict.fromkeys(
            (
                server_disks.data_folder(self._settings),
                server_disks.sort_folder(self._settings),
                server_disks.log_folder(self._settings),
            )
        )
        found = server_disks.disks(folders, local=self._local, listed=self._listed)
        return _Seen(time.monotonic(), tuple((found or {}).values()))

    def _listed(self) -> list[server_disks.Listed] | None:
        connection = self._opened()
        if connection.server.family != "mariadb":
            return None
        try:
            return inspect.listed_disks(connection)
        except StatementFailed:
            return None


class ReplicaWatch(_Watch):
    """How far one replica is behind."""

    def __init__(self, target: ConnectOptions) -> None:
        super().__init__(lambda: connect(target))
        self.name = target.target

    @property
    def lost(self) -> bool:
        """Whether its lag is not known now, though there was time to ask."""
        latest = self.poller.latest
        return latest is not None and (self.seen is None or latest.behind_s is None)

    def _look_now(self) -> _Seen:
        return _Seen(time.monotonic(), behind_s=replication.lag_s(self._opened()))


def around(target: ConnectOptions, options: RestoreOptions) -> Surroundings:
    """What a restore to `target` watches; nothing in an emergency."""
    if options.emergency:
        return Surroundings([], options.max_lag_s)
    replicas = [ReplicaWatch(one) for one in replica_targets(target, options.replicas)]
    return Surroundings([DiskWatch(lambda: connect(target)), *replicas], options.max_lag_s)


def replica_targets(target: ConnectOptions, replicas: Sequence[str]) -> list[ConnectOptions]:
    """How to reach the replicas, each HOST or HOST:PORT: by the account of the server itself."""
    found = []
    for text in replicas:
        host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
        at = (host, int(port)) if colon else (text, target.port)
        found.append(dataclasses.replace(target, host=at[0].strip("[]"), port=at[1], socket=None))
    return found


def require_replicas(target: ConnectOptions, replicas: Sequence[str]) -> None:
    """Raise before anything begins when a replica is none, or does not tell its lag.

    ServerUnavailable when it cannot be reached, CannotComplete for the rest.
    """
    for replica in replica_targets(target, replicas):
        with connect(replica) as connection:
            try:
                replicating = replication.replicates(connection)
            except StatementFailed as error:
                raise CannotComplete(
                    f"{replica.target} does not show this account how far it is behind "
                    f"({error.errno})",
                    hint=f"grant {replication.NEEDS} there, or leave --replica out",
                ) from None
            if not replicating:
                raise CannotComplete(
                    f"{replica.target} replicates from nobody",
                    hint="--replica names a replica of the server that is restored to",
                )

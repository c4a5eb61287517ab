"""What a run left working on the server: statements go on there after their client has died."""

from __future__ import annotations

from contextlib import suppress

from tablevault.errors import CannotComplete, TablevaultError
from tablevault.mysql import server as servers
from tablevault.mysql.connect import Connection, ConnectOptions, connect
from tablevault.ops.runs import RunState

_GONE_WITHIN_S = 600.0  # a killed index build or load rolls back first
_QUIET_WITHIN_S = 5.0
_SILENT_S = 60  # nothing is asked here that takes time


def end(target: ConnectOptions, state: RunState, *, within_s: float = _GONE_WITHIN_S) -> None:
    """Kill the run's own connections that still live, and wait until they have left.

    Ids mean nothing to a server that was started again since: then there is nothing to end.
    Raises CannotComplete when one is still there after `within_s`.
    """
    if not state.connections:
        return
    with connect(target) as connection:
        connection.limit_silence(_SILENT_S)
        if connection.server.uuid != state.server_uuid:
            raise CannotComplete(
                f"run {state.run} was made on another server than this one",
                hint="give the connection options of the server it ran on",
            )
        if abs(connection.server.started_at - state.server_started) > servers.START_TOLERANCE_S:
            return
        alive = [
            process.id
            for process in servers.processes(connection)
            # ids grow within one start: from this one's on they are of another start, and others'
            if process.id in state.connections and process.id < connection.id
        ]
        for connection_id in alive:
            servers.kill(connection, connection_id)
        for connection_id in alive:
            if not servers.await_gone(connection, connection_id, timeout_s=within_s):
                raise CannotComplete(
                    f"connection {connection_id} of run {state.run} is still rolling back",
                    hint="wait until SHOW PROCESSLIST does not show it any more, then try again",
                )


def end_quietly(target: ConnectOptions, state: RunState) -> None:
    """As `end`, on the way out of a run that failed: what does not work here waits for resume."""
    with suppress(TablevaultError):
        end(target, state, within_s=_QUIET_WITHIN_S)


def end_lost(fresh: Connection, lost: Connection) -> None:
    """Before a step is done again on `fresh`: the server may not have noticed that `lost` was.

    What ran there runs on, and holds its locks.  Raises CannotComplete when it does not end.
    """
    # A server that came back within the tolerance counts ids from the beginning: the id of `lost`
    # may be anybody's, and `fresh`'s own.
    if fresh.id <= lost.id or not servers.same_start(lost.server, fresh.server):
        return
    servers.kill(fresh, lost.id)
    if not servers.await_gone(fresh, lost.id, timeout_s=_GONE_WITHIN_S):
        raise CannotComplete(
            f"connection {lost.id}, which was lost, is still rolling back on the server "
            f"after {_GONE_WITHIN_S:.0f} s",
            hint="wait until SHOW PROCESSLIST does not show it any more",
        )

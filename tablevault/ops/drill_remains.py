"""What drills that were killed have left on a server: found by their journals, and removed."""

from __future__ import annotations

from pathlib import Path

from tablevault.errors import TablevaultError
from tablevault.mysql import scratch
from tablevault.mysql.connect import ConnectOptions, connect
from tablevault.names import SCRATCH_START, run_mark, scratch_mark
from tablevault.ops.runs import DRILL, RunState
from tablevault.ops.swap import cleanup
from tablevault.ops.unfinished import lives, states

_SILENT_S = 60
_LOCK_WAIT_S = 15.0


def remove(target: ConnectOptions, state_dir: Path) -> tuple[str, ...]:
    """Drop what dead drills left on this server; say what was dropped, and what could not be.

    A drill that is at work is left alone; a schema whose journal is not here is only named.
    Raises ServerUnavailable.
    """
    with connect(target) as connection:
        connection.limit_silence(_SILENT_S)
        uuid = connection.server.uuid
        found = scratch.named_alike(connection, SCRATCH_START)
    known = [state for state in states(state_dir) if state.operation == DRILL]
    hints = [
        _removed(target, state, state_dir)
        for state in known
        if state.status != "cleaned"
        and state.server_uuid in ("", uuid)
        and not lives(state_dir, state.run)
    ]
    marks = {run_mark(state.run) for state in known}
    strange = [schema for schema in found if scratch_mark(schema) not in marks]
    if strange:
        hints.append(
            f"{', '.join(strange)}: of a drill whose journal is not in {state_dir}; if it is over, "
            "drop it by hand"
        )
    return tuple(hints)


def _removed(target: ConnectOptions, state: RunState, state_dir: Path) -> str:
    try:
        cleanup(target, state.run, state_dir, lock_wait_s=_LOCK_WAIT_S)
    except TablevaultError as error:
        return f"what drill {state.run} left could not be dropped: {error.message}"
    return f"dropped what drill {state.run} had left when it died"

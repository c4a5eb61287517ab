"""Runs that began on a table and did not end: found by their journals in the state directory.

A run is meant only when it worked on the same server: journals of several servers may lie in one
folder.  A journal that cannot be read hides nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from tablevault.errors import CannotComplete, LockedByRun, TablevaultError
from tablevault.model import ServerInfo, TableName
from tablevault.mysql import relations
from tablevault.mysql.connect import Connection
from tablevault.names import run_mark
from tablevault.ops.runs import REPAIR, RunState, replay
from tablevault.ops.ways import advice
from tablevault.vault.journal import is_running, list_runs, read_journal

_OPEN = frozenset({"begun", "swapping", "rolling back", "comparing", "repairing", "undoing"})
_MOST_LOOKED_AT = 500  # newest journals


@dataclass(frozen=True)
class Unfinished:
    """A run that has begun and has not come to an end."""

    state: RunState
    alive: bool
    tables: tuple[TableName, ...]  # of those asked about

    @property
    def run(self) -> str:
        return self.state.run


def states(state_dir: Path) -> Iterator[RunState]:
    """The runs with a journal that can be read, newest first."""
    for run in reversed(list_runs(state_dir)[-_MOST_LOOKED_AT:]):
        try:
            yield replay(run, read_journal(state_dir / run))
        except (TablevaultError, KeyError, TypeError):
            continue


def find(
    state_dir: Path,
    server: ServerInfo,
    targets: Collection[TableName],
    statuses: frozenset[str] = _OPEN,
) -> tuple[Unfinished, ...]:
    """The unfinished runs on `server` that restore one of `targets`, newest first."""
    found = []
    for state in states(state_dir):
        tables = tuple(table.target for table in state.tables if table.target in targets)
        if not tables or state.status not in statuses:
            continue
        alive = lives(state_dir, state.run)
        # Without a journalled connection it has made nothing anywhere.
        if state.server_uuid == server.uuid or (alive and not state.server_uuid):
            found.append(Unfinished(state, alive, tables))
    return tuple(found)


def refuse(state_dir: Path, server: ServerInfo, targets: Collection[TableName]) -> None:
    """Raise when a run on one of `targets` is not finished, and say both ways on.

    LockedByRun while it is at work, CannotComplete when its process is gone.
    """
    runs = find(state_dir, server, targets)
    for one in runs:
        if one.alive:
            verb = "repairing" if one.state.operation == REPAIR else "restoring"
            raise LockedByRun(
                f"run {one.run} is {verb} {_names(one)} at this moment",
                hint=f"look on with `tablevault watch {one.run}`",
            )
    for one in runs:
        if one.state.status == "begun":
            raise CannotComplete(
                f"run {one.run} has begun to restore {_names(one)} and was not finished",
                hint=f"{advice(one.run, 'begun')}; or begin anew beside it with --new",
            )
        if one.state.operation == REPAIR:
            raise CannotComplete(
                f"run {one.run} has begun to repair {_names(one)} and was not finished",
                hint=f"{advice(one.run, one.state.status)}; or begin anew beside it with --new",
            )
        verb = {"swapping": "swap", "rolling back": "rollback"}[one.state.status]
        raise CannotComplete(
            f"run {one.run} died in the middle of its {verb} of {_names(one)}",
            hint=advice(one.run, one.state.status),
        )


def never_swapped(
    state_dir: Path, connection: Connection, targets: Collection[TableName]
) -> tuple[str, ...]:
    """What to say of proven runs on `targets` whose staging tables stand there to this day."""
    hints = []
    for one in find(state_dir, connection.server, targets, frozenset({"proven"})):
        standing = [
            str(table.staging)
            for table in one.state.tables
            if table.target in targets and relations.exists(connection, table.staging)
        ]
        if standing:
            hints.append(
                f"run {one.run} has restored {_names(one)} before and was not swapped: "
                f"{', '.join(standing)} takes room; {advice(one.run, 'proven')}"
            )
    return tuple(hints)


def by_mark(state_dir: Path | None) -> dict[str, RunState]:
    """The runs by the mark that their tables carry in their names."""
    if state_dir is None:
        return {}
    return {run_mark(state.run): state for state in states(state_dir)}


def lives(state_dir: Path, run: str) -> bool:
    """Whether a process works on the run."""
    try:
        return is_running(state_dir / run)
    except TablevaultError:
        return False


def _names(one: Unfinished) -> str:
    return ", ".join(str(table) for table in one.tables)

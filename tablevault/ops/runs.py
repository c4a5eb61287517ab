"""What a run's journal says: the state that resume, swap, rollback and cleanup go by.

Each entry was on disk before the step it announces and after the step it reports, so a run that
died is always somewhere between two known states; what the server really holds decides which.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tablevault.errors import UsageError
from tablevault.model import TableName, TriggerSettings
from tablevault.mysql.server import START_TOLERANCE_S
from tablevault.vault.journal import Entry, list_runs
from tablevault.vault.placing import Placement

REPAIR = "repair"  # the operation, as the journal names it
DRILL = "drill"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class RunTable:
    """One table of a run, under all its names."""

    source: TableName  # in the snapshot
    target: TableName  # the live one
    staging: TableName
    kept: TableName  # where the swap leaves the live one
    undone: TableName  # where a rollback leaves the restored one
    rows: int = 0  # of the snapshot
    size_bytes: int = 0
    create_sql: str = ""  # as the snapshot has it
    triggers: tuple[str, ...] = ()
    trigger_settings: tuple[TriggerSettings, ...] = ()
    inline: bool | None = None  # of a restore: whether secondary indexes come with the rows
    lane: str = "logical"  # of a restore: whether it comes by its rows, or as a "tablespace"


@dataclass
class RunState:
    """A run as its journal tells it."""

    run: str
    snapshot: str = ""
    operation: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[RunTable, ...] = ()
    connections: list[int] = field(default_factory=list)
    server_started: int = 0
    server_uuid: str = ""
    creating: set[int] = field(default_factory=set)
    created: set[int] = field(default_factory=set)
    begun: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    # of tables that come as tablespaces: where files of theirs may lie in the server's data
    # directory, how often that was tried without an end, and where it was given up
    strewn: dict[int, list[Placement]] = field(default_factory=dict)
    placings: dict[int, int] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    taking_in: set[int] = field(default_factory=set)  # files that the server may have made its own
    # of a restore: proven | swapping | swapped | rolling back | rolled back | cleaned
    # of a repair: comparing | repairing | repaired | undoing | undone | cleaned
    # of a drill: drilling | drilled | cleaned
    status: str = "begun"
    had_live: Mapping[str, bool] = field(default_factory=dict)  # by target, at the swap
    plan: Mapping[str, Any] | None = None  # of the cut-over that was begun last
    swap_plan: Mapping[str, Any] | None = None  # of the swap
    only_restored: Mapping[str, int | None] = field(default_factory=dict)  # rows, at the swap
    altering: bool = False  # a repair has begun to alter live tables
    without_triggers: set[int] = field(default_factory=set)  # tables that a repair left so
    trials: set[TableName] = field(default_factory=set)  # made to try something out
    scratch: set[str] = field(default_factory=set)  # schemas that a drill has made, or was about to

    def begun_groups(self) -> dict[int, frozenset[tuple[int, int]]]:
        """Per table, the row groups whose transaction may have been committed."""
        return {table: frozenset(groups) for table, groups in self.begun.items()}


_STATUSES = {
    "proven all": "proven",
    "drilled": "drilled",
    "swapping": "swapping",
    "swapped": "swapped",
    "swap given up": "proven",
    "rolling back": "rolling back",
    "rolled back": "rolled back",
    "rollback given up": "swapped",
    "comparing": "comparing",
    "saved": "repairing",
    "repaired": "repaired",
    "undoing": "undoing",
    "undone": "undone",
    "cleaned": "cleaned",
}


def replay(run: str, entries: Iterable[Entry]) -> RunState:
    """The state after `entries`, in order."""
    state = RunState(run)
    for entry in entries:
        kind = entry["kind"]
        table = entry.get("table")
        if kind == "begun":
            _read_header(state, entry)
        elif kind == "connections":
            if abs(entry["server_started"] - state.server_started) > START_TOLERANCE_S:
                state.connections = []  # those of a server that was started again since are gone
            state.connections += entry["ids"]
            state.server_started = entry["server_started"]
            state.server_uuid = entry["server_uuid"]
        elif kind == "creating" and table is not None:
            state.creating.add(table)
            state.begun.pop(table, None)
        elif kind == "created" and table is not None:
            state.created.add(table)
        elif kind in _LANE and table is not None:
            _read_lane(state, table, entry)
        elif kind == "loading" and table is not None:
            state.begun.setdefault(table, set()).add((entry["chunk"], entry["group"]))
        elif kind == "altering":
            state.altering = True
            state.status = "repairing"
        elif kind == "trial":
            state.trials.update(TableName(*names) for names in entry["tables"])
        elif kind == "creating schema":
            state.scratch.add(entry["schema"])
        elif kind == "schema refused":
            state.scratch.discard(entry["schema"])
        elif kind == "triggers off":
            state.without_triggers.add(entry["table"])
        elif kind == "triggers on":
            state.without_triggers.discard(entry["table"])
        elif kind in _STATUSES:
            state.status = _STATUSES[kind]
            if kind == "comparing" and state.altering:  # a live table is another one already
                state.status = "repairing"
            state.had_live = entry.get("had_live", state.had_live)
            if kind in ("swapping", "rolling back"):
                state.plan = entry.get("plan")
                state.swap_plan = state.plan if kind == "swapping" else state.swap_plan
            state.only_restored = entry.get("only_restored", state.only_restored)
    return state


_LANE = frozenset({"placing", "filling", "placing stopped", "in place", "lane lost"})


def _read_lane(state: RunState, table: int, entry: Mapping[str, Any]) -> None:
    """A step of a table that comes as a tablespace."""
    kind = entry["kind"]
    if kind == "placing":
        placement = Placement(Path(entry["folder"]), entry["stem"])
        known = state.strewn.setdefault(table, [])
        if placement not in known:
            known.append(placement)
        state.taking_in.discard(table)
    elif kind == "filling":
        state.placings[table] = state.placings.get(table, 0) + 1
    elif kind == "placing stopped":  # by a person: it does not count
        state.placings[table] = max(0, state.placings.get(table, 0) - 1)
    elif kind == "in place":
        state.taking_in.add(table)
    else:
        state.lost.add(table)
        state.created.discard(table)
        state.begun.pop(table, None)


def reached_by(state: RunState) -> tuple[str, ...]:
    """The command-line options by which the run's server is reached, as they were given."""
    return tuple(state.options.get("reached_by", ()))


_NAMES = ("source", "target", "staging", "kept", "undone")


def header(
    snapshot: str,
    options: Mapping[str, Any],
    tables: Iterable[RunTable],
    operation: str = "restore",
) -> dict[str, Any]:
    """The first entry of the journal of a restore, or a drill."""
    return {
        "operation": operation,
        "snapshot": snapshot,
        "options": dict(options),
        "tables": [dataclasses.asdict(table) for table in tables],
    }


def run_folder(state_dir: Path, run: str) -> Path:
    """Where run `run` keeps its journal.  Raises UsageError when there is no such run."""
    folder = state_dir / run
    if not _RUN_ID.fullmatch(run) or not folder.is_dir():
        known = list_runs(state_dir)
        hint = f"known runs: {', '.join(known[-5:])}" if known else "is --state-dir the right one?"
        raise UsageError(f"there is no run {run} in {state_dir}", hint=hint)
    return folder


def _read_header(state: RunState, entry: Mapping[str, Any]) -> None:
    state.operation = entry["operation"]
    state.status = {REPAIR: "comparing", DRILL: "drilling"}.get(state.operation, "begun")
    state.snapshot = entry["snapshot"]
    state.options = entry["options"]
    state.tables = tuple(
        RunTable(
            **{name: TableName(**table[name]) for name in _NAMES},
            rows=table["rows"],
            size_bytes=table["size_bytes"],
            create_sql=table.get("create_sql", ""),
            triggers=tuple(table.get("triggers", ())),
            inline=table.get("inline"),
            lane=table.get("lane", "logical"),
            trigger_settings=tuple(
                TriggerSettings(**one) for one in table.get("trigger_settings", ())
            ),
        )
        for table in entry["tables"]
    )

"""A repair as its journal tells it: what is staged, what was begun, what is done."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tablevault.model import TableName
from tablevault.mysql.triggers import Trigger
from tablevault.names import put_table, set_aside_table, was_table
from tablevault.ops.repair_terms import Batch, Compared, RepairOptions
from tablevault.ops.runs import REPAIR, RunTable
from tablevault.vault.journal import Entry


@dataclass
class RepairState:
    """The state after all entries."""

    options: RepairOptions = field(default_factory=RepairOptions)
    snapshot: str = ""
    tables: tuple[TableName, ...] = ()
    batches: list[Batch] = field(default_factory=list)
    complete: bool = False  # all differences are staged, and what will be overwritten is saved
    saved: str | None = None
    compared: dict[int, Compared] = field(default_factory=dict)  # by the table's number
    done: dict[tuple[int, int], Mapping[str, Any]] = field(default_factory=dict)
    undone: dict[tuple[int, int], Mapping[str, Any]] = field(default_factory=dict)
    altered: dict[int, Mapping[str, Any]] = field(default_factory=dict)  # what a table was before
    altered_back: dict[int, tuple[str, ...]] = field(default_factory=dict)  # columns to fill
    triggers_off: dict[int, tuple[Trigger, ...]] = field(default_factory=dict)
    ended: bool = False  # the repair
    undoing: bool = False
    undo_ended: bool = False


def read_state(entries: Iterable[Entry]) -> RepairState:
    """The state after `entries`, in order."""
    state = RepairState()
    for entry in entries:
        kind = entry["kind"]
        if kind == "begun":
            state.options = _options(entry["options"])
            state.snapshot = entry["snapshot"]
            state.tables = tuple(TableName(**table["target"]) for table in entry["tables"])
        elif kind == "comparing":  # anew: what a dead process had staged is dropped
            state.batches = []
        elif kind == "altering":
            state.altered[entry["table"]] = entry
        elif kind == "altering back":
            state.altered_back[entry["table"]] = tuple(entry["columns"])
        elif kind == "staged":
            state.batches.append(_batch(entry["batch"]))
        elif kind == "saved":
            state.complete, state.saved = True, entry["snapshot"]
            found = [Compared(**one) for one in entry.get("compared", ())]
            state.compared = {one.table: one for one in found}
        elif kind == "put back":
            state.done[entry["table"], entry["number"]] = entry
        elif kind == "taken back":
            state.undone[entry["table"], entry["number"]] = entry
        elif kind == "triggers off":
            state.triggers_off[entry["table"]] = tuple(Trigger(**one) for one in entry["triggers"])
        elif kind == "triggers on":
            state.triggers_off.pop(entry["table"], None)
        elif kind == "repaired":
            state.ended = True
        elif kind == "undoing":
            state.undoing = True
        elif kind == "undone":
            state.undo_ended = True
    return state


def repair_header(
    snapshot: str, options: RepairOptions, tables: Iterable[TableName], run: str
) -> dict[str, Any]:
    """The first entry of a repair's journal: `cleanup` knows the tables by it."""
    names = [
        RunTable(
            source=table,
            target=table,
            staging=put_table(table, run),
            kept=was_table(table, run),
            undone=set_aside_table(table, run),
        )
        for table in tables
    ]
    return {
        "operation": REPAIR,
        "snapshot": snapshot,
        "options": dataclasses.asdict(options),
        "tables": [dataclasses.asdict(table) for table in names],
    }


def batch_record(batch: Batch) -> dict[str, Any]:
    """A batch as the journal keeps it."""
    return dataclasses.asdict(batch)


def _batch(record: Mapping[str, Any]) -> Batch:
    known = {one.name: record[one.name] for one in dataclasses.fields(Batch)}
    return Batch(**{**known, "columns": tuple(record["columns"])})


def _options(record: Mapping[str, Any]) -> RepairOptions:
    values = dict(record)
    for name in ("patterns", "columns", "reached_by"):
        values[name] = tuple(values.get(name, ()))
    return RepairOptions(**values)

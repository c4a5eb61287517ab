"""Triggers in a repair: they do not fire, because for moments they are not there.

No session switch turns them off.  The table is locked against everybody, its triggers are dropped,
some batches are put back, the triggers are made again, and the lock is given up: in windows of
about a second.  That this account can make them again is proven before, on an empty table; what a
killed run left without its triggers gets them back by what the journal kept of them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence

from tablevault.errors import CannotComplete
from tablevault.model import TableName
from tablevault.mysql import triggers
from tablevault.mysql.triggers import Trigger
from tablevault.ops.entangled import try_triggers
from tablevault.ops.hands import Hands
from tablevault.ops.repair_check import Patient
from tablevault.ops.repair_crew import Course, carry_out
from tablevault.ops.repair_locks import lock_tables
from tablevault.ops.repair_state import RepairState
from tablevault.ops.repair_terms import Batch
from tablevault.ops.repair_work import Done
from tablevault.vault.journal import Journal

WINDOW_S = 1.0
_PAUSE_S = 0.2  # between two windows: who waited gets through


def prove_again(hands: Hands, run: str, patients: Iterable[Patient]) -> None:
    """Raise CannotComplete, before anything is dropped, for a trigger that could not come back."""
    for patient in patients:
        if not patient.triggers:
            continue
        table = patient.table
        if not hands.privileges.has("TRIGGER", table.schema, table.name):
            raise _refused(table, f"grant TRIGGER on {table}")
        if not hands.may_lock([table]):
            raise _refused(table, f"grant LOCK TABLES on {table.schema}.*")
        try:
            try_triggers(hands, run, table, patient.triggers)
        except CannotComplete as error:
            error.hint = f"{error.hint}; or let them fire with --fire-triggers"
            raise


def put_without(
    hands: Hands,
    patient: Patient,
    going: Sequence[Trigger],
    batches: Sequence[Batch],
    journal: Journal,
    course: Course,
    note: Callable[[Batch, Done], None],
    lock_wait_s: float,
) -> None:
    """Carry out batches of one table while its triggers `going` are not there."""
    sides, main, number = patient.sides, hands.main, patient.comparison.number
    todo = list(batches)
    while todo:
        _lock(hands, [sides.live, sides.source, sides.goal], lock_wait_s, sides.live)
        try:
            kept = [dataclasses.asdict(trigger) for trigger in going]
            journal.append("triggers off", table=number, triggers=kept)
            try:
                names = [trigger.name for trigger in going]
                triggers.drop_triggers(main, sides.live.schema, names)
                began_s = time.monotonic()
                while todo and time.monotonic() - began_s < WINDOW_S:
                    done = carry_out(main, patient, todo[0], journal, course, locked=True)
                    note(todo[0], done)
                    del todo[0]
            finally:
                if not main.closed:
                    _make(hands, sides.live, going)
                    journal.append("triggers on", table=number)
        finally:
            hands.unlock(main)
        time.sleep(_PAUSE_S if todo else 0.0)


def bring_back(hands: Hands, state: RepairState, journal: Journal, lock_wait_s: float) -> None:
    """Make the triggers again that a killed run had dropped."""
    for number, wanted in list(state.triggers_off.items()):
        table = state.tables[number]
        _lock(hands, [table], lock_wait_s)
        try:
            _make(hands, table, wanted)
            journal.append("triggers on", table=number)
        finally:
            hands.unlock(hands.main)
        del state.triggers_off[number]


def _make(hands: Hands, table: TableName, wanted: Sequence[Trigger]) -> None:
    """Make those that are not there; all of them, in their order, when one is missing."""
    here = {trigger.name for trigger in triggers.triggers_of(hands.main, table)}
    names = [trigger.name for trigger in wanted]
    if all(name in here for name in names):
        return
    triggers.drop_triggers(hands.main, table.schema, [name for name in names if name in here])
    for trigger in wanted:
        triggers.create_trigger(hands.main, table, trigger)


def _lock(
    hands: Hands,
    tables: Sequence[TableName],
    lock_wait_s: float,
    seen: TableName | None = None,
) -> None:
    if not lock_tables(hands, tables, lock_wait_s, seen):
        raise _refused(tables[0], "convert it to InnoDB, like the tables of the run")


def _refused(table: TableName, remedy: str) -> CannotComplete:
    return CannotComplete(
        f"table {table} has triggers, which this account could not keep from firing",
        hint=f"{remedy}; or let them fire with --fire-triggers; nothing was touched",
    )

"""Triggers in a cut-over: they follow their table in a RENAME, and must not.

The table that comes has them under passing names before it comes, so that no row is ever written
without them; the names are set right afterwards, under a lock on both tables.  A trigger that
the plan does not know is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass

from tablevault.model import TableName
from tablevault.mysql import triggers
from tablevault.mysql.triggers import Trigger
from tablevault.names import passing_trigger
from tablevault.ops.cutover_plan import Move, Plan
from tablevault.ops.hands import Hands


@dataclass
class TriggerMoves:
    """The triggers of one plan."""

    run: str
    plan: Plan
    hands: Hands

    def stage(self, forward: bool) -> None:
        """Make those of each table that comes, under passing names.

        That they can be made is the proof that this account may make them.
        """
        for move in self.plan.moves:
            coming = move.incoming if forward else move.aside if move.replaces else None
            wanted = move.triggers(forward)
            if coming is None or not wanted:
                continue
            here = {trigger.name for trigger in triggers.triggers_of(self.hands.main, coming)}
            for trigger in wanted:
                name = passing_trigger(trigger.name, self.run)
                if name not in here and trigger.name not in here:
                    self._make(coming, trigger, name)

    def settled(self, forward: bool) -> bool:
        """Whether the right ones are on each table, in the right order."""
        return all(
            _same(self._known(move, move.target), move.triggers(forward))
            and not (forward and self._known(move, move.aside))
            for move in self.plan.moves
        )

    def settle(self, forward: bool, *, locked: bool) -> None:
        """The right ones, in the right order, on each table, and none of ours on the others."""
        for move in self.plan.moves:
            other = move.other(forward)
            elsewhere = self._known(move, other)
            here = self._known(move, move.target)
            if elsewhere or not _same(here, move.triggers(forward)):
                tables = [move.target, *([other] if other and elsewhere else [])]
                self._shift(move, forward, tables, [*elsewhere, *here], locked)

    def clear(self, table: TableName) -> None:
        """Take the passing ones off a table that does not come after all."""
        names = {
            passing_trigger(trigger.name, self.run)
            for move in self.plan.moves
            for trigger in (*move.triggers_before, *move.triggers_after)
        }
        if names:
            here = triggers.triggers_of(self.hands.main, table)
            passing = [trigger.name for trigger in here if trigger.name in names]
            triggers.drop_triggers(self.hands.main, table.schema, passing)

    def _shift(
        self,
        move: Move,
        forward: bool,
        tables: list[TableName],
        going: list[Trigger],
        locked: bool,
    ) -> None:
        hands, main, wanted = self.hands, self.hands.main, move.triggers(forward)
        lock = not locked and hands.may_lock(tables)
        if lock:
            hands.lock(main, tables)

        def shift() -> None:
            names = [trigger.name for trigger in going]
            triggers.drop_triggers(main, move.target.schema, names)
            for trigger in wanted:
                triggers.create_trigger(main, move.target, trigger)

        try:
            listed = ", ".join(trigger.name for trigger in wanted) or "none"
            hands.step(f"setting the triggers of {move.target}: {listed}", shift)
        finally:
            if lock:
                hands.unlock(main)

    def _make(self, table: TableName, trigger: Trigger, name: str) -> None:
        main = self.hands.main
        self.hands.step(
            f"making trigger {trigger.name} on {table}",
            lambda: triggers.create_trigger(main, table, trigger, name=name),
        )

    def _known(self, move: Move, table: TableName | None) -> list[Trigger]:
        if table is None or not (move.triggers_before or move.triggers_after):
            return []
        ours = {t.name for t in (*move.triggers_before, *move.triggers_after)}
        ours |= {passing_trigger(name, self.run) for name in ours}
        return [t for t in triggers.triggers_of(self.hands.main, table) if t.name in ours]


def _same(here: list[Trigger], wanted: tuple[Trigger, ...]) -> bool:
    """Whether these are those, in an order that fires alike."""
    if len(here) != len(wanted):
        return False
    order = sorted(here, key=lambda trigger: trigger.when)  # stable: their own order within
    return all(
        a.same_as(b)
        for a, b in zip(order, sorted(wanted, key=lambda trigger: trigger.when), strict=True)
    )

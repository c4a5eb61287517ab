"""The rename and all that must follow it, in tries of about a second, to its end or back again.

Nothing here trusts the journal for what has been done: each step looks at what the server holds
and does what is missing, so that a run killed anywhere is settled by the same code.  Three ways:

- MySQL: all tables are locked; foreign keys dropped, RENAME, triggers, foreign keys; unlocked.
- MariaDB: RENAME does not work under LOCK TABLES.  The children are locked by a second
  connection, so that nobody writes to them without their foreign key; the moving tables' own
  foreign keys are away for the moment between.
- Without LOCK TABLES: the same in this order, unlocked.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tablevault.errors import CannotComplete, StatementFailed
from tablevault.model import TableName
from tablevault.mysql import relations, sql_relations, sql_tables
from tablevault.mysql.connect import Connection
from tablevault.mysql.relations import Link
from tablevault.ops import turns
from tablevault.ops.cutover_plan import Move, Plan
from tablevault.ops.hands import NOT_NOW, Hands, listed
from tablevault.ops.trigger_moves import TriggerMoves

TO_AN_END_S = 60.0  # how long foreign keys are tried to be put back after `lock_wait_s`


@dataclass
class Cutover:
    """One plan in one pair of hands; `fit` is called right before the rename."""

    run: str
    plan: Plan
    hands: Hands
    fit: Callable[[], None] = lambda: None
    kill_blockers: bool = False
    window_began: float | None = None  # monotonic seconds: since when foreign keys are away
    window_s: float = 0.0  # for how long they were away while others could write
    _locked: bool = field(default=False, init=False)  # all tables, by main
    _triggers: TriggerMoves = field(init=False)

    def __post_init__(self) -> None:
        plan = self.plan
        self.hands.tables = (*plan.targets, *plan.outer_children, *plan.outer_parents)
        self._triggers = TriggerMoves(self.run, plan, self.hands)

    def arrived(self) -> bool:
        """Whether the tables stand where they are to go: all of them do, or none."""
        moved = [self._moved(move) for move in self.plan.moves]
        if len(set(moved)) > 1:
            raise CannotComplete(
                f"the rename of run {self.run} was carried out for some tables only",
                hint="look at SHOW TABLES LIKE '_tv_%' and at the run's journal before you go on",
            )
        return moved[0] if moved else True

    def carry_out(
        self, forward: bool, lock_wait_s: float, *, to_an_end_s: float = TO_AN_END_S
    ) -> None:
        """Bring everything to its end (or, not `forward`, back to where it was).

        What is missing after the rename is tried for `to_an_end_s` longer.
        Raises LockNotGranted when the tables stayed in use for `lock_wait_s`, and whatever a
        statement failed with; then everything is where it was, or the hint says what is not.
        """
        began, tries = time.monotonic(), 0
        while True:
            tries += 1
            try:
                self._attempt(forward)
                return
            except StatementFailed as error:
                waited_s = time.monotonic() - began
                arrived = self.arrived() == forward
                limit_s = lock_wait_s + (to_an_end_s if arrived else 0.0)
                if error.errno not in NOT_NOW or waited_s > limit_s:
                    self._give_up(error, forward, arrived, waited_s)
                turns.pause(self.hands, error, tries, began, kill_blockers=self.kill_blockers)

    def settled(self, goal: bool) -> bool:
        """Whether all stands as it is to be at the end (or, without `goal`, as it was before)."""
        if self.arrived() != goal:
            return False
        main = self.hands.main
        gone = [move.aside for move in self.plan.moves] if goal else []
        return (
            not any(relations.links_of(main, table) for table in gone)
            and all(
                _has(relations.links_of(main, table), link)
                for table, links in self.plan.wanted_links(goal).items()
                for link in links
            )
            and self._triggers.settled(goal)
        )

    def _attempt(self, forward: bool) -> None:
        """One try.  What fails before the rename is undone; after it, only the rest is left."""
        if self.arrived() != forward:
            self._triggers.stage(forward)
        failure = self._pass(forward)
        if failure is None:
            return
        if self._past_return(failure, forward):
            raise failure
        began = time.monotonic()
        while not self.settled(not forward):
            second = self._pass(not forward)
            late = time.monotonic() - began > TO_AN_END_S
            if second is not None and (late or second.errno not in NOT_NOW):
                raise second
            if second is not None:
                time.sleep(turns.FIRST_PAUSE_S)  # nothing is locked meanwhile
        raise failure

    def _pass(self, goal: bool) -> StatementFailed | None:
        """Towards `goal` under one taking of locks; what does not get there goes back at once."""
        try:
            self._lock()
            try:
                self._converge(goal)
            except StatementFailed as error:
                if not self._past_return(error, goal):
                    self._converge(not goal)
                raise
            finally:
                locked = self._locked
                self._unlock()
            if not locked:
                # under a lock of their own: a parent's takes its children with it, which the
                # guard had locked until now
                self._triggers.settle(goal, locked=False)
        except StatementFailed as error:
            return error
        finally:
            self._close_window()
        return None

    def _past_return(self, error: StatementFailed, goal: bool) -> bool:
        """Whether it is only a lock that is missing, and the rename has been done."""
        return error.errno in NOT_NOW and self.arrived() == goal

    def _converge(self, forward: bool) -> None:
        if self.arrived() != forward:
            self._release_children()
            if forward:
                self.fit()
            pairs = self.plan.pairs(forward)
            what = "renaming " + listed([f"{old} to {new}" for old, new in pairs])
            if any(move.links_before or move.links_after for move in self.plan.moves):
                self._open_window()
            self.hands.run(self.hands.main, what, sql_tables.rename_tables(pairs))
        if self._locked:
            self._triggers.settle(forward, locked=True)
        self._settle_links(forward)

    def _moved(self, move: Move) -> bool:
        main = self.hands.main
        if move.replaces:
            return relations.exists(main, move.aside)
        return move.incoming is not None and not relations.exists(main, move.incoming)

    def clear(self) -> None:
        """After giving up: take back the triggers that were made for the table that comes."""
        for move in self.plan.moves:
            if move.incoming is not None and relations.exists(self.hands.main, move.incoming):
                self._triggers.clear(move.incoming)

    # ---- locks

    def _lock(self) -> None:
        hands, plan = self.hands, self.plan
        if not plan.tied and hands.guard is not hands.main:
            return
        if hands.guard is not hands.main:
            # a parent of a moving table must stay open to the connection that moves it
            tables = [t for t in plan.outer_children if t not in plan.outer_parents]
        else:
            there = [
                name
                for move in plan.moves
                for name in (move.target, move.incoming, move.aside)
                if name is not None and relations.exists(hands.main, name)
            ]
            others = (*plan.outer_children, *plan.outer_parents)
            tables = [*there, *(t for t in others if relations.exists(hands.main, t))]
        tables = list(dict.fromkeys(tables))
        if not tables or not hands.may_lock(tables):
            return
        self._locked = hands.lock(hands.guard, tables) and hands.guard is hands.main

    def _unlock(self) -> None:
        self._locked = False
        for connection in dict.fromkeys((self.hands.main, self.hands.guard)):
            self.hands.unlock(connection)

    # ---- foreign keys

    def _release_children(self) -> None:
        """Drop the foreign keys of others, which would follow the table that goes."""
        for table in self.plan.outer_children:
            names = {link.name for link in self.plan.children if link.child == table}
            here = relations.links_of(self.hands.main, table)
            self._drop(table, [link.name for link in here if link.name in names])

    def _settle_links(self, goal: bool) -> None:
        """The right ones on each table; none on those that no longer have their name."""
        for move in self.plan.moves:
            gone = move.other(goal)
            if gone is not None:
                self._drop(gone, [link.name for link in relations.links_of(self.hands.main, gone)])
        wanted = self.plan.wanted_links(goal)
        targets = frozenset(self.plan.targets)
        for table in sorted(wanted, key=lambda one: one in targets):
            # children first: others wait for them under a lock
            here = relations.links_of(self.hands.main, table)
            missing = [link for link in wanted[table] if not _has(here, link)]
            names = {link.name for link in missing}
            self._drop(table, [link.name for link in here if link.name in names])
            if missing:
                listed = ", ".join(link.name or "one" for link in missing)
                self.hands.run(
                    self._hand_of(table),
                    f"adding foreign keys of {table}: {listed}",
                    sql_relations.add_keys(table, [link.clause for link in missing]),
                )

    def _drop(self, table: TableName, names: Sequence[str]) -> None:
        if names:
            self._open_window()
            what = f"dropping foreign keys of {table}: {', '.join(names)}"
            self.hands.run(self._hand_of(table), what, sql_relations.drop_keys(table, names))

    def _hand_of(self, table: TableName) -> Connection:
        """Who alters a table: the one that may have it locked."""
        hands = self.hands
        locked = table in self.plan.outer_children and table not in self.plan.outer_parents
        return hands.guard if locked else hands.main

    def _open_window(self) -> None:
        if self.window_began is None and not self._locked:
            self.window_began = time.monotonic()

    def _close_window(self) -> None:
        if self.window_began is not None:
            self.window_s += time.monotonic() - self.window_began
            self.window_began = None

    # ---- waiting

    def _give_up(
        self, error: StatementFailed, forward: bool, arrived: bool, waited_s: float
    ) -> None:
        if error.errno not in NOT_NOW:
            raise error
        if arrived:
            raise CannotComplete(
                f"the tables of run {self.run} are renamed, but {error.message}; they were in "
                f"use for {waited_s:.0f} s{turns.blocked_by(self.hands)}",
                hint=f"foreign keys or triggers are missing: run `tablevault swap {self.run}` "
                "again to put them back, or `rollback`",
            )
        raise turns.not_granted(self.hands, self.plan.targets, waited_s) from None


def _has(links: Iterable[Link], link: Link) -> bool:
    named = bool(link.name)  # else the server has given it a name
    return any(link.same_as(one if named else dataclasses.replace(one, name="")) for one in links)

"""Sequences at a cut-over: the one that comes goes on no earlier than the one that goes has come.

A sequence gives numbers to whoever asks, outside of every transaction and whatever is locked, so
it is looked at before the rename and again after it.
"""

from __future__ import annotations

from dataclasses import dataclass

from tablevault.model import Finding, TableName
from tablevault.mysql import relations, sql_tables
from tablevault.ops.cutover_plan import Move, Plan
from tablevault.ops.hands import Hands


@dataclass(frozen=True)
class Position:
    """Where a sequence stands: the next value that no session has taken into its cache."""

    value: int
    lowest: int
    highest: int
    step: int
    cycle: int

    def beyond(self, other: Position) -> bool:
        """Whether it has come further than `other`, in the direction of that one."""
        way = -1 if other.step < 0 else 1
        return (self.cycle, way * self.value) > (other.cycle, way * other.value)


class SequenceValues:
    """The sequences among the tables of one plan."""

    def __init__(self, hands: Hands, plan: Plan) -> None:
        self._hands = hands
        self._moves = [
            move
            for move in plan.moves
            if move.replaces
            and move.incoming is not None
            and relations.is_sequence(hands.main, move.target)
        ]
        self._seen = {move.target: self._at(move.target) for move in self._moves}

    def fit(self) -> None:
        """Before the rename: bring each that comes as far as the one that goes.

        What is given out between this look and the rename is left room for: ten times what was
        given out since the first look.
        """
        for move in self._moves:
            live, seen = self._at(move.target), self._seen[move.target]
            ahead = live.value + 10 * (live.value - seen.value) if live.cycle == seen.cycle else 0
            value = ahead if live.lowest <= ahead <= live.highest else live.value
            self._advance(move.incoming or move.target, live, value)

    def check(self) -> list[Finding]:
        """After the rename: whether the one that went has given out more meanwhile."""
        findings = []
        for move in self._moves:
            gone, here = self._at(move.aside), self._at(move.target)
            if gone.beyond(here):
                self._advance(move.target, gone, gone.value)
                message = f"values from {here.value} to {gone.value} may have been given out twice"
                findings.append(Finding("sequence", message, move.target))
        return findings

    def _advance(self, table: TableName, live: Position, value: int) -> None:
        own = self._at(table)
        if not live.beyond(own):
            return
        # a live one at its end, or with other bounds, has used up what this one may give
        last = max(own.lowest, min(own.highest, value))
        self._hands.run(
            self._hands.main,
            f"letting sequence {table} go on at {value}",
            sql_tables.advance_sequence(table, last, live.cycle, used=last != value),
        )

    def _at(self, table: TableName) -> Position:
        row = self._hands.main.one(sql_tables.sequence_row(table))
        assert row is not None, f"sequence {table} has no row"
        return Position(*(int(value or 0) for value in row))


def moves_sequence(hands: Hands, move: Move) -> bool:
    """Whether a move is that of a sequence, whose row is not one of data."""
    return relations.is_sequence(hands.main, move.target)

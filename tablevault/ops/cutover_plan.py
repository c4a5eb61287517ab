"""What a cut-over moves: tables, the foreign keys around them, their triggers, before and after.

The plan is journalled before the first step.  From it, and from what the server holds, a run that
died at any step can be taken to its end or back to where it began.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tablevault.model import TableName
from tablevault.mysql.relations import Link
from tablevault.mysql.triggers import Trigger


@dataclass(frozen=True)
class Move:
    """One table that makes way for another.

    `aside` is where the one goes that has the name now, if there is one (`replaces`); `incoming`
    is the one that takes it, None when a rollback leaves the name to nobody.
    """

    target: TableName
    incoming: TableName | None
    aside: TableName
    replaces: bool
    links_before: tuple[Link, ...] = ()  # foreign keys of the table called `target`
    links_after: tuple[Link, ...] = ()
    triggers_before: tuple[Trigger, ...] = ()
    triggers_after: tuple[Trigger, ...] = ()

    def links(self, forward: bool) -> tuple[Link, ...]:
        """The foreign keys of the table called `target`, when all is done."""
        return self.links_after if forward else self.links_before

    def triggers(self, forward: bool) -> tuple[Trigger, ...]:
        """Its triggers, when all is done."""
        return self.triggers_after if forward else self.triggers_before

    def other(self, forward: bool) -> TableName | None:
        """Under which name the table stands that does not have `target`'s, when all is done."""
        return self.aside if forward else self.incoming


@dataclass(frozen=True)
class Plan:
    """All that one RENAME moves, and the foreign keys of others that must follow it."""

    moves: tuple[Move, ...]
    children: tuple[Link, ...] = ()  # of tables that do not move

    @property
    def targets(self) -> tuple[TableName, ...]:
        """The names that change hands."""
        return tuple(move.target for move in self.moves)

    @property
    def outer_children(self) -> tuple[TableName, ...]:
        """Tables that reference a target and do not move themselves."""
        return _distinct(link.child for link in self.children)

    @property
    def outer_parents(self) -> tuple[TableName, ...]:
        """Tables that a target references and that do not move themselves."""
        moving = frozenset(self.targets)
        links = (link for move in self.moves for link in move.links_before + move.links_after)
        return _distinct(link.parent for link in links if link.parent not in moving)

    @property
    def tied(self) -> bool:
        """Whether there is anything to move beside the tables."""
        return bool(self.children) or any(
            move.links_before or move.links_after or move.triggers_before or move.triggers_after
            for move in self.moves
        )

    def pairs(self, forward: bool) -> list[tuple[TableName, TableName]]:
        """The renames, in the order in which the statement must name them."""
        pairs = []
        for move in self.moves:
            away = [(move.target, move.aside)] if move.replaces else []
            into = [(move.incoming, move.target)] if move.incoming else []
            if not forward:
                away, into = [(b, a) for a, b in into], [(b, a) for a, b in away]
            pairs += away + into
        return pairs

    def wanted_links(self, forward: bool) -> dict[TableName, list[Link]]:
        """The foreign keys that there must be when all is done, by child."""
        wanted: dict[TableName, list[Link]] = {move.target: [] for move in self.moves}
        for link in self.children:
            wanted.setdefault(link.child, []).append(link)
        for move in self.moves:
            wanted[move.target] += move.links(forward)
        return wanted

    def standing(self, table: TableName) -> TableName:
        """Where the table stands before the cut-over that will be called `table` after it."""
        for move in self.moves:
            if move.target == table and move.incoming is not None:
                return move.incoming
        return table


def to_record(plan: Plan) -> dict[str, Any]:
    """The plan for the journal."""
    return dataclasses.asdict(plan)


def from_record(record: Mapping[str, Any]) -> Plan:
    """The plan as the journal has it."""
    return Plan(
        moves=tuple(_move(one) for one in record["moves"]),
        children=_links(record["children"]),
    )


def _move(record: Mapping[str, Any]) -> Move:
    return Move(
        target=TableName(**record["target"]),
        incoming=TableName(**record["incoming"]) if record["incoming"] else None,
        aside=TableName(**record["aside"]),
        replaces=record["replaces"],
        links_before=_links(record["links_before"]),
        links_after=_links(record["links_after"]),
        triggers_before=tuple(Trigger(**one) for one in record["triggers_before"]),
        triggers_after=tuple(Trigger(**one) for one in record["triggers_after"]),
    )


def _links(records: Iterable[Mapping[str, Any]]) -> tuple[Link, ...]:
    return tuple(
        Link(
            child=TableName(**one["child"]),
            name=one["name"],
            columns=tuple(one["columns"]),
            parent=TableName(**one["parent"]),
            parent_columns=tuple(one["parent_columns"]),
            clause=one["clause"],
        )
        for one in records
    )


def _distinct(tables: Iterable[TableName]) -> tuple[TableName, ...]:
    return tuple(dict.fromkeys(tables))

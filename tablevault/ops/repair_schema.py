"""What of a definition a repair takes back by an ALTER, and what that ALTER would lose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tablevault.model import TableDef, TableName
from tablevault.ops.repair_terms import RepairOptions
from tablevault.ops.schema_diff import SchemaDifference, undo_statements

_RETYPED = frozenset({"type", "charset", "storage of the generated value"})
_INDEXES = ("key missing", "key changed")
_FREE = ("column renamed", "key renamed", "key extra", "foreign key", "check", "period")


@dataclass(frozen=True)
class Alteration:
    """The ALTER that gives one table its old definition.

    `dropped` and `retyped` are columns, by their names now, whose values it takes away or may
    round.
    """

    number: int  # of the table's entry
    table: TableName
    undone: tuple[SchemaDifference, ...]
    statements: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()

    @property
    def rebuilds(self) -> bool:
        """Whether the server writes all rows anew, as far as can be told from here."""
        shapes = [one for one in self.undone if not one.kind.startswith((*_FREE, *_INDEXES))]
        return any(set(one.facets) != {"default"} for one in shapes)

    @property
    def indexes(self) -> int:
        """How many indexes are built."""
        return sum(one.kind in _INDEXES for one in self.undone)


def undone_by_altering(
    schema: Iterable[SchemaDifference], options: RepairOptions
) -> tuple[SchemaDifference, ...]:
    """The differences that a repair takes back.

    What the snapshot does not have stays, unless extra things are to go; triggers always do.
    """
    if options.rows_only:
        return ()
    return tuple(
        one
        for one in schema
        if not one.kind.startswith(("trigger ", "table "))
        and (options.delete_extra or not one.kind.endswith(" extra"))
        and (not options.columns or one.name in options.columns)
    )


def alteration_of(
    number: int, live: TableDef, schema: Sequence[SchemaDifference], options: RepairOptions
) -> Alteration | None:
    """What is to be altered in one table, if anything."""
    undone = undone_by_altering(schema, options)
    if not undone:
        return None
    stored = {column.name for column in live.columns if not column.generated}
    dropped = [one.name for one in undone if one.kind == "column extra"]
    retyped = [
        one.name for one in undone if one.kind == "column changed" and _RETYPED & set(one.facets)
    ]
    return Alteration(
        number,
        live.table,
        undone,
        undo_statements(undone),
        tuple(name for name in dropped if name in stored),
        tuple(name for name in retyped if name in stored),
    )

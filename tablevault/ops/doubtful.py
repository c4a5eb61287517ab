"""Values that would come back as others, which is not to be seen in definitions: they are refused.

What is quick to ask, and every table of moderate size, is asked before the snapshot reads
anything.  Of larger tables the first rows are looked at then (what makes such values makes them
in every row, as a rule), and the rest by the readers, chunk by chunk, inside the same consistent
read: no snapshot is sealed whose rows were not all looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tablevault.errors import Unsupported
from tablevault.model import KeyRange, TableDef, TableName
from tablevault.mysql import sql_doubts, sql_zone_doubts
from tablevault.mysql.connect import Connection
from tablevault.mysql.sql_doubts import Doubt

MOST_ROWS_AT_ONCE = 100_000  # a second or two of JSON
_EARLY_ROWS = 1000


def refuse_doubtful_values(
    planner: Connection, definitions: Sequence[TableDef], where: str | None
) -> Mapping[TableName, tuple[Doubt, ...]]:
    """Look before anything is read; return what is left to be asked chunk by chunk.

    Raises Unsupported, naming all that was found.
    """
    refused: list[Unsupported] = []
    later: dict[TableName, tuple[Doubt, ...]] = {}
    for definition in definitions:
        doubts = [
            *sql_doubts.doubts(definition.columns, planner.server.family),
            *_members_alike(planner, definition),
            *sql_zone_doubts.zone_doubts(definition, planner.server.family),
        ]
        if definition.estimated_rows > MOST_ROWS_AT_ONCE:
            slow = tuple(doubt for doubt in doubts if doubt.slow)
            doubts = [doubt for doubt in doubts if not doubt.slow]
            if slow:
                later[definition.table] = slow
                refused += _met_early(planner, definition, slow, where)
        refused += _met(planner, definition, doubts, where=where)
    if refused:
        raise Unsupported.of_all(refused)
    return later


def refuse_in_range(
    connection: Connection,
    definition: TableDef,
    doubts: Sequence[Doubt],
    range: KeyRange,
    where: str | None,
) -> None:
    """Raises Unsupported when a row of `range` meets a doubt; without a key every row counts."""
    refused = list(_met(connection, definition, doubts, range, where))
    if refused:
        raise Unsupported.of_all(refused)


def _met(
    connection: Connection,
    definition: TableDef,
    doubts: Sequence[Doubt],
    range: KeyRange | None = None,
    where: str | None = None,
) -> Iterator[Unsupported]:
    key = definition.key if range is not None else None

    def found(some: Sequence[Doubt]) -> bool:
        conditions = [doubt.condition for doubt in some]
        question = sql_doubts.find(definition, conditions, key, range, where)
        return connection.one(question) is not None

    # one question for all as a rule; which of them only when the answer is yes
    if doubts and found(doubts):
        for doubt in doubts:
            if len(doubts) == 1 or found([doubt]):
                yield _unsupported(definition, doubt)


def _met_early(
    planner: Connection, definition: TableDef, doubts: Sequence[Doubt], where: str | None
) -> Iterator[Unsupported]:
    for doubt in doubts:
        question = sql_doubts.find_early(definition, doubt.condition, _EARLY_ROWS, where)
        if planner.one(question) is not None:
            yield _unsupported(definition, doubt)


def _unsupported(definition: TableDef, doubt: Doubt) -> Unsupported:
    return Unsupported(f"table {definition.table}: {doubt.means}", hint=doubt.hint)


def _members_alike(planner: Connection, definition: TableDef) -> Iterator[Doubt]:
    for column in definition.columns:
        question = None if column.generated else sql_doubts.members_alike(column)
        positions = [int(row[0] or 0) for row in planner.query(question)] if question else []
        if positions:
            yield sql_doubts.alike(column, positions)

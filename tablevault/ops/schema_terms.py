"""What is said of one difference between two definitions of a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tablevault.model import TableName
from tablevault.mysql import ddl_alter
from tablevault.mysql.ddl_alter import Step


@dataclass(frozen=True)
class SchemaDifference:
    """One difference in a table's definition: `before` in the snapshot, `after` where it is now.

    `kind` is stable: "table missing"; "column missing", "column extra", "column renamed", "column
    changed", "column moved"; the same of "key", "foreign key", "check" and "trigger", as far as
    it applies; "period missing", "period extra"; "option changed", "charset changed", "partitions
    changed".  "Missing" is in the snapshot only, "extra" is not in it.  `before` and `after` are
    definitions as the server wrote them, None where there is none.  `facets` says what of a
    changed one differs.
    """

    table: TableName
    kind: str
    name: str
    before: str | None
    after: str | None
    steps: tuple[Step, ...]
    facets: tuple[str, ...] = ()
    note: str = ""  # what undoing it does not bring back, or what else to know

    @property
    def undo(self) -> tuple[str, ...]:
        """The statements that undo this one difference, where it depends on no other one."""
        return ddl_alter.statements(self.table, self.steps)

    def __str__(self) -> str:
        what, how = self.kind.rsplit(" ", 1)
        text = f"{what} `{self.name}` {how}" if self.name else self.kind
        return f"{text}: {', '.join(self.facets)}" if self.facets else text


def undo_statements(differences: Iterable[SchemaDifference]) -> tuple[str, ...]:
    """The statements that undo all differences of a table, or of several, in an order that works.

    For the session in which definitions are repeated (`mysql.session.defining`).  Everything but
    constraints and triggers of a table goes in one ALTER, so that it is rebuilt once.
    """
    by_table: dict[TableName, list[Step]] = {}
    for difference in differences:
        by_table.setdefault(difference.table, []).extend(difference.steps)
    return tuple(
        statement
        for table, steps in by_table.items()
        for statement in ddl_alter.statements(table, steps)
    )

"""What a diff may be told and what it answers: the values that `repair` and `guard` stand on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tablevault.model import TableName
from tablevault.ops.options import DEFAULT_THREADS
from tablevault.ops.schema_diff import SchemaDifference

if TYPE_CHECKING:
    from tablevault.ops.diff_plan import Comparison

Row = tuple[bytes | None, ...]
"""The wire values of the compared columns, in their order; NULL is None."""

EQUAL, DIFFERS, GONE = "equal", "differs", "gone"


@dataclass(frozen=True)
class DiffOptions:
    """How to compare."""

    patterns: tuple[str, ...] = ()  # tables of the snapshot; none: all of them
    threads: int = DEFAULT_THREADS
    examples: int = 0  # rows of each table to show before and after
    ddl_wait_s: float = 20.0  # how long a DDL may wait for our metadata lock before we yield
    emergency: bool = False  # no slowing down when the server is under pressure
    stalled_after_s: float = 20.0  # how long nothing may move before it is called a stall
    columns: tuple[str, ...] = ()  # compare only these, of the snapshot's names, and the key
    numbers: frozenset[int] | None = None  # compare only these of the chosen tables


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """One row that is there on both sides with other values.

    `columns` are the positions, among the compared columns, of the values that differ.
    """

    before: Row  # as the snapshot has it
    after: Row  # as it is now
    columns: tuple[int, ...]


@dataclass(frozen=True)
class RangeDifferences:
    """The rows that differ in one small part of a table; each row of it is in one list.

    `missing` are in the snapshot only, `extra` in the live table only.  Without a key that both
    sides have, a changed row is a missing and an extra one.  The rows were read by one consistent
    read; what changed in the live table since is not in here.
    """

    comparison: Comparison
    missing: tuple[Row, ...] = ()
    extra: tuple[Row, ...] = ()
    changed: tuple[ChangedRow, ...] = ()


OnDifferences = Callable[[RangeDifferences], None]
"""Takes row differences as they are found, from the workers' threads, several at once.

Whatever it raises ends the diff; while it works its worker waits, so nothing piles up.
"""


@dataclass(frozen=True)
class Example:
    """A row to show: `kind` is "missing", "extra" or "changed"; the absent side is None."""

    kind: str
    before: Row | None
    after: Row | None
    columns: tuple[int, ...] = ()


@dataclass(frozen=True)
class TableDiff:
    """How one live table differs from the snapshot's.

    `status` is "equal", "differs" or "gone".  `changed_columns` has how many of the changed rows
    differ in each column, the snapshot's names, only those that do.
    """

    table: TableName
    status: str
    schema: tuple[SchemaDifference, ...] = ()
    rows: int = 0  # of the snapshot
    live_rows: int = 0
    missing: int = 0
    extra: int = 0
    changed: int = 0
    changed_columns: tuple[tuple[str, int], ...] = ()
    columns: tuple[str, ...] = ()  # those compared: the order of values in `examples`
    not_compared: tuple[str, ...] = ()  # columns that the live table has no more
    key: tuple[str, ...] = ()  # rows were matched by these columns; none: as whole rows
    examples: tuple[Example, ...] = ()
    hints: tuple[str, ...] = ()

    @property
    def differing_rows(self) -> int:
        """Missing, extra and changed rows."""
        return self.missing + self.extra + self.changed


@dataclass(frozen=True)
class DiffResult:
    """Snapshot against live tables; the live side is that of the time from `began` to `ended`.

    Or against a second snapshot, `other`, which then stands where the live tables do.
    """

    run: str
    snapshot: str
    began: float  # Unix seconds: the first rows were read then
    ended: float
    seconds: float
    tables: tuple[TableDiff, ...] = ()
    hints: tuple[str, ...] = field(default=())
    other: str | None = None

    @property
    def equal(self) -> bool:
        """Whether nothing differs: neither schema nor rows."""
        return all(table.status == EQUAL for table in self.tables)

"""What a repair may be told and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from tablevault.model import Finding, TableName
from tablevault.ops.diff_terms import EQUAL, TableDiff
from tablevault.ops.options import DEFAULT_THREADS

ALWAYS_FEW = 10_000  # rows: a second to repair
MOST_REPAIRED = 0.1  # of the rows; above it a restore takes no longer (bench/bench_repair.py)

CHANGED, MISSING, EXTRA = "changed", "missing", "extra"


def few_enough(differing: int, rows: int) -> bool:
    """Whether so many rows of so many are put back one by one sooner than all by a restore."""
    return differing <= max(ALWAYS_FEW, rows * MOST_REPAIRED)


@dataclass(frozen=True)
class RepairOptions:
    """How to repair."""

    patterns: tuple[str, ...] = ()  # tables of the snapshot
    threads: int = DEFAULT_THREADS
    columns: tuple[str, ...] = ()  # put back only these; none: all
    where: str | None = None  # put back only rows that this lets through
    delete_extra: bool = False  # delete rows that the snapshot does not have
    rows_only: bool = False  # leave the definition as it is
    fire_triggers: bool = False  # let triggers fire, where there are some
    log_bin: bool = True  # False: --no-binlog
    new: bool = False  # begin although another run on the same tables was not finished
    from_diff: str = "latest"  # go by what this diff found, by none ("never") or by the last one
    diff_age_s: float = 3600.0  # how long ago the last one may have ended
    prove_all: bool = False  # compare the whole tables once more when the rows are put back
    emergency: bool = False  # no slowing down when the server is under pressure
    ddl_wait_s: float = 20.0  # how long a DDL may wait for our metadata lock before we yield
    lock_wait_s: float = 60.0  # how long a table with triggers is tried to be locked
    stalled_after_s: float = 20.0  # how long nothing may move before it is called a stall
    reached_by: tuple[str, ...] = ()  # the server, in command-line options; never a password


@dataclass(frozen=True)
class Batch:
    """Rows that are put back by one statement: numbers `first` to below `stop` of both sides.

    `what` is CHANGED, MISSING or EXTRA; `columns` are positions among the compared columns.
    """

    table: int
    number: int
    what: str
    columns: tuple[int, ...]
    first: int
    stop: int
    size_bytes: int


@dataclass(frozen=True)
class Compared:
    """The comparison of one table that a repair goes by, and how many rows it found to differ.

    Every row that is not among them was as the snapshot has it when it was looked at, in the time
    from `began` to `ended` (Unix seconds).  `before` says that this was before the repair began:
    `run` is the diff that kept what it found.
    """

    table: int  # its number
    run: str
    began: float
    ended: float
    changed: int
    missing: int
    extra: int
    before: bool = False

    @property
    def differing_rows(self) -> int:
        return self.changed + self.missing + self.extra


@dataclass(frozen=True)
class TablePlan:
    """What a repair of one table would do, and what a full restore of it would take.

    Seconds are estimates from what the comparison took on this server.
    """

    table: TableName
    difference: TableDiff
    columns: tuple[str, ...] = ()  # whose values differ
    rows: int = 0  # that would be written
    size_bytes: int = 0
    repair_s: float = 0.0
    restore_s: float = 0.0
    schema: tuple[str, ...] = ()  # statements that come first: they put the definition back
    kept: tuple[str, ...] = ()  # differences of the definition that stay
    losing: tuple[str, ...] = ()  # columns that the statements drop or may round
    notes: tuple[str, ...] = ()  # triggers, cascades, what is left as it is
    obstacle: str | None = None  # why only a restore can put it back

    @property
    def differs(self) -> bool:
        return self.difference.status != EQUAL

    @property
    def restore_is_cheaper(self) -> bool:
        return self.obstacle is not None or self.repair_s > self.restore_s


@dataclass(frozen=True)
class TableRepaired:
    """What a repair did with one table.

    Each row that was written was proven to be as the snapshot has it in the transaction that wrote
    it, unless it is counted in `left`, which is how the table still differs (None of an undo).
    `compared` tells when all other rows were found to be equal; `again` that the whole table was
    compared once more after the repair.
    """

    table: TableName
    changed: int = 0
    inserted: int = 0
    deleted: int = 0
    held: int = 0  # rows that were changed again, or collide: not written
    altered: tuple[str, ...] = ()  # statements that put the definition back
    seconds: float = 0.0
    left: TableDiff | None = None
    compared: Compared | None = None
    again: bool = False

    @property
    def rows(self) -> int:
        """Rows that were written."""
        return self.changed + self.inserted + self.deleted


@dataclass(frozen=True)
class RepairResult:
    """How a repair ended: `status` is "planned", "repaired" or "undone".

    `saved` is the snapshot of what was overwritten.  `findings` name what is not as it was.
    """

    run: str
    snapshot: str
    status: str
    seconds: float
    plans: tuple[TablePlan, ...] = ()
    tables: tuple[TableRepaired, ...] = ()
    saved: str | None = None
    hints: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = field(default=())

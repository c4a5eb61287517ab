"""The coordinator's board of a restore: what is done, what comes next, how far it is.

Each table goes create → load and prove every row group → build its indexes one by one → final
proof.  Tables do not wait for each other, so that one builds an index while another loads, and
what can be proven without the next index is proven beside its build.  Of what can be done, the
table with the most work comes first: what it leaves to the end is the shortest.  The board holds
no connection and no file: it turns outcomes into the next tasks, and is tested so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tablevault.events import TableProgress
from tablevault.model import Chunk, RowGroup, TableEntry, TableName
from tablevault.mysql import engines
from tablevault.rows.kinds import ColumnSpec

# What a step costs beside loading and proving the table's rows once, for the percentage and the
# remaining time.  Measured with two loaders on lineitem, 6 M rows: 48 s for the rows, 8 s an index
# build, 1.7 s for the final counts, 4.3 s for what the swap looks at.
INDEX_COST = 0.17
FINAL_COST = 0.04
SWAP_COST = 0.09
FIXED_COST_BYTES = 200_000.0  # creating and proving even an empty table takes its time

# Priorities: what others wait for, what takes long, the rest; less the table's share of all work.
_FIRST, _LONG, _ROWS = 0.0, 2.0, 4.0


@dataclass(frozen=True)
class TableJob:
    """One table to restore: from which entry, under which names, by which steps."""

    index: int
    entry: TableEntry
    target: TableName
    staging: TableName
    specs: tuple[ColumnSpec, ...]  # of the stored columns
    chunks: tuple[Chunk, ...]
    staging_sql: str
    indexes: tuple[str, ...]  # ALTER TABLE clauses, built one at a time after the rows
    index_names: tuple[str, ...] = ()  # of `indexes`
    inline: bool | None = None  # whether they come with the rows; None: not decided yet
    indexes_why: str = ""
    replace_staging: bool = False  # a dead run's staging table of that name is dropped first
    server_version: tuple[int, int, int] = (0, 0, 0)  # which wrote the definition
    sample: frozenset[tuple[int, int]] | None = None  # chunk and row group; None: all of them

    @property
    def keyed(self) -> bool:
        """Whether row groups can be proven one by one."""
        return self.entry.definition.key is not None

    @property
    def undoes(self) -> bool:
        """Whether the server takes back what was not committed, and keeps what was."""
        definition = self.entry.definition
        return engines.transactional(definition.engine) and not definition.sequence

    @property
    def lasting(self) -> bool:
        """Whether a row group once proven stays proven; else the table is, as a whole, at last."""
        return self.keyed and self.undoes

    @property
    def parts(self) -> tuple[tuple[Chunk, int], ...]:
        """The row groups to load, each by its chunk and its number in it."""
        return tuple(
            (chunk, group)
            for chunk in self.chunks
            for group in range(len(chunk.row_groups))
            if self.sample is None or (chunk.index, group) in self.sample
        )

    @property
    def cost(self) -> float:
        """All its steps, in bytes of rows."""
        weight = 1.0 + INDEX_COST * len(self.indexes) + FINAL_COST
        return FIXED_COST_BYTES + self.entry.wire_bytes * weight


@dataclass(frozen=True)
class CreateStaging:
    """Create the staging table."""

    job: TableJob


@dataclass(frozen=True)
class LoadGroup:
    """Load one row group in one transaction and prove it; `found` when a dead run tried before."""

    job: TableJob
    chunk: Chunk
    group: int
    found: bool = False

    @property
    def row_group(self) -> RowGroup:
        return self.chunk.row_groups[self.group]


@dataclass(frozen=True)
class BuildIndex:
    """Build one index of a table whose rows are complete."""

    job: TableJob
    number: int


@dataclass(frozen=True)
class ProveRows:
    """What is proven beside the index builds: rows by the index of that number, once it is built.

    Without a number the whole digest, of a table without a key.
    """

    job: TableJob
    number: int | None = None


@dataclass(frozen=True)
class ProveTable:
    """The final proof: rows by every index that was there from the start, and the definition."""

    job: TableJob


Task = CreateStaging | LoadGroup | BuildIndex | ProveRows | ProveTable


@dataclass
class _State:
    """How far one table is."""

    groups_left: int
    rows_done: int = 0
    bytes_done: int = 0
    indexes_done: int = 0
    proofs_left: int = 0  # ProveRows
    step: str = "waiting"
    done: bool = False


@dataclass
class Board:
    """The state of all tables.  `resumed` names, per table, the row groups a dead run began."""

    jobs: tuple[TableJob, ...]
    resumed: Mapping[int, frozenset[tuple[int, int]]] = field(default_factory=dict)
    created: frozenset[int] = frozenset()
    swap: bool = False  # whether a swap follows at once
    expected_rate_s: float = 0.0  # cost a second, as a drill has measured it; 0: unknown
    cost_total: float = field(init=False)  # all steps of all tables, in bytes of rows

    def __post_init__(self) -> None:
        self._states = [_State(len(job.parts)) for job in self.jobs]
        self.cost_total = sum(job.cost for job in self.jobs) + self.swap_cost

    @property
    def bytes_total(self) -> int:
        """Uncompressed bytes of all rows to load."""
        return sum(job.entry.wire_bytes for job in self.jobs)

    @property
    def swap_cost(self) -> float:
        """What the swap costs after all is proven; 0 when there will be none."""
        return SWAP_COST * self.bytes_total if self.swap else 0.0

    def first_tasks(self) -> list[tuple[Task, float]]:
        """What can begin at once, with priorities; the largest tables first."""
        tasks: list[tuple[Task, float]] = []
        for job in sorted(self.jobs, key=lambda job: -job.entry.wire_bytes):
            if job.index in self.created:
                tasks += self._after_create(job)
            else:
                tasks.append((CreateStaging(job), _FIRST))
        return tasks

    def after(self, task: Task) -> list[tuple[Task, float]]:
        """What can begin now that `task` is done."""
        state = self._states[task.job.index]
        match task:
            case CreateStaging(job):
                return self._after_create(job)
            case LoadGroup(job):
                state.groups_left -= 1
                state.rows_done += task.row_group.digest.rows
                state.bytes_done += task.row_group.wire_bytes
                return self._after_rows(job) if state.groups_left == 0 else []
            case BuildIndex(job, number):
                state.indexes_done += 1
                return self._next_index(job, ProveRows(job, number))
            case ProveRows(job):
                state.proofs_left -= 1
                return self._next_index(job) if state.step == "proving" else []
            case ProveTable(job):
                state.done = True
                state.step = "proven"
                return []

    def _after_create(self, job: TableJob) -> list[tuple[Task, float]]:
        state = self._states[job.index]
        state.step = "loading"
        if state.groups_left == 0:
            return self._after_rows(job)
        begun = self.resumed.get(job.index, frozenset())
        return [
            (
                LoadGroup(job, chunk, group, found=(chunk.index, group) in begun),
                self._turn(_ROWS, job),
            )
            for chunk, group in job.parts
        ]

    def _after_rows(self, job: TableJob) -> list[tuple[Task, float]]:
        return self._next_index(job, None if job.lasting else ProveRows(job))

    def _next_index(
        self, job: TableJob, beside: ProveRows | None = None
    ) -> list[tuple[Task, float]]:
        """The next build, and what is proven beside it; the final proof when nothing is left."""
        state = self._states[job.index]
        tasks: list[Task] = []
        state.step = "proving"
        if state.indexes_done < len(job.indexes):
            state.step = f"indexing {state.indexes_done + 1}/{len(job.indexes)}"
            tasks.append(BuildIndex(job, state.indexes_done))
        if beside is not None:
            state.proofs_left += 1
            tasks.append(beside)
        if state.step == "proving" and not state.proofs_left:
            tasks.append(ProveTable(job))
        return [(task, self._turn(_LONG, job)) for task in tasks]

    def _turn(self, priority: float, job: TableJob) -> float:
        return priority - job.cost / self.cost_total

    def phase(self) -> str:
        """The phase to name: the earliest in which any table still is."""
        steps = {state.step.split()[0] for state in self._states if not state.done}
        for phase in ("waiting", "loading", "indexing", "proving"):
            if phase in steps:
                return "loading" if phase == "waiting" else phase
        return "proving"

    def progress(
        self, live_rows: Mapping[int, int], live_bytes: Mapping[int, int]
    ) -> list[TableProgress]:
        """How far each table is, with what the loaders have sent of unfinished row groups."""
        return [
            TableProgress(
                table=str(job.target),
                rows_done=min(job.entry.digest.rows, state.rows_done + live_rows.get(job.index, 0)),
                rows_total=job.entry.digest.rows,
                bytes_done=min(
                    job.entry.wire_bytes, state.bytes_done + live_bytes.get(job.index, 0)
                ),
                state=state.step,
            )
            for job, state in zip(self.jobs, self._states, strict=True)
        ]

    def cost_done(self, tables: list[TableProgress], index_fractions: Mapping[int, float]) -> float:
        """What is done in bytes of rows; `index_fractions` says how far running builds are."""
        total = 0.0
        for job, state, shown in zip(self.jobs, self._states, tables, strict=True):
            if state.done:
                total += job.cost
                continue
            indexes = state.indexes_done + index_fractions.get(job.index, 0.0)
            total += shown.bytes_done + job.entry.wire_bytes * INDEX_COST * indexes
        return total

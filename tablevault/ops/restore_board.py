"""The coordinator's board of a restore: what is done, what comes next, how far it is.

Each table goes create → load and prove every row group → build its indexes one by one → final
proof; the row groups that come last are proven beside the index builds.  One that comes as a
tablespace goes place → prove every row group and index → final proof, and begins anew by its rows
when that fails.  Tables do not wait for each other, so that one builds an index while another
loads, and what can be proven without the next index is proven beside its build.  Of what can be
done, the table with the most work comes first: what it leaves to the end is the shortest.  The
board holds no connection and no file: it turns outcomes into the next tasks, and is tested so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from tablevault.events import TableProgress
from tablevault.model import TableName
from tablevault.mysql.keysets import SeenKeys
from tablevault.ops.restore_tasks import (
    INDEX_COST,
    LATE_COST,
    PROVE_COST,
    WRITTEN_PART,
    BuildIndex,
    CreateStaging,
    LaneLost,
    LoadGroup,
    LookAtLive,
    MakeRoom,
    PlaceTable,
    ProveGroup,
    ProveRows,
    ProveTable,
    TableJob,
    Task,
    Written,
)

# Priorities: what others wait for, what takes long, rows, what nobody waits for but the end; less
# the table's share of all work.
_FIRST, _LONG, _ROWS, _LATE = 0.0, 2.0, 4.0, 6.0


@dataclass
class _State:
    """How far one table is."""

    groups_left: int
    rows_done: int = 0
    bytes_done: int = 0
    indexes_done: int = 0
    unproven_bytes: int = 0  # of `bytes_done`
    proofs_left: int = 0  # ProveRows and ProveGroup
    written: bool = False  # its tablespace, which the server is yet to take in
    placed: bool = False
    lost: bool = False
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
        self._keys = [SeenKeys() for _ in self.jobs]
        self.cost_total = self._cost_total()

    def _cost_total(self) -> float:
        return sum(job.cost for job in self.jobs) + self.swap_cost

    @property
    def bytes_total(self) -> int:
        """Uncompressed bytes of all rows to load."""
        return sum(job.entry.wire_bytes for job in self.jobs)

    @property
    def swap_cost(self) -> float:
        """What the swap costs after all is proven; 0 when there will be none."""
        return sum(job.swap_cost for job in self.jobs) if self.swap else 0.0

    @property
    def seen_keys(self) -> dict[TableName, SeenKeys]:
        """What was seen of the keys of live tables, and of their replacements."""
        return {job.target: keys for job, keys in zip(self.jobs, self._keys, strict=True)}

    def first_tasks(self) -> list[tuple[Task, float]]:
        """What can begin at once, with priorities; the largest tables first."""
        tasks: list[tuple[Task, float]] = []
        for job in sorted(self.jobs, key=lambda job: -job.entry.wire_bytes):
            if job.index in self.created:
                tasks += self._after_create(job)
            elif job.lane is not None:
                self._states[job.index].step = "placing"
                # of all of them first: then one checkpoint is behind all (lane_checkpoint.py)
                tasks.append((MakeRoom(job), _FIRST))
            else:
                tasks.append((CreateStaging(job), _FIRST))
        return tasks

    def after(self, task: Task) -> list[tuple[Task, float]]:
        """What can begin now that `task` is done."""
        state = self._states[task.job.index]
        match task:
            case MakeRoom(job, room):
                return [(PlaceTable(job, room), self._turn(_LONG, job))]
            case Written(job) if state.written:  # once more, after a try that failed
                return []
            case Written(job):
                state.written = True
                # one thread of the server takes it in: the look is for the core beside it
                return self._look(job)
            case LookAtLive(job, live):
                self._keys[job.index] = dataclasses.replace(self._keys[job.index], live=live)
                return []
            case CreateStaging(job) | PlaceTable(job):
                return self._after_create(job)
            case LoadGroup(job):
                self._count(task)
                return self._after_load(task)
            case ProveGroup(job) if job.lane is not None:
                self._count(task)
                return self._after_proof(job)
            case ProveGroup(job):
                state.unproven_bytes -= task.row_group.wire_bytes
                return self._after_late_proof(job)
            case LaneLost(job):
                state.lost = True
                return self._after_proof(job)
            case BuildIndex(job, number):
                state.indexes_done += 1
                return self._next_index(job, self._count_by(job, number))
            case ProveRows(job):
                if task.keys is not None:
                    seen = self._keys[job.index]
                    self._keys[job.index] = dataclasses.replace(seen, restored=task.keys)
                return self._after_proof(job) if job.lane else self._after_late_proof(job)
            case ProveTable(job):
                state.done = True
                state.step = "proven"
                return []

    def _count(self, task: LoadGroup | ProveGroup) -> None:
        state = self._states[task.job.index]
        state.rows_done += task.row_group.digest.rows
        state.bytes_done += task.row_group.wire_bytes

    def _after_create(self, job: TableJob) -> list[tuple[Task, float]]:
        if job.lane is not None:
            return self._after_place(job)
        state = self._states[job.index]
        state.step = "loading"
        if state.groups_left == 0:
            return self._after_rows(job)
        begun = self.resumed.get(job.index, frozenset())
        parts = job.parts
        return [
            (
                LoadGroup(
                    job,
                    chunk,
                    group,
                    found=(chunk.index, group) in begun,
                    late=number >= len(parts) - job.late,
                ),
                self._turn(_ROWS, job),
            )
            for number, (chunk, group) in enumerate(parts)
        ]

    def _after_place(self, job: TableJob) -> list[tuple[Task, float]]:
        """All that a table by its rows is proven by on its way, at once."""
        state = self._states[job.index]
        state.placed, state.step = True, "proving"
        tasks: list[Task] = [self._count_by(job, number) for number in range(len(job.index_names))]
        if job.lasting:
            tasks += [ProveGroup(job, chunk, group) for chunk, group in job.parts]
        else:
            tasks.append(ProveRows(job))
        state.proofs_left = len(tasks) + 1
        return [(task, self._turn(_ROWS, job)) for task in tasks] + self._after_proof(job)

    def _after_proof(self, job: TableJob) -> list[tuple[Task, float]]:
        """Of a tablespace: the final proof after all others; its rows, once no other is at work."""
        state = self._states[job.index]
        state.proofs_left = max(0, state.proofs_left - 1)
        if state.proofs_left:
            return []
        if not state.lost:
            return [(ProveTable(job), self._turn(_LONG, job))]
        assert job.lane is not None
        by_rows = dataclasses.replace(job.lane.otherwise, replace_staging=True, strewn=job.strewn)
        self.jobs = tuple(by_rows if job.index == one.index else one for one in self.jobs)
        self._states[job.index] = _State(len(by_rows.parts))
        self._keys[job.index] = SeenKeys()
        self.cost_total = self._cost_total()
        return [(CreateStaging(by_rows), _FIRST)]

    def _after_load(self, task: LoadGroup) -> list[tuple[Task, float]]:
        """Its own proof if that is still to come; what follows the rows once all are there."""
        job, state = task.job, self._states[task.job.index]
        tasks: list[tuple[Task, float]] = []
        if task.late:
            state.unproven_bytes += task.row_group.wire_bytes
            state.proofs_left += 1
            tasks.append((ProveGroup(job, task.chunk, task.group), self._turn(_LATE, job)))
        state.groups_left -= 1
        return tasks if state.groups_left else tasks + self._after_rows(job)

    def _after_late_proof(self, job: TableJob) -> list[tuple[Task, float]]:
        """Nothing waits for it but the final proof."""
        state = self._states[job.index]
        state.proofs_left -= 1
        return self._next_index(job) if state.step == "proving" else []

    def _after_rows(self, job: TableJob) -> list[tuple[Task, float]]:
        tasks = self._next_index(job, None if job.lasting else ProveRows(job))
        # one index after the other is built, each by one thread of the server
        return tasks + self._look(job) if job.indexes else tasks

    def _look(self, job: TableJob) -> list[tuple[Task, float]]:
        """At the live table, before a swap; nothing waits for it but the swap."""
        return [(LookAtLive(job), self._turn(_LATE, job))] if job.looked_at else []

    def _count_by(self, job: TableJob, number: int) -> ProveRows:
        """The first index tells the keys on the way."""
        return ProveRows(job, number, digests_keys=number == 0 and job.looked_at)

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
        for phase in ("waiting", "placing", "loading", "indexing", "proving"):
            if phase in steps:
                return "loading" if phase == "waiting" else phase
        return "proving"

    def progress(
        self,
        live_rows: Mapping[int, int],
        live_bytes: Mapping[int, int],
        fractions: Mapping[int, float],
    ) -> list[TableProgress]:
        """How far each table is, with what the loaders have sent of unfinished row groups.

        `fractions` says how far a running index build is, or the writing of a tablespace.
        """
        return [
            TableProgress(
                table=str(job.target),
                rows_done=min(job.entry.digest.rows, state.rows_done + live_rows.get(job.index, 0)),
                rows_total=job.entry.digest.rows,
                bytes_done=min(
                    job.entry.wire_bytes, state.bytes_done + live_bytes.get(job.index, 0)
                ),
                state=_step_shown(state, fractions.get(job.index, 0.0)),
            )
            for job, state in zip(self.jobs, self._states, strict=True)
        ]

    def cost_done(self, tables: list[TableProgress], fractions: Mapping[int, float]) -> float:
        """What is done in bytes of rows; `fractions` as above."""
        total = 0.0
        for job, state, shown in zip(self.jobs, self._states, tables, strict=True):
            if state.done:
                total += job.cost
                continue
            fraction = fractions.get(job.index, 0.0)
            if job.lane is not None:
                written = WRITTEN_PART * (1.0 if state.written else fraction)
                total += job.placing_cost * (1.0 if state.placed else written)
                total += shown.bytes_done * PROVE_COST
                continue
            indexes = state.indexes_done + fraction
            total += shown.bytes_done + job.entry.wire_bytes * INDEX_COST * indexes
            total -= state.unproven_bytes * LATE_COST
        return total


def _step_shown(state: _State, fraction: float) -> str:
    if state.step != "placing":
        return state.step
    return "taking in" if state.written else f"placing {fraction:.0%}"

"""What a resumed restore takes over from the run that died: its options, its tables, its board."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tablevault.model import TableName
from tablevault.ops.lane_choice import LOGICAL, TABLESPACE, Tried
from tablevault.ops.options import RestoreOptions
from tablevault.ops.restore_board import Board
from tablevault.ops.restore_tasks import TableJob
from tablevault.ops.runs import RunState


def resumed_options(state: RunState, now: RestoreOptions) -> RestoreOptions:
    """What the run makes is as it began; how it waits, and whether it swaps, is said anew."""
    return dataclasses.replace(
        _remembered(state.options),
        swap=now.swap,
        lock_wait_s=now.lock_wait_s,
        keep_new=now.keep_new,
        kill_blockers=now.kill_blockers,
        allow_orphans=now.allow_orphans,
        emergency=now.emergency,
        replicas=now.replicas,
        max_lag_s=now.max_lag_s,
        pressure_wait_s=now.pressure_wait_s,
        stall_action=now.stall_action,
        stalled_after_s=now.stalled_after_s,
    )


def resumed_jobs(jobs: tuple[TableJob, ...], state: RunState) -> tuple[TableJob, ...]:
    """Staging tables that cannot be gone on with are replaced: half created, nothing lasting."""
    return tuple(
        dataclasses.replace(
            job,
            replace_staging=job.index in state.creating
            and (job.index not in state.created or not (job.lasting or taken_in(state, job.index))),
        )
        for job in jobs
    )


def taken_in(state: RunState, index: int) -> bool:
    """Whether the server holds a table's tablespace, so that only its proof is left."""
    begun_so = state.tables[index].lane == TABLESPACE and index not in state.lost
    return begun_so and index in state.created


def tried_lanes(state: RunState) -> dict[int, Tried]:
    """What became of the tables that were to come as tablespaces, by job."""
    return {
        index: Tried(
            LOGICAL if index in state.lost else table.lane,
            tuple(state.strewn.get(index, ())),
            state.placings.get(index, 0),
            taken_in(state, index),
        )
        for index, table in enumerate(state.tables)
    }


def resumed_board(jobs: tuple[TableJob, ...], state: RunState, *, swap: bool = False) -> Board:
    """The board with what was created, and the row groups whose commit is uncertain."""
    created = frozenset(
        job.index for job in jobs if job.index in state.created and not job.replace_staging
    )
    begun = {n: groups for n, groups in state.begun_groups().items() if n in created}
    return Board(jobs, begun, created, swap)


def staged(state: RunState) -> frozenset[TableName]:
    """The staging tables that the run may have made: they are its own."""
    return frozenset(state.tables[number].staging for number in state.creating)


def recorded(options: RestoreOptions) -> dict[str, object]:
    """The options as the journal's header keeps them."""
    record = dataclasses.asdict(options)
    if options.as_table:
        record["as_table"] = [options.as_table.schema, options.as_table.name]
    return record


def _remembered(record: Mapping[str, object]) -> RestoreOptions:
    values = dict(record)
    for name in ("patterns", "reached_by"):
        values[name] = tuple(values.get(name, ()))  # type: ignore[arg-type]
    if values["as_table"]:
        values["as_table"] = TableName(*values["as_table"])  # type: ignore[misc]
    return RestoreOptions(**values)  # type: ignore[arg-type]

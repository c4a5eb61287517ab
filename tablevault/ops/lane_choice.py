"""Which tables of a restore come by their tablespaces, and why the others do not.

`auto` takes the lane wherever the snapshot keeps a copy and all fits, and says of the rest why it
goes by rows; `tablespace` refuses instead, before anything is made.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tablevault.errors import SnapshotUnusable, Unsupported
from tablevault.model import Snapshot, TableEntry, TableName
from tablevault.mysql import ddl
from tablevault.mysql.connect import ConnectOptions, connect
from tablevault.ops import lane_fit
from tablevault.ops.lane_fit import Ground
from tablevault.ops.lane_place import MOST_TRIES
from tablevault.ops.options import RestoreOptions
from tablevault.ops.restore_tasks import Lane, TableJob
from tablevault.vault.placing import Placement
from tablevault.vault.store import Store
from tablevault.vault.tablespace import open_tablespace

AUTO, LOGICAL, TABLESPACE = "auto", "logical", "tablespace"
_NO_COPY = "the snapshot keeps no tablespace of it"


@dataclass(frozen=True)
class Tried:
    """What earlier processes of the run did with one table."""

    lane: str  # as the run began
    placements: tuple[Placement, ...] = ()
    tries: int = 0
    taken_in: bool = False  # the server holds its rows: only the proof is left


@dataclass(frozen=True)
class Lanes:
    """The jobs as they were settled, and what to say about them."""

    jobs: tuple[TableJob, ...]
    hints: tuple[str, ...] = ()
    lost: Mapping[int, str] = field(default_factory=dict)  # why, of those that were to, by job


@dataclass
class _Choice:
    """What was found of each job: it goes that way, or why not."""

    taken: dict[int, Lane] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)


def settle(
    target: ConnectOptions,
    store: Store,
    snapshot: Snapshot,
    jobs: Sequence[TableJob],
    options: RestoreOptions,
    tried: Mapping[int, Tried] | None = None,
) -> Lanes:
    """The jobs with their lanes; `tried` is of a run that is resumed, by job.

    Raises Unsupported when `options.lane` is "tablespace" and a table cannot come that way.
    """
    before = tried or {}
    jobs = tuple(_swept(job, before.get(job.index)) for job in jobs)
    asked = [job for job in jobs if _is_asked(job, options, before.get(job.index))]
    choice = _Choice()
    if asked:
        _choose(target, store, snapshot, asked, options, before, choice)
    strict = options.lane == TABLESPACE
    if strict and choice.reasons:
        raise Unsupported(
            "; ".join(f"no tablespace lane: {line}" for line in _lines(jobs, choice.reasons)),
            hint="restore with --lane auto, which takes the rows from the chunks where need be",
        )
    settled = tuple(
        _with_lane(job, snapshot.server.family, choice.taken[job.index])
        if job.index in choice.taken
        else job
        for job in jobs
    )
    return Lanes(
        settled,
        tuple(f"by rows, not by tablespace: {line}" for line in _lines(jobs, choice.reasons)),
        {index: why for index, why in choice.reasons.items() if index in before},
    )


def _swept(job: TableJob, tried: Tried | None) -> TableJob:
    return job if tried is None else dataclasses.replace(job, strewn=tried.placements)


def _is_asked(job: TableJob, options: RestoreOptions, tried: Tried | None) -> bool:
    """Whether it is a question at all: a run that is resumed changes no table's lane for it."""
    if options.lane == LOGICAL or (tried is not None and tried.lane != TABLESPACE):
        return False
    return options.lane == TABLESPACE or job.entry.tablespace is not None


def _choose(
    target: ConnectOptions,
    store: Store,
    snapshot: Snapshot,
    jobs: Sequence[TableJob],
    options: RestoreOptions,
    before: Mapping[int, Tried],
    choice: _Choice,
) -> None:
    with connect(target) as connection:
        ground = lane_fit.survey(connection, log_bin=options.log_bin)
    for job in jobs:
        tried = before.get(job.index)
        if tried is not None and tried.taken_in:
            why = ""
        else:
            why = _against(ground, store, snapshot, job, options, tried)
        at = lane_fit.placement(ground, job.staging)
        if tried is not None and tried.placements:
            at = tried.placements[-1]
        if why or at is None or job.entry.tablespace is None:
            choice.reasons[job.index] = why or _NO_COPY
            continue
        choice.taken[job.index] = Lane(
            at,
            job.entry.tablespace.tablespace_bytes,
            job,
            strict=options.lane == TABLESPACE,
            tries=tried.tries if tried else 0,
            threads=max(1, options.threads // len(jobs)),
        )
    size_bytes = sum(lane.size_bytes for lane in choice.taken.values())
    if choice.taken and (why := lane_fit.against_room(ground, size_bytes)):
        for index in [one for one in choice.taken if not _taken_in(before.get(one))]:
            choice.reasons[index] = why
            del choice.taken[index]


def _taken_in(tried: Tried | None) -> bool:
    return tried is not None and tried.taken_in


def _against(
    ground: Ground,
    store: Store,
    snapshot: Snapshot,
    job: TableJob,
    options: RestoreOptions,
    tried: Tried | None,
) -> str:
    """What speaks against it in this run; empty: nothing."""
    if options.partition is not None:
        return "one partition alone is restored"
    if tried is not None and tried.tries >= MOST_TRIES:
        return f"it was tried {tried.tries} times in this run, and did not come to its end"
    return against(ground, store, snapshot.id, job.entry, job.staging)


def against(
    ground: Ground, store: Store, snapshot: str, entry: TableEntry, staging: TableName
) -> str:
    """What speaks against the tablespace of an entry, as `staging` on that ground; else empty."""
    if entry.tablespace is None:
        return _NO_COPY
    why = ground.why_not or lane_fit.against_table(ground, entry, staging)
    if why:
        return why
    try:
        return lane_fit.against_copy(ground, open_tablespace(store, snapshot, entry).facts)
    except SnapshotUnusable as error:
        return error.message


def _with_lane(job: TableJob, family: str, lane: Lane) -> TableJob:
    """The job with all of its indexes from the start: they come with the tablespace."""
    create_sql, key = job.entry.definition.create_sql, job.entry.definition.key
    names = {index.name for index in ddl.deferred_indexes(create_sql, ())}
    return dataclasses.replace(
        job,
        staging_sql=ddl.staging_sql(create_sql, job.staging, names, family=family),
        indexes=(),
        index_names=tuple(sorted(names - {key.name} if key else names)),
        lane=lane,
        strewn=tuple(dict.fromkeys((*job.strewn, lane.placement))),
        indexes_why="by IMPORT TABLESPACE",
    )


def _lines(jobs: Sequence[TableJob], reasons: Mapping[int, str]) -> list[str]:
    """One line a reason, with the tables that it is of."""
    tables: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        if job.index in reasons:
            tables[reasons[job.index]].append(str(job.target))
    return [f"{', '.join(names)}: {why}" for why, names in tables.items()]

"""Planning a drill: the jobs of a restore, each into a scratch schema of its own making.

Every schema of the snapshot gets one, so that tables of one name do not meet.  A sample keeps the
tables and takes some row groups of each; all else is as in a restore, so that nothing is measured
or proven that a restore would do otherwise.
"""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass

from tablevault.errors import UsageError
from tablevault.model import Digest, Snapshot, TableEntry
from tablevault.names import scratch_schema
from tablevault.ops.options import DEFAULT_THREADS, RestoreOptions
from tablevault.ops.restore_plan import plan_jobs
from tablevault.ops.restore_tasks import TableJob
from tablevault.ops.selection import select_entries
from tablevault.vault.store import Store


@dataclass(frozen=True)
class DrillOptions:
    """How to rehearse a restore; what is not here is as in a restore."""

    patterns: tuple[str, ...] = ()  # tables of the snapshot; none: all of them
    sample: float | None = None  # of the bytes of each table, above 0 and below 1; None: all
    threads: int = DEFAULT_THREADS
    indexes: str = "auto"  # auto | after | inline
    log_bin: bool = True  # False: --no-binlog
    lock_wait_s: float = 60.0  # for the removal, a second at a time
    emergency: bool = False
    replicas: tuple[str, ...] = ()
    max_lag_s: float = 30.0
    pressure_wait_s: float = 600.0
    stall_action: str = "warn"
    stalled_after_s: float = 20.0
    reached_by: tuple[str, ...] = ()

    def as_restore(self) -> RestoreOptions:
        """The same of a restore that never swaps."""
        same = {field.name for field in dataclasses.fields(self)} - {"sample"}
        return RestoreOptions(**{name: getattr(self, name) for name in same})


@dataclass(frozen=True)
class DrillPlan:
    """All jobs of the tables, and the row groups of a sample: one set a job, None for all."""

    whole: tuple[TableJob, ...]
    samples: tuple[frozenset[tuple[int, int]] | None, ...]
    schemas: tuple[str, ...]  # to be made
    all_tables: bool  # of the snapshot

    @property
    def jobs(self) -> tuple[TableJob, ...]:
        """What is carried out."""
        return tuple(
            job if sample is None else _sampled(job, sample)
            for job, sample in zip(self.whole, self.samples, strict=True)
        )

    @property
    def share(self) -> float:
        """Of the bytes of the tables, those that are loaded."""
        loaded = sum(job.entry.wire_bytes for job in self.jobs)
        whole = sum(job.entry.wire_bytes for job in self.whole)
        return loaded / whole if loaded < whole else 1.0


def plan_drill(store: Store, snapshot: Snapshot, options: DrillOptions, run: str) -> DrillPlan:
    """The jobs of a drill.  Raises as `plan_jobs`, and UsageError for an impossible share."""
    if options.sample is not None and not 0.0 < options.sample < 1.0:
        raise UsageError(
            f"a sample of {options.sample:.0%} is none", hint="give a share such as 5%, or none"
        )
    entries = select_entries(snapshot, options.patterns)
    groups: dict[str, list[TableEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.definition.table.schema, []).append(entry)
    jobs: list[TableJob] = []
    schemas: list[str] = []
    for schema, tables in groups.items():
        part = dataclasses.replace(snapshot, tables=tuple(tables))
        schemas.append(scratch_schema(schema, run))
        into = dataclasses.replace(options.as_restore(), patterns=(), into=schemas[-1])
        first = len(jobs)
        jobs += [
            dataclasses.replace(job, index=first + job.index)
            for job in plan_jobs(store, part, into, run)
        ]
    rng, share = random.Random(run), options.sample  # another drill takes others
    return DrillPlan(
        tuple(jobs),
        tuple(None if share is None else _chosen(job, share, rng) for job in jobs),
        tuple(schemas),
        len(entries) == len(snapshot.tables),
    )


def _chosen(job: TableJob, share: float, rng: random.Random) -> frozenset[tuple[int, int]]:
    """Some of a table's row groups, by chunk and number: at random, at least one."""
    parts = list(job.parts)
    rng.shuffle(parts)
    wanted, taken = share * job.entry.wire_bytes, 0
    chosen: set[tuple[int, int]] = set()
    for chunk, group in parts:
        if chosen and taken >= wanted:
            break
        chosen.add((chunk.index, group))
        taken += chunk.row_groups[group].wire_bytes
    return frozenset(chosen)


def _sampled(job: TableJob, sample: frozenset[tuple[int, int]]) -> TableJob:
    """The job of these row groups alone.

    Rows and digest of the entry become those of the row groups, so that every proof holds.
    """
    taken = [
        chunk.row_groups[group] for chunk, group in job.parts if (chunk.index, group) in sample
    ]
    size_bytes = sum(group.wire_bytes for group in taken)
    definition, whole_bytes = job.entry.definition, job.entry.wire_bytes
    estimated = definition.estimated_bytes * size_bytes // whole_bytes if whole_bytes else 0
    entry = dataclasses.replace(
        job.entry,
        definition=dataclasses.replace(definition, estimated_bytes=estimated),
        digest=sum((group.digest for group in taken), Digest()),
        wire_bytes=size_bytes,
    )
    files = {chunk for chunk, _ in sample}
    chunks = tuple(chunk for chunk in job.chunks if chunk.index in files)
    return dataclasses.replace(job, entry=entry, chunks=chunks, sample=sample)

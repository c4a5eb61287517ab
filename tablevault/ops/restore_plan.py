"""Planning a restore: from a manifest and options to one job a table, and what must hold first."""

from __future__ import annotations

import dataclasses
import difflib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tablevault.engine.plan import assert_tiles
from tablevault.errors import CannotComplete, Unsupported, UsageError
from tablevault.model import SOME_ROWS, Snapshot, TableEntry, TableName
from tablevault.mysql import ddl, partitions, scratch, sink, sql_tables
from tablevault.mysql.connect import Connection, ConnectOptions, connect
from tablevault.names import MAX_IDENTIFIER_CHARS, kept_table, set_aside_table, staging_table
from tablevault.ops import doctor, unfinished
from tablevault.ops.index_choice import Builders, IndexChoice, choose, late_bytes
from tablevault.ops.options import RestoreOptions
from tablevault.ops.restore_tasks import TableJob
from tablevault.ops.runs import RunTable
from tablevault.ops.selection import select_entries
from tablevault.ops.surroundings import require_replicas
from tablevault.ops.terms import Terms, read_terms
from tablevault.rows.kinds import specs_of
from tablevault.vault.chunklist import read_chunks
from tablevault.vault.store import Store

_SILENT_S = 600  # of a server that is asked before it begins; then it is given up


def plan_jobs(
    store: Store, snapshot: Snapshot, options: RestoreOptions, run: str
) -> tuple[TableJob, ...]:
    """One job for each table that `options` name, with all secondary indexes after the rows.

    Raises UsageError for names that do not fit, Unsupported for what cannot be restored exactly,
    SnapshotUnusable for a chunk list that is damaged or does not tile its table.
    """
    entries = select_entries(snapshot, options.patterns)
    if options.as_table and len(entries) != 1:
        raise UsageError(f"--as names one table, but {len(entries)} are to be restored")
    if options.partition is not None:
        _require_one_partition(entries, options)
    if snapshot.partial and not (options.as_table or options.into):
        repaired = SOME_ROWS in snapshot.features
        why = "it holds what a repair replaced" if repaired else "it was taken with --where"
        raise UsageError(
            f"snapshot {snapshot.id} is partial: {why}",
            hint="restore it beside the live table with --as SCHEMA.TABLE or --into SCHEMA",
        )
    return tuple(
        _plan_job(store, snapshot, entry, index, options, run)
        for index, entry in enumerate(entries)
    )


def _require_one_partition(entries: Sequence[TableEntry], options: RestoreOptions) -> None:
    if len(entries) != 1:
        raise UsageError(f"--partition is of one table, but {len(entries)} are to be restored")
    if options.as_table or options.into or options.keep_new:
        raise UsageError(
            "--partition goes into the live table: without --as, --into and --keep-new"
        )
    definition = entries[0].definition
    if any(column.system_time for column in definition.columns):
        raise Unsupported(
            f"table {definition.table} is system-versioned: its partitions are not exchanged",
            hint="restore the whole table",
        )


def run_table(job: TableJob, run: str) -> RunTable:
    """All names of a job's table, for the journal."""
    return RunTable(
        source=job.entry.definition.table,
        target=job.target,
        staging=job.staging,
        kept=kept_table(job.target, run),
        undone=set_aside_table(job.target, run),
        inline=job.inline,
        lane=job.lane_name,
        rows=job.entry.digest.rows,
        size_bytes=job.entry.wire_bytes,
        create_sql=job.entry.definition.create_sql,
        triggers=job.entry.definition.triggers,
        trigger_settings=job.entry.definition.trigger_settings,
    )


def _plan_job(
    store: Store,
    snapshot: Snapshot,
    entry: TableEntry,
    index: int,
    options: RestoreOptions,
    run: str,
) -> TableJob:
    definition = entry.definition
    target = options.as_table or TableName(
        options.into or definition.table.schema, definition.table.name
    )
    for name in (target.schema, target.name):
        if not name or len(name) > MAX_IDENTIFIER_CHARS:
            raise UsageError(
                f"{name!r} cannot be a name on the server",
                hint=f"names have 1 to {MAX_IDENTIFIER_CHARS} characters",
            )
    staging = staging_table(target, run)
    keep = {definition.key.name} if definition.key else set()
    deferred = ddl.deferred_indexes(definition.create_sql, keep)
    chunks = tuple(read_chunks(store, snapshot.id, entry))
    if definition.key:
        what = f"table {definition.table}"
        assert_tiles([chunk.range for chunk in chunks], what)
        for chunk in chunks:
            # of a partial snapshot a chunk may have no rows, and then has no row groups
            groups = [group.range for group in chunk.row_groups]
            assert_tiles(groups, f"{what}, chunk {chunk.index}", chunk.range, "row group")
    return TableJob(
        index=index,
        entry=entry,
        target=target,
        staging=staging,
        specs=specs_of(definition.table, definition.columns, snapshot.server.family),
        chunks=chunks,
        staging_sql=ddl.staging_sql(
            definition.create_sql, staging, keep, family=snapshot.server.family
        ),
        indexes=tuple(f"ADD {index.text}" for index in deferred),
        index_names=tuple(index.name for index in deferred),
        server_version=snapshot.server.version,
        looks=options.swap and options.partition is None and options.threads > 1,
    )


def settle_indexes(
    jobs: Sequence[TableJob],
    family: str,
    wish: str,
    builders: Builders,
    begun: Mapping[int, bool | None] | None = None,
) -> tuple[TableJob, ...]:
    """The jobs with what was decided about their secondary indexes, and why.

    `wish`: auto, after or inline; `begun`: what a run that is resumed had decided, by job.
    """
    settled = []
    for job in jobs:
        chosen = choose(wish, job.entry, len(job.indexes), builders)
        before = (begun or {}).get(job.index)
        if before is not None and before != chosen.inline:
            chosen = IndexChoice(before, "as the run began")
        job = dataclasses.replace(job, inline=chosen.inline, indexes_why=chosen.why)
        settled.append(_with_the_rows(job, family) if chosen.inline else job)
    return _late(settled, late_bytes(builders))


def _late(jobs: Sequence[TableJob], room_bytes: int) -> tuple[TableJob, ...]:
    """The jobs with how many row groups of each are proven late, the largest table first.

    Never those of the first chunk: what is wrong with all rows of a table is to show at once.
    """
    late = dict.fromkeys((job.index for job in jobs), 0)
    for job in sorted(jobs, key=lambda job: -job.entry.wire_bytes):
        if not (job.indexes and job.lasting):
            continue
        for chunk, group in reversed(job.parts):
            size_bytes = chunk.row_groups[group].wire_bytes
            if chunk is job.chunks[0] or size_bytes > room_bytes:
                break
            room_bytes -= size_bytes
            late[job.index] += 1
    return tuple(dataclasses.replace(job, late=late[job.index]) for job in jobs)


def _with_the_rows(job: TableJob, family: str) -> TableJob:
    definition = job.entry.definition
    keep = {definition.key.name} if definition.key else set()
    sql = ddl.staging_sql(
        definition.create_sql, job.staging, keep | set(job.index_names), family=family
    )
    return dataclasses.replace(job, staging_sql=sql, indexes=(), index_names=())


def index_policy(jobs: Sequence[TableJob]) -> str:
    """What was decided about secondary indexes, in a few words."""
    indexes: Counter[str] = Counter()
    tables: Counter[str] = Counter()
    for job in jobs:
        indexes[job.indexes_why] += len(job.indexes)
        tables[job.indexes_why] += 1
    return "; ".join(
        f"{_count(indexes[why], 'secondary index', 'es')} of {_count(tables[why])} {why}"
        if indexes[why]
        else f"{_count(tables[why])} {why}"
        for why in sorted(tables, key=lambda why: -indexes[why])
    )


def _count(number: int, noun: str = "table", plural: str = "s") -> str:
    return f"{number} {noun}{'' if number == 1 else plural}"


def preflight(
    target: ConnectOptions,
    snapshot: Snapshot,
    jobs: Sequence[TableJob],
    options: RestoreOptions,
    *,
    ours: Collection[TableName] = (),
    state_dir: Path | None = None,
    resumed: str | None = None,
) -> Terms:
    """On which terms the server takes the rows, when nothing stands in the way.

    Raises before anything is created: another server family, a schema that is missing, a view
    in the place of a table, a staging name that is taken (unless it is `ours`, of a run that is
    resumed), an unfinished run on the same tables (by `state_dir`), and whatever else `doctor`
    would call fatal.
    """
    with connect(target) as connection:
        connection.limit_silence(_SILENT_S)
        if connection.server.family != snapshot.server.family:
            raise Unsupported(
                f"snapshot {snapshot.id} is of a {snapshot.server.family} server and cannot be "
                f"proven on {connection.server.family}",
                hint="both render values differently; restore it to a server of its own family",
            )
        for job in jobs:
            _check_names(connection, job, ours)
            if options.partition is not None:
                _check_partition(connection, job, options.partition)
        doctor.require_restorable(
            connection, snapshot, jobs, options, state_dir=state_dir, resumed=resumed
        )
        require_replicas(target, options.replicas)
        terms = read_terms(connection, log_bin=options.log_bin, watched=bool(options.replicas))
        if state_dir is not None:
            targets = [job.target for job in jobs]
            hints = unfinished.never_swapped(state_dir, connection, targets)
            terms = dataclasses.replace(terms, found=hints)
        if not terms.local_infile:
            largest = max((job.entry.largest_row for job in jobs), default=0)
            sink.require_insertable(connection, largest)
        return terms


def _check_names(connection: Connection, job: TableJob, ours: Collection[TableName]) -> None:
    if connection.one(sql_tables.schema_exists(job.target.schema)) is None:
        near = difflib.get_close_matches(
            job.target.schema, scratch.named_alike(connection, ""), n=1
        )
        hint = "create it first, or restore into another one with --into"
        raise UsageError(
            f"schema {job.target.schema} does not exist on the server",
            hint=f"did you mean {near[0]}? else {hint}" if near else hint,
        )
    live = connection.one(sql_tables.table_type(job.target))
    sequence = job.entry.definition.sequence
    fitting = (b"SEQUENCE",) if sequence else (b"BASE TABLE", b"SYSTEM VERSIONED")
    if live is not None and live[0] not in fitting:
        kind, wanted = (live[0] or b"").decode().lower(), "sequence" if sequence else "table"
        raise UsageError(f"{job.target} is a {kind}, not a {wanted}", hint="use --as or --into")
    taken = connection.one(sql_tables.table_type(job.staging)) is not None
    if taken and job.staging not in ours:
        raise CannotComplete(
            f"the staging name {job.staging} is taken by a table that is not of this run",
            hint="look whose it is; nothing was touched",
        )


def _check_partition(connection: Connection, job: TableJob, partition: str) -> None:
    definition = job.entry.definition
    partitions.require_alike(connection, job.target, definition.create_sql)
    partitions.require(connection, job.target, partition)
    partitions.mark(connection, job.target)

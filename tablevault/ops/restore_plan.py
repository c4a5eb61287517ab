"""Planning a restore: from a manifest and options to one job a table, and what must hold first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from tablevault.engine.plan import assert_tiles
from tablevault.errors import CannotComplete, Unsupported, UsageError
from tablevault.model import Snapshot, TableEntry, TableName
from tablevault.mysql import ddl, sink, sql_tables
from tablevault.mysql.connect import Connection, ConnectOptions, connect
from tablevault.names import MAX_IDENTIFIER_CHARS, kept_table, set_aside_table, staging_table
from tablevault.ops import doctor
from tablevault.ops.options import RestoreOptions
from tablevault.ops.restore_board import TableJob
from tablevault.ops.runs import RunTable
from tablevault.ops.selection import select_entries
from tablevault.ops.terms import Terms, read_terms
from tablevault.rows.kinds import specs_of
from tablevault.vault.chunklist import read_chunks
from tablevault.vault.store import Store

# Below this, building indexes beside the rows costs less than one more pass for each.
INLINE_MAX_BYTES = 2 << 20


def plan_jobs(
    store: Store, snapshot: Snapshot, options: RestoreOptions, run: str
) -> tuple[TableJob, ...]:
    """One job for each table that `options` name.

    Raises UsageError for names that do not fit, Unsupported for what cannot be restored exactly,
    SnapshotUnusable for a chunk list that is damaged or does not tile its table.
    """
    entries = select_entries(snapshot, options.patterns)
    if options.as_table and len(entries) != 1:
        raise UsageError(f"--as names one table, but {len(entries)} are to be restored")
    if snapshot.partial and not (options.as_table or options.into):
        raise UsageError(
            f"snapshot {snapshot.id} is partial: it was taken with --where",
            hint="restore it beside the live table with --as SCHEMA.TABLE or --into SCHEMA",
        )
    return tuple(
        _plan_job(store, snapshot, entry, index, options, run)
        for index, entry in enumerate(entries)
    )


def run_table(job: TableJob, run: str) -> RunTable:
    """All names of a job's table, for the journal."""
    return RunTable(
        source=job.entry.definition.table,
        target=job.target,
        staging=job.staging,
        kept=kept_table(job.target, run),
        undone=set_aside_table(job.target, run),
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
    if _inline(options.indexes, entry):
        keep |= {index.name for index in deferred}
        deferred = ()
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
    )


def _inline(indexes: str, entry: TableEntry) -> bool:
    return indexes == "inline" or (indexes == "auto" and entry.wire_bytes < INLINE_MAX_BYTES)


def index_policy(jobs: Sequence[TableJob]) -> str:
    """What was decided about secondary indexes, in a few words."""
    after = sum(len(job.indexes) for job in jobs)
    if not after:
        return "all indexes with the rows"
    tables = sum(1 for job in jobs if job.indexes)
    small = len(jobs) - tables
    text = f"{after} secondary indexes of {tables} tables after the rows, one ALTER each"
    if small:
        text += f"; {small} tables below {INLINE_MAX_BYTES >> 20} MiB with all of theirs"
    return text


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
        if connection.server.family != snapshot.server.family:
            raise Unsupported(
                f"snapshot {snapshot.id} is of a {snapshot.server.family} server and cannot be "
                f"proven on {connection.server.family}",
                hint="both render values differently; restore it to a server of its own family",
            )
        for job in jobs:
            _check_names(connection, job, ours)
        doctor.require_restorable(
            connection, snapshot, jobs, options, state_dir=state_dir, resumed=resumed
        )
        terms = read_terms(connection, log_bin=options.log_bin)
        if not terms.local_infile:
            largest = max((job.entry.largest_row for job in jobs), default=0)
            sink.require_insertable(connection, largest)
        return terms


def _check_names(connection: Connection, job: TableJob, ours: Collection[TableName]) -> None:
    if connection.one(sql_tables.schema_exists(job.target.schema)) is None:
        raise UsageError(
            f"schema {job.target.schema} does not exist on the server",
            hint="create it first, or restore into another one with --into",
        )
    live = connection.one(sql_tables.table_type(job.target))
    if live is not None and live[0] != b"BASE TABLE":
        kind = (live[0] or b"").decode().lower()
        raise UsageError(f"{job.target} is a {kind}, not a table", hint="use --as or --into")
    taken = connection.one(sql_tables.table_type(job.staging)) is not None
    if taken and job.staging not in ours:
        raise CannotComplete(
            f"the staging name {job.staging} is taken by a table that is not of this run",
            hint="look whose it is; nothing was touched",
        )

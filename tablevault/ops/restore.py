"""Restore: build the replacement beside the live table, prove it, and only then swap.

Nothing live is touched before every row group has been proven by the server and every index has
been counted.  Whatever happens on the way (an error, an interruption, a kill) leaves the live
table whole and the run resumable from its journal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tablevault.errors import CannotComplete, Interrupted, TablevaultError
from tablevault.events import Observer, Reporter, silent
from tablevault.model import Snapshot, TableName
from tablevault.mysql.connect import Connection, ConnectOptions, Purpose, connect
from tablevault.names import new_run_id
from tablevault.ops import remains
from tablevault.ops.options import RestoreOptions, RestoreResult, TableResult
from tablevault.ops.restore_board import Board, TableJob
from tablevault.ops.restore_crew import Crew
from tablevault.ops.restore_plan import index_policy, plan_jobs, preflight, run_table
from tablevault.ops.restore_worker import Loader
from tablevault.ops.running import aside, reported
from tablevault.ops.runs import RunState, header, replay, run_folder
from tablevault.ops.site import Wishes
from tablevault.ops.swap import swap_proven
from tablevault.ops.terms import Terms
from tablevault.ops.verify import check_files
from tablevault.vault.catalog import resolve
from tablevault.vault.journal import Journal
from tablevault.vault.store import Store


@dataclass(frozen=True)
class _Site:
    """What the steps of one restore work with."""

    target: ConnectOptions
    store: Store
    snapshot: Snapshot
    jobs: tuple[TableJob, ...]
    options: RestoreOptions
    journal: Journal
    reporter: Reporter
    terms: Terms


def restore(
    target: ConnectOptions,
    store: Store,
    snapshot_text: str,
    options: RestoreOptions,
    state_dir: Path,
    observer: Observer = silent,
) -> RestoreResult:
    """Restore tables of a snapshot into staging tables, prove them, and swap if asked to.

    Raises SnapshotUnusable before the server is touched; UsageError, Unsupported, CannotComplete
    before anything is created; later failures leave a run that `resume` completes.
    """
    run = new_run_id()
    reporter = Reporter(run, observer)
    with reported(reporter, "restore", snapshot=snapshot_text, state_dir=state_dir):
        reporter.begin_phase("checking", "manifest and files")
        snapshot, jobs = aside(
            reporter, "reading the manifest", lambda: _read_plan(store, snapshot_text, options, run)
        )
        check_files(reporter, store, snapshot, [job.entry for job in jobs], options.threads)
        reporter.begin_phase("planning", "what the server allows")
        terms = aside(
            reporter,
            "asking the server",
            lambda: preflight(target, snapshot, jobs, options, state_dir=state_dir),
        )
        # From here on the journal says, before each step, what this run makes on the server.
        with Journal.create(
            state_dir / run,
            run,
            header(snapshot.id, _recorded(options), [run_table(job, run) for job in jobs]),
        ) as journal:
            site = _Site(target, store, snapshot, jobs, options, journal, reporter, terms)
            return _carry_out(site, Board(jobs))


def resume(
    target: ConnectOptions,
    store: Store,
    run: str,
    state_dir: Path,
    observer: Observer = silent,
    *,
    now: RestoreOptions | None = None,
) -> RestoreResult:
    """Complete a restore that died: end what it left running, re-prove what it finds, go on.

    What it makes is as the run began; of `now` count only swap, waits and what is done about
    stalls.  At most one transaction a thread is done twice.  Raises UsageError for an unknown run.
    """
    reporter = Reporter(run, observer)
    with Journal.open(run_folder(state_dir, run)) as journal:
        state = replay(run, journal.entries)
        with reported(reporter, "restore", snapshot=state.snapshot, state_dir=state_dir):
            if state.status not in ("begun", "proven"):
                raise CannotComplete(f"run {run} is {state.status}: there is nothing to resume")
            reporter.begin_phase("checking", "manifest and files")
            options = _resumed_options(state, now or RestoreOptions())
            snapshot, jobs = aside(
                reporter,
                "reading the manifest",
                lambda: _read_plan(store, state.snapshot, options, run),
            )
            jobs = _resumed_jobs(jobs, state)
            check_files(reporter, store, snapshot, [job.entry for job in jobs], options.threads)
            reporter.begin_phase("planning", "what the dead run left")
            aside(reporter, "ending what still runs", lambda: remains.end(target, state))
            terms = aside(
                reporter,
                "asking the server",
                lambda: preflight(
                    target, snapshot, jobs, options, ours=_staged(state), resumed=run
                ),
            )
            site = _Site(target, store, snapshot, jobs, options, journal, reporter, terms)
            return _carry_out(site, _resumed_board(jobs, state))


def _read_plan(
    store: Store, snapshot_text: str, options: RestoreOptions, run: str
) -> tuple[Snapshot, tuple[TableJob, ...]]:
    snapshot = resolve(store, snapshot_text)
    return snapshot, plan_jobs(store, snapshot, options, run)


def _carry_out(site: _Site, board: Board) -> RestoreResult:
    """Load, index and prove every table; swap last, and only if asked to."""
    reporter = site.reporter
    reporter.begin_phase("loading", index_policy(site.jobs))
    with ExitStack() as stack:
        loaders = aside(reporter, "opening connections", lambda: _open_loaders(site, stack))
        try:
            Crew(
                board,
                loaders,
                reporter,
                site.options,
                lambda: connect(site.target),
                site.journal.path.with_name("stacks.txt"),
            ).run()
        except BaseException as error:
            reporter.begin_phase("stopping", "ending what still runs on the server")
            left = replay(reporter.run, site.journal.entries)
            aside(
                reporter,
                "ending what still runs on the server",
                lambda: remains.end_quietly(site.target, left),
            )
            if isinstance(error, TablevaultError):
                error.hint = _both_ways(error.hint, reporter.run)
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(
                    "restore interrupted", hint=_both_ways(None, reporter.run)
                ) from None
            raise
    site.journal.append("proven all")
    hints: tuple[str, ...] = ()
    if site.options.swap:
        reporter.begin_phase("swapping")
        wishes = Wishes(
            lock_wait_s=site.options.lock_wait_s,
            keep_new=site.options.keep_new,
            kill_blockers=site.options.kill_blockers,
            allow_orphans=site.options.allow_orphans,
        )
        swapped = swap_proven(site.target, site.journal, reporter, wishes)
        hints += (*swapped.hints, *(str(finding.message) for finding in swapped.findings))
        return _result(site, "swapped", {t.table: t.kept for t in swapped.tables}, hints)
    return _result(site, "proven", {}, hints)


def _both_ways(hint: str | None, run: str) -> str:
    ways = (
        f"the live tables are untouched; go on with `tablevault restore --resume {run}`, "
        f"or drop what it made with `tablevault cleanup {run}`"
    )
    return f"{hint}; {ways}" if hint else ways


def _open_loaders(site: _Site, stack: ExitStack) -> list[Loader]:
    """One worker a thread; the id of every connection is journalled before it does anything."""

    def open_connection() -> Connection:
        connection = connect(site.target, Purpose.LOAD, no_binlog=not site.options.log_bin)
        server = connection.server
        site.journal.append(
            "connections",
            ids=[connection.id],
            server_started=server.started_at,
            server_uuid=server.uuid,
        )
        return connection

    loaders = []
    for _ in range(site.options.threads):
        loader = Loader(
            open_connection,
            site.store,
            site.snapshot.id,
            site.journal,
            site.terms,
        )
        stack.callback(loader.close)
        loaders.append(loader)
    return loaders


def _resumed_options(state: RunState, now: RestoreOptions) -> RestoreOptions:
    return dataclasses.replace(
        _remembered(state.options),
        swap=now.swap,
        lock_wait_s=now.lock_wait_s,
        emergency=now.emergency,
        stall_action=now.stall_action,
        stalled_after_s=now.stalled_after_s,
    )


def _resumed_jobs(jobs: tuple[TableJob, ...], state: RunState) -> tuple[TableJob, ...]:
    """Staging tables that cannot be gone on with are replaced: half created, or without a key."""
    return tuple(
        dataclasses.replace(
            job,
            replace_staging=job.index in state.creating
            and (job.index not in state.created or not job.keyed),
        )
        for job in jobs
    )


def _resumed_board(jobs: tuple[TableJob, ...], state: RunState) -> Board:
    created = frozenset(
        job.index for job in jobs if job.index in state.created and not job.replace_staging
    )
    begun = {n: groups for n, groups in state.begun_groups().items() if n in created}
    return Board(jobs, begun, created)


def _staged(state: RunState) -> frozenset[TableName]:
    return frozenset(state.tables[number].staging for number in state.creating)


def _recorded(options: RestoreOptions) -> dict[str, object]:
    record = dataclasses.asdict(options)
    if options.as_table:
        record["as_table"] = [options.as_table.schema, options.as_table.name]
    return record


def _remembered(record: Mapping[str, object]) -> RestoreOptions:
    values = dict(record)
    values["patterns"] = tuple(values["patterns"])  # type: ignore[arg-type]
    if values["as_table"]:
        values["as_table"] = TableName(*values["as_table"])  # type: ignore[misc]
    return RestoreOptions(**values)  # type: ignore[arg-type]


def _result(
    site: _Site,
    status: str,
    kept: Mapping[TableName, TableName | None],
    hints: tuple[str, ...],
) -> RestoreResult:
    return RestoreResult(
        run=site.reporter.run,
        snapshot=site.snapshot.id,
        status=status,
        tables=tuple(
            TableResult(
                job.target,
                job.entry.digest.rows,
                job.entry.wire_bytes,
                staging=job.staging if status == "proven" else None,
                kept=kept.get(job.target),
            )
            for job in site.jobs
        ),
        seconds=site.reporter.seconds,
        hints=hints,
    )

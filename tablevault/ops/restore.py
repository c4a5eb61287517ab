"""Restore: build the replacement beside the live table, prove it, and only then swap.

Nothing live is touched before every row group has been proven by the server and every index has
been counted.  Whatever happens on the way (an error, an interruption, a kill) leaves the live
table whole and the run resumable from its journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tablevault.errors import CannotComplete, UsageError
from tablevault.events import Observer, Reporter, silent
from tablevault.model import Snapshot, TableName
from tablevault.mysql.connect import ConnectOptions
from tablevault.mysql.keysets import SeenKeys
from tablevault.names import new_run_id
from tablevault.ops import remains, ways
from tablevault.ops.building import Building, work_off
from tablevault.ops.first_estimate import Estimate, from_drills
from tablevault.ops.lane_choice import settle
from tablevault.ops.options import RestoreOptions, RestoreResult, SwapResult, TableResult
from tablevault.ops.restore_board import Board
from tablevault.ops.restore_plan import (
    index_policy,
    plan_jobs,
    preflight,
    run_table,
    settle_indexes,
)
from tablevault.ops.restore_tasks import TableJob
from tablevault.ops.resumption import (
    recorded,
    resumed_board,
    resumed_jobs,
    resumed_options,
    staged,
    tried_lanes,
)
from tablevault.ops.running import Ending, aside, reported
from tablevault.ops.runs import REPAIR, RunState, header, replay, run_folder
from tablevault.ops.site import Wishes
from tablevault.ops.swap import swap_proven
from tablevault.ops.verify import check_files
from tablevault.vault.catalog import resolve
from tablevault.vault.journal import Journal
from tablevault.vault.store import Store


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
    with reported(reporter, "restore", snapshot=snapshot_text, state_dir=state_dir) as ending:
        reporter.begin_phase("checking", "manifest and files")
        snapshot, jobs = aside(
            reporter, "reading the manifest", lambda: _read_plan(store, snapshot_text, options, run)
        )
        ending.reads(store, snapshot.id)
        _check_files(reporter, store, snapshot, jobs, options)
        reporter.begin_phase("planning", "what the server allows")
        terms = aside(
            reporter,
            "asking the server",
            lambda: preflight(target, snapshot, jobs, options, state_dir=state_dir),
        )
        jobs = settle_indexes(jobs, snapshot.server.family, options.indexes, terms.builders)
        lanes = aside(
            reporter,
            "looking at the server's files",
            lambda: settle(target, store, snapshot, jobs, options),
        )
        jobs, terms = lanes.jobs, terms.with_hints(lanes.hints)
        # From here on the journal says, before each step, what this run makes on the server.
        head = header(snapshot.id, recorded(options), [run_table(job, run) for job in jobs])
        with aside(
            reporter,
            "beginning the journal",
            lambda: Journal.create(state_dir / run, run, head),
        ) as journal:
            site = Building(target, store, snapshot, jobs, options, journal, reporter, terms)
            with ways.told(journal, run):
                return _ended(ending, _carry_out(site, Board(jobs, swap=options.swap)))


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
        if state.operation == REPAIR:
            raise UsageError(
                f"run {run} is a repair", hint=f"go on with it: tablevault repair --resume {run}"
            )
        with (
            reported(reporter, "restore", snapshot=state.snapshot, state_dir=state_dir) as ending,
            ways.told(journal, run),
        ):
            now = now or RestoreOptions()
            if state.status != "begun" and (now.swap or state.status != "proven"):
                return _ended(ending, _resume_swap(target, journal, state, reporter, now))
            reporter.begin_phase("checking", "manifest and files")
            options = resumed_options(state, now)
            snapshot, jobs = aside(
                reporter,
                "reading the manifest",
                lambda: _read_plan(store, state.snapshot, options, run),
            )
            ending.reads(store, snapshot.id)
            jobs = resumed_jobs(jobs, state)
            _check_files(reporter, store, snapshot, jobs, options)
            reporter.begin_phase("planning", "what the dead run left")
            aside(reporter, "ending what still runs", lambda: remains.end(target, state))
            terms = aside(
                reporter,
                "asking the server",
                lambda: preflight(target, snapshot, jobs, options, ours=staged(state), resumed=run),
            )
            begun = {number: table.inline for number, table in enumerate(state.tables)}
            jobs = settle_indexes(
                jobs, snapshot.server.family, options.indexes, terms.builders, begun
            )
            tried = tried_lanes(state)
            lanes = aside(
                reporter,
                "looking at the server's files",
                lambda: settle(target, store, snapshot, jobs, options, tried),
            )
            jobs, terms = lanes.jobs, terms.with_hints(lanes.hints)
            for number, why in lanes.lost.items():
                journal.append("lane lost", table=number, why=why)
            site = Building(target, store, snapshot, jobs, options, journal, reporter, terms)
            return _ended(ending, _carry_out(site, resumed_board(jobs, state, swap=options.swap)))


def _ended(ending: Ending, result: RestoreResult) -> RestoreResult:
    if result.findings:
        ending.status = "findings"
    return result


def _read_plan(
    store: Store, snapshot_text: str, options: RestoreOptions, run: str
) -> tuple[Snapshot, tuple[TableJob, ...]]:
    snapshot = resolve(store, snapshot_text)
    return snapshot, plan_jobs(store, snapshot, options, run)


def _check_files(
    reporter: Reporter,
    store: Store,
    snapshot: Snapshot,
    jobs: Sequence[TableJob],
    options: RestoreOptions,
) -> None:
    tables = [(job.entry, job.chunks) for job in jobs]
    check_files(reporter, store, snapshot, tables, options.threads)


def _carry_out(site: Building, board: Board) -> RestoreResult:
    """Load, index and prove every table; swap last, and only if asked to."""
    reporter = site.reporter
    hints = site.terms.hints
    for hint in hints:
        reporter.hint(hint)
    drilled = aside(reporter, "looking for drills", lambda: _expected(site))
    board.expected_rate_s = drilled.rate_s if drilled else 0.0
    by = f"; first estimate by drill {drilled.proof.run}" if drilled else ""
    reporter.begin_phase("loading", index_policy(site.jobs) + by)
    work_off(site, board)
    site = replace(site, jobs=board.jobs)  # one that was to come as a tablespace may not have
    aside(reporter, "writing the journal", lambda: site.journal.append("proven all"))
    if site.options.swap:
        swapped = _swap(site.target, site.journal, reporter, site.options, board.seen_keys)
        kept = {table.table: table.kept for table in swapped.tables}
        result = _result(site, "swapped", kept, (*hints, *swapped.hints))
        return replace(result, findings=swapped.findings)
    return _result(site, "proven", {}, hints)


def _expected(site: Building) -> Estimate | None:
    tables = [str(job.entry.definition.table) for job in site.jobs]
    return from_drills(site.store, site.snapshot.id, tables, site.options.threads)


def _swap(
    target: ConnectOptions,
    journal: Journal,
    reporter: Reporter,
    options: RestoreOptions,
    seen: Mapping[TableName, SeenKeys],
) -> SwapResult:
    reporter.begin_phase("swapping")
    wishes = Wishes(
        lock_wait_s=options.lock_wait_s,
        keep_new=options.keep_new,
        kill_blockers=options.kill_blockers,
        allow_orphans=options.allow_orphans,
    )
    return swap_proven(target, journal, reporter, wishes, seen)


def _resume_swap(
    target: ConnectOptions,
    journal: Journal,
    state: RunState,
    reporter: Reporter,
    now: RestoreOptions,
) -> RestoreResult:
    """The rest of a run whose tables are all proven: only the swap is left, or not even that."""
    if state.status not in ("proven", "swapping", "swapped") or not now.swap:
        raise CannotComplete(f"run {state.run} is {state.status}: there is nothing to resume")
    reporter.begin_phase("planning", "what the dead run left")
    aside(reporter, "ending what still runs", lambda: remains.end(target, state))
    swapped = _swap(target, journal, reporter, now, {})
    return RestoreResult(
        run=state.run,
        snapshot=state.snapshot,
        status="swapped",
        tables=swapped.tables,
        seconds=reporter.seconds,
        hints=swapped.hints,
        findings=swapped.findings,
        partition=state.options.get("partition"),
    )


def _result(
    site: Building,
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
                indexes=job.indexes_why,
                lane=job.lane_name,
            )
            for job in site.jobs
        ),
        seconds=site.reporter.seconds,
        hints=hints,
        partition=site.options.partition,
    )

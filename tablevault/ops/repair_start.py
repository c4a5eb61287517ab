"""A repair's beginning, and all of it when it is only planned: which tables, and how they stand."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

from tablevault.errors import UsageError
from tablevault.events import Observer, Reporter, silent
from tablevault.model import SOME_ROWS, Snapshot, TableEntry, TableName
from tablevault.mysql import sql
from tablevault.mysql.connect import ConnectOptions, Purpose, connect
from tablevault.names import new_run_id
from tablevault.ops.diff import compare
from tablevault.ops.diff_kept import Keeper
from tablevault.ops.diff_terms import DiffOptions, DiffResult
from tablevault.ops.repair_check import Examined, examine
from tablevault.ops.repair_found import NEVER
from tablevault.ops.repair_plan import plan_table, scan_seconds
from tablevault.ops.repair_terms import RepairOptions, RepairResult, TablePlan
from tablevault.ops.running import aside, reported
from tablevault.ops.runs import REPAIR
from tablevault.ops.selection import select_entries
from tablevault.vault.catalog import resolve
from tablevault.vault.chunklist import read_chunks
from tablevault.vault.store import Store


def plan_repair(
    target: ConnectOptions,
    store: Store,
    snapshot_text: str,
    options: RepairOptions,
    observer: Observer = silent,
    *,
    state_dir: Path | None = None,
) -> RepairResult:
    """What a repair would do, and whether a restore would be cheaper; nothing is changed.

    With a `state_dir` what differs is kept there for the repair itself.  Raises UsageError,
    SnapshotUnusable, and what a diff raises.
    """
    snapshot, entries = chosen(store, snapshot_text, options)
    reporter = Reporter(new_run_id(), observer)
    with reported(reporter, REPAIR, snapshot=snapshot.id, state_dir=state_dir) as ending:
        ending.reads(store, snapshot.id)
        examined = examine_tables(target, snapshot, entries, options, reporter)
        with ExitStack() as stack:
            keeper = None
            if state_dir is not None and not options.columns:
                keeper = stack.enter_context(Keeper(state_dir, snapshot))
            found = compare(
                target, store, snapshot, entries, _diff_options(options), reporter, keeper
            )
        kept = keeper.kept if keeper else set()
        plans = aside(
            reporter,
            "planning",
            lambda: _plans(target, store, snapshot, examined, found, options, kept),
        )
        if not found.equal:
            ending.status = "findings"
        return RepairResult(
            run=reporter.run,
            snapshot=snapshot.id,
            status="planned",
            seconds=reporter.seconds,
            plans=plans,
            hints=found.hints,
        )


def _plans(
    target: ConnectOptions,
    store: Store,
    snapshot: Snapshot,
    examined: list[Examined],
    found: DiffResult,
    options: RepairOptions,
    kept: Collection[TableName],
) -> tuple[TablePlan, ...]:
    whole = sum(one.entry.wire_bytes for one in examined) or 1
    plans = []
    with connect(target, Purpose.DIGEST) as connection:
        for one, difference in zip(examined, found.tables, strict=True):
            scan_s = 0.0
            if one.comparison is not None and one.obstacle is None:
                chunks = list(read_chunks(store, snapshot.id, one.entry))
                scan_s = scan_seconds(connection, one.comparison, chunks)
            remembered = difference.table in kept and one.patient is not None
            compared_s = 0.0
            if not remembered or options.from_diff == NEVER:
                compared_s = found.seconds * one.entry.wire_bytes / whole
            plans.append(plan_table(connection, one, difference, options, compared_s, scan_s))
    return tuple(plans)


def chosen(
    store: Store, snapshot_text: str, options: RepairOptions
) -> tuple[Snapshot, tuple[TableEntry, ...]]:
    """The snapshot and its tables that are meant.  Raises UsageError for what does not fit."""
    snapshot = resolve(store, snapshot_text)
    if SOME_ROWS in snapshot.features:
        raise UsageError(
            f"snapshot {snapshot.id} holds what a repair has overwritten, not whole tables",
            hint="undo that repair with `tablevault repair --undo RUN`",
        )
    if options.where is not None and not sql.closes_what_it_opens(options.where):
        raise UsageError(f"--where: the parentheses of {options.where!r} do not match")
    if options.delete_extra and snapshot.partial:
        raise UsageError(
            f"snapshot {snapshot.id} is partial: --delete-extra would delete rows it left out"
        )
    if options.delete_extra and options.columns:
        raise UsageError("--delete-extra and --columns cannot be combined")
    return snapshot, select_entries(snapshot, options.patterns)


def examine_tables(
    target: ConnectOptions,
    snapshot: Snapshot,
    entries: tuple[TableEntry, ...],
    options: RepairOptions,
    reporter: Reporter,
    run: str = "",
) -> list[Examined]:
    """How each table stands on the server now."""
    reporter.begin_phase("planning", "definitions")

    def look() -> list[Examined]:
        # keys are read by their bytes, as a snapshot reads them: not in the charset of a client
        with connect(target, Purpose.DIGEST) as connection:
            return examine(connection, snapshot, entries, options, run or reporter.run)

    return aside(reporter, "reading definitions", look)


def _diff_options(options: RepairOptions) -> DiffOptions:
    return DiffOptions(
        threads=options.threads,
        examples=3,
        emergency=options.emergency,
        ddl_wait_s=options.ddl_wait_s,
        stalled_after_s=options.stalled_after_s,
        columns=options.columns,
    )

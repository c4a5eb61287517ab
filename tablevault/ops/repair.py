"""Repair: put back just what was lost, row by row, in the live table itself.

The plan comes from a comparison and changes nothing.  Carried out, the rows that differ are staged
in two tables of the run, what will be overwritten is saved as a small snapshot, and only then are
batches put back, each guarded so that a row which changed again is reported and not overwritten.
The two tables stay until `cleanup`: with them a repair can be undone.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tablevault.errors import CannotComplete, TablevaultError, UsageError
from tablevault.events import Observer, Reporter, silent
from tablevault.model import Snapshot, TableEntry
from tablevault.mysql.connect import ConnectOptions, connect
from tablevault.names import new_run_id
from tablevault.ops import remains, unfinished
from tablevault.ops.repair_after import compare_again, repaired_tables, tell_left, tell_orphans
from tablevault.ops.repair_alter import alter_back, alter_tables
from tablevault.ops.repair_check import Examined, refuse, require_privileges
from tablevault.ops.repair_crew import Course
from tablevault.ops.repair_found import require_found
from tablevault.ops.repair_move import move, prove_triggers, triggers_back
from tablevault.ops.repair_run import forget_found, require_sides, stage
from tablevault.ops.repair_site import RepairSite
from tablevault.ops.repair_start import chosen, examine_tables
from tablevault.ops.repair_state import RepairState, read_state, repair_header
from tablevault.ops.repair_terms import RepairOptions, RepairResult, few_enough
from tablevault.ops.running import Ending, aside, reported
from tablevault.ops.runs import REPAIR, replay, run_folder
from tablevault.ops.ways import advice, told
from tablevault.vault.journal import Journal
from tablevault.vault.store import Store

_AFTERMATH_S = 15.0  # how long triggers are tried to be made again on the way out
FORWARD, BACK = Course(forward=True), Course(forward=False)


def repair(
    target: ConnectOptions,
    store: Store,
    snapshot_text: str,
    options: RepairOptions,
    state_dir: Path,
    observer: Observer = silent,
) -> RepairResult:
    """Put back what differs.  Rows that changed again meanwhile are findings of the result.

    Raises UsageError, SnapshotUnusable, Unsupported (a table that can only be restored) and
    CannotComplete before anything is changed; later failures leave a run that `resume` completes
    and `undo` takes back.
    """
    snapshot, entries = chosen(store, snapshot_text, options)
    run = new_run_id()
    reporter = Reporter(run, observer)
    with reported(reporter, REPAIR, snapshot=snapshot.id, state_dir=state_dir) as ending:
        ending.reads(store, snapshot.id)
        examined = examine_tables(target, snapshot, entries, options, reporter, run)
        refuse(examined, _restore_instead(snapshot, entries))
        aside(
            reporter,
            "asking the server",
            lambda: _preflight(target, snapshot, examined, options, state_dir),
        )
        tables = [entry.definition.table for entry in entries]
        head = repair_header(snapshot.id, options, tables, run)
        with aside(
            reporter,
            "beginning the journal",
            lambda: Journal.create(state_dir / run, run, head),
        ) as journal:
            state = read_state(journal.entries)
            site = _site(target, store, snapshot, entries, journal, reporter, state, state_dir)
            site.admit(examined)
            return _held_together(site, ending, lambda: _forward(site))


def resume(
    target: ConnectOptions, store: Store, run: str, state_dir: Path, observer: Observer = silent
) -> RepairResult:
    """Complete a repair, or an undo, that died.  Raises UsageError for a run that is no repair."""
    return _go_on(target, store, run, state_dir, observer, undoing=False)


def undo(
    target: ConnectOptions, store: Store, run: str, state_dir: Path, observer: Observer = silent
) -> RepairResult:
    """Take back what a repair did: rows that changed since are findings, and are left as they are.

    Raises CannotComplete when its tables were removed by `cleanup`.
    """
    return _go_on(target, store, run, state_dir, observer, undoing=True)


def _go_on(
    target: ConnectOptions,
    store: Store,
    run: str,
    state_dir: Path,
    observer: Observer,
    *,
    undoing: bool,
) -> RepairResult:
    reporter = Reporter(run, observer)
    with Journal.open(run_folder(state_dir, run)) as journal:
        dead = replay(run, journal.entries)
        if dead.operation != REPAIR:
            raise UsageError(f"run {run} is a {dead.operation}, no repair")
        state = read_state(journal.entries)
        over = state.undo_ended or (state.ended and not state.undoing)
        if dead.status == "cleaned" or (over and not undoing):
            raise CannotComplete(
                f"run {run} is {dead.status}: there is nothing to resume",
                hint=advice(run, dead.status),
            )
        back = undoing or state.undoing
        with reported(reporter, REPAIR, snapshot=state.snapshot, state_dir=state_dir) as ending:
            snapshot, entries = chosen(store, state.snapshot, state.options)
            ending.reads(store, snapshot.id)
            aside(reporter, "ending what still runs", lambda: remains.end(target, dead))
            site = _site(target, store, snapshot, entries, journal, reporter, state, state_dir)

            def go_on() -> RepairResult:
                triggers_back(site)  # before the tables are looked at: which have triggers
                if not back:
                    _examine(site)
                    return _forward(site)
                if not (state.complete or state.altered):
                    raise CannotComplete(f"run {run} has not changed anything yet")
                if len(state.undone) < len(state.batches) or state.undo_ended:
                    _examine(site)
                return _back(site)

            return _held_together(site, ending, go_on)


def _forward(site: RepairSite) -> RepairResult:
    """Compare, stage, save; put back; prove.  Each step finds in the journal what is done."""
    reporter = site.reporter
    if site.alterations:
        _alter(site)
    prove_triggers(site)
    if site.state.complete:
        with aside(reporter, "connecting", lambda: connect(site.target)) as connection:
            aside(reporter, "looking", lambda: require_sides(site, connection))
    else:
        stage(site)
        _tell_dearer(site)
    forget_found(site)  # rows are about to be other ones than what a diff has found
    results = move(site, FORWARD)  # each row is proven in the transaction that writes it
    tables = repaired_tables(site, results, compare_again(site))
    tell_left(site, tables)
    tell_orphans(site)
    site.journal.append("repaired")
    return _result(site, "repaired", tables)


def _tell_dearer(site: RepairSite) -> None:
    """Where a restore would be the sooner: whoever began without a plan has time to change it."""
    for number, compared in site.state.compared.items():
        entry, differing = site.entries[number], compared.differing_rows
        if not few_enough(differing, entry.digest.rows):
            way = _restore_instead(site.snapshot, site.entries)
            site.reporter.hint(
                f"{differing:,} rows of {entry.definition.table} differ, "
                f"of {entry.digest.rows:,}: "
                f"a whole restore takes less time than putting each back ({way})"
            )


def _alter(site: RepairSite) -> None:
    """Make the tables what they were, but for their rows; then look at them once more."""
    site.reporter.begin_phase("altering", f"{len(site.alterations)} tables")
    todo = site.alterations
    alter_tables(site, todo)
    site.altered = {one.number: one.statements for one in todo}
    _examine(site)
    for one in site.alterations:
        rest = ", ".join(str(difference) for difference in one.undone)
        site.reporter.hint(f"table {one.table} differs still after it was altered: {rest}")


def _back(site: RepairSite) -> RepairResult:
    with aside(site.reporter, "connecting", lambda: connect(site.target)) as connection:
        aside(site.reporter, "looking", lambda: require_sides(site, connection))
    prove_triggers(site)
    if not site.state.undoing or site.state.undo_ended:
        site.journal.append("undoing")
        site.state.undone.clear()
    results = move(site, BACK)
    tables = repaired_tables(site, results, back=True)
    tell_orphans(site)
    if site.state.altered:
        site.reporter.begin_phase("altering", "back")
        alter_back(site)
    site.journal.append("undone")
    return _result(site, "undone", tables)


def _result(site: RepairSite, status: str, tables: tuple[object, ...]) -> RepairResult:
    return RepairResult(
        run=site.reporter.run,
        snapshot=site.snapshot.id,
        status=status,
        seconds=site.reporter.seconds,
        tables=tables,  # type: ignore[arg-type]
        saved=site.state.saved,
        findings=tuple(site.findings),
    )


def _held_together(
    site: RepairSite, ending: Ending, call: Callable[[], RepairResult]
) -> RepairResult:
    """Carry out `call`; whatever ends it early ends its statements on the server too."""
    with told(site.journal, site.reporter.run, REPAIR):
        try:
            result = call()
        except BaseException:
            _leave(site)
            raise
    if result.findings:
        ending.status = "findings"
    return result


def _leave(site: RepairSite) -> None:
    """On the way out of a run that failed; what does not work here waits for its resumption."""
    entries = site.journal.entries
    aside(
        site.reporter,
        "ending what still runs on the server",
        lambda: remains.end_quietly(site.target, replay(site.reporter.run, entries)),
    )
    site.state.triggers_off = read_state(entries).triggers_off
    with suppress(TablevaultError):
        triggers_back(site, _AFTERMATH_S)


def _preflight(
    target: ConnectOptions,
    snapshot: Snapshot,
    examined: list[Examined],
    options: RepairOptions,
    state_dir: Path,
) -> None:
    with connect(target) as connection:
        require_privileges(connection, examined)
        require_found(state_dir, snapshot, examined, connection.server, options)
        if not options.new:
            targets = [one.entry.definition.table for one in examined]
            unfinished.refuse(state_dir, connection.server, targets)


def _site(
    target: ConnectOptions,
    store: Store,
    snapshot: Snapshot,
    entries: tuple[TableEntry, ...],
    journal: Journal,
    reporter: Reporter,
    state: RepairState,
    state_dir: Path,
) -> RepairSite:
    return RepairSite(
        target=target,
        store=store,
        snapshot=snapshot,
        state_dir=state_dir,
        entries=entries,
        options=state.options,
        journal=journal,
        reporter=reporter,
        state=state,
    )


def _examine(site: RepairSite) -> None:
    """Look at the tables of a run that goes on.  Raises as `repair`."""
    examined = examine_tables(
        site.target, site.snapshot, site.entries, site.options, site.reporter, site.reporter.run
    )
    refuse(examined, _restore_instead(site.snapshot, site.entries))
    site.admit(examined)


def _restore_instead(snapshot: Snapshot, entries: tuple[TableEntry, ...]) -> str:
    names = shlex.join(str(entry.definition.table) for entry in entries)
    return f"`tablevault restore {snapshot.id} {names}`"

"""The cut-over of a proven restore, its undo, and the removal of what both leave behind.

Until `swap` the live table has not been touched.  The cut-over is one RENAME, with the foreign
keys and triggers around it, in tries of about a second that never queue in front of the
application for longer; the table that was live stays under a name that `rollback` knows until
`cleanup`.  docs/CUTOVER.md tells the procedure step by step.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tablevault.errors import CannotComplete, ConnectionLost, ServerUnavailable, TablevaultError
from tablevault.events import Observer, Reporter, silent
from tablevault.model import TableName
from tablevault.mysql.connect import ConnectOptions
from tablevault.mysql.keysets import SeenKeys
from tablevault.ops import remains, ways
from tablevault.ops.hands import open_hands
from tablevault.ops.lane_remains import remove_offline
from tablevault.ops.leftovers import drop_leftovers, drop_scratch
from tablevault.ops.narrator import Narrator
from tablevault.ops.options import SwapResult, TableResult
from tablevault.ops.repair_state import read_state
from tablevault.ops.repair_triggers import bring_back
from tablevault.ops.running import reported
from tablevault.ops.runs import RunState, replay, run_folder
from tablevault.ops.settling import MOVING, come_to_rest, run_again, settle
from tablevault.ops.site import Site, Wishes
from tablevault.ops.swap_back import roll_back_tables
from tablevault.ops.swap_forth import swap_tables
from tablevault.vault.journal import Journal

_AFTERMATH_S = 15.0  # how long an interrupted cut-over is taken to an end before leaving


def swap(
    target: ConnectOptions,
    run: str,
    state_dir: Path,
    observer: Observer = silent,
    *,
    lock_wait_s: float = 60.0,
    keep_new: bool = False,
    kill_blockers: bool = False,
    allow_orphans: bool = False,
) -> SwapResult:
    """Put the proven staging tables of `run` in the place of the live ones, all in one statement.

    Raises CannotComplete when the run is not proven, ConsentNeeded when rows would lose their
    parents (unless `allow_orphans`), LockNotGranted when the tables stayed in use for
    `lock_wait_s`, Unsupported when a foreign key or trigger could not be made again; then
    nothing has changed.
    """
    wishes = Wishes(lock_wait_s, keep_new, kill_blockers, allow_orphans)
    return _operate(target, run, state_dir, observer, wishes, "swap", swap_tables)


def rollback(
    target: ConnectOptions,
    run: str,
    state_dir: Path,
    observer: Observer = silent,
    *,
    lock_wait_s: float = 60.0,
    kill_blockers: bool = False,
    yes: bool = False,
) -> SwapResult:
    """Put the tables that were live before the swap of `run` back, all in one statement.

    Raises ConsentNeeded, with the number, when rows written since the swap would no longer be
    live, or rows would lose their parents, unless `yes`.
    """
    wishes = Wishes(lock_wait_s, False, kill_blockers, allow_orphans=yes, yes=yes)
    return _operate(target, run, state_dir, observer, wishes, "rollback", roll_back_tables)


def cleanup(
    target: ConnectOptions,
    run: str,
    state_dir: Path,
    observer: Observer = silent,
    *,
    lock_wait_s: float = 60.0,
) -> SwapResult:
    """Drop what `run` created or kept and no longer serves: never a table that is live.

    Of a server that does not run, files that it has never looked at are removed all the same.
    """
    wishes = Wishes(lock_wait_s)
    try:
        return _operate(target, run, state_dir, observer, wishes, "cleanup", _clean)
    except ServerUnavailable as error:
        remove_offline(state_dir, run, error)
        raise


def swap_proven(
    target: ConnectOptions,
    journal: Journal,
    reporter: Reporter,
    wishes: Wishes,
    seen: Mapping[TableName, SeenKeys],
) -> SwapResult:
    """The cut-over at the end of `restore --swap`, within the same run, which has `seen` keys."""
    return _beside(target, journal, reporter, wishes, swap_tables, seen)


def clean_up(
    target: ConnectOptions, journal: Journal, reporter: Reporter, lock_wait_s: float
) -> SwapResult:
    """The removal at the end of a drill, within the same run; what still runs is ended first."""
    _end_leftovers(target, replay(reporter.run, journal.entries), reporter)
    return _beside(target, journal, reporter, Wishes(lock_wait_s), _clean)


def _operate(
    target: ConnectOptions,
    run: str,
    state_dir: Path,
    observer: Observer,
    wishes: Wishes,
    operation: str,
    step: Callable[[Site], SwapResult],
) -> SwapResult:
    """Open the run, end what a dead process of it left, then carry out `step`."""
    reporter = Reporter(run, observer)
    with Journal.open(run_folder(state_dir, run)) as journal:
        state = replay(run, journal.entries)
        names = [str(table.target) for table in state.tables]
        with (
            reported(
                reporter, operation, snapshot=state.snapshot, tables=names, state_dir=state_dir
            ) as ending,
            ways.told(journal, run, operation),
        ):
            reporter.begin_phase("swapping" if operation == "swap" else operation)
            _end_leftovers(target, state, reporter)
            result = _beside(target, journal, reporter, wishes, step)
            if result.findings:
                ending.status = "findings"
            return result


def _end_leftovers(target: ConnectOptions, state: RunState, reporter: Reporter) -> None:
    """Connections of a process that died, or of ours that were cut off: they may hold locks."""
    narrator = Narrator("ending what still runs")
    narrator.run(reporter, lambda: remains.end(target, state), lambda: None)


def _beside(
    target: ConnectOptions,
    journal: Journal,
    reporter: Reporter,
    wishes: Wishes,
    step: Callable[[Site], SwapResult],
    seen: Mapping[TableName, SeenKeys] | None = None,
) -> SwapResult:
    """Carry out `step` in a thread; when it is cut off, see that nothing is left half done."""
    narrator = Narrator("connecting")
    opened: list[Site] = []
    interrupted = threading.Event()

    def call() -> SwapResult:
        state = replay(reporter.run, journal.entries)
        log_bin = bool(state.options.get("log_bin", True))
        with open_hands(target, journal, narrator, log_bin=log_bin) as hands:
            opened.append(Site(target, hands, journal, state, narrator, wishes, seen or {}))
            if interrupted.is_set():  # while it connected: there was nothing to abort then
                raise CannotComplete("interrupted before it began")
            return step(opened[0])

    def interrupt() -> None:
        interrupted.set()
        for site in opened:
            site.hands.abort()

    try:
        return narrator.run(reporter, call, interrupt)
    except (KeyboardInterrupt, ConnectionLost) as error:
        state = replay(reporter.run, journal.entries)
        if state.status in MOVING and step is not come_to_rest:
            rest = dataclasses.replace(wishes, lock_wait_s=_AFTERMATH_S, kill_blockers=False)
            try:
                _end_leftovers(target, state, reporter)
                settled = _beside(target, journal, reporter, rest, come_to_rest)
                hint = f"nothing is left half done: run {state.run} is {settled.status}"
            except TablevaultError as second:
                hint = run_again(state, second)
            if isinstance(error, TablevaultError):
                error.hint = hint
        raise


def _clean(site: Site) -> SwapResult:
    began = time.monotonic()
    if site.state.status in MOVING:
        settle(site)
    if site.state.without_triggers:  # of a repair that was killed: they come before anything goes
        entries = site.journal.entries
        bring_back(site.hands, read_state(entries), site.journal, site.wishes.lock_wait_s)
    dropped = drop_leftovers(site)
    drop_scratch(site)
    site.note("cleaned", had_live=dict(site.state.had_live))
    result = site.result("cleaned", began)
    tables = tuple(TableResult(table.table, 0, 0) for table in result.tables)
    return dataclasses.replace(result, tables=tables, dropped=tuple(dropped))

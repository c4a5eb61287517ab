"""The cut-over of a proven restore, its undo, and the removal of what both leave behind.

Until `swap` the live table has not been touched.  The cut-over is one RENAME, with the foreign
keys and triggers around it, in tries of about a second that never queue in front of the
application for longer; the table that was live stays under a name that `rollback` knows until
`cleanup`.  docs/CUTOVER.md tells the procedure step by step.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tablevault.errors import CannotComplete, ConnectionLost, TablevaultError
from tablevault.events import Observer, Reporter, silent
from tablevault.model import Finding, TableName
from tablevault.mysql.connect import ConnectOptions
from tablevault.ops import cutover_checks as checks
from tablevault.ops import remains
from tablevault.ops.carry import carry, require_key
from tablevault.ops.cutover import Cutover
from tablevault.ops.cutover_plan import Plan, from_record, to_record
from tablevault.ops.entangled import plan_rollback, plan_swap, prove
from tablevault.ops.hands import open_hands
from tablevault.ops.leftovers import drop_leftovers
from tablevault.ops.narrator import Narrator
from tablevault.ops.options import SwapResult, TableResult
from tablevault.ops.running import reported
from tablevault.ops.runs import RunState, replay, run_folder
from tablevault.ops.site import Site, Wishes
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

    Raises CannotComplete when the run is not proven or rows would lose their parents (unless
    `allow_orphans`), LockNotGranted when the tables stayed in use for `lock_wait_s`, Unsupported
    when a foreign key or trigger could not be made again; then nothing has changed.
    """
    wishes = Wishes(lock_wait_s, keep_new, kill_blockers, allow_orphans)
    return _operate(target, run, state_dir, observer, wishes, "swap", _swap)


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

    Raises CannotComplete, with the number, when rows written since the swap would no longer be
    live, or rows would lose their parents, unless `yes`.
    """
    wishes = Wishes(lock_wait_s, False, kill_blockers, allow_orphans=yes, yes=yes)
    return _operate(target, run, state_dir, observer, wishes, "rollback", _roll_back)


def cleanup(
    target: ConnectOptions,
    run: str,
    state_dir: Path,
    observer: Observer = silent,
    *,
    lock_wait_s: float = 60.0,
) -> SwapResult:
    """Drop what `run` created or kept and no longer serves: never a table that is live."""
    wishes = Wishes(lock_wait_s)
    return _operate(target, run, state_dir, observer, wishes, "cleanup", _clean)


def swap_proven(
    target: ConnectOptions, journal: Journal, reporter: Reporter, wishes: Wishes
) -> SwapResult:
    """The cut-over at the end of `restore --swap`, within the same run."""
    return _beside(target, journal, reporter, wishes, _swap)


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
        with reported(
            reporter, operation, snapshot=state.snapshot, tables=names, state_dir=state_dir
        ) as ending:
            reporter.begin_phase("swapping" if operation == "swap" else operation)
            Narrator("ending what still runs").run(
                reporter, lambda: remains.end(target, state), lambda: None
            )
            result = _beside(target, journal, reporter, wishes, step)
            if result.findings:
                ending.status = "findings"
            return result


def _beside(
    target: ConnectOptions,
    journal: Journal,
    reporter: Reporter,
    wishes: Wishes,
    step: Callable[[Site], SwapResult],
) -> SwapResult:
    """Carry out `step` in a thread; when it is cut off, see that nothing is left half done."""
    narrator = Narrator("connecting")
    opened: list[Site] = []

    def call() -> SwapResult:
        state = replay(reporter.run, journal.entries)
        log_bin = bool(state.options.get("log_bin", True))
        with open_hands(target, journal, narrator, log_bin=log_bin) as hands:
            opened.append(Site(target, hands, journal, state, narrator, wishes))
            return step(opened[0])

    def interrupt() -> None:
        for site in opened:
            site.hands.abort()

    try:
        return narrator.run(reporter, call, interrupt)
    except (KeyboardInterrupt, ConnectionLost) as error:
        state = replay(reporter.run, journal.entries)
        if state.status in _MOVING and step is not _come_to_rest:
            rest = dataclasses.replace(wishes, lock_wait_s=_AFTERMATH_S, kill_blockers=False)
            try:
                _beside(target, journal, reporter, rest, _come_to_rest)
            except TablevaultError as second:
                if isinstance(error, TablevaultError):
                    error.hint = _run_again(state, second)
        raise


def _swap(site: Site) -> SwapResult:
    began = time.monotonic()
    state = site.state
    if state.status in _MOVING:
        _settle(site)
    if state.status == "swapped":
        plan = from_record(state.swap_plan) if state.swap_plan else site.bare_plan()
        return _finish(site, plan, began, {}, Cutover(state.run, plan, site.hands))
    if state.status != "proven":
        raise CannotComplete(
            f"run {state.run} is {state.status}, not proven",
            hint=f"complete it with: tablevault restore --resume {state.run}",
        )
    site.require_staging()
    plan = plan_swap(site.hands, state)
    prove(site.hands, state.run, plan)
    new_rows = _look_before(site, plan)
    ids = checks.AutoIncrement(site.hands, plan)
    cut = Cutover(state.run, plan, site.hands, ids.fit, site.wishes.kill_blockers)
    had_live = {str(move.target): move.replaces for move in plan.moves}
    only_restored = {
        str(move.target): checks.lacking_rows(site.hands, move.incoming, move.target)
        for move in plan.moves
        if move.replaces and move.incoming
    }
    state.had_live, state.only_restored = had_live, only_restored
    site.note(
        "swapping", had_live=had_live, plan=to_record(plan), only_restored=only_restored
    )
    # The dangerous step, and the last: until here nothing live was touched, and it is undone
    # as a whole when it cannot be done as a whole.
    _carry_out(site, cut, "swap given up")
    site.note("swapped", had_live=had_live)
    return _finish(site, plan, began, new_rows, cut, ids)


def _look_before(site: Site, plan: Plan) -> dict[TableName, int | None]:
    """Say what the swap will do to rows, and refuse what it may not do unasked."""
    hands, wishes = site.hands, site.wishes
    if not wishes.allow_orphans:
        checks.require_no_orphans(
            checks.orphans_before(hands, plan),
            "the swap",
            "put the missing rows back, restore the tables together, or accept it with "
            "--allow-orphans",
        )
    counted: dict[TableName, int | None] = {}
    for move in plan.moves:
        if not move.replaces or move.incoming is None:
            continue
        if wishes.keep_new:
            require_key(hands, move.target)
            if any("INSERT" in trigger.when for trigger in move.triggers_after):
                raise CannotComplete(
                    f"--keep-new: table {move.target} has INSERT triggers, which would fire again "
                    "for the rows carried over",
                    hint="swap without it, and copy the rows from the kept table by hand",
                )
        found = checks.lacking_rows(hands, move.target, move.incoming)
        counted[move.target] = found
        if found is None:
            hands.narrator.hint(
                f"rows of {move.target} that are newer than the snapshot were not counted: "
                f"that took longer than {checks.COUNT_S:.0f} s"
            )
        elif found:
            fate = "are carried over" if wishes.keep_new else f"stay in {move.aside}"
            way = "" if wishes.keep_new else " (--keep-new carries them over)"
            hands.narrator.hint(
                f"{move.target}: {found:,} rows are not in the snapshot and {fate}{way}"
            )
    return counted


def _finish(
    site: Site,
    plan: Plan,
    began: float,
    new_rows: Mapping[TableName, int | None],
    cut: Cutover,
    ids: checks.AutoIncrement | None = None,
) -> SwapResult:
    """What follows the swap: ids, rows to carry over, and a look at all that must hold now."""
    findings: list[Finding] = ids.check() if ids else []
    carried: dict[TableName, int] = {}
    if site.wishes.keep_new:
        for move in plan.moves:
            if move.replaces:
                carried[move.target] = _carry_over(site, move.aside, move.target, findings)
    findings += checks.differences_after(site.hands, site.state, plan)
    for orphans in checks.orphans_after(site.hands, plan):
        if site.wishes.allow_orphans:
            site.narrator.hint(str(orphans))
        else:
            findings.append(Finding("orphans", str(orphans), orphans.link.child))
    _tell_window(site, plan, cut)
    return site.result("swapped", began, new_rows, carried, findings)


def _carry_over(
    site: Site, old: TableName, new: TableName, findings: list[Finding]
) -> int:
    log_bin = bool(site.state.options.get("log_bin", True))
    site.journal.append("carrying over", old=str(old), new=str(new))
    done = carry(site.hands, site.target, old, new, log_bin=log_bin)
    site.journal.append("carried over", old=str(old), new=str(new), rows=done.rows)
    if done.refused:
        message = f"{done.refused:,} new rows did not fit and stay in {old}: {done.example}"
        findings.append(Finding("not carried over", message, new))
    return done.rows


def _roll_back(site: Site) -> SwapResult:
    began = time.monotonic()
    state = site.state
    if state.status in _MOVING:
        was = state.status
        _settle(site)
        if (was, state.status) == ("swapping", "proven"):
            site.narrator.hint("the swap had not happened: all is as it was before it")
            return site.result("rolled back", began)
    if state.status == "rolled back":
        return site.result("rolled back", began)
    if state.status != "swapped":
        raise CannotComplete(f"run {state.run} is {state.status}: there is no swap to undo")
    site.require_kept()
    plan = plan_rollback(
        site.hands, state, from_record(state.swap_plan) if state.swap_plan else None
    )
    prove(site.hands, state.run, plan)
    _require_consent(site, plan)
    ids = checks.AutoIncrement(site.hands, plan)
    cut = Cutover(state.run, plan, site.hands, ids.fit, site.wishes.kill_blockers)
    site.note("rolling back", had_live=dict(state.had_live), plan=to_record(plan))
    _carry_out(site, cut, "rollback given up")
    site.note("rolled back", had_live=dict(state.had_live))
    findings = ids.check()
    for orphans in checks.orphans_after(site.hands, plan):
        site.narrator.hint(str(orphans))
    _tell_window(site, plan, cut)
    return site.result("rolled back", began, findings=findings)


def _require_consent(site: Site, plan: Plan) -> None:
    """Rows written since the swap go out of sight with the table they are in: say how many."""
    losses = []
    for move in plan.moves:
        if not move.replaces:
            continue
        if move.incoming is None:
            found = site.rows_more_than_restored(move.target)
        else:
            found = checks.lacking_rows(site.hands, move.target, move.incoming)
            known = site.state.only_restored.get(str(move.target))
            if found is not None:
                found = max(0, found - (known or 0))
        if found is None:
            losses.append(f"the rows of {move.target} written since the swap (not counted)")
        elif found:
            losses.append(f"{found:,} rows of {move.target} written since the swap")
    losses += [str(orphans) for orphans in checks.orphans_before(site.hands, plan)]
    if not losses:
        return
    asides = ", ".join(str(move.aside) for move in plan.moves if move.replaces)
    message = f"the rollback would take out of sight: {'; '.join(losses)}"
    if not site.wishes.yes:
        raise CannotComplete(
            message, hint=f"confirm with --yes; they stay in {asides} until `cleanup`"
        )
    site.narrator.hint(f"{message}; they stay in {asides} until `cleanup`")


def _clean(site: Site) -> SwapResult:
    began = time.monotonic()
    if site.state.status in _MOVING:
        _settle(site)
    dropped = drop_leftovers(site)
    site.note("cleaned", had_live=dict(site.state.had_live))
    result = site.result("cleaned", began)
    tables = tuple(TableResult(table.table, 0, 0) for table in result.tables)
    return dataclasses.replace(result, tables=tables, dropped=tuple(dropped))


_MOVING = ("swapping", "rolling back")
_AT_REST = {
    ("swapping", True): ("swapped", "swapped"),
    ("swapping", False): ("proven", "swap given up"),
    ("rolling back", True): ("rolled back", "rolled back"),
    ("rolling back", False): ("swapped", "rollback given up"),
}


def _come_to_rest(site: Site) -> SwapResult:
    began = time.monotonic()
    _settle(site)
    return site.result(site.state.status, began)


def _settle(site: Site) -> None:
    """Take a cut-over whose process died to its end, or, if it had not renamed yet, back."""
    state = site.state
    plan = from_record(state.plan) if state.plan else site.bare_plan()
    cut = Cutover(state.run, plan, site.hands, kill_blockers=site.wishes.kill_blockers)
    forward = cut.arrived()
    site.narrator.doing("settling a cut-over that was interrupted")
    cut.carry_out(forward, site.wishes.lock_wait_s)
    state.status, kind = _AT_REST[state.status, forward]
    site.note(kind, had_live=dict(state.had_live))


def _carry_out(site: Site, cut: Cutover, given_up: str) -> None:
    try:
        cut.carry_out(True, site.wishes.lock_wait_s)
    except ConnectionLost:
        raise
    except TablevaultError as error:
        if not cut.settled(False):
            error.hint = _run_again(site.state, error)
            raise
        cut.clear()
        site.note(given_up, had_live=dict(site.state.had_live))
        raise


def _run_again(state: RunState, error: TablevaultError) -> str:
    return (
        f"{error.message}; the cut-over is not at an end: run `tablevault swap {state.run}` or "
        f"`tablevault rollback {state.run}` again, which look at what is there"
    )


def _tell_window(site: Site, plan: Plan, cut: Cutover) -> None:
    if cut.window_s and any(plan.wanted_links(True).values()):
        site.narrator.hint(
            f"foreign keys were away for {cut.window_s:.2f} s while the tables were renamed; "
            "rows without parents were looked for afterwards"
        )

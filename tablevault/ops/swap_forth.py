"""The swap, step by step: what is asked before, the cut-over, what is looked at after."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tablevault.errors import CannotComplete
from tablevault.model import Finding, TableName
from tablevault.ops import cutover_checks as checks
from tablevault.ops import exchange
from tablevault.ops.carry import carry, require_key
from tablevault.ops.cutover import Cutover
from tablevault.ops.cutover_plan import Plan, from_record, to_record
from tablevault.ops.entangled import plan_swap, prove
from tablevault.ops.options import SwapResult
from tablevault.ops.sequence_values import moves_sequence
from tablevault.ops.settling import MOVING, carry_out, settle, tell_window
from tablevault.ops.site import Site

_MANY_TABLES = 2_000


def swap_tables(site: Site) -> SwapResult:
    """Look, say, refuse or swap, and look again."""
    began = time.monotonic()
    state = site.state
    if state.status in MOVING:
        settle(site)
    if site.partition:
        return exchange.swap_partition(site, began)
    if state.status == "swapped":
        plan = from_record(state.swap_plan) if state.swap_plan else site.bare_plan()
        return _finish(site, plan, began, {}, Cutover(state.run, plan, site.hands))
    if state.status != "proven":
        raise CannotComplete(f"run {state.run} is {state.status}, not proven")
    site.require_staging()
    plan = plan_swap(site.hands, state)
    prove(site.hands, state.run, plan)
    new_rows, only_restored = _look_before(site, plan)
    ids = checks.AutoIncrement(site.hands, plan)
    cut = Cutover(state.run, plan, site.hands, ids.fit, site.wishes.kill_blockers)
    had_live = {str(move.target): move.replaces for move in plan.moves}
    state.had_live, state.only_restored = had_live, only_restored
    site.note("swapping", had_live=had_live, plan=to_record(plan), only_restored=only_restored)
    _tell_long_rename(site, plan)
    # The dangerous step, and the last: until here nothing live was touched, and it is undone
    # as a whole when it cannot be done as a whole.
    carry_out(site, cut, "swap given up")
    site.note("swapped", had_live=had_live)
    return _finish(site, plan, began, new_rows, cut, ids)


def _tell_long_rename(site: Site, plan: Plan) -> None:
    """MariaDB looks through all locks that a statement holds for each of its tables.

    Measured on 10.11 and 11.8: 0.5, 2.7 and 9.8 s for 1,000, 2,000 and 4,000 tables, minutes for
    10,000; MySQL takes 2 ms a table, however many.
    """
    count = len(plan.moves)
    if count >= _MANY_TABLES and site.hands.main.server.family == "mariadb":
        seconds = 6e-7 * count**2
        site.narrator.hint(
            f"one RENAME of {count:,} tables takes MariaDB some {seconds:,.0f} s, for which all of "
            "them are locked: restore fewer tables at once to keep that short"
        )


def _look_before(
    site: Site, plan: Plan
) -> tuple[dict[TableName, int | None], dict[str, int | None]]:
    """Say what the swap will do to rows, and refuse what it may not do unasked.

    Returns the rows that only the live tables have, and those that only the restored ones have.
    """
    hands, wishes = site.hands, site.wishes
    if not wishes.allow_orphans:
        checks.require_no_orphans(
            checks.orphans_before(hands, plan),
            "the swap",
            "put the missing rows back, restore the tables together, or accept it with "
            f"`tablevault swap {site.state.run} --allow-orphans`",
        )
    counted: dict[TableName, int | None] = {}
    only_restored: dict[str, int | None] = {}
    for move in plan.moves:
        if not move.replaces or move.incoming is None or moves_sequence(hands, move):
            continue
        if wishes.keep_new:
            require_key(hands, move.target)
            if any("INSERT" in trigger.when for trigger in move.triggers_after):
                raise CannotComplete(
                    f"--keep-new: table {move.target} has INSERT triggers, which would fire again "
                    "for the rows carried over",
                    hint="swap without it, and copy the rows from the kept table by hand",
                )
        seen = site.seen.get(move.target)
        found, missing = checks.rows_apart(hands, move.target, move.incoming, seen=seen)
        counted[move.target], only_restored[str(move.target)] = found, missing
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
    return counted, only_restored


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
            if move.replaces and not moves_sequence(site.hands, move):
                carried[move.target] = _carry_over(site, move.aside, move.target, findings)
    findings += checks.differences_after(site.hands, site.state, plan)
    _tell_renamed_checks(site)
    for orphans in checks.orphans_after(site.hands, plan):
        if site.wishes.allow_orphans:
            site.narrator.hint(str(orphans))
        else:
            findings.append(Finding("orphans", str(orphans), orphans.link.child))
    tell_window(site, plan, cut)
    return site.result("swapped", began, new_rows, carried, findings)


def _carry_over(site: Site, old: TableName, new: TableName, findings: list[Finding]) -> int:
    log_bin = bool(site.state.options.get("log_bin", True))
    site.journal.append("carrying over", old=str(old), new=str(new))
    done = carry(site.hands, site.target, old, new, log_bin=log_bin)
    site.journal.append("carried over", old=str(old), new=str(new), rows=done.rows)
    if done.refused:
        message = f"{done.refused:,} new rows did not fit and stay in {old}: {done.example}"
        findings.append(Finding("not carried over", message, new))
    return done.rows


def _tell_renamed_checks(site: Site) -> None:
    for table in site.state.tables:
        if not table.create_sql:
            continue
        lost = checks.renamed_checks(site.hands.main, table.target, table.create_sql)
        if lost:
            site.narrator.hint(
                f"CHECKs {', '.join(lost)} of {table.target} have names of the server's choice: "
                "theirs were taken by the table that was live, and MySQL renames none in place"
            )

"""The rollback, step by step: what was live before the swap is live again."""

from __future__ import annotations

import time

from tablevault.errors import CannotComplete, ConsentNeeded
from tablevault.ops import cutover_checks as checks
from tablevault.ops import exchange
from tablevault.ops.cutover import Cutover
from tablevault.ops.cutover_plan import Plan, from_record, to_record
from tablevault.ops.entangled import plan_rollback, prove
from tablevault.ops.options import SwapResult
from tablevault.ops.settling import MOVING, carry_out, settle, tell_window
from tablevault.ops.site import Site


def roll_back_tables(site: Site) -> SwapResult:
    """The mirror of the swap; what it costs is said first."""
    began = time.monotonic()
    state = site.state
    if state.status in MOVING:
        was = state.status
        settle(site)
        if (was, state.status) == ("swapping", "proven"):
            site.narrator.hint("the swap had not happened: all is as it was before it")
            return site.result("rolled back", began)
    if state.status == "rolled back":
        return site.result("rolled back", began)
    if state.status != "swapped":
        raise CannotComplete(f"run {state.run} is {state.status}: there is no swap to undo")
    site.require_kept()
    if site.partition:
        return exchange.roll_back_partition(site, began)
    plan = plan_rollback(
        site.hands, state, from_record(state.swap_plan) if state.swap_plan else None
    )
    prove(site.hands, state.run, plan)
    _require_consent(site, plan)
    ids = checks.AutoIncrement(site.hands, plan)
    cut = Cutover(state.run, plan, site.hands, ids.fit, site.wishes.kill_blockers)
    site.note("rolling back", had_live=dict(state.had_live), plan=to_record(plan))
    carry_out(site, cut, "rollback given up")
    site.note("rolled back", had_live=dict(state.had_live))
    findings = ids.check()
    for orphans in checks.orphans_after(site.hands, plan):
        site.narrator.hint(str(orphans))
    tell_window(site, plan, cut)
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
        raise ConsentNeeded(
            message, hint=f"confirm with --yes; they stay in {asides} until `cleanup`"
        )
    site.narrator.hint(f"{message}; they stay in {asides} until `cleanup`")

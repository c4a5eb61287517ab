"""A cut-over to its end: carried out as a whole, given up as a whole, or settled after a death."""

from __future__ import annotations

import time

from tablevault.errors import ConnectionLost, TablevaultError
from tablevault.ops import exchange
from tablevault.ops.cutover import Cutover
from tablevault.ops.cutover_plan import Plan, from_record
from tablevault.ops.options import SwapResult
from tablevault.ops.runs import RunState
from tablevault.ops.site import Site

MOVING = ("swapping", "rolling back")
_AT_REST = {
    ("swapping", True): ("swapped", "swapped"),
    ("swapping", False): ("proven", "swap given up"),
    ("rolling back", True): ("rolled back", "rolled back"),
    ("rolling back", False): ("swapped", "rollback given up"),
}


def come_to_rest(site: Site) -> SwapResult:
    """Settle, and nothing else: after an interruption."""
    began = time.monotonic()
    settle(site)
    return site.result(site.state.status, began)


def settle(site: Site) -> None:
    """Take a cut-over whose process died to its end, or, if it had not renamed yet, back."""
    state = site.state
    forward = exchange.settle_partition(site) if site.partition else _settle_tables(site)
    state.status, kind = _AT_REST[state.status, forward]
    site.note(kind, had_live=dict(state.had_live))


def _settle_tables(site: Site) -> bool:
    """Bring foreign keys and triggers to where the tables are; whether these have moved."""
    state = site.state
    plan = from_record(state.plan) if state.plan else site.bare_plan()
    cut = Cutover(state.run, plan, site.hands, kill_blockers=site.wishes.kill_blockers)
    forward = cut.arrived()
    site.narrator.doing("settling a cut-over that was interrupted")
    if not cut.settled(forward):
        cut.carry_out(forward, site.wishes.lock_wait_s, to_an_end_s=0.0)
    if not forward:
        cut.clear()
    return forward


def carry_out(site: Site, cut: Cutover, given_up: str) -> None:
    """The cut-over itself; when it is given up whole, the journal says so (`given_up`)."""
    try:
        cut.carry_out(True, site.wishes.lock_wait_s)
    except ConnectionLost:
        raise
    except TablevaultError as error:
        if not cut.settled(False):
            error.hint = run_again(site.state, error)
            raise
        cut.clear()
        site.note(given_up, had_live=dict(site.state.had_live))
        raise


def run_again(state: RunState, error: TablevaultError) -> str:
    """The advice where a cut-over is neither here nor there."""
    return (
        f"{error.message}; the cut-over is not at an end: run `tablevault swap {state.run}` or "
        f"`tablevault rollback {state.run}` again, which look at what is there"
    )


def tell_window(site: Site, plan: Plan, cut: Cutover) -> None:
    """Say for how long foreign keys were away, where they were."""
    if cut.window_s and any(plan.wanted_links(True).values()):
        site.narrator.hint(
            f"foreign keys were away for {cut.window_s:.2f} s while the tables were renamed; "
            "rows without parents were looked for afterwards"
        )

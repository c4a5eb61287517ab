"""The cut-over of one partition: proven rows for those of the live one, by EXCHANGE PARTITION.

The staging table is whole and proven.  Its partition is first exchanged with an empty table of
the same shape, which then holds just the rows in question; that table is exchanged with the live
partition, and keeps afterwards what was live.  A rollback is the same exchange again.

Which side the rows are on after a death is told by InnoDB's table id, which goes with the rows:
the journal has the id of the table beside the live one from before the exchange.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from tablevault.errors import (
    CannotComplete,
    ConnectionLost,
    ConsentNeeded,
    ProofFailed,
    StatementFailed,
    TablevaultError,
)
from tablevault.model import Finding, TableName
from tablevault.mysql import catalog, partitions, relations, sql_partitions, sql_tables
from tablevault.mysql.sql_relations import create_like
from tablevault.ops import cutover_checks as checks
from tablevault.ops import turns
from tablevault.ops.hands import NOT_NOW
from tablevault.ops.options import SwapResult
from tablevault.ops.runs import RunTable
from tablevault.ops.site import Site


def swap_partition(site: Site, began: float) -> SwapResult:
    """Put the partition's proven rows in place; `began` is monotonic seconds."""
    state, table = site.state, _table(site)
    if state.status == "swapped":
        return _result(site, "swapped", began)
    if state.status != "proven":
        raise CannotComplete(f"run {state.run} is {state.status}, not proven")
    site.require_staging()
    partitions.require_alike(site.hands.main, table.target, table.create_sql)
    rows = _set_apart(site, table)
    lost, only_restored = _lacking(site, table), _lacking(site, table, back=True)
    if site.wishes.keep_new:
        raise CannotComplete("--keep-new carries no rows over into a single partition")
    if lost:
        site.narrator.hint(
            f"{table.target}: {lost:,} rows of partition {site.partition} are not in the snapshot "
            f"and stay in {table.kept}"
        )
    had_live = {str(table.target): True}
    plan = {**_plan(site, table), "rows": rows}
    state.had_live, state.plan, state.swap_plan = had_live, plan, plan
    state.only_restored = {str(table.target): only_restored}
    site.note("swapping", had_live=had_live, plan=plan, only_restored=dict(state.only_restored))
    # The dangerous step, and the last: until here nothing live was touched.
    findings = _exchange(site, table, "swap given up")
    site.note("swapped", had_live=had_live)
    return _result(site, "swapped", began, {table.target: lost}, findings)


def roll_back_partition(site: Site, began: float) -> SwapResult:
    """The same exchange again: what was live is live, the restored rows are beside it."""
    state, table = site.state, _table(site)
    partitions.require_alike(site.hands.main, table.target, table.create_sql)
    lost = _lacking(site, table)
    known = state.only_restored.get(str(table.target))
    if lost is not None:
        lost = max(0, lost - (known or 0))
    if lost or lost is None:
        written = "the rows written" if lost is None else f"{lost:,} rows written"
        message = (
            f"the rollback would take out of sight: {written} to partition {site.partition} of "
            f"{table.target} since the swap"
        )
        if not site.wishes.yes:
            raise ConsentNeeded(
                message, hint=f"confirm with --yes; they stay in {table.kept} until `cleanup`"
            )
        site.narrator.hint(f"{message}; they stay in {table.kept} until `cleanup`")
    state.plan = _plan(site, table)
    site.note("rolling back", had_live=dict(state.had_live), plan=state.plan)
    findings = _exchange(site, table, "rollback given up")
    site.note("rolled back", had_live=dict(state.had_live))
    return _result(site, "rolled back", began, findings=findings)


def settle_partition(site: Site) -> bool:
    """After a death: whether the exchange has been done; then no id may be issued twice."""
    done, issued = arrived(site), (site.state.plan or {}).get("issued")
    if done and issued is not None:
        _raise_ids(site, _table(site).target, issued)
    return done


def arrived(site: Site) -> bool:
    """Whether the exchange that was begun last has been done."""
    plan, apart = site.state.plan, _table(site).kept
    return plan is not None and partitions.mark(site.hands.main, apart) != plan["before"]


def _table(site: Site) -> RunTable:
    (table,) = site.state.tables
    return table


def _plan(site: Site, table: RunTable) -> dict[str, Any]:
    """For the journal: whose rows stand apart before the exchange, and the next id by then."""
    return {
        "before": partitions.mark(site.hands.main, table.kept),
        "issued": _next_id(site, table.target),
    }


def _set_apart(site: Site, table: RunTable) -> int:
    """The partition's rows out of the staging table into one of their own; how many they are.

    Looks at what is there, so that it can be begun again after a death at any step.
    """
    hands, main, apart = site.hands, site.hands.main, table.kept
    if not relations.exists(main, apart):
        hands.run(main, f"creating {apart}", create_like(apart, table.staging))
    if main.query(sql_partitions.names(apart)):
        hands.run(main, f"making one of {apart}", sql_partitions.remove_partitioning(apart))
    if main.one(sql_partitions.any_row(table.staging, site.partition)) is not None:
        hands.run(
            main,
            f"setting partition {site.partition} of {table.staging} apart",
            sql_partitions.exchange(table.staging, site.partition, apart),
        )
    hands.narrator.doing(f"counting the rows of {apart} and of the other partitions")
    rows, others = (
        relations.number(main, sql_tables.count_rows(name)) or 0 for name in (apart, table.staging)
    )
    if rows + others != table.rows:
        raise ProofFailed(
            f"{apart} has {rows} rows and {table.staging} {others}, which are not the {table.rows} "
            "of the snapshot",
            hint="the live table is untouched; restore anew",
        )
    return rows


def _lacking(site: Site, table: RunTable, *, back: bool = False) -> int | None:
    """How many rows the live partition has that the table apart lacks, or (`back`) the reverse.

    None where that was not to be told in time, or there is no key.
    """
    hands = site.hands
    hands.narrator.doing(f"comparing the keys of partition {site.partition} of {table.target}")
    definition = catalog.table_definition(hands.looker, table.target, identity=False)
    key = definition.row_key
    if key is None:
        return None
    if back:
        return relations.count_lacking(hands.looker, table.kept, table.target, key, checks.COUNT_S)
    question = sql_partitions.count_lacking(table.target, site.partition, table.kept, key)
    return relations.bounded(
        hands.looker, checks.COUNT_S, lambda: relations.number(hands.looker, question)
    )


def _exchange(site: Site, table: RunTable, given_up: str) -> list[Finding]:
    """Try it, a second at a time; when it is given up, all is as it was and the journal says so."""
    began, tries, hands = time.monotonic(), 0, site.hands
    hands.tables = (table.target, table.kept)
    try:
        while True:
            tries += 1
            try:
                return _attempt(site, table)
            except StatementFailed as error:
                if error.errno not in NOT_NOW or arrived(site):
                    raise
                waited_s = time.monotonic() - began
                if waited_s > site.wishes.lock_wait_s:
                    raise turns.not_granted(hands, [table.target], waited_s) from None
                turns.pause(hands, error, tries, began, kill_blockers=site.wishes.kill_blockers)
    except ConnectionLost:
        raise
    except TablevaultError:
        if not arrived(site):
            site.note(given_up, had_live=dict(site.state.had_live))
        raise


def _attempt(site: Site, table: RunTable) -> list[Finding]:
    """The exchange, and the next id of the live table, which goes with the rows, under one lock."""
    hands, main = site.hands, site.hands.main
    both = (table.target, table.kept)
    locked = hands.may_lock(both) and hands.lock(main, both)
    try:
        issued = _next_id(site, table.target)
        hands.run(
            main,
            f"exchanging partition {site.partition} of {table.target} with {table.kept}",
            sql_partitions.exchange(table.target, site.partition, table.kept),
        )
        own = None if issued is None else _raise_ids(site, table.target, issued)
    finally:
        hands.unlock(main)
    if locked or own is None or issued is None:
        return []
    message = f"ids from {own} to {issued - 1} may have been issued twice"
    return [Finding("auto_increment", message, table.target)]


def _raise_ids(site: Site, table: TableName, issued: int) -> int | None:
    """Let a table go on at `issued` at least; at which id it would have gone on, if below."""
    own = _next_id(site, table)
    if own is None or own >= issued:
        return None
    what = f"raising AUTO_INCREMENT of {table} to {issued}"
    site.hands.run(site.hands.main, what, sql_tables.set_auto_increment(table, issued))
    return own


def _next_id(site: Site, table: TableName) -> int | None:
    return relations.number(site.hands.main, sql_tables.next_auto_increment(table))


def _result(
    site: Site,
    status: str,
    began: float,
    new_rows: Mapping[TableName, int | None] | None = None,
    findings: list[Finding] | None = None,
) -> SwapResult:
    result = site.result(status, began, new_rows, findings=findings or [])
    rows = (site.state.swap_plan or {}).get("rows", 0)
    tables = tuple(dataclasses.replace(one, rows=rows, size_bytes=0) for one in result.tables)
    return dataclasses.replace(result, tables=tables)

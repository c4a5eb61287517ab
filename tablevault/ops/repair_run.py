"""The steps of a repair before anything live is changed: stage every row that differs, save."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from contextlib import ExitStack

from tablevault.errors import CannotComplete
from tablevault.model import ServerInfo
from tablevault.mysql import relations
from tablevault.mysql import server as servers
from tablevault.mysql.connect import Connection, Purpose, connect
from tablevault.ops.diff import compare
from tablevault.ops.repair_found import LATEST, NEVER, Found, found_before, not_kept
from tablevault.ops.repair_save import save_rows
from tablevault.ops.repair_site import RepairSite
from tablevault.ops.repair_stage import Stager
from tablevault.ops.repair_terms import Compared
from tablevault.ops.running import aside
from tablevault.vault.kept_rows import forget_rows, kept_path


def stage(site: RepairSite) -> None:
    """Compare, and stage every row that differs; then save what will be overwritten."""
    reporter = site.reporter
    site.journal.append("comparing")  # what an earlier try has staged does not count any more
    with ExitStack() as stack:
        control = aside(reporter, "connecting", lambda: connect(site.target))
        stack.callback(control.close)
        local_infile = not servers.local_infile_off(control)
        stager = Stager(site.patients, site.options, local_infile, site.journal, site.open_worker)
        stack.callback(stager.close)
        compared = _find(site, stager, control)
        reporter.begin_phase("saving", "what will be overwritten")
        aside(reporter, "staging the last rows", stager.finish, stager.abort)
        reader = aside(reporter, "connecting", lambda: connect(site.target, Purpose.READ))
        stack.callback(reader.close)
        patients = list(site.patients.values())
        saved = aside(
            reporter,
            "saving what will be overwritten",
            lambda: save_rows(
                reader, site.store, reporter.run, site.snapshot.id, patients, stager.batches
            ),
            reader.abort,
        )
        # From here on the run is complete on the server and in the vault, and goes on from there.
        records = [dataclasses.asdict(one) for one in compared]
        site.journal.append("saved", snapshot=saved, compared=records)
    site.state.batches, site.state.saved, site.state.complete = stager.batches, saved, True
    site.state.compared = {one.table: one for one in compared}


def _find(site: RepairSite, stager: Stager, control: Connection) -> list[Compared]:
    """Hand every row that differs to the stager; return what was found of each table."""
    compared = []
    with ExitStack() as stack:
        kept = _kept(site, control.server, stack)
        for number, found in kept.items():
            site.reporter.begin_phase("comparing", f"what diff {found.run} found")
            told = aside(
                site.reporter,
                f"staging what diff {found.run} found",
                lambda number=number, found=found: _take_up(number, found, stager),  # type: ignore[misc]
                stager.abort,
            )
            compared.append(told)
    rest = frozenset(range(len(site.entries))) - kept.keys()
    return compared + (_compare(site, stager, rest) if rest else [])


def _take_up(number: int, found: Found, stager: Stager) -> Compared:
    counts = Counter[str]()
    for part in found.differences():
        counts.update(changed=len(part.changed), missing=len(part.missing), extra=len(part.extra))
        stager(part)
    return Compared(
        table=number,
        run=found.run,
        began=found.began,
        ended=found.ended,
        changed=counts["changed"],
        missing=counts["missing"],
        extra=counts["extra"],
        before=True,
    )


def _kept(site: RepairSite, server: ServerInfo, stack: ExitStack) -> dict[int, Found]:
    """What may be put back without looking for it; what may not is said."""
    options, kept = site.options, {}
    if options.from_diff == NEVER:
        return {}
    for number, patient in site.patients.items():
        found = aside(
            site.reporter,
            "looking what a diff has found",
            lambda patient=patient: found_before(  # type: ignore[misc]
                site.state_dir, site.snapshot, patient.comparison, server, options
            ),
        )
        table = patient.table
        if isinstance(found, Found):
            kept[number] = found
            stack.callback(found.close)
            site.reporter.hint(
                f"table {table}: what diff {found.run} found is put back, which ended "
                f"{(time.time() - found.ended) / 60:,.0f} min ago; what differs only since then "
                "stays as it is (--from-diff never compares anew)"
            )
        elif options.from_diff != LATEST:
            raise not_kept(table, options, found)
        elif found:
            site.reporter.hint(
                f"table {table} is compared anew: a diff has kept what it found, but {found}"
            )
    return kept


def _compare(site: RepairSite, stager: Stager, numbers: frozenset[int]) -> list[Compared]:
    found = compare(
        site.target,
        site.store,
        site.snapshot,
        site.entries,
        site.diff_options(numbers=numbers),
        site.reporter,
        stager,
    )
    known = {entry.definition.table: number for number, entry in enumerate(site.entries)}
    return [
        Compared(
            table=known[one.table],
            run=found.run,
            began=found.began,
            ended=found.ended,
            changed=one.changed,
            missing=one.missing,
            extra=one.extra,
        )
        for one in found.tables
    ]


def forget_found(site: RepairSite) -> None:
    """What a diff has found in these tables will not be so any more."""
    for entry in site.entries:
        forget_rows(kept_path(site.state_dir, site.snapshot.id, entry.definition.table))


def require_sides(site: RepairSite, connection: Connection) -> None:
    """Raise CannotComplete when the tables of a run that has staged its rows are gone."""
    for number in {batch.table for batch in site.state.batches} & site.patients.keys():
        sides = site.patients[number].sides
        for side in (sides.source, sides.goal):
            if not relations.exists(connection, side):
                raise CannotComplete(
                    f"table {side} is not there any more: the run was cleaned up",
                    hint=f"what was overwritten is in snapshot {site.state.saved}: "
                    f"tablevault restore {site.state.saved} --as SCHEMA.TABLE",
                )

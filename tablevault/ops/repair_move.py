"""The step of a repair that changes live rows: batches put back, or taken back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from tablevault.errors import ServerUnavailable
from tablevault.events import Retrying
from tablevault.mysql.connect import connect
from tablevault.ops.hands import open_hands
from tablevault.ops.narrator import Narrator
from tablevault.ops.repair_crew import Course, Mender, RepairCrew
from tablevault.ops.repair_site import RepairSite
from tablevault.ops.repair_state import read_state
from tablevault.ops.repair_terms import Batch
from tablevault.ops.repair_triggers import bring_back, prove_again, put_without
from tablevault.ops.repair_work import Done, done_of
from tablevault.ops.retrying import Patience
from tablevault.ops.running import aside

_MOST_PASSES = 20  # over rows whose unique values other rows of the repair hold


def prove_triggers(site: RepairSite) -> None:
    """Before anything is changed: whether all triggers could be made again."""
    with_triggers = [patient for patient in site.patients.values() if patient.triggers]
    if not with_triggers or site.options.fire_triggers:
        return
    narrator = Narrator("trying out triggers")
    with open_hands(site.target, site.journal, narrator, log_bin=site.options.log_bin) as hands:
        narrator.run(
            site.reporter, lambda: prove_again(hands, site.reporter.run, with_triggers), hands.abort
        )


def move(site: RepairSite, course: Course) -> dict[tuple[int, int], Done]:
    """Put every batch back, or take it back; deletes, then updates, then inserts."""
    finished = site.state.done if course.forward else site.state.undone
    todo = [one for one in site.state.batches if (one.table, one.number) not in finished]
    site.reporter.begin_phase("repairing" if course.forward else "undoing", f"{len(todo)} batches")
    totals: dict[int, int] = {}
    for batch in site.state.batches:
        if batch.table not in site.patients:  # all of it was taken back, and the table altered back
            continue
        totals[batch.table] = totals.get(batch.table, 0) + max(1, batch.size_bytes)
    with ExitStack() as stack:
        menders = []
        for _ in range(min(site.options.threads, max(1, len(todo)))):
            connection = aside(site.reporter, "connecting", site.open_worker)
            mender = Mender(connection, site.open_worker, site.patients, site.journal, course)
            stack.callback(mender.close)
            menders.append(mender)
        crew = stack.enter_context(
            RepairCrew(
                menders,
                site.patients,
                site.reporter,
                site.options,
                lambda: connect(site.target),
                totals,
            )
        )
        for key, entry in finished.items():
            crew.results[key] = done_of(entry)
        for what in course.stages:
            batches = [batch for batch in todo if batch.what == what]
            quiet = [one for one in batches if not _firing(site, one, course)]
            crew.run(quiet)
            _through_windows(site, batches, course, crew)
        _again_where_unique(crew, todo, course)
        return crew.results


def _firing(site: RepairSite, batch: Batch, course: Course) -> bool:
    return not site.options.fire_triggers and bool(
        site.patients[batch.table].firing(course.event(batch.what))
    )


def _through_windows(
    site: RepairSite, batches: Sequence[Batch], course: Course, crew: RepairCrew
) -> None:
    """The batches of tables whose triggers must not fire."""
    firing = [batch for batch in batches if _firing(site, batch, course)]
    if not firing:
        return
    patience = Patience(time.monotonic)
    while firing:
        try:
            _in_windows(site, firing, course, crew)
        except ServerUnavailable as error:
            _wait_for_server(site, patience, error)
        firing = [one for one in firing if not crew.has_done(one)]


def _in_windows(
    site: RepairSite, firing: Sequence[Batch], course: Course, crew: RepairCrew
) -> None:
    narrator = Narrator("locking")
    with open_hands(site.target, site.journal, narrator, log_bin=site.options.log_bin) as hands:
        for number in dict.fromkeys(batch.table for batch in firing):
            patient = site.patients[number]
            mine = [batch for batch in firing if batch.table == number]
            going = patient.firing(course.event(mine[0].what))
            narrator.run(
                site.reporter,
                lambda patient=patient, going=going, mine=mine: put_without(  # type: ignore[misc]
                    hands,
                    patient,
                    going,
                    mine,
                    site.journal,
                    course,
                    crew.note,
                    site.options.lock_wait_s,
                ),
                hands.abort,
            )


def _wait_for_server(site: RepairSite, patience: Patience, error: ServerUnavailable) -> None:
    """Until it is there again, and the triggers with it.  Raises `error` when patience ends."""
    while True:
        delay_s = patience.delay_s(error)
        if delay_s is None:
            raise error
        what = "putting rows back without triggers"
        cause = error.message
        site.reporter.emit(
            Retrying(what=what, cause=cause, attempt=patience.attempts, delay_s=delay_s)
        )
        aside(site.reporter, "the server", lambda delay_s=delay_s: time.sleep(delay_s))  # type: ignore[misc]
        try:
            site.state.triggers_off = read_state(site.journal.entries).triggers_off
            triggers_back(site)
            return
        except ServerUnavailable as again:
            error = again


def _again_where_unique(crew: RepairCrew, batches: Sequence[Batch], course: Course) -> None:
    """Rows that wait for a unique value which another row of the repair has given up by now."""
    held: list[Batch] = [one for one in batches if crew.collided(one)]
    for _ in range(_MOST_PASSES):
        before = sum(crew.results[one.table, one.number].held for one in held)
        if not held:
            return
        crew.run(held)
        held = [one for one in held if crew.collided(one)]
        if sum(crew.results[one.table, one.number].held for one in held) >= before:
            return


def triggers_back(site: RepairSite, lock_wait_s: float | None = None) -> None:
    """What a killed run dropped comes back before anything else."""
    if not site.state.triggers_off:
        return
    wait_s = site.options.lock_wait_s if lock_wait_s is None else lock_wait_s
    narrator = Narrator("making triggers again")
    with open_hands(site.target, site.journal, narrator, log_bin=site.options.log_bin) as hands:
        narrator.run(
            site.reporter, lambda: bring_back(hands, site.state, site.journal, wait_s), hands.abort
        )

"""Preflight: whether tables' files would be kept or brought back, and why not."""

from __future__ import annotations

from collections.abc import Iterator, Sized

from tablevault.errors import CannotComplete
from tablevault.mysql import catalog, locks, tablespaces
from tablevault.names import staging_table
from tablevault.ops import lane_choice, lane_fit
from tablevault.ops.checkup import RESTORE, SNAPSHOT, Advice, Patient, fine, note
from tablevault.ops.tablespace_copies import left_out
from tablevault.ops.tablespace_plan import why_unreadable

_MOST_TABLES = 100  # each costs two questions


def kept_tablespaces(patient: Patient) -> Iterator[Advice]:
    """Which tables have a file that can be copied from here, by this account."""
    tables = [table for table in patient.tables if table in patient.facts][:_MOST_TABLES]
    conn, privileges = patient.inspect.connection, patient.inspect.privileges
    if not tables or privileges is None or not patient.wants(SNAPSHOT) or patient.inspect.late:
        return
    try:
        locks.choose(conn, locks.LockMode.EXPORT, tables, privileges)
        found = tablespaces.find(conn, catalog.table_definitions(conn, tables, []))
    except CannotComplete as error:
        yield fine("tablespaces", f"snapshot --tablespace would keep none: {error.message}")
        return
    reasons = dict(found.reasons)
    for one in found.tablespaces:
        why = why_unreadable(one)
        if why is not None:
            reasons[one.table] = why
    count = len(found.tablespaces) + len(found.reasons) - len(reasons)
    message = f"snapshot --tablespace would keep the files of {_of(count, tables)}"
    # never a note: who does not run on the database host has nothing to be told
    yield fine("tablespaces", f"{message}; {left_out(reasons)}" if reasons else message)


def returning_tablespaces(patient: Patient) -> Iterator[Advice]:
    """Which tables of the snapshot would come back by the tablespaces that it keeps."""
    kept = [one for one in patient.restoring if one.entry.tablespace is not None][:_MOST_TABLES]
    store, snapshot = patient.store, patient.snapshot
    if not kept or store is None or snapshot is None or not patient.wants(RESTORE):
        return
    ground = lane_fit.survey(patient.inspect.connection, log_bin=patient.log_bin)
    reasons = {}
    for one in kept:
        staging = staging_table(one.target, snapshot.id)
        if why := lane_choice.against(ground, store, snapshot.id, one.entry, staging):
            reasons[one.target] = why
    message = f"restore would bring {_of(len(kept) - len(reasons), kept)} back by tablespace"
    if reasons:
        yield note("tablespaces", f"{message}; {left_out(reasons, 'by their rows come')}")
    else:
        yield fine("tablespaces", message)


def _of(count: int, tables: Sized) -> str:
    return f"{count} of 1 table" if len(tables) == 1 else f"{count} of {len(tables)} tables"

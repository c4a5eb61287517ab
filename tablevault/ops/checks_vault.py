"""Preflight: the vault, and what earlier runs left in it, beside it and on the server."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from tablevault.errors import TablevaultError
from tablevault.model import TableName
from tablevault.ops import unfinished
from tablevault.ops.checkup import (
    RESTORE,
    SNAPSHOT,
    Advice,
    Patient,
    fatal,
    fine,
    note,
    warning,
)
from tablevault.ops.runs import REPAIR, RunState
from tablevault.ops.ways import advice
from tablevault.vault.catalog import list_snapshots
from tablevault.vault.store import Store

FILES_SHARE = 0.5  # of the data in InnoDB; lineitem: 0.15, what does not compress: more
_DERIVED = re.compile(r"_tv_(new|old|undone|put|was)_([0-9a-f]{8})_")
_MOST_SHOWN = 20


def vault(patient: Patient) -> Iterator[Advice]:
    """Whether the vault can be written, has room, and holds incomplete snapshots."""
    store = patient.store
    if store is None:
        return
    root = getattr(store, "root", None)
    if (
        isinstance(root, Path)
        and patient.wants(SNAPSHOT)
        and not os.access(root, os.W_OK | os.X_OK)
    ):
        yield fatal(
            (SNAPSHOT,),
            "vault",
            f"vault {store.uri} is not writable",
            "check the folder's owner and permissions, or name another with --vault",
        )
    free = store.free_bytes()
    tight = tight_vault(store, sum(one.data_bytes for one in patient.facts.values()))
    if free is None:
        yield note("vault", f"the free space of vault {store.uri} cannot be seen")
    elif patient.wants(SNAPSHOT) and tight is not None:
        yield warning("vault", tight, "free space, or remove old snapshots")
    else:
        yield fine("vault", f"vault {store.uri} has {free / 1e9:.2f} GB free")
    try:
        incomplete = [item.id for item in list_snapshots(store) if not item.complete]
    except TablevaultError as error:
        yield warning("vault", error.message, error.hint or "look at the vault's folder")
        return
    if incomplete:
        yield note(
            "vault",
            f"snapshots that were never completed: {', '.join(incomplete[:5])}",
            "the next snapshot removes what no running process writes",
        )


def tight_vault(store: Store, data_bytes: int) -> str | None:
    """What to say when the vault may be too small for a snapshot of so much data; else None."""
    free, needed = store.free_bytes(), int(data_bytes * FILES_SHARE)
    if free is None or free >= needed:
        return None
    return (
        f"vault {store.uri} has {free / 1e9:.2f} GB free; a snapshot may take up to about "
        f"{needed / 1e9:.2f} GB"
    )


def unfinished_runs(patient: Patient) -> Iterator[Advice]:
    """Runs on these tables that died or are at work."""
    if patient.state_dir is None or not patient.wants(RESTORE):
        return
    runs = unfinished.find(patient.state_dir, patient.inspect.server, set(patient.tables))
    for one in runs:
        if one.run == patient.resumed:
            continue
        names = ", ".join(str(table) for table in one.tables)
        if one.alive:
            message = f"run {one.run} is at work on {names}"
            yield fatal(
                patient.for_(RESTORE), "run", message, f"look on with `tablevault watch {one.run}`"
            )
        elif one.state.operation == REPAIR:
            yield fatal(
                patient.for_(RESTORE),
                "run",
                f"run {one.run}, a repair of {names}, was not finished",
                f"tablevault repair --resume {one.run}",
            )
        elif one.state.status == "begun":
            yield fatal(
                patient.for_(RESTORE),
                "run",
                f"run {one.run} on {names} was not finished",
                f"{advice(one.run, 'begun')}; or restore with --new",
            )
        else:
            verb = "swap" if one.state.status == "swapping" else "rollback"
            yield fatal(
                patient.for_(RESTORE),
                "run",
                f"run {one.run} on {names} died in the middle of its {verb}",
                advice(one.run, one.state.status),
            )


def leftovers(patient: Patient) -> Iterator[Advice]:
    """Tables that runs made or kept, and which command removes them."""
    schemas = patient.schemas
    found = patient.inspect.derived_tables(schemas) if schemas else []
    runs = unfinished.by_mark(patient.state_dir) if found else {}
    for table, size in found[:_MOST_SHOWN]:
        match = _DERIVED.match(table.name)
        if match is None:
            continue
        role, state = match[1], runs.get(match[2])
        if state is not None and state.run == patient.resumed:
            continue
        yield _leftover(table, size, role, state)
    if schemas and not found:
        yield fine("leftovers", "no tables of earlier runs")


def _leftover(table: TableName, size: int, role: str, state: RunState | None) -> Advice:
    what = {
        "new": "a staging table",
        "old": "the table that was live before a swap",
        "undone": "a restored table that a rollback set aside",
        "put": "what a repair has put into its table",
        "was": "what a repair has overwritten",
    }[role]
    shown = f"{table} ({size / 1e6:.1f} MB) is {what}"
    if state is None:
        return note(
            "leftovers",
            f"{shown} of a run whose journal is not here",
            "name the right --state-dir; if its run is over and nobody needs it, drop it by hand",
            table,
        )
    return note(
        "leftovers",
        f"{shown} of run {state.run}, which is {state.status}",
        f"{_way_on(state)}tablevault cleanup {state.run}",
        table,
    )


def _way_on(state: RunState) -> str:
    """What else than its removal may be meant for what a run made."""
    words = {
        "begun": "restore --resume",
        "proven": "swap",
        "comparing": "repair --resume",
        "repairing": "repair --resume",
        "repaired": "repair --undo",
    }.get(state.status)
    return f"tablevault {words} {state.run}, or " if words else ""

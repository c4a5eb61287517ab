"""The steps of a snapshot that are about tablespaces, as its coordinator takes and tells them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TypeVar

from tablevault.engine.pool import run_aside
from tablevault.events import Reporter, Waiting
from tablevault.model import TableDef, TableName, TablespaceFiles
from tablevault.mysql.connect import Connection
from tablevault.mysql.locks import LockMode
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.read_crew import ReadCrew
from tablevault.ops.running import aside, first_tick_s
from tablevault.ops.tablespace_copies import TablespaceCopies
from tablevault.ops.tablespace_plan import plan_copies
from tablevault.vault.store import Store

R = TypeVar("R")


def planned(
    reporter: Reporter,
    stack: ExitStack,
    store: Store,
    snapshot_id: str,
    control: Connection,
    definitions: Sequence[TableDef],
    options: SnapshotOptions,
) -> TablespaceCopies | None:
    """What is to be copied, told before anything is locked; None when nothing was asked for."""
    if not options.tablespace:
        return None
    copies = aside(
        reporter,
        "looking for tablespaces",
        lambda: plan_copies(store, snapshot_id, control, definitions, options),
        control.abort,
    )
    stack.callback(copies.discard)
    copies.tell(reporter.hint)
    if copies.notice:
        reporter.hint(copies.notice)
    return copies


def lock_of(copies: TablespaceCopies | None) -> str:
    """The lock that is tried first for the sake of what is copied; empty without."""
    return LockMode.EXPORT if copies is not None and copies.copies else ""


def locked(
    reporter: Reporter,
    copies: TablespaceCopies | None,
    call: Callable[[], R],
    interrupt: Callable[[], None],
) -> R:
    """Run `call`, which takes the lock and copies under it, beside the coordinator."""
    began_s = time.monotonic()

    def tick() -> None:
        if copies is None or not copies.copying:
            waited_s = time.monotonic() - began_s
            reporter.emit(Waiting(what="waiting for the snapshot lock", seconds=waited_s))
            return
        if reporter.phase != "copying":
            reporter.begin_phase("copying", "tablespaces, under the lock")
        reporter.emit(copies.progress())

    def stop() -> None:
        interrupt()
        if copies is not None:
            copies.abort()

    result = run_aside(call, on_tick=tick, interrupt=stop, first_tick_s=first_tick_s(reporter))
    if copies is not None:
        copies.tell(reporter.hint)
    return result


def packed(
    reporter: Reporter, crew: ReadCrew, copies: TablespaceCopies | None
) -> dict[TableName, TablespaceFiles]:
    """Pack what was copied, with the progress of the whole going on."""
    if copies is None or not copies.copies:
        return {}
    reporter.begin_phase("packing", "tablespaces")
    every = tuple(copies.copies)

    def tick() -> None:
        crew.show_packing({copy.table: (copy.packed_bytes, copy.size_bytes) for copy in every})

    files = run_aside(
        copies.keep,
        on_tick=tick,
        interrupt=copies.abort,
        first_tick_s=first_tick_s(reporter),
    )
    tick()
    copies.tell(reporter.hint)
    return files

"""Snapshot: the tables as they stand at one instant, into files, the manifest last.

All workers read inside one consistent read.  What fails, is killed or is cut off leaves no
snapshot: the manifest is what makes one, and it is written when everything else is on disk.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import tablevault
from tablevault.errors import Interrupted, UsageError
from tablevault.events import (
    Observer,
    Reporter,
    silent,
)
from tablevault.model import Snapshot, TableDef, TableEntry
from tablevault.mysql import session as sessions
from tablevault.mysql.connect import Connection, ConnectOptions, Purpose
from tablevault.names import MANIFEST, new_snapshot_id, valid_snapshot_name
from tablevault.ops.checks_vault import tight_vault
from tablevault.ops.consistent import (
    Connections,
    ConsistentRead,
    assert_unaltered,
    choose_tables,
    open_consistent_read,
)
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.read_crew import ReadCrew, TableRead
from tablevault.ops.running import aside, reported
from tablevault.vault.catalog import SnapshotBeingWritten, begin_snapshot, clean_leftovers
from tablevault.vault.chunklist import write_chunk_list
from tablevault.vault.store import Store


def snapshot(
    target: ConnectOptions,
    store: Store,
    options: SnapshotOptions,
    observer: Observer = silent,
    *,
    state_dir: Path | None = None,
) -> Snapshot:
    """Take a consistent snapshot of the tables that `options` name; return its manifest.

    With `state_dir` it can be watched while it is taken; the run's id is the snapshot's.
    Raises UsageError, Unsupported before anything is read; CannotComplete for DDL, a lock that
    did not come, a full disk.  In every such case there is no snapshot.
    """
    if options.name is not None and not valid_snapshot_name(options.name):
        raise UsageError(
            f"{options.name!r} cannot be the name of a snapshot",
            hint="use letters, digits, dot, dash and underscore",
        )
    snapshot_id = new_snapshot_id(options.name)
    reporter = Reporter(snapshot_id, observer)
    with (
        reported(reporter, "snapshot", snapshot=snapshot_id, state_dir=state_dir),
        ExitStack() as stack,
    ):
        reporter.begin_phase("planning", "tables and keys")
        for leftover in clean_leftovers(store):
            reporter.hint(f"removed the remains of snapshot {leftover}, which was never completed")
        connections = Connections(stack)
        control, definitions = _look(reporter, target, store, connections, options)
        writing = stack.enter_context(begin_snapshot(store, snapshot_id))
        reporter.begin_phase("locking", options.lock)
        read = aside(
            reporter,
            "waiting for the snapshot lock",
            lambda: open_consistent_read(target, connections, control, definitions, options),
            connections.abort,
        )
        for hint in read.hints:
            reporter.hint(hint)
        count = len(read.definitions)
        what = f"{count} table" if count == 1 else f"{count} tables"
        reporter.begin_phase("reading", f"{what}, lock {read.lock.kind}")
        crew = ReadCrew(target, store, snapshot_id, options, reporter, read)
        crew.run()
        reporter.begin_phase("sealing", "definitions, chunk lists, manifest")
        with _too_late_to_interrupt(store, snapshot_id):
            return aside(
                reporter,
                "sealing the snapshot",
                lambda: _seal(store, writing, options, read, crew.tables),
                connections.abort,
            )


def _look(
    reporter: Reporter,
    target: ConnectOptions,
    store: Store,
    connections: Connections,
    options: SnapshotOptions,
) -> tuple[Connection, tuple[TableDef, ...]]:
    """The tables that are meant, by a connection that stays for control."""

    def ask() -> tuple[Connection, tuple[TableDef, ...]]:
        control = connections.open(target, Purpose.CONTROL)
        return control, choose_tables(control, options)

    control, definitions = aside(reporter, "reading definitions", ask, connections.abort)
    tight = tight_vault(store, sum(one.estimated_bytes for one in definitions))
    if tight is not None:
        reporter.hint(tight)
    return control, definitions


@contextmanager
def _too_late_to_interrupt(store: Store, snapshot_id: str) -> Iterator[None]:
    """Say so when an interruption came after the manifest: then there is a snapshot."""
    try:
        yield
    except KeyboardInterrupt:
        if not store.exists(f"{snapshot_id}/{MANIFEST}"):
            raise
        raise Interrupted(
            f"snapshot interrupted, but {snapshot_id} was complete by then",
            hint="it can be used; `tablevault verify` proves it",
        ) from None


def _seal(
    store: Store,
    writing: SnapshotBeingWritten,
    options: SnapshotOptions,
    read: ConsistentRead,
    tables: Sequence[TableRead],
) -> Snapshot:
    """Prove that nothing was altered meanwhile, then write the manifest: the snapshot exists."""
    assert_unaltered(read.control, read.definitions)
    entries = tuple(_write_list(store, writing.id, table) for table in tables)
    manifest = Snapshot(
        id=writing.id,
        name=options.name,
        created=read.instant,
        finished=time.time(),
        server=read.control.server,
        lock=read.lock.kind,
        binlog=read.binlog,
        tables=entries,
        hints=read.hints,
        tool_version=tablevault.__version__,
        session=sessions.digest_settings(read.readers[0].session),
    )
    # Last of all: from this write on there is a snapshot, and every file of it is on disk.
    writing.commit(manifest)
    return manifest


def _write_list(store: Store, snapshot_id: str, table: TableRead) -> TableEntry:
    chunks = sorted(table.chunks, key=lambda chunk: chunk.index)
    plan = table.plan
    return write_chunk_list(store, snapshot_id, plan.definition, chunks, where=plan.where)

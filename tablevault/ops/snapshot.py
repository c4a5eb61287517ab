"""Snapshot: the tables as they stand at one instant, into files, the manifest last.

All workers read inside one consistent read.  What fails, is killed or is cut off leaves no
snapshot: the manifest is what makes one, and it is written when everything else is on disk.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import tablevault
from tablevault.errors import Interrupted, TablevaultError, UsageError
from tablevault.events import (
    Observer,
    Reporter,
    silent,
)
from tablevault.model import Snapshot, TableDef, TableEntry, TableName, TablespaceFiles
from tablevault.mysql import session as sessions
from tablevault.mysql.connect import Connection, ConnectOptions, Purpose
from tablevault.names import MANIFEST, valid_snapshot_name
from tablevault.ops.base import Bases, find_bases
from tablevault.ops.checks_vault import tight_vault
from tablevault.ops.consistent import (
    Connections,
    ConsistentRead,
    assert_unaltered,
    choose_tables,
    lock_notice,
    open_consistent_read,
)
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.read_crew import ReadCrew
from tablevault.ops.running import Ending, aside, reported
from tablevault.ops.table_read import TableRead
from tablevault.ops.tablespace_copies import TablespaceCopies
from tablevault.ops.tablespace_plan import require_possible
from tablevault.ops.tablespace_steps import lock_of, locked, packed, planned
from tablevault.vault.catalog import (
    SnapshotBeingWritten,
    begin_snapshot,
    clean_leftovers,
    moment,
    unused_snapshot_id,
)
from tablevault.vault.chunklist import write_chunk_list
from tablevault.vault.memory import Memory
from tablevault.vault.records import features_of
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
    require_possible(options)
    snapshot_id = unused_snapshot_id(store, options.name)
    reporter = Reporter(snapshot_id, observer)
    with _reported(reporter, store, snapshot_id, state_dir) as ending, ExitStack() as stack:
        reporter.begin_phase("planning", "tables and keys")
        for leftover in clean_leftovers(store):
            reporter.hint(f"removed the remains of snapshot {leftover}, which was never completed")
        connections = Connections(stack)
        control, definitions = _look(reporter, target, connections, options)
        bases = _bases(reporter, ending, store, control, definitions, options)
        notice = lock_notice(definitions, options)
        if notice is not None:
            reporter.hint(notice)
        writing = stack.enter_context(begin_snapshot(store, snapshot_id))
        copies = planned(reporter, stack, store, snapshot_id, control, definitions, options)
        reporter.begin_phase("locking", lock_of(copies) or options.lock)
        read = locked(
            reporter,
            copies,
            lambda: open_consistent_read(
                target, connections, control, definitions, options, copies
            ),
            connections.abort,
        )
        crew = _reading(target, store, snapshot_id, options, reporter, read, bases, copies)
        crew.run()
        kept = packed(reporter, crew, copies)
        reporter.begin_phase("sealing", "definitions, chunk lists, manifest")
        manifest = aside(
            reporter,
            "sealing the snapshot",
            lambda: _seal(store, writing, options, read, crew, kept, copies),
            connections.abort,
        )
        _remember(reporter, store, manifest, crew)
        return manifest


def _look(
    reporter: Reporter,
    target: ConnectOptions,
    connections: Connections,
    options: SnapshotOptions,
) -> tuple[Connection, tuple[TableDef, ...]]:
    """The tables that are meant, by a connection that stays for control."""

    def ask() -> tuple[Connection, tuple[TableDef, ...]]:
        control = connections.open(target, Purpose.CONTROL)
        return control, choose_tables(control, options)

    return aside(reporter, "reading definitions", ask, connections.abort)


def _reading(
    target: ConnectOptions,
    store: Store,
    snapshot_id: str,
    options: SnapshotOptions,
    reporter: Reporter,
    read: ConsistentRead,
    bases: Bases,
    copies: TablespaceCopies | None,
) -> ReadCrew:
    for hint in read.hints:
        reporter.hint(hint)
    count = len(read.definitions)
    what = f"{count} table" if count == 1 else f"{count} tables"
    reporter.begin_phase("reading", f"{what}, lock {read.lock.kind}")
    later_bytes = copies.bytes_total if copies else 0
    return ReadCrew(target, store, snapshot_id, options, reporter, read, bases, later_bytes)


def _bases(
    reporter: Reporter,
    ending: Ending,
    store: Store,
    control: Connection,
    definitions: Sequence[TableDef],
    options: SnapshotOptions,
) -> Bases:
    """What an incremental snapshot builds on; of a full one, nothing."""
    bases = Bases()
    if options.incremental or options.base is not None:
        bases = aside(
            reporter,
            "looking for earlier snapshots",
            lambda: find_bases(store, ending, options, control.server, definitions),
        )
    written = [one for one in definitions if one.table not in bases.of]
    tight = tight_vault(store, sum(one.estimated_bytes for one in written))
    if tight is not None:
        reporter.hint(tight)
    return bases


@contextmanager
def _reported(
    reporter: Reporter, store: Store, snapshot_id: str, state_dir: Path | None
) -> Iterator[Ending]:
    """The run's first and last event, and no word of an interruption that is not the truth."""
    with (
        _too_late_to_interrupt(store, snapshot_id),  # while the last event is emitted
        reported(reporter, "snapshot", snapshot=snapshot_id, state_dir=state_dir) as ending,
        _too_late_to_interrupt(store, snapshot_id),  # while connections are closed
    ):
        yield ending


@contextmanager
def _too_late_to_interrupt(store: Store, snapshot_id: str) -> Iterator[None]:
    """Say so when an interruption came after the manifest: then there is a snapshot."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
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
    crew: ReadCrew,
    tablespaces: Mapping[TableName, TablespaceFiles],
    copies: TablespaceCopies | None,
) -> Snapshot:
    """Prove that nothing was altered meanwhile, then write the manifest: the snapshot exists."""
    assert_unaltered(read.control, read.definitions)
    entries = tuple(
        _write_list(store, writing.id, table, tablespaces.get(table.plan.table))
        for table in crew.tables
    )
    manifest = Snapshot(
        id=writing.id,
        name=options.name,
        created=read.instant,
        finished=moment(),
        server=read.control.server,
        lock=read.lock.kind,
        binlog=read.binlog,
        tables=entries,
        features=features_of(entries),
        hints=(*read.hints, *(copies.hints if copies else ()), *crew.hints),
        tool_version=tablevault.__version__,
        session=sessions.digest_settings(read.readers[0].session),
    )
    # Last of all: from this write on there is a snapshot, and every file of it is on disk.
    writing.commit(manifest)
    return manifest


def _write_list(
    store: Store, snapshot_id: str, table: TableRead, tablespace: TablespaceFiles | None
) -> TableEntry:
    chunks = sorted(table.chunks, key=lambda chunk: chunk.index)
    plan = table.plan
    entry = write_chunk_list(store, snapshot_id, plan.definition, chunks, where=plan.where)
    return dataclasses.replace(entry, reused=table.reused, tablespace=tablespace)


def _remember(reporter: Reporter, store: Store, manifest: Snapshot, crew: ReadCrew) -> None:
    """What was taken over was proven row by row just now: no verification need begin with it."""
    taken = [
        (entry, index)
        for entry, table in zip(manifest.tables, crew.tables, strict=True)
        for index in table.taken
    ]
    if not taken:
        return

    def keep() -> None:
        memory = Memory(store, manifest, manifest.finished)
        for entry, index in taken:
            memory.note(entry, index, "rows", manifest.created)
        memory.save(manifest.id)

    try:
        aside(reporter, "remembering what was proven", keep)
    except TablevaultError as error:
        reporter.hint(f"what was proven could not be remembered: {error.message}")

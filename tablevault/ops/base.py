"""Which earlier snapshot an incremental one builds on, table by table.

Only what makes a chunk's file mean the same is asked here: the stored columns, the key, the filter,
and that ranges of the key are what they were.  Whether rows are the same is for the server to say
(ops/unchanged.py), so it does not matter whether it is the same table, or the same server.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tablevault.errors import LockedByRun, SnapshotUnusable
from tablevault.model import (
    SOME_ROWS,
    Chunk,
    Column,
    Key,
    KeyRange,
    ServerInfo,
    Snapshot,
    TableDef,
    TableEntry,
    TableName,
)
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.reading import TablePlan
from tablevault.ops.running import Ending
from tablevault.rows.kinds import Kind, spec_of
from tablevault.vault.catalog import list_snapshots, resolve
from tablevault.vault.chunklist import read_chunks
from tablevault.vault.store import Store

_SHOWN = 8


@dataclass(frozen=True)
class Base:
    """A table of an earlier snapshot, with its chunks."""

    snapshot: Snapshot
    entry: TableEntry
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Part:
    """What is compared at once: a chunk, or all of a table that no key parts."""

    range: KeyRange
    chunks: tuple[Chunk, ...]

    @property
    def rows(self) -> int:
        return sum(chunk.digest.rows for chunk in self.chunks)

    @property
    def wire_bytes(self) -> int:
        return sum(chunk.wire_bytes for chunk in self.chunks)


@dataclass
class Bases:
    """The base of each table that has one, and why the others have none."""

    of: dict[TableName, Base] = field(default_factory=dict)
    without: dict[str, list[TableName]] = field(default_factory=lambda: defaultdict(list))

    def fitting(self, plan: TablePlan) -> Base | None:
        """The base of a table, unless the table is read in another way than it was then."""
        base = self.of.get(plan.table)
        if base is None:
            return None
        why = _unlike(base, plan)
        if why is None:
            return base
        self.without[f"{why} since snapshot {base.snapshot.id}"].append(plan.table)
        return None

    @property
    def hints(self) -> tuple[str, ...]:
        """What to say of tables that are read as a whole."""
        found = []
        for why, tables in self.without.items():
            names = ", ".join(str(table) for table in tables[:_SHOWN])
            names += f" and {len(tables) - _SHOWN} more" if len(tables) > _SHOWN else ""
            found.append(f"read as a whole, {why}: {names}")
        return tuple(found)


def find_bases(
    store: Store,
    ending: Ending,
    options: SnapshotOptions,
    server: ServerInfo,
    definitions: Sequence[TableDef],
) -> Bases:
    """The newest snapshot that holds each table, or the one that `options` name.

    What is found cannot be removed until the run ends.  Raises SnapshotUnusable for a snapshot
    that was named and is not there.
    """
    bases = Bases()
    if options.base is not None:
        candidates = [resolve(store, options.base)]
    else:
        listed = [item.snapshot for item in list_snapshots(store) if item.snapshot is not None]
        candidates = sorted(
            (one for one in listed if SOME_ROWS not in one.features),
            # after a failover, what the other server gave
            key=lambda one: (one.server.uuid == server.uuid, one.created),
            reverse=True,
        )
    held: dict[str, bool] = {}
    for definition in definitions:
        base = _newest(store, ending, candidates, held, server, definition, options)
        if base is not None:
            bases.of[definition.table] = base
        else:
            bases.without["for want of an earlier snapshot of it"].append(definition.table)
    return bases


def parts_of(base: Base) -> list[Part]:
    """The parts in which a table is compared, in key order."""
    if base.entry.definition.key is None:
        return [Part(KeyRange(), base.chunks)]
    return [Part(chunk.range, (chunk,)) for chunk in base.chunks]


def _newest(
    store: Store,
    ending: Ending,
    candidates: Iterable[Snapshot],
    held: dict[str, bool],
    server: ServerInfo,
    definition: TableDef,
    options: SnapshotOptions,
) -> Base | None:
    where = None if definition.sequence else options.where
    for snapshot in candidates:
        for entry in snapshot.tables:
            if (
                entry.definition.table != definition.table
                or entry.where != where
                or not _ordered_alike(snapshot.server, server, entry.definition)
            ):
                continue
            if snapshot.id not in held:
                held[snapshot.id] = _hold(store, ending, snapshot.id)
            if held[snapshot.id]:
                try:
                    return Base(snapshot, entry, tuple(read_chunks(store, snapshot.id, entry)))
                except SnapshotUnusable:
                    continue  # its chunk list is damaged: an older one may do
    return None


def _hold(store: Store, ending: Ending, snapshot_id: str) -> bool:
    try:
        ending.reads(store, snapshot_id)
    except (SnapshotUnusable, LockedByRun):
        return False  # it is just being removed
    return True


def _ordered_alike(taken: ServerInfo, server: ServerInfo, definition: TableDef) -> bool:
    """Whether both servers order the key alike; digests are of one family in any case."""
    if taken.family != server.family:
        return False
    key = definition.key.columns if definition.key else ()
    names = {part.name for part in key}
    texts = [
        column
        for column in definition.columns
        if column.name in names and spec_of(column).kind is Kind.TEXT
    ]
    binary = all((column.collation or "").endswith("_bin") for column in texts)
    return binary or taken.version[:2] == server.version[:2]


def _unlike(base: Base, plan: TablePlan) -> str | None:
    before, now = base.entry.definition, plan.definition
    if before.sequence != now.sequence or _stored(before.columns) != _stored(now.columns):
        return "as its columns have changed"
    if _order(before.key) != _order(now.key) or (now.key and not base.chunks):
        return "as its key has changed"
    return None


def _stored(columns: Iterable[Column]) -> list[Column]:
    return [column for column in columns if not column.generated]


def _order(key: Key | None) -> tuple[object, ...] | None:
    return None if key is None else (key.columns, key.nullable)

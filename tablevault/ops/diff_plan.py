"""How a table is compared: which columns, by which expressions, by which index, in which parts.

All that may have become of a live table since the snapshot is settled here, once for each table;
what compares rows only sees pieces of SQL and specs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tablevault.model import Key, KeyRange, Snapshot, TableDef, TableEntry, TableName
from tablevault.mysql import keywalk, sql, sql_compare
from tablevault.mysql.connect import Connection
from tablevault.mysql.live_key import ordering_index
from tablevault.mysql.sql_digest import Piece
from tablevault.ops.schema_diff import renamed_columns
from tablevault.rows.kinds import ColumnSpec, Kind, Storage, specs_of

_OTHERWISE_SHOWN = frozenset({Kind.FLOAT, Kind.DOUBLE})  # by the two families, the same value


@dataclass(frozen=True)
class ComparedColumn:
    """A column that both sides have."""

    name: str  # in the snapshot
    live_name: str
    position: int  # among the snapshot's stored columns
    spec: ColumnSpec  # by which the snapshot's cells become text
    piece: Piece  # how the live table gives the same text
    reading: ColumnSpec  # by which the live table's text is read: as bytes, mostly
    writing: ColumnSpec  # by which it becomes text again, as the snapshot's family shows it


@dataclass(frozen=True)
class Comparison:
    """One table of the snapshot and the live one.

    `index` is the live index whose ranges are the snapshot's; without it rows are compared in
    parts by hash.  `identity` are the positions, among `columns`, of those that say which rows
    are the same row: the snapshot's key; empty when rows match as wholes.
    """

    number: int
    entry: TableEntry
    live: TableDef
    rows: str  # the live rows, as FROM names them
    columns: tuple[ComparedColumn, ...]
    index: Key | None
    identity: tuple[int, ...]
    recorded: bool  # the snapshot's own digests are those of the compared columns
    same_family: bool  # digests of the live server can be compared at all
    not_compared: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()

    @property
    def table(self) -> TableName:
        return self.entry.definition.table

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return tuple(column.piece for column in self.columns)

    @property
    def specs(self) -> tuple[ColumnSpec, ...]:
        return tuple(column.spec for column in self.columns)

    @property
    def reading(self) -> tuple[ColumnSpec, ...]:
        return tuple(column.reading for column in self.columns)

    @property
    def writing(self) -> tuple[ColumnSpec, ...]:
        return tuple(column.writing for column in self.columns)

    @property
    def positions(self) -> tuple[int, ...]:
        return tuple(column.position for column in self.columns)

    @property
    def has_row_keys(self) -> bool:
        """Whether rows can be asked for by their keys, as they stand in the index."""
        key = [self.columns[at] for at in self.identity]
        return (
            self.index is not None
            and not self.index.nullable
            and [part.name for part in self.index.columns] == [one.live_name for one in key]
            and all(one.piece.bare for one in key)
        )

    def condition(self, key_range: KeyRange | None = None, further: str = "") -> str:
        """The ` WHERE ...` of a range of the index, under the snapshot's own filter."""
        columns = self.live.columns
        return sql_compare.condition_of(columns, self.index, key_range, self.entry.where, further)


def compare_tables(
    conn: Connection,
    snapshot: Snapshot,
    number: int,
    entry: TableEntry,
    live: TableDef,
    only: Collection[str] = (),
) -> Comparison:
    """Settle how `entry` is compared with the live table: by all columns, or key and `only`."""
    before = entry.definition
    same_family = snapshot.server.family == conn.server.family
    names = _live_names(before, live)
    key = before.row_key.columns if before.row_key else ()
    kept = {*only, *(part.name for part in key)} if only else names.keys()
    chosen = {name: now for name, now in names.items() if name in kept}
    columns = _columns(snapshot, conn, before, live, chosen)
    stored = [column.name for column in before.columns if not column.generated]
    found = {column.name: at for at, column in enumerate(columns)}
    identity = tuple(found[part.name] for part in key if part.name in found)
    if len(identity) < len(key):
        identity = ()
    hints = []
    index = ordering_index(conn, before, live, names, snapshot.server)
    if index is not None:
        verdict = _usable(conn, entry, dataclasses.replace(live, key=index))
        if not verdict.usable:
            hints.append(f"table {before.table} is compared as a whole: {verdict.reason}")
            index = None
    if not same_family:
        hints.append(
            f"table {before.table}: the snapshot is of {snapshot.server.family}, whose digests "
            f"{conn.server.family} does not share: all rows are read and compared"
        )
    specs = specs_of(before.table, before.columns, snapshot.server.family)
    return Comparison(
        number=number,
        entry=entry,
        live=live,
        # of a table that was not versioned then, only the rows of now
        rows=sql.rows_of(live.table, live.columns if _versioned(before) else ()),
        columns=columns,
        index=index,
        identity=identity,
        recorded=tuple(column.spec for column in columns) == specs,
        same_family=same_family,
        not_compared=tuple(name for name in stored if name not in names),
        hints=tuple(hints),
    )


def _usable(conn: Connection, entry: TableEntry, live: TableDef) -> keywalk.RangeVerdict:
    first = keywalk.lowest_boundary(conn, live)
    if first is None:
        return keywalk.RangeVerdict(True)
    return keywalk.check_range(conn, live, KeyRange(first, None), entry.where)


def _versioned(definition: TableDef) -> bool:
    return any(column.system_time for column in definition.columns)


def _live_names(before: TableDef, live: TableDef) -> dict[str, str]:
    """What the snapshot's columns are called now; those that are gone are absent."""
    now = {column.name.casefold(): column.name for column in live.columns}
    renamed = renamed_columns(before, live)
    names = {}
    for column in before.columns:
        name = renamed.get(column.name) or now.get(column.name.casefold())
        if name is not None:
            names[column.name] = name
    return names


def _columns(
    snapshot: Snapshot, conn: Connection, before: TableDef, live: TableDef, names: dict[str, str]
) -> tuple[ComparedColumn, ...]:
    family = snapshot.server.family
    same_family = family == conn.server.family
    specs = specs_of(before.table, before.columns, family)
    stored = [column for column in before.columns if not column.generated]
    found = {column.name: column for column in live.columns}
    compared = []
    for position, (spec, column) in enumerate(zip(specs, stored, strict=True)):
        if column.name not in names:
            continue
        live_column = found[names[column.name]]
        (live_spec,) = specs_of(
            live.table, [dataclasses.replace(live_column, generated=False)], conn.server.family
        )
        as_text, piece = sql_compare.as_before(spec, column, live_spec, live_column)
        reading = writing = _as_bytes(spec)
        if not same_family and live_spec.kind is spec.kind and spec.kind in _OTHERWISE_SHOWN:
            reading, writing = live_spec, spec
        compared.append(
            ComparedColumn(
                column.name, live_column.name, position, as_text, piece, reading, writing
            )
        )
    return tuple(compared)


def _as_bytes(spec: ColumnSpec) -> ColumnSpec:
    return ColumnSpec(spec.name, Kind.BLOB, Storage.BYTES, spec.digest)


def identity_pieces(comparison: Comparison) -> Sequence[Piece]:
    """What says which part of a table by hash a row belongs to."""
    if not comparison.identity:
        return comparison.pieces
    return [comparison.columns[at].piece for at in comparison.identity]

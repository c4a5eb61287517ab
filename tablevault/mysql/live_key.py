"""Which index of a live table orders it as the snapshot's key ordered the snapshot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tablevault.model import Column, Key, KeyColumn, ServerInfo, TableDef
from tablevault.mysql import sql_tables
from tablevault.mysql.sql_ranges import usable_in_key
from tablevault.rows.kinds import Kind, spec_of

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

_INTEGERS = frozenset({Kind.INT, Kind.UINT})


def ordering_index(
    conn: Connection, before: TableDef, live: TableDef, names: Mapping[str, str], taken: ServerInfo
) -> Key | None:
    """The live table's index over the columns of `before.key`, in their order and directions.

    `names` gives the live name of each of the snapshot's columns that is still there, `taken` is
    the server of the snapshot.  None when there is none, or when its order may be another one: a
    column of another type, charset or collation, or another version of the server, whose
    collations may have changed.  The index need not be unique, and may have further columns.
    """
    if before.row_key is None:
        return None
    columns = {column.name: column for column in live.columns}
    was = {column.name: column for column in before.columns}
    wanted = []
    for part in before.row_key.columns:
        now = columns.get(names.get(part.name, ""))
        if now is None or not _ordered_alike(was[part.name], now, taken, conn.server):
            return None
        wanted.append(KeyColumn(now.name, part.descending))
    for index, parts in _indexes(conn, live).items():
        if parts[: len(wanted)] == wanted:
            return Key(index, tuple(wanted))
    return None


def _ordered_alike(before: Column, now: Column, taken: ServerInfo, server: ServerInfo) -> bool:
    if not usable_in_key(now):
        return False
    was, is_now = spec_of(before), spec_of(now)
    if was.kind in _INTEGERS and is_now.kind in _INTEGERS:
        return True
    if was.kind is not is_now.kind or was.scale != is_now.scale:
        return False
    if was.kind is Kind.ENUM:
        return before.column_type == now.column_type
    if was.kind is not Kind.TEXT:
        return True
    same_release = (taken.family, taken.version[:2]) == (server.family, server.version[:2])
    binary = (now.collation or "").endswith("_bin")
    return before.collation == now.collation and (same_release or binary)


def _indexes(conn: Connection, live: TableDef) -> dict[str, list[KeyColumn | None]]:
    """The columns of each B-tree index that may be named; None for a part that is no column."""
    visible = sql_tables.visible_index(conn.server.family, conn.server.version)
    found: dict[str, list[KeyColumn | None]] = defaultdict(list)
    for index, column, direction, prefix in _rows(conn, sql_tables.ordering(live.table, visible)):
        plain = column and not prefix
        found[index].append(KeyColumn(column, direction == "D") if plain else None)
    return dict(sorted(found.items(), key=lambda item: item[0] != "PRIMARY"))


def _rows(conn: Connection, statement: str) -> Sequence[tuple[str, ...]]:
    return [
        tuple("" if value is None else value.decode("utf-8", "surrogateescape") for value in row)
        for row in conn.query(statement)
    ]

"""Walking a key: where chunks begin, and whether the server reads a range as a range.

Boundaries are values that exist, found in key order, never computed from MIN and MAX: any type,
any gaps, composite and descending keys alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tablevault.errors import Unsupported
from tablevault.model import EVERYWHERE, Key, KeyRange, KeyValue, TableDef, TableName
from tablevault.mysql import sql
from tablevault.mysql.sql_ranges import after_predicate, order_by, range_predicate
from tablevault.rows.kinds import specs_of

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

_RANGE_TYPES = frozenset({"range", "const", "eq_ref", "ref", "system"})
_NO_ROWS = ("impossible where", "no matching", "unique row not found")


def first_key(conn: Connection, definition: TableDef) -> KeyValue | None:
    """The key of the first row, or None when the table is empty."""
    return _at(conn, definition, _key(definition), None, 0)


def lowest_boundary(conn: Connection, definition: TableDef) -> KeyValue | None:
    """The lowest key at which a second chunk could begin; None below two rows.

    Not that of the first row: `k >= 0` on an unsigned column is no range but always true.
    """
    return _at(conn, definition, _key(definition), None, 1)


def walk(
    conn: Connection,
    definition: TableDef,
    rows_per_chunk: Callable[[], int],
    within: KeyRange = EVERYWHERE,
) -> Iterator[KeyValue]:
    """The keys at which chunks of `within` begin, the first chunk excepted (it begins there).

    `rows_per_chunk` is asked before each step, so that the caller can adapt to the size of rows
    already read.  Each key is greater than the one before, so half-open ranges between them,
    open at both ends of the table, tile it.  Costs one pass over the key alone.
    """
    key = _key(definition)
    last: KeyValue | None = None
    while True:
        step = max(1, rows_per_chunk())
        # from a boundary, which is row 0 of its chunk, the next one is `step` rows on
        value = _at(conn, definition, key, last, step if last is None else step - 1, within)
        if value is None:
            return
        yield value
        last = value


def _at(
    conn: Connection,
    definition: TableDef,
    key: Key,
    after: KeyValue | None,
    skip: int,
    within: KeyRange = EVERYWHERE,
) -> KeyValue | None:
    row = conn.one(_step_query(definition, key, after, skip, within))
    if row is None:
        return None
    return tuple(b"" if value is None else value for value in row)


def _step_query(
    definition: TableDef, key: Key, after: KeyValue | None, skip: int, within: KeyRange
) -> str:
    names = ", ".join(sql.quote_name(part.name) for part in key.columns)
    columns = definition.columns
    if after is None:
        parts = [range_predicate(key, columns, within)]
    else:
        parts = [after_predicate(key, columns, after)]
        if within.hi is not None:
            parts.append(range_predicate(key, columns, KeyRange(None, within.hi)))
    where = f" WHERE {' AND '.join(parts)}" if any(parts) else ""
    return (
        f"{sql.select(definition.engine)} {names} "
        f"FROM {sql.rows_of(definition.table, definition.columns)}{sql.force_index(key)}{where} "
        f"ORDER BY {order_by(key)} LIMIT 1 OFFSET {skip}"
    )


def null_bytes(conn: Connection, definition: TableDef) -> int:
    """About how many bytes the rows with a NULL in their nullable key are."""
    key = _key(definition)
    names = [sql.quote_name(column.name) for column in sql.stored(definition.columns)]
    lengths = " + ".join(f"COALESCE(LENGTH({name}), 0) + 9" for name in names)
    row = conn.one(
        f"{sql.select(definition.engine)} COALESCE(SUM({lengths}), 0) "
        f"FROM {sql.rows_of(definition.table, definition.columns)}{sql.force_index(key)} "
        f"WHERE {range_predicate(key, definition.columns, KeyRange(nulls=True))}"
    )
    return int(row[0] or 0) if row else 0


@dataclass(frozen=True)
class RangeVerdict:
    """Whether the server reads a range as one, in key order without sorting; if not, why."""

    usable: bool
    reason: str = ""


def check_range(
    conn: Connection,
    definition: TableDef,
    range: KeyRange,
    where: str | None = None,
    *,
    table: TableName | None = None,
) -> RangeVerdict:
    """Ask EXPLAIN how the rows of `range` would be read (of `table`, when it is another one)."""
    key = _key(definition)
    specs = specs_of(definition.table, definition.columns, conn.server.family)
    statement = sql.select_rows(
        table or definition.table,
        specs,
        definition.columns,
        key,
        range,
        where,
        engine=definition.engine,
    )
    form = "FORMAT=TRADITIONAL " if conn.server.family == "mysql" else ""
    rows = conn.query(f"EXPLAIN {form}{statement}")
    # id, select_type, table, [partitions,] type, possible_keys, key, ..., Extra
    shift = 1 if conn.server.family == "mysql" else 0
    access, used, extra = (_text(rows[0][at]) for at in (3 + shift, 5 + shift, -1))
    if any(sign in extra.lower() for sign in _NO_ROWS):
        return RangeVerdict(True)
    if "filesort" in extra.lower() or "temporary" in extra.lower():
        return RangeVerdict(False, f"the server sorts the rows: {extra}")
    if used != key.name:
        return RangeVerdict(False, f"the server reads by {used or 'no key'}, not `{key.name}`")
    whole = range.lo is None and range.hi is None
    if access not in _RANGE_TYPES and not (whole and access == "index"):
        return RangeVerdict(False, f"the server reads the whole key `{key.name}` ({access})")
    return RangeVerdict(True)


def assert_range(
    conn: Connection,
    definition: TableDef,
    range: KeyRange,
    where: str | None = None,
    *,
    table: TableName | None = None,
) -> None:
    """Raise Unsupported when a range of this table would be read by scanning all of it."""
    verdict = check_range(conn, definition, range, where, table=table)
    if not verdict.usable:
        raise Unsupported(
            f"table {table or definition.table}: a range of key `{_key(definition).name}` is "
            f"not read as a range: {verdict.reason}"
        )


def _key(definition: TableDef) -> Key:
    if definition.key is None:
        raise ValueError(f"table {definition.table} has no usable key")
    return definition.key


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")

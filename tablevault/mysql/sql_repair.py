"""SQL text of a repair: two tables of a run, row by row beside the live one.

`was` holds what the live rows held when they were compared, `put` what they are to hold; a pair
has the same number in both, the primary key there; beside it stands the row's hash over all columns
that were compared, also those that are not kept.  Every statement that changes a live row
demands that it still holds the bytes of the side that it moves from: collations would take 'abc'
for 'ABC'.  Tables are named in full, never by aliases, so that one LOCK TABLES serves all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tablevault.model import TableName
from tablevault.mysql.sql import quote_name, quote_table, select_expression
from tablevault.mysql.sql_digest import Piece, hash_of
from tablevault.mysql.sql_relations import SEEN_AS
from tablevault.rows.kinds import ColumnSpec, DigestClass, Kind, Storage

_AS_THEY_ARE = frozenset(
    {Kind.INT, Kind.UINT, Kind.DECIMAL, Kind.DECIMAL_TEXT, Kind.YEAR, Kind.BIT}
    | {Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME, Kind.UUID, Kind.INET4, Kind.INET6}
)
_BIAS = 1 << 63


@dataclass(frozen=True)
class Sides:
    """The live table, and the tables of the side that it moves from and of the one it moves to.

    `number` and `hash` are the names of the columns that number the rows and hold their hashes,
    `key` are the columns that say which row is which.
    """

    live: TableName
    source: TableName
    goal: TableName
    number: str
    hash: str
    key: tuple[ColumnSpec, ...]

    def back(self) -> Sides:
        """The same the other way round: an undo."""
        return replace(self, source=self.goal, goal=self.source)


Span = tuple[int, int]  # rows by number: from the first, below the second


def our_spec(name: str) -> ColumnSpec:
    """A column of ours, number or hash, for the codec and the digest."""
    return ColumnSpec(name, Kind.UINT, Storage.UINT, DigestClass.FIXED, width=8)


def create_side(sides: Sides, table: TableName, others: Sequence[str]) -> str:
    """A table of numbered rows with the key and other columns of the live table, these with NULL.

    The columns of an outer join's missing side may be NULL and are otherwise what they were.
    """
    left, right = quote_name("l"), quote_name("r")
    ours = (sides.number, sides.hash)
    selected = [f"CAST({1 << 40} AS UNSIGNED) AS {quote_name(name)}" for name in ours]
    selected += [f"{left}.{quote_name(spec.name)}" for spec in sides.key]
    selected += [f"{right}.{quote_name(name)}" for name in others]
    source = quote_table(sides.live)
    return (
        f"CREATE TABLE {quote_table(table)} (PRIMARY KEY ({quote_name(sides.number)})) "
        "ENGINE=InnoDB "
        f"SELECT {', '.join(selected)} FROM {source} {left} "
        f"LEFT JOIN {source} {right} ON FALSE LIMIT 0"
    )


def digest_of_side(
    table: TableName, pieces: Sequence[Piece], span: Span, number: str, family: str
) -> str:
    """The digest of some rows of a side; read by `parse_digest`."""
    condition = _within(quote_name(number), span)
    return (
        f"SELECT COUNT(*), SUM({hash_of(pieces, family)} + {_BIAS}) FROM {quote_table(table)} "
        f"WHERE {condition}"
    )


def keep_live(sides: Sides, side: TableName, span: Span, where: str) -> str:
    """Take those rows out of a side whose live row `where` does not let through."""
    alike = " AND ".join(f"{_name(sides.live, s)} = {_name(side, s)}" for s in sides.key)
    return (
        f"DELETE {quote_table(side)} FROM {quote_table(side)} "
        f"WHERE {_within(_name(side, sides.number), span)} AND NOT EXISTS "
        f"(SELECT 1 FROM {quote_table(sides.live)} WHERE {alike} AND (\n{where}\n))"
    )


def keep_own(sides: Sides, side: TableName, span: Span, where: str) -> str:
    """Take those rows out of a side that `where` does not let through themselves."""
    within = _within(quote_name(sides.number), span)
    return f"DELETE FROM {quote_table(side)} WHERE {within} AND (\n{where}\n) IS NOT TRUE"


def keep_pairs(sides: Sides, span: Span) -> str:
    """Take those rows out of the goal whose pair is gone."""
    source, goal = _name(sides.source, sides.number), _name(sides.goal, sides.number)
    return (
        f"DELETE {quote_table(sides.goal)} FROM {quote_table(sides.goal)} "
        f"LEFT JOIN {quote_table(sides.source)} ON {source} = {goal} "
        f"WHERE {_within(goal, span)} AND {source} IS NULL"
    )


def update(sides: Sides, columns: Sequence[ColumnSpec], kept: Sequence[str], span: Span) -> str:
    """Give live rows the values of their pair, where they hold those of its other side.

    `kept` are columns that would be set anew by ON UPDATE unless they are assigned.
    """
    assigned = [f"{_name(sides.live, spec)} = {_name(sides.goal, spec)}" for spec in columns]
    assigned += [f"{_name(sides.live, name)} = {_name(sides.live, name)}" for name in kept]
    guards = [_same(spec, sides.live, sides.source) for spec in columns]
    conditions = [_within(_name(sides.source, sides.number), span), *guards]
    return (
        f"UPDATE {_pairs(sides)} STRAIGHT_JOIN {quote_table(sides.live)} "
        f"ON {_same_key(sides, sides.source)} "
        f"SET {', '.join(assigned)} WHERE {' AND '.join(conditions)}"
    )


def insert(sides: Sides, columns: Sequence[ColumnSpec], span: Span) -> str:
    """Insert the rows of the goal that the live table lacks.

    A table may be named twice in one statement under LOCK TABLES only by a locked alias.
    """
    names = ", ".join(quote_name(spec.name) for spec in columns)
    values = ", ".join(_name(sides.goal, spec) for spec in columns)
    same = _same_key(sides, sides.goal, live=SEEN_AS)
    return (
        f"INSERT INTO {quote_table(sides.live)} ({names}) SELECT {values} "
        f"FROM {quote_table(sides.goal)} LEFT JOIN {quote_table(sides.live)} AS {SEEN_AS} "
        f"ON {same} WHERE {_within(_name(sides.goal, sides.number), span)} "
        f"AND NOT {_met(sides, sides.goal, SEEN_AS)}"
    )


def delete(sides: Sides, columns: Sequence[ColumnSpec], span: Span) -> str:
    """Delete live rows that hold what the source says."""
    guards = [_same(spec, sides.live, sides.source) for spec in columns]
    conditions = [_within(_name(sides.source, sides.number), span), *guards]
    return (
        f"DELETE {quote_table(sides.live)} FROM {quote_table(sides.source)} "
        f"STRAIGHT_JOIN {quote_table(sides.live)} ON {_same_key(sides, sides.source)} "
        f"WHERE {' AND '.join(conditions)}"
    )


def not_there(sides: Sides, columns: Sequence[ColumnSpec], span: Span, limit: int) -> str:
    """Rows of the goal that the live table has not, or has with other values: number and key.

    With which the whole is counted, too: the first column is the count of all.
    """
    same = " AND ".join(_same(spec, sides.live, sides.goal) for spec in columns) or "TRUE"
    condition = f"NOT {_met(sides, sides.goal)} OR NOT ({same})"
    return _odd(sides, sides.goal, condition, span, limit)


def unlike(
    sides: Sides,
    columns: Sequence[ColumnSpec],
    pieces: Sequence[Piece],
    family: str,
    span: Span,
    limit: int,
) -> str:
    """Rows of the goal that the live table has with another hash: number and key.

    `pieces` are those of the `columns` that were compared, all of them; so it tells of a row whose
    written columns are as they are to be and another one is not.
    """
    inner = [_name(sides.goal, sides.number), _name(sides.goal, sides.hash)]
    inner += [f"{_name(sides.live, spec)} AS {quote_name(spec.name)}" for spec in columns]
    shown = [f"CONVERT({quote_name(spec.name)} USING binary)" for spec in sides.key]
    number = quote_name(sides.number)
    return (
        f"SELECT {', '.join([number, *shown])} FROM (SELECT {', '.join(inner)} "
        f"FROM {quote_table(sides.goal)} STRAIGHT_JOIN {quote_table(sides.live)} "
        f"ON {_same_key(sides, sides.goal)} "
        f"WHERE {_within(_name(sides.goal, sides.number), span)}) t "
        f"WHERE {hash_of(pieces, family)} <> {quote_name(sides.hash)} "
        f"ORDER BY {number} LIMIT {limit:d}"
    )


def still_there(sides: Sides, span: Span, limit: int) -> str:
    """Rows of the source whose key the live table still has, as `not_there`."""
    condition = _met(sides, sides.source)
    return _odd(sides, sides.source, condition, span, limit)


def saved_rows(sides: Sides, specs: Sequence[ColumnSpec], span: Span) -> str:
    """The live rows whose keys a side has, as a snapshot selects them, in no order."""
    inner = ", ".join(f"{_name(sides.live, spec)} AS {quote_name(spec.name)}" for spec in specs)
    outer = ", ".join(select_expression(spec) for spec in specs)
    return (
        f"SELECT {outer} FROM (SELECT {inner} FROM {quote_table(sides.source)} "
        f"STRAIGHT_JOIN {quote_table(sides.live)} ON {_same_key(sides, sides.source)} "
        f"WHERE {_within(_name(sides.source, sides.number), span)}) t"
    )


def count_side(table: TableName, number: str, span: Span) -> str:
    """How many rows of a side have numbers in `span`."""
    return f"SELECT COUNT(*) FROM {quote_table(table)} WHERE {_within(quote_name(number), span)}"


def _odd(sides: Sides, side: TableName, condition: str, span: Span, limit: int) -> str:
    shown = ", ".join(f"CONVERT({_name(side, spec)} USING binary)" for spec in sides.key)
    number = _name(side, sides.number)
    source = (
        f"FROM {quote_table(side)} LEFT JOIN {quote_table(sides.live)} "
        f"ON {_same_key(sides, side)} WHERE {_within(number, span)} AND ({condition})"
    )
    return f"SELECT {number}, {shown} {source} ORDER BY {number} LIMIT {limit:d}"


def _pairs(sides: Sides) -> str:
    source, goal = _name(sides.source, sides.number), _name(sides.goal, sides.number)
    return (
        f"{quote_table(sides.source)} STRAIGHT_JOIN {quote_table(sides.goal)} ON {goal} = {source}"
    )


def _same_key(sides: Sides, side: TableName, live: str | None = None) -> str:
    """By the index first; then by bytes, as collations let different keys be equal."""
    parts = []
    for spec in sides.key:
        ours = f"{live or quote_table(sides.live)}.{quote_name(spec.name)}"
        theirs = _name(side, spec)
        parts.append(f"{ours} = {theirs}")
        if spec.kind not in _AS_THEY_ARE:
            parts.append(f"{_bytes(spec, ours)} <=> {_bytes(spec, theirs)}")
    return " AND ".join(parts)


def _met(sides: Sides, side: TableName, live: str | None = None) -> str:
    """Whether an outer join found the live row.

    Not by IS NULL, which holds for a zero date where the column is NOT NULL.
    """
    first = sides.key[0]
    ours = f"{live or quote_table(sides.live)}.{quote_name(first.name)}"
    return f"({ours} <=> {_name(side, first)})"


def _same(spec: ColumnSpec, one: TableName, other: TableName) -> str:
    return f"{_bytes(spec, _name(one, spec))} <=> {_bytes(spec, _name(other, spec))}"


def _bytes(spec: ColumnSpec, name: str) -> str:
    """What is equal when, and only when, the values are the same bytes; NULL for NULL.

    Of an ENUM too: a member '' and the error value, shown as '', are the same to a comparison.
    """
    if spec.kind in _AS_THEY_ARE:
        return name
    if spec.kind is Kind.FLOAT:
        return f"CONVERT(CAST({name} AS DOUBLE) USING binary)"
    return f"CONVERT({name} USING binary)"


def _within(name: str, span: Span) -> str:
    return f"{name} >= {span[0]:d} AND {name} < {span[1]:d}"


def _name(table: TableName, column: ColumnSpec | str) -> str:
    name = column if isinstance(column, str) else column.name
    return f"{quote_table(table)}.{quote_name(name)}"

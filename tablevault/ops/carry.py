"""`--keep-new`: rows of the table that went whose keys the one that came does not have.

Computed after the rename, when the old table stands still, and copied in bounded transactions in
key order; what is there already is left alone, so it can be done again at any time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tablevault.errors import CannotComplete, StatementFailed
from tablevault.events import ChunkDone
from tablevault.model import Key, KeyRange, KeyValue, TableDef, TableName
from tablevault.mysql import catalog, relations, sql_relations
from tablevault.mysql.connect import Connection, ConnectOptions, Purpose, connect
from tablevault.mysql.sql_ranges import order_by, range_predicate
from tablevault.ops.hands import Hands
from tablevault.ops.retrying import Patience

_BATCH_ROWS = 1000
_BATCH_BYTES = 8 << 20
_REFUSED = frozenset({1062, 1452, 1048, 1364, 1406, 1366, 1265, 4025, 3819, 1264, 1292})


@dataclass(frozen=True)
class Carried:
    """What became of the rows: `refused` did not fit into the table that is live now."""

    rows: int
    refused: int = 0
    example: str = ""


def require_key(hands: Hands, table: TableName) -> None:
    """Raise CannotComplete where rows of `table` cannot be told apart by a key."""
    try:
        definition = catalog.table_definition(hands.main, table)
    except CannotComplete as error:
        raise CannotComplete(f"--keep-new: {error.message}", hint=error.hint) from None
    if any(column.system_time for column in definition.columns):
        raise CannotComplete(
            f"--keep-new: table {table} is system-versioned, and rows carried over would lose "
            "their history",
            hint="swap without it, and copy the rows from the kept table by hand",
        )
    if definition.key is None:
        raise CannotComplete(
            f"--keep-new: table {table} has no key to tell its new rows by",
            hint="swap without it, and copy the rows from the kept table by hand",
        )


def carry(
    hands: Hands, target: ConnectOptions, old: TableName, new: TableName, *, log_bin: bool
) -> Carried:
    """Copy the rows of `old` whose key `new` lacks; a row that does not fit is left and counted."""
    with connect(target, Purpose.DIGEST, no_binlog=not log_bin) as connection:
        connection.execute(sql_relations.UNCHECKED)  # parents may be among what is carried later
        definition = catalog.table_definition(hands.main, old)
        assert definition.key is not None
        theirs = _columns(hands, new)
        columns = [name for name in _columns(hands, old) if name in theirs]
        lost = [name for name in _columns(hands, old) if name not in theirs]
        if lost:
            hands.narrator.hint(
                f"columns {', '.join(lost)} of {old} are not in the snapshot: rows carried over "
                "come without them"
            )
        carrier = _Carrier(hands, connection, definition, definition.key, new, columns)
        return carrier.carry_all()


@dataclass
class _Carrier:
    """One table's rows on their way."""

    hands: Hands
    connection: Connection
    definition: TableDef
    key: Key
    new: TableName
    columns: list[str]

    def carry_all(self) -> Carried:
        rows, refused, example = 0, 0, ""
        size = self.definition.estimated_bytes // max(1, self.definition.estimated_rows)
        most = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, size)))
        lo: KeyValue | None = None
        step = most
        while True:
            self.hands.narrator.doing(f"carrying over new rows to {self.new}: {rows:,} so far")
            hi = self._key_after(lo, step)
            try:
                copied = self._copy(lo, hi)
            except StatementFailed as error:
                if error.errno not in _REFUSED:
                    raise
                if step > 1:
                    step = max(1, step // 10)
                    continue
                refused, example = refused + 1, example or error.message
                copied = 0
            rows += copied
            self.hands.narrator.say(
                ChunkDone(table=str(self.new), chunk=0, rows=copied, proven=False)
            )
            if hi is None:
                return Carried(rows, refused, example)
            lo, step = hi, min(most, step * 2)

    def _key_after(self, lo: KeyValue | None, skip: int) -> KeyValue | None:
        statement = sql_relations.lacking_key_at(
            self.definition.table,
            self.new,
            [part.name for part in self.key.columns],
            order_by(self.key),
            range_predicate(self.key, self.definition.columns, KeyRange(lo, None)),
            skip,
        )
        row = self.connection.one(statement)
        return None if row is None else tuple(value or b"" for value in row)

    def _copy(self, lo: KeyValue | None, hi: KeyValue | None) -> int:
        statement = sql_relations.copy_lacking(
            self.definition.table,
            self.new,
            [part.name for part in self.key.columns],
            self.columns,
            range_predicate(self.key, self.definition.columns, KeyRange(lo, hi)),
        )
        patience = Patience(time.monotonic)
        while True:
            try:
                return self.connection.execute(statement).affected
            except StatementFailed as error:
                delay_s = patience.delay_s(error)
                if delay_s is None:
                    raise
                time.sleep(delay_s)


def _columns(hands: Hands, table: TableName) -> list[str]:
    rows = hands.main.query(sql_relations.stored_columns(table))
    return [relations.text(name) for (name,) in rows]

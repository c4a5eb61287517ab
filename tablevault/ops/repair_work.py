"""One batch of a repair put back, or taken back: guarded, proven, tried again.

A batch is one statement and its proof, in a transaction of their own: the rows that were written
are locked until they were seen to be what the snapshot has, byte for byte where they were written
and by their hash over all that was compared.  It changes a row only while the row holds what the
comparison saw (or, for an undo, what the repair put there); carried out twice it changes nothing
the second time, so that a killed run goes on by doing the batch at hand once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from tablevault.errors import StatementFailed
from tablevault.mysql import sql_repair
from tablevault.mysql.connect import Connection, Row, text
from tablevault.mysql.sql_repair import Span
from tablevault.mysql.transaction import Transaction
from tablevault.ops.repair_check import Patient
from tablevault.ops.repair_terms import CHANGED, MISSING, Batch
from tablevault.rows.kinds import ColumnSpec

DUPLICATE = frozenset({1062, 1586})
_SHOWN = 3


@dataclass(frozen=True)
class Done:
    """What became of a batch: rows that are as they are to be, and those that are not.

    `keys` are of some of the latter, `collisions` what the server said of unique values that
    another row has.  `other` of the former differ still in columns that were not written, some of
    them those of `other_keys`.
    """

    rows: int
    held: int = 0
    keys: tuple[str, ...] = ()
    collisions: tuple[str, ...] = ()
    other: int = 0
    other_keys: tuple[str, ...] = ()

    def __add__(self, more: Done) -> Done:
        return Done(
            self.rows + more.rows,
            self.held + more.held,
            (*self.keys, *more.keys)[:_SHOWN],
            (*self.collisions, *more.collisions)[:_SHOWN],
            self.other + more.other,
            (*self.other_keys, *more.other_keys)[:_SHOWN],
        )


def done_of(entry: Mapping[str, Any]) -> Done:
    """What the journal says of a batch that was carried out."""
    return Done(
        entry["rows"],
        entry["held"],
        tuple(entry["keys"]),
        tuple(entry["collisions"]),
        entry.get("other", 0),
        tuple(entry.get("other_keys", ())),
    )


def put(
    conn: Connection,
    patient: Patient,
    batch: Batch,
    *,
    forward: bool,
    locked: bool = False,
    pause: Callable[[], None] = lambda: None,
) -> Done:
    """Carry out one batch, or with `forward` false undo it.  Raises StatementFailed.

    `locked`: the session has locked the tables, which a transaction would give up.
    """
    return _Work(conn, patient, batch, forward, locked, pause).carry_out((batch.first, batch.stop))


@dataclass(frozen=True)
class _Work:
    conn: Connection
    patient: Patient
    batch: Batch
    forward: bool
    locked: bool
    pause: Callable[[], None]

    def carry_out(self, span: Span) -> Done:
        """One statement; where a unique value is taken, halves, down to the rows that collide."""
        try:
            with ExitStack() as stack:
                transaction = None if self.locked else stack.enter_context(Transaction(self.conn))
                self.conn.execute(self._statement(span))
                done = self._prove(span)
                if transaction is not None:
                    transaction.commit()
                return done
        except StatementFailed as error:
            if error.errno not in DUPLICATE:
                raise
            first, stop = span
            if stop - first == 1:
                return replace(self._prove(span), collisions=(error.message,))
        middle = (first + stop) // 2
        self.pause()
        return self.carry_out((first, middle)) + self.carry_out((middle, stop))

    def _statement(self, span: Span) -> str:
        if self.batch.what == CHANGED:
            names = {spec.name for spec in self._specs}
            kept = [name for name in self.patient.on_update if name not in names]
            return sql_repair.update(self._sides, self._specs, kept, span)
        if self._inserting:
            return sql_repair.insert(self._sides, self._specs, span)
        return sql_repair.delete(self._sides, self._specs, span)

    def _prove(self, span: Span) -> Done:
        """Look at the live rows of the batch, as they are within its transaction."""
        sides, conn, most = self._sides, self.conn, span[1] - span[0]
        coming = self.batch.what == CHANGED or self._inserting
        counted = sides.goal if coming else sides.source
        count = conn.one(sql_repair.count_side(counted, sides.number, span))
        rows = int(count[0] or 0) if count else 0
        other: Sequence[Row] = ()
        if coming:
            odd = conn.query(sql_repair.not_there(sides, self._specs, span, most))
        else:
            odd = conn.query(sql_repair.still_there(sides, span, most))
        if coming and self.forward:  # an undo leaves to others what they changed since
            comparison = self.patient.comparison
            unlike = sql_repair.unlike(
                sides, self.patient.specs, comparison.pieces, conn.server.family, span, most
            )
            held = {row[0] for row in odd}
            other = [row for row in conn.query(unlike) if row[0] not in held]
        return Done(rows - len(odd), len(odd), _keys(odd), (), len(other), _keys(other))

    @property
    def _sides(self) -> sql_repair.Sides:
        return self.patient.sides if self.forward else self.patient.sides.back()

    @property
    def _specs(self) -> tuple[ColumnSpec, ...]:
        return self.patient.columns(self.batch.columns)

    @property
    def _inserting(self) -> bool:
        return self.batch.what != CHANGED and (self.batch.what == MISSING) is self.forward


def _keys(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(", ".join(map(text, row[1:])) for row in rows[:_SHOWN])

"""Staging of a repair: every row that differs, both sides of it, into two tables of the run.

Differences come from the workers of the comparison, from several threads; each has a connection
and buffers of its own here.  Rows are gathered by what is to be done with them and by the columns
that differ, so that a batch is put back by one statement that names just these columns.  What was
loaded is proven by the server's digest before it is committed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from tablevault.errors import ProofFailed
from tablevault.model import Column, TableName
from tablevault.mysql import session as sessions
from tablevault.mysql import sink, sql, sql_repair, sql_tables
from tablevault.mysql.connect import Connection
from tablevault.mysql.sql_digest import Piece, parse_digest
from tablevault.ops.diff_terms import RangeDifferences, Row
from tablevault.ops.repair_check import Patient
from tablevault.ops.repair_state import batch_record
from tablevault.ops.repair_terms import CHANGED, EXTRA, MISSING, Batch, RepairOptions
from tablevault.rows.digest import digest_of, row_hash
from tablevault.rows.text import value_field
from tablevault.vault.journal import Journal

BATCH_ROWS = 5_000
BATCH_BYTES = 4 << 20
_MOST_SETS = 24  # sets of columns apart; beyond that they are taken together
_MOST_HELD_BYTES = 24 << 20  # by one thread

Pair = tuple[Row | None, Row | None]  # as it is now, as it is to be


@dataclass
class _Gathering:
    """Rows that will be one batch."""

    pairs: list[Pair] = field(default_factory=list)
    size_bytes: int = 0


class Stager:
    """Takes differences as `OnDifferences`; `finish` when there are no more."""

    def __init__(
        self,
        patients: Mapping[int, Patient],
        options: RepairOptions,
        local_infile: bool,
        journal: Journal,
        open_connection: Callable[[], Connection],
    ) -> None:
        """`open_connection` journals the id of what it opens before it returns."""
        self.batches: list[Batch] = []
        self._patients = patients
        self._options = options
        self._local_infile = local_infile
        self._journal = journal
        self._open_connection = open_connection
        self._lock = threading.Lock()
        self._created: set[int] = set()
        self._next = dict.fromkeys(patients, 0)
        self._threads: dict[int, _Writer] = {}

    def __call__(self, found: RangeDifferences) -> None:
        self._writer().add(found)

    def finish(self) -> None:
        """Load what is still gathered."""
        writer = self._writer()
        for other in list(self._threads.values()):
            writer.take_over(other)
        writer.flush()

    def close(self) -> None:
        """Release all connections; never raises."""
        for writer in self._threads.values():
            writer.connection.close()

    def abort(self) -> None:
        """From any thread: end what is being loaded at once."""
        for writer in list(self._threads.values()):
            writer.connection.abort()

    def _writer(self) -> _Writer:
        me = threading.get_ident()
        if me not in self._threads:
            self._threads[me] = _Writer(self, self._open_connection())
        return self._threads[me]

    def wanted(self, what: str) -> bool:
        """Whether rows of one sort are to be put back at all."""
        if what == CHANGED:
            return True
        return not self._options.columns and (what == MISSING or self._options.delete_extra)

    def number(self, table: int, rows: int) -> int:
        """The first of so many fresh row numbers."""
        with self._lock:
            first = self._next[table]
            self._next[table] += rows
            return first

    def create_sides(self, connection: Connection, patient: Patient) -> None:
        """Both tables, when a table's first rows come."""
        number = patient.comparison.number
        with self._lock:
            if number in self._created:
                return
            sides = patient.sides
            key = {spec.name for spec in sides.key}
            others = [spec.name for spec in patient.specs if spec.name not in key]
            self._journal.append("creating", table=number)
            with sessions.defining(connection):
                for side in (sides.source, sides.goal):
                    connection.execute(sql_tables.drop_table(side))
                    connection.execute(sql_repair.create_side(sides, side, others))
            self._journal.append("created", table=number)
            self._created.add(number)

    def load(
        self, connection: Connection, patient: Patient, batch: Batch, pairs: list[Pair]
    ) -> None:
        """Both sides of a batch, each proven; then the batch is in the journal."""
        self.create_sides(connection, patient)
        for at, side in enumerate((patient.sides.source, patient.sides.goal)):
            rows = [pair[at] for pair in pairs]
            if None not in rows:
                shown = [row for row in rows if row is not None]
                _load_side(connection, patient, batch, side, shown, self._local_infile)
        if self._options.where is not None:
            _keep_only(connection, patient, batch, self._options.where)
        self._journal.append("staged", batch=batch_record(batch))
        with self._lock:
            self.batches.append(batch)


class _Writer:
    """What one thread has gathered."""

    def __init__(self, stager: Stager, connection: Connection) -> None:
        self.connection = connection
        self._stager = stager
        self._gathered: dict[tuple[int, str, tuple[int, ...]], _Gathering] = {}

    def add(self, found: RangeDifferences) -> None:
        number = found.comparison.number
        every = tuple(range(len(found.comparison.columns)))
        for row in found.changed:
            self._gather(number, CHANGED, row.columns, (row.after, row.before))
        if self._stager.wanted(MISSING):
            for wanted in found.missing:
                self._gather(number, MISSING, every, (None, wanted))
        if self._stager.wanted(EXTRA):
            for there in found.extra:
                self._gather(number, EXTRA, every, (there, None))
        if sum(one.size_bytes for one in self._gathered.values()) > _MOST_HELD_BYTES:
            self.flush()

    def take_over(self, other: _Writer) -> None:
        """What another thread has gathered is ours now."""
        if other is self:
            return
        for key, theirs in other._gathered.items():
            ours = self._gathered.setdefault(key, _Gathering())
            ours.pairs += theirs.pairs
            ours.size_bytes += theirs.size_bytes
        other._gathered.clear()

    def flush(self) -> None:
        """Load everything that is gathered."""
        for key in list(self._gathered):
            self._load(key)

    def _gather(self, table: int, what: str, columns: tuple[int, ...], pair: Pair) -> None:
        key = (table, what, columns)
        if key not in self._gathered and len(self._gathered) >= _MOST_SETS:
            key = (table, what, self._merged(table, what, columns))
        gathering = self._gathered.setdefault(key, _Gathering())
        gathering.pairs.append(pair)
        gathering.size_bytes += sum(len(value) for row in pair if row for value in row if value)
        if len(gathering.pairs) >= BATCH_ROWS or gathering.size_bytes >= BATCH_BYTES:
            self._load(key)

    def _merged(self, table: int, what: str, columns: tuple[int, ...]) -> tuple[int, ...]:
        """One set of columns in place of many; the guard is over all of them then."""
        ours = [key for key in self._gathered if key[:2] == (table, what)]
        union = tuple(sorted({*columns, *(at for key in ours for at in key[2])}))
        whole = _Gathering()
        for key in ours:
            part = self._gathered.pop(key)
            whole.pairs += part.pairs
            whole.size_bytes += part.size_bytes
        self._gathered[table, what, union] = whole
        return union

    def _load(self, key: tuple[int, str, tuple[int, ...]]) -> None:
        table, what, columns = key
        gathering = self._gathered.pop(key)
        for start in range(0, len(gathering.pairs), BATCH_ROWS):
            pairs = gathering.pairs[start : start + BATCH_ROWS]
            first = self._stager.number(table, len(pairs))
            batch = Batch(
                table=table,
                number=first,
                what=what,
                columns=columns,
                first=first,
                stop=first + len(pairs),
                size_bytes=gathering.size_bytes * len(pairs) // len(gathering.pairs),
            )
            self._stager.load(self.connection, self._stager._patients[table], batch, pairs)


def _load_side(
    connection: Connection,
    patient: Patient,
    batch: Batch,
    side: TableName,
    rows: Sequence[Row],
    local_infile: bool,
) -> None:
    identity = patient.comparison.identity
    positions = [*identity, *(at for at in batch.columns if at not in identity)]
    ours = (patient.sides.number, patient.sides.hash)
    columns = [*map(_our_column, ours), *_columns(patient, positions)]
    specs = [*map(sql_repair.our_spec, ours), *patient.columns(positions)]
    # the hash is of the whole row, also of those columns that are not kept here
    numbered = [
        (b"%d" % number, b"%d" % row_hash(patient.specs, row), *(row[at] for at in positions))
        for number, row in enumerate(rows, batch.first)
    ]
    # Named as well: the server warns of one without a default, although it may be NULL there.
    rest = [at for at in range(len(patient.specs)) if at not in positions]
    empty = list(patient.columns(rest))
    expected = digest_of(specs, numbered)
    pieces = [
        Piece(sql.select_expression(spec), spec.digest, nullable=at >= len(ours) + len(identity))
        for at, spec in enumerate(specs)
    ]
    span = (batch.first, batch.stop)
    family = connection.server.family

    def prove() -> None:
        statement = sql_repair.digest_of_side(side, pieces, span, patient.sides.number, family)
        if parse_digest(connection.one(statement)) != expected:
            raise ProofFailed(f"rows of {patient.table} did not arrive in {side} as they are")

    enum_errors = sql.enum_columns(columns)
    if local_infile:
        token = sink.new_token()
        statement = sql.load_data(side, specs, token, family, empty=empty)
        sink.load_rows(
            connection,
            statement,
            token,
            _text(numbered),
            len(rows),
            before_commit=prove,
            rounding=enum_errors,
        )
        return
    columns += _columns(patient, rest)
    filled = ((*row, *[None] * len(rest)) for row in numbered)
    with sessions.defining(connection) if enum_errors else nullcontext():
        sink.insert_rows(
            connection,
            sql.insert_prefix(side, [*specs, *empty]),
            (sql.insert_row([*specs, *empty], columns, row) for row in filled),
            len(rows),
            before_commit=prove,
            rounding=enum_errors,
        )


def _text(rows: Sequence[Sequence[bytes | None]]) -> Iterator[bytes]:
    for start in range(0, len(rows), 1000):
        yield b"".join(
            b"\t".join(map(value_field, row)) + b"\n" for row in rows[start : start + 1000]
        )


def _columns(patient: Patient, positions: Sequence[int]) -> list[Column]:
    live = {column.name: column for column in patient.comparison.live.columns}
    return [live[spec.name] for spec in patient.columns(positions)]


def _our_column(name: str) -> Column:
    return Column(name, "bigint unsigned", "bigint", nullable=False)


def _keep_only(connection: Connection, patient: Patient, batch: Batch, where: str) -> None:
    """Drop the rows of a batch again that the person's condition does not let through."""
    sides, span = patient.sides, (batch.first, batch.stop)
    if batch.what == MISSING:
        connection.execute(sql_repair.keep_own(sides, sides.goal, span, where))
        return
    connection.execute(sql_repair.keep_live(sides, sides.source, span, where))
    if batch.what == CHANGED:
        connection.execute(sql_repair.keep_pairs(sides, span))

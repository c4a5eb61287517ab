"""One row group against its key range of the live table.

The server's digest of the range decides whether there is anything to look at: while it is the
snapshot's, no row goes over the wire.  Where it is not, the range is narrowed down by digests of
its parts until what is left is small, or until that would not pay.  What is scattered is found by
the hashes of single rows, and only what differs is read; rows are read whole where most differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tablevault.model import Chunk, Digest, KeyRange
from tablevault.mysql import sql_digest, sql_ranges
from tablevault.mysql.connect import Connection
from tablevault.mysql.source import RowSource
from tablevault.ops.diff_findings import Findings
from tablevault.ops.diff_plan import Comparison
from tablevault.ops.diff_sides import SnapshotGroup, SnapshotSide, live_hashes, live_lines
from tablevault.rows.matching import Matcher, Unmatched, odd_ones
from tablevault.rows.text import field_value

SMALL_ROWS = 1_000  # what is not narrowed down further
READ_ROWS = 8_000  # rows of the snapshot that are compared at a time
HASHED_ROWS = 50_000  # whose hashes are compared at a time
_ASKED_ROWS = 400  # asked for by their keys in one statement
_DENSE = 6  # one row in so many: from there on all are read
_PARTS = 8  # into which a range is divided


@dataclass
class Habit:
    """What the last range of a table was like: the next one of the same worker will be similar."""

    equal: bool = True  # begin with a digest: it says all
    dense: bool = False  # begin with whole rows: most of them differ


@dataclass(frozen=True)
class RangeTask:
    """One row group, or (without a number) a chunk that has no rows."""

    comparison: Comparison
    chunk: Chunk
    group: int | None

    @property
    def range(self) -> KeyRange:
        """The keys whose rows are compared; those of all tasks tile the key space."""
        if self.group is None:
            return self.chunk.range
        return self.chunk.row_groups[self.group].range

    @property
    def rows(self) -> int:
        return 0 if self.group is None else self.chunk.row_groups[self.group].digest.rows

    @property
    def wire_bytes(self) -> int:
        return 0 if self.group is None else self.chunk.row_groups[self.group].wire_bytes


@dataclass(frozen=True)
class _Stretch:
    """Rows `start` to `stop` of the snapshot's row group, and the key range that is theirs."""

    start: int
    stop: int
    range: KeyRange

    @property
    def rows(self) -> int:
        return self.stop - self.start


class RangeComparer:
    """Compares the range of one task; inside one consistent read of `conn`."""

    def __init__(
        self,
        conn: Connection,
        side: SnapshotSide,
        task: RangeTask,
        findings: Findings,
        on_source: Callable[[RowSource], None],
        habit: Habit,
    ) -> None:
        """`habit` is of this table, and is kept up to date."""
        self._conn = conn
        self._side = side
        self._task = task
        self._comparison = task.comparison
        self._findings = findings
        self._on_source = on_source
        self._habit = habit
        self._group: SnapshotGroup | None = None

    def run(self) -> None:
        """Leave in the findings what differs."""
        findings = self._findings
        whole = _Stretch(0, self._task.rows, self._task.range)
        live: Digest | None = None
        if self._comparison.same_family and (self._habit.equal or not whole.rows):
            live = self._digest(whole.range)
            if live == self._expected(whole):
                findings.live_rows += live.rows
                return
        stretches = [whole] if live is None else self._narrowed(whole, live)
        counted = sum([self._compare(stretch) for stretch in stretches])
        findings.live_rows += counted if live is None else live.rows
        if findings.differing * _DENSE > whole.rows:
            self._habit.dense = True
        elif live is None:
            self._habit.dense, self._habit.equal = False, not findings.differing

    def _narrowed(self, whole: _Stretch, live: Digest) -> Iterator[_Stretch]:
        """Stretches that hold all rows that differ."""
        if whole.rows <= SMALL_ROWS or live.rows <= SMALL_ROWS:
            yield whole
            return
        # Scattered damage is in every part: then each digest would be spent for nothing.  A look
        # at a small part in the middle tells.
        middle = (whole.start + whole.stop) // 2
        probe = self._part(whole, middle, min(whole.stop, middle + SMALL_ROWS))
        if self._digest(probe.range) != self._expected(probe):
            self._habit.equal = False
            yield whole
            return
        digests = [(part, self._digest(part.range)) for part in self._parts(whole)]
        differing = [(part, found) for part, found in digests if found != self._expected(part)]
        for part, found in differing:
            if len(differing) > _PARTS // 2:
                yield part
            else:
                yield from self._narrowed(part, found)

    def _compare(self, stretch: _Stretch) -> int:
        """Match the rows of a stretch, in pieces; returns how many were live."""
        known = self._comparison.same_family and self._comparison.has_row_keys
        by_hash = known and stretch.rows > SMALL_ROWS and not stretch.range.nulls
        live_rows = 0
        for piece in self._pieces(stretch, HASHED_ROWS if by_hash else READ_ROWS):
            found = self._compare_by_hash(piece) if by_hash and not self._habit.dense else None
            if found is None:
                found = sum(map(self._compare_whole, self._pieces(piece, READ_ROWS)))
            live_rows += found
        return live_rows

    def _compare_by_hash(self, piece: _Stretch) -> int | None:
        """The same, reading only rows that differ; None, and nothing found, when many do."""
        ours = self._snapshot.hashed_keys(piece.start, piece.stop)
        condition = self._comparison.condition(piece.range)
        odd = odd_ones(
            ours,
            live_hashes(self._conn, self._comparison, condition, self._on_source),
            len(ours) // _DENSE,
        )
        if odd is None:
            self._habit.dense = True
            return None
        rows = [row for row, line in enumerate(ours, piece.start) if line in odd.missing]
        matcher = Matcher(self._snapshot.some_lines(rows), self._comparison.identity)
        for condition in self._conditions(sorted(odd.found)):
            for batch in live_lines(self._conn, self._comparison, condition, self._on_source):
                matcher.add(batch)
        self._findings.note(matcher.finish())
        return odd.rows

    def _conditions(self, lines: Sequence[bytes]) -> Iterator[str]:
        """The rows with these keys and hashes, some hundreds at a time."""
        comparison = self._comparison
        assert comparison.index is not None
        for start in range(0, len(lines), _ASKED_ROWS):
            keys = [
                tuple(field_value(field) or b"" for field in line.split(b"\t")[:-1])
                for line in lines[start : start + _ASKED_ROWS]
            ]
            asked = sql_ranges.rows_predicate(comparison.index, comparison.live.columns, keys)
            yield comparison.condition(further=asked)

    def _compare_whole(self, piece: _Stretch) -> int:
        """Read all rows of a small stretch and match them."""
        live_rows = 0
        lines = self._snapshot.lines(piece.start, piece.stop) if piece.rows else []
        matcher = Matcher(lines, self._comparison.identity)
        condition = self._comparison.condition(piece.range)
        for batch in live_lines(self._conn, self._comparison, condition, self._on_source):
            live_rows += len(batch)
            if certain := matcher.add(batch):
                self._findings.note(Unmatched(second=certain))
        self._findings.note(matcher.finish())
        return live_rows

    def _pieces(self, stretch: _Stretch, rows: int) -> Iterator[_Stretch]:
        starts = range(stretch.start, stretch.stop, rows) or [stretch.start]
        return self._cut(stretch, starts)

    def _parts(self, stretch: _Stretch) -> Iterator[_Stretch]:
        step = -(-stretch.rows // _PARTS)
        return self._cut(stretch, range(stretch.start, stretch.stop, step))

    def _cut(self, stretch: _Stretch, starts: range | list[int]) -> Iterator[_Stretch]:
        """The stretch in pieces that begin at `starts`; their ranges tile its range."""
        for at, start in enumerate(starts):
            last = at + 1 == len(starts)
            yield self._part(stretch, start, stretch.stop if last else starts[at + 1])

    def _part(self, stretch: _Stretch, start: int, stop: int) -> _Stretch:
        lo = stretch.range.lo if start == stretch.start else self._snapshot.key(start)
        hi = stretch.range.hi if stop == stretch.stop else self._snapshot.key(stop)
        return _Stretch(start, stop, KeyRange(lo, hi))

    def _digest(self, key_range: KeyRange) -> Digest:
        comparison = self._comparison
        statement = sql_digest.digest_of_pieces(
            comparison.rows,
            comparison.pieces,
            self._conn.server.family,
            comparison.index,
            comparison.condition(key_range),
        )
        return sql_digest.parse_digest(self._conn.one(statement))

    def _expected(self, stretch: _Stretch) -> Digest:
        if not stretch.rows:
            return Digest()
        if self._comparison.recorded and stretch.rows == self._task.rows:
            assert self._task.group is not None
            return self._task.chunk.row_groups[self._task.group].digest
        return self._snapshot.digest(stretch.start, stretch.stop)

    @property
    def _snapshot(self) -> SnapshotGroup:
        """The rows of the snapshot, read from the file when they are first needed."""
        if self._group is None:
            assert self._task.group is not None
            self._group = self._side.group(self._comparison, self._task.chunk, self._task.group)
        return self._group

"""A table whose rows no index of the live table puts into the snapshot's ranges.

Without a key, or with another one now: rows are divided by their hash instead (of the key where
both sides still have its columns, else of the whole row), the server digests each part in one
scan, and only parts that differ are read, some at a time, so that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tablevault.model import Chunk, Digest
from tablevault.mysql import sql_digest
from tablevault.mysql.connect import Connection
from tablevault.mysql.source import RowSource
from tablevault.ops.diff_findings import Findings
from tablevault.ops.diff_plan import Comparison, identity_pieces
from tablevault.ops.diff_sides import SnapshotGroup, SnapshotSide, live_lines
from tablevault.rows.matching import Matcher, Unmatched

PART_ROWS = 500  # rows that a part by hash is to have
_MOST_PARTS = 1 << 16
PASS_ROWS = 100_000  # rows of either side that are compared at a time


@dataclass(frozen=True)
class WholeTask:
    """A whole table, by one worker."""

    comparison: Comparison
    chunks: tuple[Chunk, ...]

    @property
    def rows(self) -> int:
        return self.comparison.entry.digest.rows

    @property
    def wire_bytes(self) -> int:
        return self.comparison.entry.wire_bytes


class WholeComparer:
    """Compares the table of one task; inside one consistent read of `conn`."""

    def __init__(
        self,
        conn: Connection,
        side: SnapshotSide,
        task: WholeTask,
        findings: Findings,
        on_source: Callable[[RowSource], None],
    ) -> None:
        self._conn = conn
        self._side = side
        self._task = task
        self._comparison = task.comparison
        self._findings = findings
        self._on_source = on_source
        self._identity = identity_pieces(task.comparison)
        self._parts = 1

    def run(self) -> None:
        """Leave in the findings what differs."""
        comparison = self._comparison
        if comparison.same_family and comparison.recorded:
            live = self._digest()
            self._findings.live_rows += live.rows
            if live == comparison.entry.digest:
                return
            self._parts = self._how_many(max(live.rows, comparison.entry.digest.rows))
            before, now = self._digests_before(), self._digests_now()
        else:
            self._parts = self._how_many(comparison.entry.digest.rows)
            before, now = self._digests_before(), self._digests_now()
            self._findings.live_rows += sum(digest.rows for digest in now.values())
        for numbers in self._passes(before, now):
            self._compare(numbers)

    def _how_many(self, rows: int) -> int:
        if not self._comparison.same_family and not self._comparison.identity:
            return 1  # whole rows do not hash alike on both sides
        return max(1, min(_MOST_PARTS, rows // PART_ROWS))

    def _passes(
        self, before: Mapping[int, Digest], now: Mapping[int, Digest]
    ) -> Iterator[list[int]]:
        """The parts that differ, as many at a time as memory is to hold."""
        numbers: list[int] = []
        rows = 0
        for number in sorted({*before, *now}):
            old, new = before.get(number, Digest()), now.get(number, Digest())
            if old == new and self._comparison.same_family:
                continue
            numbers.append(number)
            rows += max(old.rows, new.rows)
            if rows >= PASS_ROWS:
                yield numbers
                numbers, rows = [], 0
        if numbers:
            yield numbers

    def _compare(self, numbers: list[int]) -> None:
        wanted = frozenset(numbers)
        lines: list[bytes] = []
        for group in self._groups():
            parts = self._parts_of(group)
            found = group.lines(0, group.rows)
            lines += [line for line, part in zip(found, parts, strict=True) if part in wanted]
        matcher = Matcher(lines, self._comparison.identity)
        family = self._conn.server.family
        further = sql_digest.bucket_condition(self._identity, self._parts, numbers, family)
        condition = self._comparison.condition(further=further if self._parts > 1 else "")
        for batch in live_lines(self._conn, self._comparison, condition, self._on_source):
            if certain := matcher.add(batch):
                self._findings.note(Unmatched(second=certain))
        self._findings.note(matcher.finish())

    def _digests_before(self) -> dict[int, Digest]:
        rows: dict[int, int] = {}
        totals: dict[int, int] = {}
        for group in self._groups():
            for part, row_hash in zip(self._parts_of(group), group.hashes(), strict=True):
                rows[part] = rows.get(part, 0) + 1
                totals[part] = totals.get(part, 0) + row_hash
        return {part: Digest(count, count, totals[part]) for part, count in rows.items()}

    def _digests_now(self) -> dict[int, Digest]:
        comparison = self._comparison
        statement = sql_digest.bucket_digests(
            comparison.rows,
            comparison.pieces,
            self._identity,
            self._parts,
            self._conn.server.family,
            comparison.condition(),
        )
        rows = self._conn.query(statement)
        return {int(part or 0): sql_digest.parse_digest(digest) for part, *digest in rows}

    def _digest(self) -> Digest:
        comparison = self._comparison
        statement = sql_digest.digest_of_pieces(
            comparison.rows,
            comparison.pieces,
            self._conn.server.family,
            None,
            comparison.condition(),
        )
        return sql_digest.parse_digest(self._conn.one(statement))

    def _parts_of(self, group: SnapshotGroup) -> list[int]:
        parts = self._parts
        return [row_hash % parts for row_hash in group.hashes(self._comparison.identity)]

    def _groups(self) -> Iterator[SnapshotGroup]:
        for chunk in self._task.chunks:
            for number in range(len(chunk.row_groups)):
                yield self._side.group(self._comparison, chunk, number)

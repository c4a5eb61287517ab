"""A stretch of a table in two snapshots, row by row.

Where both sides have the same order they are merged: a row that both have settles all that comes
before it, and nothing need be known of how a collation orders keys.  Else a long stretch is divided
by the hash of its rows' keys (of whole rows, where there is none), and read once for each pass.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from tablevault.model import Digest, Snapshot
from tablevault.ops.diff_findings import Findings
from tablevault.ops.diff_pairs import FileLayout, Group, Stretch
from tablevault.ops.diff_sides import SnapshotGroup, SnapshotSide
from tablevault.rows.matching import Matcher, Unmatched
from tablevault.vault.store import Store

PART_ROWS = 2_000  # rows that a part by hash is to have
PASS_ROWS = 100_000  # rows of either side that are compared at a time
SLICE_ROWS = 50_000  # that a merge takes in at a time
HELD_ROWS = 500_000  # of both sides, beyond which a merge is given up
_MOST_PARTS = 1 << 16


class StretchComparer:
    """Compares one stretch at a time, with a file of each side open."""

    def __init__(self, store: Store, first: Snapshot, second: Snapshot, examples: int) -> None:
        self._first = SnapshotSide(store, first)
        self._second = SnapshotSide(store, second)
        self._examples = examples
        self._stopped = False

    def work(self, stretch: Stretch) -> tuple[Stretch, Findings]:
        """Match the rows of both sides, as many at a time as memory is to hold."""
        rows = max(stretch.rows, stretch.rows_after)
        found = Findings(None, self._examples)
        if rows <= PASS_ROWS:
            self._match(stretch, found, 1, None)
        elif stretch.pair.aligned and self._merge(stretch, found):
            pass
        else:
            found = Findings(None, self._examples)
            self._match_in_parts(stretch, found, min(_MOST_PARTS, rows // PART_ROWS))
        return stretch, found

    def stop(self) -> None:
        """Let `work` end at its next row group."""
        self._stopped = True

    def close(self) -> None:
        """Close the files at hand."""
        self._first.close()
        self._second.close()

    def _merge(self, stretch: Stretch, found: Findings) -> bool:
        """Match two sides of one order; False when their next common row is too far away."""
        key = stretch.pair.before.identity
        sides = [_sliced(self._before(stretch)), _sliced(self._after(stretch))]
        held: tuple[list[bytes], list[bytes]] = ([], [])
        more = [True, True]
        while any(more):
            at = 0 if more[0] and (not more[1] or len(held[0]) <= len(held[1])) else 1
            lines = next(sides[at], None)
            if lines is None:
                more[at] = False
                continue
            held[at].extend(lines)
            if sum(map(len, held)) > HELD_ROWS:
                return False
            ends = _last_common(*held) or _last_common(*(_keys(side, key) for side in held))
            if ends is not None:
                _settle(found, held[0][: ends[0]], held[1][: ends[1]], key)
                del held[0][: ends[0]], held[1][: ends[1]]
        _settle(found, *held, key)
        return True

    def _match_in_parts(self, stretch: Stretch, found: Findings, parts: int) -> None:
        before = self._digests(self._before(stretch), stretch.pair.before, parts)
        after = self._digests(self._after(stretch), stretch.pair.after, parts)
        for wanted in _passes(before, after):
            self._match(stretch, found, parts, wanted)

    def _match(
        self, stretch: Stretch, found: Findings, parts: int, wanted: frozenset[int] | None
    ) -> None:
        pair = stretch.pair
        held: list[bytes] = []
        for group in self._before(stretch):
            held += _lines(group, pair.before, parts, wanted)
        matcher = Matcher(held, pair.before.identity)
        for group in self._after(stretch):
            if certain := matcher.add(_lines(group, pair.after, parts, wanted)):
                found.note(Unmatched(second=certain))
        found.note(matcher.finish())

    def _digests(
        self, groups: Iterator[SnapshotGroup], layout: FileLayout, parts: int
    ) -> dict[int, Digest]:
        rows: dict[int, int] = {}
        totals: dict[int, int] = {}
        for group in groups:
            numbers = _parts_of(group, layout, parts)
            for part, row_hash in zip(numbers, group.hashes(), strict=True):
                rows[part] = rows.get(part, 0) + 1
                totals[part] = totals.get(part, 0) + row_hash
        return {part: Digest(count, count, totals[part]) for part, count in rows.items()}

    def _before(self, stretch: Stretch) -> Iterator[SnapshotGroup]:
        return self._read(self._first, stretch.pair.before, stretch.before)

    def _after(self, stretch: Stretch) -> Iterator[SnapshotGroup]:
        return self._read(self._second, stretch.pair.after, stretch.after)

    def _read(
        self, side: SnapshotSide, layout: FileLayout, groups: Sequence[Group]
    ) -> Iterator[SnapshotGroup]:
        for chunk, number in groups:
            if self._stopped:
                return
            yield side.group(layout, chunk, number)


def _sliced(groups: Iterator[SnapshotGroup]) -> Iterator[list[bytes]]:
    for group in groups:
        for start in range(0, group.rows, SLICE_ROWS):
            yield group.lines(start, min(group.rows, start + SLICE_ROWS))


def _last_common(first: Sequence[Hashable], second: Sequence[Hashable]) -> tuple[int, int] | None:
    """Where both sides end, the last row of the first that the second has included."""
    places = {row: at for at, row in enumerate(second, 1)}
    for at in range(len(first), 0, -1):
        if first[at - 1] in places:
            return at, places[first[at - 1]]
    return None


def _keys(lines: Sequence[bytes], key: Sequence[int]) -> list[Hashable]:
    return [tuple([fields[at] for at in key]) for fields in (line.split(b"\t") for line in lines)]


def _settle(found: Findings, first: list[bytes], second: list[bytes], key: Sequence[int]) -> None:
    """Note what differs; no row is there twice, as there is a key."""
    matcher = Matcher(sorted({*first}.difference(second)), key)
    if certain := matcher.add(sorted({*second}.difference(first))):
        found.note(Unmatched(second=certain))
    found.note(matcher.finish())


def _lines(
    group: SnapshotGroup, layout: FileLayout, parts: int, wanted: frozenset[int] | None
) -> list[bytes]:
    lines = group.lines(0, group.rows)
    if wanted is None:
        return lines
    numbers = _parts_of(group, layout, parts)
    return [line for line, part in zip(lines, numbers, strict=True) if part in wanted]


def _parts_of(group: SnapshotGroup, layout: FileLayout, parts: int) -> list[int]:
    return [row_hash % parts for row_hash in group.hashes(layout.identity)]


def _passes(before: dict[int, Digest], after: dict[int, Digest]) -> Iterator[frozenset[int]]:
    """The parts that differ, as many at a time as memory is to hold."""
    numbers: list[int] = []
    rows = 0
    for part in sorted({*before, *after}):
        old, new = before.get(part, Digest()), after.get(part, Digest())
        if old != new:
            numbers.append(part)
            rows += max(old.rows, new.rows)
        if rows >= PASS_ROWS:
            yield frozenset(numbers)
            numbers, rows = [], 0
    if numbers:
        yield frozenset(numbers)

"""Chunk planning as pure arithmetic: how many rows, which ranges, and the proof that they tile.

Boundaries come from walking the key on the server; here they become half-open ranges where each
upper bound *is* the next lower bound, open at both ends, so that no key can fall between two
chunks (a neighbour lost rows through a gap of one key).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from tablevault.errors import CannotComplete
from tablevault.model import EVERYWHERE, KeyRange, KeyValue

MIN_CHUNK_ROWS = 100
MAX_CHUNK_ROWS = 50_000_000
DEFAULT_CHUNK_BYTES = 64 << 20
_GUESSED_ROW_BYTES = 200


def chunk_rows(target_bytes: int, rows: int, size_bytes: int) -> int:
    """Rows that fill a chunk of `target_bytes`, from what is known of `rows` of `size_bytes`."""
    row_bytes = size_bytes / rows if rows > 0 and size_bytes > 0 else _GUESSED_ROW_BYTES
    return max(MIN_CHUNK_ROWS, min(MAX_CHUNK_ROWS, int(target_bytes / row_bytes)))


def ranges_between(
    boundaries: Iterable[KeyValue], within: KeyRange = EVERYWHERE
) -> Iterator[KeyRange]:
    """The ranges that `boundaries`, in key order, cut the key space into, or a part of it.

    >>> [(r.lo, r.hi) for r in ranges_between([(b"3",), (b"7",)])]
    [(None, (b'3',)), ((b'3',), (b'7',)), ((b'7',), None)]
    """
    lo = within.lo
    for hi in boundaries:
        if hi == lo:
            raise CannotComplete(f"the key walk stood still at {hi!r}")
        yield KeyRange(lo, hi)
        lo = hi
    yield KeyRange(lo, within.hi)


@dataclass(frozen=True)
class Section:
    """Neighbouring parts of a table, by number: `first <= part < stop`, kept or read anew."""

    first: int
    stop: int
    kept: bool


def sections(unchanged: Sequence[bool], rows: Sequence[int], wanted_rows: int) -> Iterator[Section]:
    """The parts that are kept, and the stretches of neighbours that are read anew as one each.

    An unchanged part of less than a quarter of `wanted_rows` is read with a neighbour that is read
    anyway: else what deletions leave over would stay in ever smaller chunks.

    >>> [(s.first, s.stop, s.kept) for s in sections([True, False, True], [9, 9, 9], 9)]
    [(0, 1, True), (1, 2, False), (2, 3, True)]
    >>> [(s.first, s.stop, s.kept) for s in sections([True, False, True], [9, 9, 1], 9)]
    [(0, 1, True), (1, 3, False)]
    """
    kept = list(unchanged)
    order = range(len(kept))
    for forth in (order, reversed(order)):
        beside = True
        for at in forth:
            if kept[at] and not beside and 4 * rows[at] < wanted_rows:
                kept[at] = False
            beside = kept[at]
    for is_kept, parts in groupby(order, key=lambda at: kept[at]):
        numbers = list(parts)
        yield Section(numbers[0], numbers[-1] + 1, is_kept)


def even_rows(rows: int, wanted_rows: int) -> int | None:
    """How many rows a chunk gets when `rows` of them are parted evenly; None: they are one."""
    chunks = max(1, round(rows / wanted_rows))
    return None if chunks == 1 else -(-rows // chunks)


def row_group_ranges(whole: KeyRange, first_keys: Sequence[KeyValue]) -> list[KeyRange]:
    """The ranges of consecutive row groups inside `whole`, by the first key of each.

    The first group begins where the chunk begins, also where no row lies between that bound and
    its first key; a chunk without rows has no row groups and keeps only its own range.
    """
    if whole.nulls:
        if len(first_keys) > 1:
            raise CannotComplete("the rows with a NULL in the key are too many for one row group")
        return [whole] * len(first_keys)
    bounds = [whole.lo, *first_keys[1:], whole.hi]
    return [KeyRange(lo, hi) for lo, hi in pairwise(bounds)][: len(first_keys)]


def assert_tiles(
    ranges: Sequence[KeyRange], what: str, whole: KeyRange | None = None, part: str = "chunk"
) -> None:
    """Raise CannotComplete unless `ranges`, in order, cover `whole` once, without gap.

    `whole` is the key space unless it is given; nothing is said of no ranges at all.
    """
    if ranges and ranges[0].nulls and whole is None:
        ranges = ranges[1:]  # these rows are in no other range
    if not ranges:
        return
    whole = whole or KeyRange()
    if any(range.nulls != whole.nulls for range in ranges) or (whole.nulls and len(ranges) > 1):
        raise CannotComplete(f"the {part}s of {what} part the rows with a NULL in the key")
    if ranges[0].lo != whole.lo or ranges[-1].hi != whole.hi:
        raise CannotComplete(f"the {part}s of {what} do not reach both ends of its key range")
    for index, (left, right) in enumerate(pairwise(ranges)):
        if left.hi is None or left.hi != right.lo:
            raise CannotComplete(f"{part}s {index} and {index + 1} of {what} do not meet")

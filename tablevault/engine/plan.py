"""Chunk planning as pure arithmetic: how many rows, which ranges, and the proof that they tile.

Boundaries come from walking the key on the server; here they become half-open ranges where each
upper bound *is* the next lower bound, open at both ends, so that no key can fall between two
chunks (a neighbour lost rows through a gap of one key).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from tablevault.errors import CannotComplete
from tablevault.model import KeyRange, KeyValue

MIN_CHUNK_ROWS = 100
MAX_CHUNK_ROWS = 50_000_000
DEFAULT_CHUNK_BYTES = 64 << 20
_GUESSED_ROW_BYTES = 200


def chunk_rows(target_bytes: int, rows: int, size_bytes: int) -> int:
    """Rows that fill a chunk of `target_bytes`, from what is known of `rows` of `size_bytes`."""
    row_bytes = size_bytes / rows if rows > 0 and size_bytes > 0 else _GUESSED_ROW_BYTES
    return max(MIN_CHUNK_ROWS, min(MAX_CHUNK_ROWS, int(target_bytes / row_bytes)))


def ranges_between(boundaries: Iterable[KeyValue]) -> Iterator[KeyRange]:
    """The ranges that `boundaries`, in key order, cut the key space into.

    >>> [(r.lo, r.hi) for r in ranges_between([(b"3",), (b"7",)])]
    [(None, (b'3',)), ((b'3',), (b'7',)), ((b'7',), None)]
    """
    lo: KeyValue | None = None
    for hi in boundaries:
        if hi == lo:
            raise CannotComplete(f"the key walk stood still at {hi!r}")
        yield KeyRange(lo, hi)
        lo = hi
    yield KeyRange(lo, None)


def row_group_ranges(whole: KeyRange, first_keys: Sequence[KeyValue]) -> list[KeyRange]:
    """The ranges of consecutive row groups inside `whole`, by the first key of each.

    The first group begins where the chunk begins, also where no row lies between that bound and
    its first key; a chunk without rows has no row groups and keeps only its own range.
    """
    bounds = [whole.lo, *first_keys[1:], whole.hi]
    return [KeyRange(lo, hi) for lo, hi in pairwise(bounds)][: len(first_keys)]


def assert_tiles(
    ranges: Sequence[KeyRange], what: str, whole: KeyRange | None = None, part: str = "chunk"
) -> None:
    """Raise CannotComplete unless `ranges`, in order, cover `whole` once, without gap.

    `whole` is the key space unless it is given; nothing is said of no ranges at all.
    """
    if not ranges:
        return
    whole = whole or KeyRange()
    if ranges[0].lo != whole.lo or ranges[-1].hi != whole.hi:
        raise CannotComplete(f"the {part}s of {what} do not reach both ends of its key range")
    for index, (left, right) in enumerate(pairwise(ranges)):
        if left.hi is None or left.hi != right.lo:
            raise CannotComplete(f"{part}s {index} and {index + 1} of {what} do not meet")

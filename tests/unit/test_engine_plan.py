"""Ranges tile the key space whatever the boundaries; the check finds every hole."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablevault.engine.plan import (
    MIN_CHUNK_ROWS,
    assert_tiles,
    chunk_rows,
    ranges_between,
    row_group_ranges,
)
from tablevault.errors import CannotComplete
from tablevault.model import KeyRange, KeyValue

keys = st.lists(st.integers(-1000, 1000), unique=True).map(sorted)


def value(number: int) -> KeyValue:
    return (str(number).encode(),)


def holds(key_range: KeyRange, key: int) -> bool:
    lo = None if key_range.lo is None else int(key_range.lo[0])
    hi = None if key_range.hi is None else int(key_range.hi[0])
    return (lo is None or key >= lo) and (hi is None or key < hi)


@given(keys, st.integers(-1100, 1100))
def test_every_key_lies_in_exactly_one_range(boundaries: list[int], key: int) -> None:
    ranges = list(ranges_between(value(b) for b in boundaries))
    assert_tiles(ranges, "t")
    assert len(ranges) == len(boundaries) + 1
    assert sum(holds(r, key) for r in ranges) == 1


@given(keys.filter(lambda k: len(k) >= 3), st.data())
def test_a_missing_or_doubled_range_is_noticed(boundaries: list[int], data: st.DataObject) -> None:
    ranges = list(ranges_between(value(b) for b in boundaries))
    victim = data.draw(st.integers(0, len(ranges) - 1))
    for broken in (
        ranges[:victim] + ranges[victim + 1 :],
        ranges[:victim] + [ranges[victim]] * 2 + ranges[victim + 1 :],
    ):
        with pytest.raises(CannotComplete):
            assert_tiles(broken, "t")


def test_a_walk_that_stands_still_is_an_error() -> None:
    with pytest.raises(CannotComplete, match="stood still"):
        list(ranges_between([value(1), value(1)]))


@given(keys.filter(bool))
def test_row_groups_tile_their_chunk(first_keys: list[int]) -> None:
    whole = KeyRange(value(-2000), value(2000))
    ranges = row_group_ranges(whole, [value(k) for k in first_keys])
    assert len(ranges) == len(first_keys)
    assert ranges[0].lo == whole.lo and ranges[-1].hi == whole.hi
    assert all(left.hi == right.lo for left, right in itertools.pairwise(ranges))
    assert all(holds(r, k) for r, k in zip(ranges, first_keys, strict=True))


def test_a_chunk_without_rows_has_no_row_groups() -> None:
    assert row_group_ranges(KeyRange(None, None), []) == []


@given(st.integers(1, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 1 << 50))
def test_chunk_rows_is_always_a_usable_step(target: int, rows: int, size: int) -> None:
    assert chunk_rows(target, rows, size) >= MIN_CHUNK_ROWS


def test_chunk_rows_follows_the_row_size() -> None:
    assert chunk_rows(64 << 20, 1_000, 100_000) == (64 << 20) // 100


def test_rows_with_a_null_are_one_row_group_before_all_others() -> None:
    nulls = KeyRange(nulls=True)
    assert row_group_ranges(nulls, []) == []
    assert row_group_ranges(nulls, [()]) == [nulls]
    with pytest.raises(CannotComplete, match="too many for one row group"):
        row_group_ranges(nulls, [(), ()])
    assert_tiles([nulls, KeyRange(None, (b"5",)), KeyRange((b"5",), None)], "t")
    assert_tiles([nulls], "t, chunk 0", nulls, "row group")
    for wrong in ([KeyRange(), nulls], [nulls, nulls]):
        with pytest.raises(CannotComplete):
            assert_tiles(wrong, "t")
    with pytest.raises(CannotComplete, match="part the rows with a NULL"):
        assert_tiles([nulls, nulls], "t, chunk 0", nulls, "row group")
    with pytest.raises(CannotComplete):
        assert_tiles([KeyRange()], "t, chunk 0", nulls, "row group")

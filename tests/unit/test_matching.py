"""Two sides of lines: which rows differ; and parts of a row group's buffers."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablevault.rows import matching
from tablevault.rows.digest import row_hash
from tablevault.rows.kinds import ColumnSpec, DigestClass, Kind, Storage
from tablevault.rows.matching import Matcher, Odd, differing, odd_ones
from tablevault.rows.reference import build_batch, load_text
from tablevault.rows.rowcodec import RowEncoder
from tablevault.rows.subset import rows_from, some_columns

SPECS = (
    ColumnSpec("id", Kind.INT, Storage.INT, DigestClass.FIXED, width=4),
    ColumnSpec("made", Kind.DATE, Storage.DATE, DigestClass.FIXED, width=4),
    ColumnSpec("name", Kind.TEXT, Storage.TEXT, DigestClass.TEXT),
    ColumnSpec("note", Kind.BLOB, Storage.BYTES, DigestClass.LOB),
)
values = st.tuples(
    st.integers(-5, 5).map(lambda number: b"%d" % number),
    # what is no date of the calendar, and bytes that are no text, go into the exact column
    st.sampled_from([None, b"2026-11-24", b"0000-00-00", b"2024-02-00"]),
    st.sampled_from([None, b"", b"x\ty", b"\xff\n", "é".encode()]),
    st.sampled_from([None, b"", b"\\N", b"\0"]),
).map(list)
lines = st.lists(st.tuples(st.sampled_from(b"abc"), st.integers(0, 2)), max_size=12).map(
    lambda rows: [b"%c\t%d" % row for row in rows]
)


@given(lines, lines, st.booleans(), st.sampled_from([1, 3, 100]), st.sampled_from([0, 2, 1000]))
def test_every_row_that_differs_is_told_once(
    before: list[bytes], after: list[bytes], keyed: bool, batch: int, held: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "MOST_HELD", held)
        matcher = Matcher(before, (0,) if keyed else ())
        certain = []
        for start in range(0, len(after), batch):
            certain += matcher.add(after[start : start + batch])
        found = matcher.finish()
    first = found.first + [one for one, _ in found.changed]
    second = found.second + [two for _, two in found.changed] + certain
    assert Counter(map(b"\t".join, first)) == Counter(before) - Counter(after)
    assert Counter(map(b"\t".join, second)) == Counter(after) - Counter(before)
    assert all(one[0] == two[0] for one, two in found.changed)
    assert keyed or not found.changed
    if keyed and not certain:  # what is alone on both sides would be a pair
        assert not {one[0] for one in found.first} & {two[0] for two in found.second}


def test_which_fields_differ() -> None:
    assert differing([b"1", b"a", b"\\N"], [b"1", b"b", b""]) == (1, 2)


@given(st.lists(values, max_size=12), st.data())
def test_parts_of_a_row_group_are_those_of_its_rows(
    rows: list[list[bytes | None]], data: st.DataObject
) -> None:
    batch = build_batch(SPECS, rows)
    start = data.draw(st.integers(0, len(rows)))
    columns, exact = rows_from(batch.columns, batch.exact, start)
    text, _ = RowEncoder(SPECS).encode(columns, exact, len(rows) - start)
    assert bytes(text or b"") == load_text(rows[start:])

    chosen = data.draw(st.lists(st.sampled_from(range(len(SPECS))), min_size=1, unique=True))
    columns, exact = some_columns(batch.columns, batch.exact, len(rows), chosen)
    specs = [SPECS[at] for at in chosen]
    wanted = [[row[at] for at in chosen] for row in rows]
    text, _ = RowEncoder(specs).encode(columns, exact, len(rows))
    assert bytes(text or b"") == load_text(wanted)
    hashes = memoryview(RowEncoder(specs).hashes(columns, exact, len(rows))).cast("I")
    assert list(hashes) == [row_hash(specs, row) for row in wanted]


def odd_by_sets(first: list[bytes], second: list[bytes], most: int) -> Odd | None:
    missing, found = set(first) - set(second), set(second) - set(first)
    return Odd(missing, found, len(second)) if len(found) <= most else None


@given(
    st.lists(st.integers(0, 60), unique=True),
    st.lists(st.integers(0, 60), unique=True),
    st.integers(1, 9),
    st.integers(0, 40),
)
def test_odd_ones_are_those_of_sets(
    ours: list[int], theirs: list[int], size: int, most: int
) -> None:
    first, second = ([b"%d" % one for one in side] for side in (ours, theirs))
    batches = [second[start : start + size] for start in range(0, len(second), size)]
    assert odd_ones(first, batches, most) == odd_by_sets(first, second, most)

"""Whether two selections of tables may share one: never a no where they do."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablevault.ops import table_globs
from tablevault.ops.table_globs import holds, overlap


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (["shop.orders"], ["shop.lines"], False),
        (["shop.orders"], ["shop.orders"], True),
        (["shop.orders"], ["SHOP.Orders"], True),  # the same, on a server that folds names
        (["shop.*"], ["shop.orders"], True),
        (["shop.*"], ["crm.*"], False),
        (["shop.*", "!shop.orders"], ["shop.orders"], False),
        (["shop.*", "!shop.orders"], ["shop.orders*"], True),
        (["shop.*", "!shop.o*"], ["shop.orders*"], False),
        (["shop.*", "!SHOP.ORDERS"], ["shop.orders"], True),  # another one, where cases count
        (["shop.a*"], ["shop.*b"], True),
        (["shop.a*"], ["shop.[b-z]*"], False),
        (["shop.a*"], ["shop.[!a]*"], False),
        (["shop.t?"], ["shop.t??"], False),
        (["*"], ["!*.*"], False),
        (["*"], ["!shop.*"], True),
        ([], ["shop.a"], True),
        (["orders"], ["shop.orders"], True),  # in whichever schema
        (["orders"], ["shop.lines"], False),
        (["`shop`.`a*`"], ["shop.ab"], False),
        (["`shop`.`a*`"], ["shop.a*"], True),
        (["sh*p.x", "a.b"], ["c.d", "shoop.x"], True),
    ],
)
def test_selections(one: list[str], other: list[str], expected: bool) -> None:
    assert overlap(one, other) is expected
    assert overlap(other, one) is expected


def test_many_names_are_no_work() -> None:
    first = [f"shop.table_{number}" for number in range(2000)]
    second = [f"shop.table_{number}" for number in range(2000, 4000)]
    assert not overlap(first, second)
    assert overlap(first, [*second, "shop.*_1999"])


def test_what_gets_too_large_may_overlap() -> None:
    one = [f"*{char}*" for char in "abcdefghijklmnopqrst"]
    assert overlap([*one, *(f"!*{char}*" for char in "abcdefghijklmnopqrstz")], ["*.x*"])


GLOBS = st.text(st.sampled_from("ab.*?[]!-"), min_size=1, max_size=7)
NAMES = ["".join(chars) for size in range(3, 6) for chars in product("ab.", repeat=size)]
NAMES = [name for name in NAMES if "." in name[1:-1]]


@given(st.lists(GLOBS, max_size=3), st.lists(GLOBS, max_size=3))
def test_what_is_in_both_is_seen(one: list[str], other: list[str]) -> None:
    shared = [name for name in NAMES if holds(one, name) and holds(other, name)]
    assert overlap(one, other) or not shared


@given(
    st.text(st.sampled_from("ab]*?[!-"), max_size=6), st.text(st.sampled_from("ab]-!"), max_size=4)
)
def test_a_glob_is_read_as_fnmatch_reads_it(glob: str, name: str) -> None:
    parts = table_globs._parts(glob)
    places = table_globs._closed(parts, 1)
    for char in name:
        places = table_globs._step(parts, places, ord(char))
    assert bool(places >> len(parts) & 1) == fnmatchcase(name, glob)

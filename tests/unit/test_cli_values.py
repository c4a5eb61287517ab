"""Numbers in and out: sizes, durations, table names, and what people read."""

from __future__ import annotations

import doctest

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablevault.cli import cells, types, units
from tablevault.model import TableName


@pytest.mark.parametrize("module", [types, units, cells])
def test_the_examples_in_the_documentation_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted >= 3
    assert result.failed == 0


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("64M", 64 << 20), ("64m", 64 << 20), ("64MB", 64 << 20), ("2 GiB", 2 << 30)],
)
def test_sizes(text: str, size: int) -> None:
    assert types.size(text) == size


@pytest.mark.parametrize("text", ["", "M", "64X", "-1", "0", "1e9", "64 M M", "0.0000001K"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        types.size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("10", 10), ("10m", 600), ("1h30m", 5400), ("1.5s", 1.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert types.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "10x", "-5", "1h30", "10m garbage", "nan", "inf"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        types.duration(text)


@pytest.mark.parametrize(
    ("text", "schema", "name"),
    [
        ("a.b", "a", "b"),
        ("a.b.c", "a", "b.c"),
        ("`a.b`.c", "a.b", "c"),
        ("`a``b`.`c d`", "a`b", "c d"),
        ("a.line\nbreak", "a", "line\nbreak"),
    ],
)
def test_table_names(text: str, schema: str, name: str) -> None:
    assert types.table(text) == TableName(schema, name)


@pytest.mark.parametrize("text", ["", "a", ".a", "a.", "`a.b", "``.a"])
def test_what_is_no_table_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        types.table(text)


@given(st.integers(0, 10**18))
def test_a_size_is_short_and_true_to_one_percent(size: int) -> None:
    number, unit = units.size(size).split()
    factor = 1000 ** ["B", "kB", "MB", "GB", "TB", "PB"].index(unit)
    assert len(number) <= 4
    assert float(number) * factor == pytest.approx(size, rel=0.01)


@given(st.floats(0, 10**9))
def test_a_duration_is_short(seconds: float) -> None:
    assert 3 <= len(units.duration(seconds)) <= 12


@given(st.text())
def test_nothing_printed_moves_the_cursor(text: str) -> None:
    assert units.printable(text).isprintable()

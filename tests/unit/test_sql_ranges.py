"""Key literals and range predicates as text; what they do on a server is in test_keywalk.py."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablevault.model import Column, Key, KeyColumn, KeyRange
from tablevault.mysql.sql_ranges import (
    after_predicate,
    order_by,
    quote_name,
    range_predicate,
    usable_in_key,
    value_literal,
)
from tablevault.rows.kinds import spec_of


def column(name: str, column_type: str, charset: str | None = None, **more: object) -> Column:
    base = column_type.split("(")[0].split()[0]
    collation = f"{charset}_bin" if charset else None
    return Column(name, column_type, base, False, charset, collation, **more)  # type: ignore[arg-type]


A, B = column("a", "int"), column("b", "varchar(9)", "utf8mb4")
STATUS = column("st`atus", "enum('new','it''s','done')", "latin1")


def key(*columns: Column, descending: str = "") -> Key:
    return Key("k", tuple(KeyColumn(c.name, c.name in descending) for c in columns))


def test_composite_range_is_expanded() -> None:
    text = range_predicate(key(A, B), (A, B), KeyRange((b"1", b"x"), (b"7", b"y")))
    x, y = (f"_utf8mb4 X'{c.encode().hex()}' COLLATE utf8mb4_bin" for c in "xy")
    assert text == (
        f"(`a` > 1 OR (`a` = 1 AND `b` >= {x})) AND (`a` < 7 OR (`a` = 7 AND `b` < {y}))"
    )


def test_open_ends() -> None:
    assert range_predicate(key(A), (A,), KeyRange()) == ""
    assert range_predicate(key(A), (A,), KeyRange(hi=(b"3",))) == "`a` < 3"
    assert range_predicate(key(A), (A,), KeyRange(lo=(b"-3",))) == "`a` >= -3"


def test_rows_with_a_null_are_a_range_of_their_own() -> None:
    columns = [Column("a", "int", "int", True), Column("b", "int", "int", False)]
    key = Key("u", (KeyColumn("a"), KeyColumn("b")), nullable=True)
    assert range_predicate(key, columns, KeyRange(nulls=True)) == "(`a` IS NULL)"
    assert range_predicate(key, columns, KeyRange()) == "`a` IS NOT NULL"
    assert range_predicate(key, columns, KeyRange((b"3", b"7"), None)) == (
        "`a` IS NOT NULL AND (`a` > 3 OR (`a` = 3 AND `b` >= 7))"
    )
    assert after_predicate(key, columns, (b"3", b"7")).startswith("`a` IS NOT NULL AND (")


def test_descending_parts_turn_round() -> None:
    descending = key(A, B, descending="b")
    assert order_by(descending) == "`a`, `b` DESC"
    text = after_predicate(descending, (A, B), (b"1", b""))
    assert text == "(`a` > 1 OR (`a` = 1 AND `b` < _utf8mb4 X'' COLLATE utf8mb4_bin))"


def test_enum_is_a_list_of_members() -> None:
    text = range_predicate(key(STATUS), (STATUS,), KeyRange((b"it's",), (b"done",)))
    its, done, new, error = (
        f"_latin1 X'{m.encode().hex()}' COLLATE latin1_bin" for m in ("it's", "done", "new", "")
    )
    name = "`st``atus`"
    assert text == f"({name} IN ({done}) OR {name} = {its}) AND {name} IN ({error}, {new}, {its})"


@pytest.mark.parametrize(
    ("column", "raw", "literal"),
    [
        (column("c", "bigint unsigned"), b"18446744073709551615", "18446744073709551615"),
        (column("c", "int(5) unsigned zerofill"), b"00042", "00042"),
        (column("c", "decimal", precision=65, scale=2), b"-1.50", "-1.50"),
        (column("c", "date"), b"0000-00-00", "'0000-00-00'"),
        (column("c", "time", scale=6), b"-838:59:59.000000", "'-838:59:59.000000'"),
        (column("c", "year"), b"0000", "0000"),
        (column("c", "bit(9)"), b"\x01\x01", "257"),
        (column("c", "varbinary(9)"), b"'\x00", "X'2700'"),
        (column("c", "char(9)", "sjis"), b"\x83\x5c", "_sjis X'835c' COLLATE sjis_bin"),
    ],
)
def test_literals(column: Column, raw: bytes, literal: str) -> None:
    assert value_literal(spec_of(column), column, raw) == literal


@pytest.mark.parametrize("raw", [b"1 OR 1=1", b"", b"1e3", b"0x10", b"1\n", b"--1"])
def test_numbers_are_numbers(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not a value of int"):
        value_literal(spec_of(A), A, raw)


def test_charset_is_a_word() -> None:
    bad = Column("c", "varchar(9)", "varchar", False, "utf8mb4", "x' OR '1")
    with pytest.raises(ValueError, match="collation"):
        value_literal(spec_of(bad), bad, b"x")


def test_wrong_number_of_parts() -> None:
    with pytest.raises(ValueError, match="2 columns, not 1"):
        range_predicate(key(A, B), (A, B), KeyRange(lo=(b"1",)))


@pytest.mark.parametrize(
    ("column", "usable"),
    [
        (A, True),
        (B, True),
        (STATUS, True),
        (column("c", "bit(3)"), True),
        (column("c", "double"), False),
        (column("c", "float"), False),
        (column("c", "set('a','b')", "latin1"), False),
        (column("c", "text", "latin1"), False),
        (column("c", "blob"), False),
        (column("c", "enum('a','')", "latin1"), False),  # '' is also the error value
        (column("c", "enum('a')", "sjis"), False),
        (column("c", r"enum('a\\b')", "utf8mb4"), False),  # escaped there, by some servers
        (Column("c", "int", "int", True), False),
        (column("c", "int", generated=True), False),
    ],
)
def test_usable_in_key(column: Column, usable: bool) -> None:
    assert usable_in_key(column) is usable


NUMBERS = [column(name, "int") for name in "abc"]


@given(
    lo=st.tuples(*[st.integers(0, 2)] * 3),
    hi=st.tuples(*[st.integers(0, 2)] * 3),
    descending=st.sets(st.sampled_from("abc")),
)
def test_predicate_means_the_range(
    lo: tuple[int, ...], hi: tuple[int, ...], descending: set[str]
) -> None:
    by = key(*NUMBERS, descending="".join(descending))
    wire = [tuple(str(part).encode() for part in bound) for bound in (lo, hi)]
    text = range_predicate(by, NUMBERS, KeyRange(wire[0], wire[1]))
    python = text.replace("`", "").replace(" = ", " == ").replace("OR", "or").replace("AND", "and")

    def rank(values: tuple[int, ...]) -> list[int]:
        return [-v if c.name in descending else v for v, c in zip(values, NUMBERS, strict=True)]

    for row in product(range(3), repeat=3):
        inside = rank(lo) <= rank(row) < rank(hi)
        assert eval(python, dict(zip("abc", row, strict=True))) is inside


@given(st.text(min_size=1))
def test_quoted_name_ends_where_it_should(name: str) -> None:
    quoted = quote_name(name)
    assert quoted[0] == quoted[-1] == "`"
    assert "`" not in quoted[1:-1].replace("``", "")
    assert quoted[1:-1].replace("``", "`") == name

"""Where a TOML file says what: every key and element, however it is written, at its own line."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablevault.cli.toml_lines import Lines, Where, lines_of

ALL_WAYS = '''\
title = "a # b" # "c
[profile.default]
"host name" = 'x\\'
a.b."c.d".'e' = """
[not.a.section]
steps = "not \\""" yet"""
  literal = \'\'\'
[x]
it''s\'\'\'\'

# [job.none]
[ job . "night.ly" ]
steps = [
  "one, [two]", # a ] here
  # "three",

  { key = "v", inner.deep = [1,
2] }, [
   3.5, 1979-05-27 07:32:00 ] ,
]
empty = [ ]
none = {}
[[tables]]
name = "first"
[tables.sub]
x = 1
[[tables]]
name = "second"
[[tables.deep]]
y = 2
[[tables.deep]]
y = """"two" quotes"""""
[late]
z = true
[profile]
threads = +4
'''


def places(value: Any, where: Where = ()) -> Iterator[Where]:
    """Every key and element of a document."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in parts:
        yield (*where, name)
        if isinstance(inner, dict | list):
            yield from places(inner, (*where, name))


def test_each_way_of_writing_it() -> None:
    lines = Lines(ALL_WAYS)
    wanted: dict[Where, int] = {
        ("title",): 1,
        ("profile", "default"): 2,
        ("profile", "default", "host name"): 3,
        ("profile", "default", "a", "b", "c.d", "e"): 4,
        ("profile", "default", "literal"): 7,
        ("job", "night.ly"): 12,
        ("job", "night.ly", "steps"): 13,
        ("job", "night.ly", "steps", 0): 14,
        ("job", "night.ly", "steps", 1, "key"): 17,
        ("job", "night.ly", "steps", 1, "inner", "deep", 1): 18,
        ("job", "night.ly", "steps", 2): 18,
        ("job", "night.ly", "steps", 2, 1): 19,
        ("job", "night.ly", "empty"): 21,
        ("job", "night.ly", "none"): 22,
        ("tables",): 23,
        ("tables", 0, "name"): 24,
        ("tables", 0, "sub"): 25,
        ("tables", 0, "sub", "x"): 26,
        ("tables", 1): 27,
        ("tables", 1, "name"): 28,
        ("tables", 1, "deep", 0, "y"): 30,
        ("tables", 1, "deep", 1, "y"): 32,
        ("late", "z"): 34,
        ("profile",): 35,
        ("profile", "threads"): 36,
    }
    assert {where: lines.of(where) for where in wanted} == wanted
    assert set(lines.known()) == set(places(tomllib.loads(ALL_WAYS)))


def test_windows_line_ends_count_as_one() -> None:
    assert Lines('a = """\r\nx\r\n"""\r\n[b]\r\nc = 1\r\n').of(("b", "c")) == 5


def test_what_is_not_there_is_placed_where_it_would_be() -> None:
    lines = Lines("x = 1\n\n[a.b]\nc = 2\n")
    assert lines.of(("a", "b", "missing")) == 3
    assert lines.of(("missing",)) is None


@pytest.mark.parametrize("text", ["= 1", "a = 'x", "[", "[a]]\n]"])
def test_what_is_no_toml_ends_without_a_line(text: str) -> None:
    lines_of(text)


NAMES = st.sampled_from(["a", "b-1", "c d", "e.f", 'g"h', "ä", "7"])
BLANKS = st.sampled_from(["", "\n", "# [x] = 'y'\n", "  \n\n"])
TEXTS = st.text(st.sampled_from("ab\"'\\\n#[]{}=,. "), max_size=8)


@st.composite
def written(draw: st.DrawFn, depth: int = 2, *, inline: bool = False) -> str:
    """A value as text, in one of the ways there are."""
    kinds = ["basic", "many", "literal", "number"] + (["array", "inline"] if depth else [])
    kind, text = draw(st.sampled_from(kinds)), draw(TEXTS)
    if kind == "basic" or (inline and kind != "array" and kind != "number"):
        return json.dumps(text)
    if kind == "many":
        return '"""' + text.replace("\\", "\\\\").replace('"""', '""\\"').rstrip('"') + '"""'
    if kind == "literal":
        return "'''" + text.replace("'''", "''").rstrip("'") + "'''"
    if kind == "number":
        return draw(st.sampled_from(["1", "-2.5e3", "true", "1979-05-27 07:32:00", "0xFF"]))
    parts = draw(st.lists(written(depth - 1, inline=kind == "inline"), max_size=3))
    if kind == "array":
        return "[" + draw(BLANKS) + ",\n".join(parts) + draw(BLANKS) + "]"
    return "{" + ", ".join(f"k{place} = {part}" for place, part in enumerate(parts)) + "}"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A file whose key on line N begins with the name kN."""
    text = ""
    for section in range(draw(st.integers(0, 4))):
        name = json.dumps(draw(NAMES), ensure_ascii=False)
        text += draw(st.sampled_from([f"[s{section}.{name}]\n", f"[[s.{name}]]\n"]))
        for _ in range(draw(st.integers(0, 3))):
            text += draw(BLANKS)
            line = text.count("\n") + 1
            text += f"line{line}.{json.dumps(draw(NAMES), ensure_ascii=False)} = "
            text += draw(written()) + " # '\n"
    return text


@given(documents())
def test_all_of_a_file_is_placed(text: str) -> None:
    lines = Lines(text)
    assert set(lines.known()) == set(places(tomllib.loads(text)))
    for where in lines.known():
        for name in where:
            if isinstance(name, str) and name.startswith("line") and where[-1] == name:
                assert lines.of(where) == int(name.removeprefix("line"))

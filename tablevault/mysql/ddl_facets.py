"""What a definition says, facet by facet: of a column, of an index, of a table's options.

Every word of the text falls into one facet, so two definitions with equal facets are the same.
Pure functions over what `ddl_parse.py` took apart.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tablevault.model import Column
from tablevault.mysql.ddl_parse import CreateTable, Element, ForeignKey, Role, Token, tokenize
from tablevault.mysql.sql_ranges import quote_name

_HINT_OPENS = re.compile(r"/\*M?!\d*\s*$")
_BEGINS = {  # the word that a facet of a column's text begins with
    "CHARACTER": "charset",
    "CHARSET": "charset",
    "COLLATE": "collation",
    "NOT": "nullability",
    "NULL": "nullability",
    "DEFAULT": "default",
    "ON": "on update",
    "AUTO_INCREMENT": "auto_increment",
    "GENERATED": "generation",
    "AS": "generation",
    "VIRTUAL": "storage of the generated value",
    "STORED": "storage of the generated value",
    "PERSISTENT": "storage of the generated value",
    "INVISIBLE": "visibility",
    "COMMENT": "comment",
    "CHECK": "check",
    "COMPRESSED": "attributes",
    "COLUMN_FORMAT": "attributes",
    "STORAGE": "attributes",
    "SRID": "attributes",
    "REF_SYSTEM_ID": "attributes",
    "ENGINE_ATTRIBUTE": "attributes",
    "SECONDARY_ENGINE_ATTRIBUTE": "attributes",
}
_TAKES_NEXT = frozenset({"CHARACTER", "NOT", "DEFAULT", "ON", "GENERATED", "COMMENT", "COLLATE"})
_HIDDEN = ("INVISIBLE", "IGNORED")


@dataclass(frozen=True)
class Tail:
    """What follows the body: options by name, as written, and the partitions; empty without any."""

    options: Mapping[str, str]
    partitioning: str


def column_facets(element: Element, column: Column) -> dict[str, str]:
    """A column's text by facet; charset, collation and NULL as they are in effect.

    The text leaves out a charset that is the table's; two tables may have other ones.
    """
    facets = written_facets(element)
    facets["nullability"] = "NULL" if column.nullable else "NOT NULL"
    facets["charset"], facets["collation"] = column.charset or "", column.collation or ""
    return facets


def written_facets(element: Element) -> dict[str, str]:
    """A column's text by facet, without its name, as it is written."""
    tokens = list(tokenize(element.text))[1:]
    facets: dict[str, str] = {}
    facet, start, at = "type", 0, 0
    while at <= len(tokens):
        begins = at < len(tokens) and tokens[at].kind == "word"
        following = _BEGINS.get(tokens[at].text.upper()) if begins else None
        if at == len(tokens) or (following is not None and at > 0):
            text = element.text[tokens[start].start : tokens[at - 1].end] if at > start else ""
            facets[facet] = f"{facets[facet]} {text}" if facet in facets else text
            if at == len(tokens):
                break
            facet, start = following or facet, at
            at += tokens[at].says(*_TAKES_NEXT)
        at = _past_parenthesis(tokens, at)
    return facets


def changed_facets(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """The facets in which two columns differ, in the order of the text."""
    names = list(dict.fromkeys([*before, *after]))
    changed = [name for name in names if before.get(name, "") != after.get(name, "")]
    implied = {before.get("default", ""), after.get("default", "")} <= {"", "DEFAULT NULL"}
    if implied and {"type", "nullability", "generation"} & set(changed):
        changed = [name for name in changed if name != "default"]  # it says no more than they do
    if "charset" in changed and "collation" in changed:
        changed.remove("collation")
    return tuple(changed)


def hidden(index: Element) -> bool:
    """Whether the optimizer ignores an index."""
    return any(token.says(*_HIDDEN) for token in _after_columns(index))


def without_visibility(index: Element) -> tuple[str, ...]:
    """The words of an index but those that hide it, for comparing."""
    aside = {token.start for token in _after_columns(index) if token.says(*_HIDDEN)}
    return tuple(token.text for token in tokenize(index.text) if token.start not in aside)


def without_name(index: Element) -> tuple[str, ...]:
    """The words of an index but its name, for comparing."""
    tokens = list(tokenize(index.text))
    at = next((i for i, token in enumerate(tokens) if token.kind == "name"), None)
    return tuple(token.text for i, token in enumerate(tokens) if i != at)


def tail_of(table: CreateTable) -> Tail:
    """Options and partitions; AUTO_INCREMENT is left out, it goes with the rows."""
    tokens = list(tokenize(table.tail))
    ends = next((i for i in range(len(tokens)) if _partitions_begin(tokens[i:])), len(tokens))
    options = dict(_options(tokens[:ends]))
    options.pop("AUTO_INCREMENT", None)
    if ends == len(tokens):
        return Tail(options, "")
    start = tokens[ends].start
    opening = _HINT_OPENS.search(table.tail[:start])
    return Tail(options, table.tail[opening.start() if opening else start :].strip())


def renamed(table: CreateTable, names: Mapping[str, str]) -> CreateTable:
    """The definition as it would read were its columns called otherwise: `names` by its own names.

    Only texts change; the columns' own names and those of indexes and constraints stay.
    """
    if not names:
        return table
    elements = tuple(
        dataclasses.replace(element, text=_renamed_text(element, table.name, names))
        for element in table.elements
    )
    tail = "".join(_replaced(table.tail, names, groups=None))
    return dataclasses.replace(table, elements=elements, tail=tail)


def _partitions_begin(tokens: list[Token]) -> bool:
    return len(tokens) > 1 and tokens[0].says("PARTITION") and tokens[1].says("BY")


def _past_parenthesis(tokens: list[Token], at: int) -> int:
    """The next token after this one, or after all that it encloses."""
    depth = 0
    for i in range(at, len(tokens)):
        depth += (tokens[i].text == "(") - (tokens[i].text == ")")
        if depth <= 0:
            return i + 1
    return len(tokens)


def _after_columns(index: Element) -> list[Token]:
    tokens = list(tokenize(index.text))
    opening = next((i for i, token in enumerate(tokens) if token.text == "("), len(tokens))
    return tokens[_past_parenthesis(tokens, opening) :]


def _options(tokens: list[Token]) -> Iterator[tuple[str, str]]:
    words: list[str] = []
    at = 0
    while at < len(tokens):
        if tokens[at].text == "=" and at + 1 < len(tokens):
            yield (
                " ".join(words),
                "".join(token.text for token in tokens[at + 1 : _past_parenthesis(tokens, at + 1)]),
            )
            words, at = [], _past_parenthesis(tokens, at + 1)
        elif tokens[at].says("TABLESPACE") and at + 1 < len(tokens):
            yield "TABLESPACE", tokens[at + 1].text
            at += 2
        else:
            quoted = tokens[at].kind == "name"
            words.append(tokens[at].text if quoted else tokens[at].text.upper())
            at += 1
    if words:
        yield " ".join(words), ""


def _renamed_text(element: Element, table: str, names: Mapping[str, str]) -> str:
    groups = None
    if isinstance(element, ForeignKey) and (element.parent_schema or element.parent != table):
        groups = 1  # the second list is of the parent's columns
    if element.role is Role.OTHER:
        return element.text
    return "".join(_replaced(element.text, names, groups))


def _replaced(text: str, names: Mapping[str, str], groups: int | None) -> Iterator[str]:
    """The text in pieces, names within parentheses replaced; in the first `groups` of these."""
    at = depth = opened = 0
    previous = None
    for token in tokenize(text):
        opened += token.text == "(" and depth == 0
        depth += (token.text == "(") - (token.text == ")")
        partition = previous is not None and previous.says("PARTITION", "SUBPARTITION")
        previous = token
        if token.kind != "name" or not depth or partition or (groups and opened > groups):
            continue
        yield text[at : token.start]
        yield quote_name(names.get(token.identifier, token.identifier))
        at = token.end
    yield text[at:]

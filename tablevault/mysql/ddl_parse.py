"""The text of SHOW CREATE TABLE, taken apart.  Pure functions.

A tokenizer that knows quotes, backticks, comments and parentheses splits the body into elements;
every element keeps its text as the server wrote it, so that nothing is lost that this version has
no name for.  The text is that of a session without ANSI_QUOTES and NO_BACKSLASH_ESCAPES.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tablevault.errors import Unsupported
from tablevault.model import TableName
from tablevault.mysql.sql import quote_table
from tablevault.mysql.sql_ranges import quote_name

_TOKEN = re.compile(
    r"""(?P<string>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
      | (?P<name>`(?:[^`]|``)*`)
      | (?P<hint>/\*M?!\d*)            # a versioned comment is code: only its brackets are skipped
      | (?P<comment>/\*.*?\*/)
      | (?P<space>\s+)
      | (?P<word>[^\s'"`(),/*=]+)
      | (?P<sign>[(),=]|\*/|.)""",
    re.VERBOSE | re.DOTALL,
)


class Role(StrEnum):
    """What an element of the body is."""

    COLUMN = "column"
    PRIMARY = "primary key"
    INDEX = "index"
    FOREIGN_KEY = "foreign key"
    CHECK = "check"
    OTHER = "other"  # PERIOD FOR and what later versions bring: kept as it is


@dataclass(frozen=True)
class Element:
    """One comma-separated part of the body.

    `columns` are an index's or a foreign key's own columns; the empty string stands for an
    expression.  `flavour` is UNIQUE, FULLTEXT, SPATIAL, VECTOR or empty.
    """

    role: Role
    name: str
    text: str
    flavour: str = ""
    columns: tuple[str, ...] = ()

    @property
    def add_clause(self) -> str:
        """The ALTER TABLE clause that makes it."""
        return f"ADD {self.text}"

    @property
    def drop_clause(self) -> str:
        """The ALTER TABLE clause that removes it."""
        match self.role:
            case Role.PRIMARY:
                return "DROP PRIMARY KEY"
            case Role.INDEX:
                return f"DROP KEY {quote_name(self.name)}"
            case Role.FOREIGN_KEY:
                return f"DROP FOREIGN KEY {quote_name(self.name)}"
            case Role.CHECK:
                return f"DROP CONSTRAINT {quote_name(self.name)}"
        raise ValueError(f"no clause drops a {self.role}")


@dataclass(frozen=True)
class ForeignKey(Element):
    """A foreign key and whom it references; `parent` without schema is of the table's own."""

    parent: str = ""
    parent_schema: str | None = None
    parent_columns: tuple[str, ...] = ()
    _parent_at: tuple[int, int] = (0, 0)

    def referencing(self, table: TableName) -> ForeignKey:
        """The same foreign key, to `table`: for a self-reference that must follow a staging table.

        The result's parent is spelled with its schema.
        """
        start, end = self._parent_at
        text = f"{self.text[:start]}{quote_table(table)}{self.text[end:]}"
        at = (start, start + len(quote_table(table)))
        return dataclasses.replace(
            self, text=text, parent=table.name, parent_schema=table.schema, _parent_at=at
        )


@dataclass(frozen=True)
class CreateTable:
    """A parsed SHOW CREATE TABLE; `tail` is everything after the body: options, partitions."""

    name: str
    elements: tuple[Element, ...]
    tail: str

    def of(self, role: Role) -> tuple[Element, ...]:
        """The elements of one role, in the order of the text."""
        return tuple(element for element in self.elements if element.role is role)

    def render(self, target: str) -> str:
        """The statement again, for `target` (quoted by the caller)."""
        body = ",\n  ".join(element.text for element in self.elements)
        return f"CREATE TABLE {target} (\n  {body}\n){self.tail}"


@dataclass(frozen=True)
class Token:
    """A word, string, quoted name or sign, and where it stands."""

    kind: str
    text: str
    start: int
    end: int

    def says(self, *words: str) -> bool:
        """Whether it is one of these words, in any case, and not quoted."""
        return self.kind == "word" and self.text.upper() in words

    @property
    def identifier(self) -> str:
        """The name it stands for, unquoted."""
        return self.text[1:-1].replace("``", "`") if self.kind == "name" else self.text


def parse(create_sql: str) -> CreateTable:
    """Take a SHOW CREATE TABLE text apart; raises Unsupported for what is not one."""
    tokens = list(tokenize(create_sql))
    opening = next((i for i, token in enumerate(tokens) if token.text == "("), 0)
    head = tokens[:opening]
    if len(head) < 3 or not head[0].says("CREATE") or head[-1].kind != "name":
        raise Unsupported(f"not a table definition: {create_sql[:60]!r}")
    groups: list[list[Token]] = [[]]
    depth = 0
    for token in tokens[opening:]:
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0:
            elements = tuple(_element(group, create_sql) for group in groups)
            return CreateTable(head[-1].identifier, elements, create_sql[token.end :])
        if depth == 1 and token.text == ",":
            groups.append([])
        elif depth > 1 or token.text != "(" or groups[-1]:
            groups[-1].append(token)
        # the remaining case is the parenthesis that opens the body
    raise Unsupported(f"the definition of `{head[-1].identifier}` ends in the middle")


def tokenize(text: str) -> Iterator[Token]:
    """The tokens that mean something: no space, no comment, no bracket of a versioned one."""
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or "sign"
        if kind not in ("space", "comment", "hint") and found[0] != "*/":
            yield Token(kind, found[0], found.start(), found.end())


def _element(tokens: list[Token], source: str) -> Element:
    text = source[tokens[0].start : _end(tokens, source)] if tokens else ""
    if not tokens or tokens[0].kind == "name":
        return Element(Role.COLUMN, tokens[0].identifier if tokens else "", text)
    name, at = "", 0
    if tokens[0].says("CONSTRAINT"):
        at = 1
        if len(tokens) > 1 and tokens[1].kind == "name":
            name, at = tokens[1].identifier, 2
    first = tokens[at] if at < len(tokens) else tokens[0]
    if first.says("CHECK"):
        return Element(Role.CHECK, name, text)
    if first.says("FOREIGN"):
        return _foreign_key(name, text, tokens)
    if first.says("PRIMARY"):
        return Element(Role.PRIMARY, "PRIMARY", text, "UNIQUE", _columns(tokens, at))
    flavour = first.text.upper() if first.says("UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR") else ""
    if flavour or first.says("KEY", "INDEX"):
        found = next((token for token in tokens[at:] if token.kind == "name"), None)
        return Element(
            Role.INDEX, found.identifier if found else name, text, flavour, _columns(tokens, at)
        )
    return Element(Role.OTHER, name, text)


def _end(tokens: list[Token], source: str) -> int:
    """Where an element ends: a versioned comment that it began is closed by it too."""
    start, end = tokens[0].start, tokens[-1].end
    opened = len(re.findall(r"/\*M?!", source[start:end])) if "/*" in source[start:end] else 0
    closing = re.match(r"\s*\*/", source[end:])
    return end + closing.end() if opened and closing else end


def _columns(tokens: list[Token], at: int) -> tuple[str, ...]:
    """The parts of the first parenthesised list after `at`; an expression is the empty string."""
    columns: list[str] = []
    depth, fresh = 0, False
    for token in tokens[at:]:
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.text == ")":
            break
        if depth == 1 and token.text in "(,":
            fresh = True
        elif fresh:
            columns.append(token.identifier if token.kind == "name" else "")
            fresh = False
    return tuple(columns)


def _foreign_key(name: str, text: str, tokens: list[Token]) -> ForeignKey:
    at = next((i for i, token in enumerate(tokens) if token.says("REFERENCES")), None)
    if at is None:
        raise Unsupported(f"a foreign key without its parent: {text[:60]!r}")
    names = []
    for token in tokens[at + 1 :]:
        if token.text == "(":
            break
        if token.kind == "name":
            names.append(token)
    base = tokens[0].start
    return ForeignKey(
        Role.FOREIGN_KEY,
        name,
        text,
        columns=_columns(tokens, 0),
        parent=names[-1].identifier,
        parent_schema=names[0].identifier if len(names) > 1 else None,
        parent_columns=_columns(tokens, at),
        _parent_at=(names[0].start - base, names[-1].end - base),
    )

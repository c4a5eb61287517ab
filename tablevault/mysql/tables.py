"""Which tables the user means: names and patterns to tables that exist and can be read.

`schema.table`, `table` where there is a default schema, globs in either part, backticks around
what is to be taken literally; what begins with `!` is left out of all others.  A mistake is a
UsageError that says what was probably meant.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tablevault.errors import StatementFailed, UsageError
from tablevault.model import TableName
from tablevault.mysql.sql import quote_table, quote_text

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

SYSTEM_SCHEMAS = frozenset({"mysql", "information_schema", "performance_schema", "sys"})
EXCLUDED = "!"  # before a pattern: not these
_PART = re.compile(r"\s*(?:`((?:[^`]|``)+)`|([^`.]+))\s*(\.|$)")
_DERIVED = re.compile(r"_tv_(?:new|old|undone|try|trp|put|was)_[0-9a-f]{8}_")  # what names.py makes
_TABLES = ("BASE TABLE", "SYSTEM VERSIONED", "SEQUENCE")
_DENIED = frozenset({1044, 1045, 1142, 1143, 1227})
_UNKNOWN = frozenset({1049, 1146})


@dataclass(frozen=True)
class Pattern:
    """One argument of the command line: schema and table, each with whether it is a glob."""

    text: str
    schema: str
    table: str
    schema_glob: bool = False
    table_glob: bool = False

    @property
    def literal(self) -> bool:
        return not (self.schema_glob or self.table_glob)

    def matches(self, table: TableName, *, fold: bool) -> bool:
        """Whether the table is meant; `fold`: the server's names differ by more than case."""
        return _fits(self.schema, table.schema, self.schema_glob, fold) and _fits(
            self.table, table.name, self.table_glob, fold
        )


def parse_pattern(text: str, default_schema: str | None) -> Pattern:
    """Read one argument; raises UsageError for what is no name."""
    parts: list[tuple[str, bool]] = []
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None:
            raise UsageError(f"not a table name: {text!r}", hint="write schema.table, or a glob")
        quoted, plain, separator = found.groups()
        name = quoted.replace("``", "`") if quoted else plain.strip()
        parts.append((name, quoted is None and any(sign in name for sign in "*?[")))
        at = found.end()
        if not separator or (separator == "." and at == len(text)):
            break
    if len(parts) == 1 and at == len(text) and not text.rstrip().endswith("."):
        if default_schema is None:
            raise UsageError(
                f"table {text!r} has no schema", hint=f"write schema.{text}, or give a database"
            )
        parts.insert(0, (default_schema, False))
    if len(parts) != 2 or at != len(text) or text.rstrip().endswith("."):
        raise UsageError(
            f"not a table name: {text!r}",
            hint="write schema.table; put backticks around a name with a dot in it",
        )
    (schema, schema_glob), (table, table_glob) = parts
    return Pattern(text, schema, table, schema_glob, table_glob)


def resolve_tables(
    conn: Connection, patterns: Sequence[str] = (), default_schema: str | None = None
) -> list[TableName]:
    """The tables and sequences that `patterns` mean, sorted, each once; without patterns all.

    A glob leaves out views, system schemas it does not name, and what earlier runs of tablevault
    left behind.  Raises UsageError naming the argument that means no table, or a view, or a table
    the account may not read.
    """
    wanted = [text for text in patterns if not text.startswith(EXCLUDED)]
    parsed = [parse_pattern(text, default_schema) for text in wanted]
    excluded = [
        parse_pattern(text.removeprefix(EXCLUDED), default_schema)
        for text in patterns
        if text not in wanted
    ]
    fold = _folds(conn)
    if not parsed:
        parsed = [Pattern("*", "*", "*", True, True)]
    chosen: set[TableName] = set()
    listing = _Listing(conn, parsed, fold)
    for pattern in parsed:
        found = [t for t in listing.kinds if pattern.matches(t, fold=fold)]
        if pattern.literal:
            chosen.add(_the_one(conn, pattern, found, listing))
            continue
        tables = [t for t in found if _globbed(t, pattern, listing.kinds[t])]
        if not tables and wanted:
            raise UsageError(
                f"no table matches {pattern.text!r}", hint=_suggestion(pattern, listing)
            )
        chosen.update(tables)
    left = [t for t in chosen if not any(one.matches(t, fold=fold) for one in excluded)]
    if chosen and not left:
        raise UsageError(f"no table is left of {' '.join(patterns)}", hint="exclude less")
    return sorted(left)


class _Listing:
    """The tables and views of the schemas that the patterns can mean, by kind."""

    def __init__(self, conn: Connection, patterns: Sequence[Pattern], fold: bool) -> None:
        rows = conn.query("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")
        self.schemas = [_text(row[0]) for row in rows]
        wanted = [
            schema
            for schema in self.schemas
            if any(_fits(p.schema, schema, p.schema_glob, fold) for p in patterns)
            and (schema.lower() not in SYSTEM_SCHEMAS or any(p.schema == schema for p in patterns))
        ]
        self.kinds: dict[TableName, str] = {}
        for schema in wanted:
            rows = conn.query(
                "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES "
                f"WHERE TABLE_SCHEMA = {quote_text(schema)}"
            )
            for name, kind in rows:
                self.kinds[TableName(schema, _text(name))] = _text(kind)


def _the_one(
    conn: Connection, pattern: Pattern, found: list[TableName], listing: _Listing
) -> TableName:
    if not found:
        _refuse_unknown(conn, pattern, listing)
    table = found[0]
    kind = listing.kinds[table]
    if kind not in _TABLES:
        what = "a view" if "VIEW" in kind else f"a {kind.lower()}"
        raise UsageError(
            f"{table} is {what}, not a table", hint="name the tables that hold the data"
        )
    return table


def _refuse_unknown(conn: Connection, pattern: Pattern, listing: _Listing) -> None:
    """Say why a table is not in the listing: it does not exist, or must not be seen."""
    table = TableName(pattern.schema, pattern.table)
    try:
        conn.query(f"SELECT 1 FROM {quote_table(table)} LIMIT 0")
    except StatementFailed as error:
        if error.errno in _DENIED:
            raise UsageError(
                f"the account may not read {table}",
                hint="grant SELECT on it, or check the spelling: the server does not tell "
                "a missing table from one that must not be seen",
            ) from None
        if error.errno not in _UNKNOWN:
            raise
    raise UsageError(f"no table {table} on the server", hint=_suggestion(pattern, listing))


def _suggestion(pattern: Pattern, listing: _Listing) -> str:
    if not pattern.schema_glob and pattern.schema not in {t.schema for t in listing.kinds}:
        near = difflib.get_close_matches(pattern.schema, listing.schemas, n=1)
        if near:
            return f"did you mean schema {near[0]}?"
        return "its schema does not exist, has no tables, or the account may not see it"
    names = {t.name: t for t in listing.kinds if listing.kinds[t] in _TABLES}
    near = difflib.get_close_matches(pattern.table.strip("*?"), list(names), n=3)
    if near:
        return "did you mean " + " or ".join(str(names[name]) for name in near) + "?"
    return "see SHOW TABLES for what there is"


def _globbed(table: TableName, pattern: Pattern, kind: str) -> bool:
    return kind in _TABLES and (not pattern.table_glob or not _DERIVED.match(table.name))


def _fits(pattern: str, name: str, glob: bool, fold: bool) -> bool:
    if fold:
        pattern, name = pattern.lower(), name.lower()
    return fnmatch.fnmatchcase(name, pattern) if glob else name == pattern


def _folds(conn: Connection) -> bool:
    row = conn.one("SELECT @@lower_case_table_names")
    return row is not None and row[0] != b"0"


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "surrogateescape")

"""What a maintenance is meant to change, and whether what a diff found is that.

An expectation is `TABLE` or `TABLE:COLUMN`.  Of a table that is expected to change everything
may differ; with a column, only what concerns that column: its definition, its values.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tablevault.errors import UsageError
from tablevault.model import TableName
from tablevault.ops.diff_terms import EQUAL, GONE, TableDiff
from tablevault.ops.schema_terms import SchemaDifference

_TEXT = re.compile(r"((?:`(?:[^`]|``)+`|[^`:])+)(?::(`(?:[^`]|``)+`|[^`:]+))?")


@dataclass(frozen=True)
class Expectation:
    """A change that is meant: of `table`, which may be a glob, or of one of its columns."""

    table: str
    column: str | None = None

    def names(self, table: TableName) -> bool:
        """Whether the table is the one that is meant, or one of those."""
        full = str(table)
        return self.table in (full, table.name) or fnmatchcase(full, self.table)

    def __str__(self) -> str:
        return self.table if self.column is None else f"{self.table}:{self.column}"


def parse_expectation(text: str) -> Expectation:
    """Read `TABLE` or `TABLE:COLUMN`, either in backticks where it has a colon.

    Raises UsageError for what is neither.
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"not an expected change: {text!r}", hint="write schema.table or schema.table:column"
        )
    table, column = found.groups()
    return Expectation(_plain(table), None if column is None else _plain(column))


def assert_meant(expectations: Sequence[Expectation], tables: Sequence[TableName]) -> None:
    """Raise UsageError for an expectation that names none of `tables`: a typo would turn every
    meant change into an unexpected one.
    """
    for expectation in expectations:
        if not any(expectation.names(table) for table in tables):
            known = [str(table) for table in tables]
            near = difflib.get_close_matches(expectation.table, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"guarded: {', '.join(known[:10])}"
            raise UsageError(
                f"{expectation.table} is expected to change, but is not guarded", hint=hint
            )


def unexpected(table: TableDiff, expectations: Sequence[Expectation]) -> tuple[str, ...]:
    """What of a table's differences nobody expected, each in a few words; empty: nothing."""
    meant = [one for one in expectations if one.names(table.table)]
    if table.status == EQUAL or any(one.column is None for one in meant):
        return ()
    if table.status == GONE:
        return ("the table is gone",)
    columns = frozenset(one.column for one in meant if one.column is not None)
    return tuple(_beyond(table, columns))


def _beyond(table: TableDiff, columns: frozenset[str]) -> Iterator[str]:
    """The differences that do not concern `columns` alone."""
    for difference in table.schema:
        if not _concerns(difference, columns):
            yield str(difference)
    for count, what in ((table.missing, "missing"), (table.extra, "extra")):
        if count:
            yield f"{_rows(count)} {what}"
    others = [(name, count) for name, count in table.changed_columns if name not in columns]
    if others:
        shown = ", ".join(f"{name} in {count:,}" for name, count in others)
        yield f"{_rows(table.changed)} changed: {shown}"


def _concerns(difference: SchemaDifference, columns: frozenset[str]) -> bool:
    if not difference.kind.startswith("column "):
        return False
    renamed = {f"to `{column}`" for column in columns}
    return difference.name in columns or not renamed.isdisjoint(difference.facets)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _plain(name: str) -> str:
    """The name without its backticks, as the server spells it."""
    return re.sub(r"`((?:[^`]|``)+)`", lambda found: found[1].replace("``", "`"), name.strip())

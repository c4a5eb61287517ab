"""What becomes of a table's definition: the staging table, what it gets later, comparison.

Pure functions over SHOW CREATE TABLE; `ddl_parse.py` takes the text apart.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection

from tablevault.model import TableName
from tablevault.mysql.ddl_parse import (
    CreateTable,
    Element,
    ForeignKey,
    Role,
    parse,
    tokenize,
)
from tablevault.mysql.sql import quote_table

__all__ = [
    "CreateTable",
    "Element",
    "ForeignKey",
    "Role",
    "auto_increment",
    "checks",
    "deferred_indexes",
    "foreign_keys",
    "normalise",
    "parse",
    "staging_sql",
    "without_auto_increment",
]


def staging_sql(create_sql: str, new: TableName, keep_keys: Collection[str], *, family: str) -> str:
    """CREATE TABLE for a staging table: no secondary index, no foreign key, no AUTO_INCREMENT=.

    Kept are the primary key, the indexes named in `keep_keys`, and one that an AUTO_INCREMENT
    column needs.  Names of CHECKs are left to the server on MySQL, where they are unique in a
    schema and the live table still has them.
    """
    table = parse(without_auto_increment(create_sql))
    dropped = {id(index) for index in _deferred(table, keep_keys)}
    elements = []
    for element in table.elements:
        if id(element) in dropped or element.role is Role.FOREIGN_KEY:
            continue
        if element.role is Role.CHECK and family == "mysql":
            element = dataclasses.replace(element, text=_nameless(element.text))
        elements.append(element)
    return dataclasses.replace(table, elements=tuple(elements)).render(quote_table(new))


def deferred_indexes(create_sql: str, keep_keys: Collection[str]) -> tuple[Element, ...]:
    """The indexes that `staging_sql` leaves out, in their original order."""
    return _deferred(parse(create_sql), keep_keys)


def foreign_keys(create_sql: str) -> tuple[ForeignKey, ...]:
    """The table's foreign keys, in the order of the text."""
    return tuple(e for e in parse(create_sql).elements if isinstance(e, ForeignKey))


def without_auto_increment(create_sql: str) -> str:
    """The definition without the AUTO_INCREMENT= option, the rest as it is."""
    at = _auto_increment_at(create_sql)
    if at is None:
        return create_sql
    start, end, _ = at
    return create_sql[:start].rstrip(" ") + create_sql[end:]


def auto_increment(create_sql: str) -> int | None:
    """The value of the AUTO_INCREMENT= option: the next id that the server will give."""
    at = _auto_increment_at(create_sql)
    return None if at is None else at[2]


def _auto_increment_at(create_sql: str) -> tuple[int, int, int] | None:
    tail_at = len(create_sql) - len(parse(create_sql).tail)
    tokens = list(tokenize(create_sql[tail_at:]))
    for word, sign, number in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if word.says("AUTO_INCREMENT") and sign.text == "=" and number.text.isdigit():
            return tail_at + word.start, tail_at + number.end, int(number.text)
    return None


def checks(create_sql: str) -> tuple[Element, ...]:
    """The table's named CHECK constraints; those within a column's definition stay there."""
    return parse(create_sql).of(Role.CHECK)


def normalise(create_sql: str, *, constraint_names: bool = True) -> str:
    """The definition without what a swap may change, for comparing two of them.

    Left out: the table's own name (in constraint names that the server derived from it, and in
    self-references, too), AUTO_INCREMENT=, and the order of indexes and foreign keys.  Without
    `constraint_names` also those of foreign keys and CHECKs: a staging table's must be others
    as long as the live table has them.
    """
    table = parse(without_auto_increment(create_sql))
    own_name = re.escape(table.name.replace("`", "``"))
    derived = re.compile(rf"^(CONSTRAINT `){own_name}(_(?:ibfk|chk)_\d+`)")

    def shown(constraint: Element) -> str:
        if constraint_names:
            return derived.sub(r"\1\2", constraint.text)
        return _nameless(constraint.text)

    fixed: list[str] = []
    sortable: list[str] = []
    for element in table.elements:
        if isinstance(element, ForeignKey):
            if element.parent == table.name and element.parent_schema is None:
                element = element.referencing(TableName("", ""))
            sortable.append(shown(element))
        elif element.role is Role.INDEX:
            sortable.append(element.text)
        elif element.role is Role.CHECK:
            # MySQL lists them by name: without names the order means nothing
            (fixed if constraint_names else sortable).append(shown(element))
        else:
            fixed.append(element.text)
    return "\n".join([*fixed, *sorted(sortable), table.tail.strip()])


def _deferred(table: CreateTable, keep_keys: Collection[str]) -> tuple[Element, ...]:
    indexes = table.of(Role.INDEX)
    kept = [index for index in indexes if index.name in keep_keys]
    counting = next(
        (
            column.name
            for column in table.of(Role.COLUMN)
            if any(token.says("AUTO_INCREMENT") for token in tokenize(column.text))
        ),
        None,
    )
    if counting is not None:
        standing = [*table.of(Role.PRIMARY), *kept]
        if not any(index.columns[:1] == (counting,) for index in standing):
            kept += [index for index in indexes if index.columns[:1] == (counting,)][:1]
    return tuple(index for index in indexes if all(index is not other for other in kept))


def _nameless(text: str) -> str:
    """A constraint without `CONSTRAINT name`."""
    kind = next(token for token in tokenize(text) if token.says("CHECK", "FOREIGN"))
    return text[kind.start :]

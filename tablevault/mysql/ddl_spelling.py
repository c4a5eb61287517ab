"""One definition as two versions of a server write it.

- MariaDB writes INVISIBLE before DEFAULT up to 10.11 and behind it in 11.8, and the collation of
  every column with a charset of its own only in newer releases.
- MySQL writes no display widths from 8.0.19 on, and utf8mb3 where it was utf8 before 8.0.28.

Pure functions over SHOW CREATE TABLE.
"""

from __future__ import annotations

import dataclasses
import re

from tablevault.model import Column, TableDef
from tablevault.mysql import ddl, ddl_facets
from tablevault.mysql.ddl_parse import CreateTable, Element, Role, parse
from tablevault.mysql.sql_ranges import quote_name

_WIDTH = re.compile(r"^((?:tiny|small|medium|big)?int|year)\(\d+\)", re.IGNORECASE)
_UTF8 = re.compile(r"\butf8(?=_|\b)")
_SAID_BY_DEFAULT = ("charset", "collation")


def alike(one: str, other: str, *, constraint_names: bool = True) -> bool:
    """Whether two texts of SHOW CREATE TABLE define the same, as far as texts tell.

    Equal but for spelling, and for a charset or collation that only one of them names: what is
    in effect there is to be compared by `effective`.
    """
    if ddl.normalise(one, constraint_names=constraint_names) == ddl.normalise(
        other, constraint_names=constraint_names
    ):
        return True
    first, second = parse(one), parse(other)
    return ddl.normalise(
        _respelled(first, second), constraint_names=constraint_names
    ) == ddl.normalise(_respelled(second, first), constraint_names=constraint_names)


def effective(definition: TableDef) -> tuple[object, ...]:
    """What a text may leave out: collation of the table, charset and collation of each column."""
    return _modern(definition.collation), [_effective(column) for column in definition.columns]


def _effective(column: Column) -> tuple[str, str, str]:
    return column.name, _modern(column.charset or ""), _modern(column.collation or "")


def _respelled(table: CreateTable, beside: CreateTable) -> str:
    """The definition with each column's facets in one order, in the words of the newer one."""
    others = {element.name: element for element in beside.of(Role.COLUMN)}
    elements = tuple(
        _column(element, others.get(element.name)) if element.role is Role.COLUMN else element
        for element in table.elements
    )
    tail = ddl_facets.tail_of(table)
    named = {"COLLATE", "DEFAULT CHARSET"} & set(ddl_facets.tail_of(beside).options)
    options = {
        name: _modern(value) if name in ("COLLATE", "DEFAULT CHARSET") else value
        for name, value in tail.options.items()
        if name in named or name not in ("COLLATE", "DEFAULT CHARSET")
    }
    listed = " ".join(f"{name}={options[name]}" for name in sorted(options))
    rewritten = dataclasses.replace(table, elements=elements, tail=f"{listed} {tail.partitioning}")
    return rewritten.render(quote_name(table.name))


def _column(element: Element, beside: Element | None) -> Element:
    facets = ddl_facets.written_facets(element)
    others = ddl_facets.written_facets(beside) if beside else {}
    if not _WIDTH.match(others.get("type", "")):
        facets["type"] = _WIDTH.sub(r"\1", facets.get("type", ""))
    for name in _SAID_BY_DEFAULT:
        if name not in others:
            facets.pop(name, None)
        elif name in facets:
            facets[name] = _modern(facets[name])
    words = " ".join(facets[name] for name in sorted(facets))
    return dataclasses.replace(element, text=f"{quote_name(element.name)} {words}")


def _modern(name: str) -> str:
    """A charset or collation under the name that it has today."""
    return _UTF8.sub("utf8mb3", name)

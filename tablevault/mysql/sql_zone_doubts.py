"""Rows that a definition makes depend on the time zone of the session that wrote them.

The text of a TIMESTAMP depends on the session's time zone, and the servers let stored generated
columns and CHECKs be made of it.  A restore writes in UTC: what an application wrote in another
zone would be computed anew, or refused.  The server is asked whether any row is such a one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from tablevault.model import Column, TableDef
from tablevault.mysql.ddl_facets import written_facets
from tablevault.mysql.ddl_parse import Role, parse, tokenize
from tablevault.mysql.sql_doubts import Doubt
from tablevault.mysql.sql_ranges import quote_name

_OF_THE_ZONE = ("UNIX_TIMESTAMP", "FROM_UNIXTIME")
_KEPT = ("STORED", "PERSISTENT")
_NAME = re.compile(r"[A-Za-z0-9_]+")
_HINT = "let it be computed from a DATETIME, or make it VIRTUAL; or leave the table out"


def zone_doubts(definition: TableDef, family: str) -> Iterator[Doubt]:
    """What must be asked of a table's rows, in a session whose time zone is UTC."""
    if definition.sequence:
        return
    table = parse(definition.create_sql)
    facets = {element.name: written_facets(element) for element in table.of(Role.COLUMN)}
    made = {  # the times of a versioned row are generated, too, but of no expression
        name: _within(found["generation"])
        for name, found in facets.items()
        if "(" in found.get("generation", "")
    }
    depending = _depending(definition.columns, made)
    for column in definition.columns:
        kept = facets.get(column.name, {}).get("storage of the generated value", "") in _KEPT
        if kept and _depends(made[column.name], depending):
            name = quote_name(column.name)
            yield Doubt(
                _differs(name, made[column.name], column),
                f"stored generated column {name} has a value that was computed in another time "
                "zone than UTC, and would be computed anew",
                _HINT,
            )
    if family != "mysql":  # MariaDB checks none where it is told not to
        return
    for check in table.of(Role.CHECK):
        enforced = not any(token.says("ENFORCED") for token in tokenize(check.text))
        condition = _within(
            check.text[check.text.upper().index("CHECK", _after_name(check.text)) :]
        )
        if enforced and _depends(condition, depending):
            yield Doubt(
                f"NOT {condition}",
                f"a row does not pass CHECK {quote_name(check.name)} in UTC, so that it could not "
                "be loaded again",
                _HINT,
            )


def _depending(columns: Collection[Column], made: dict[str, str]) -> frozenset[str]:
    """The columns whose value depends on the session's time zone, directly or by others."""
    names = {column.name for column in columns if column.data_type == "timestamp"}
    grown = True
    while grown:
        more = {name for name, text in made.items() if _depends(text, names)} - names
        names |= more
        grown = bool(more)
    return frozenset(names)


def _depends(text: str, names: Collection[str]) -> bool:
    return any(
        token.says(*_OF_THE_ZONE) or (token.kind == "name" and token.identifier in names)
        for token in tokenize(text)
    )


def _within(text: str) -> str:
    """The first parenthesis of a text, with all that it encloses."""
    depth, start = 0, text.index("(")
    for token in tokenize(text[start:]):
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0:
            return text[start : start + token.end]
    return text[start:]


def _after_name(text: str) -> int:
    first = list(tokenize(text))[:2]
    return first[1].end if first[0].says("CONSTRAINT") else 0


def _differs(name: str, expression: str, column: Column) -> str:
    """Whether a stored value is not what its expression gives now, as the column keeps it."""
    kept = column.data_type
    fraction = f"({column.scale})" if column.scale else ""
    match kept:
        case "date":
            target = "DATE"
        case "datetime" | "timestamp":
            target = f"DATETIME{fraction}"
        case "time":
            target = f"TIME{fraction}"
        case "decimal":
            target = f"DECIMAL({column.precision},{column.scale})"
        case "float" | "double":
            target = kept.upper()
        case _ if kept.endswith("int") or kept == "year":
            target = "UNSIGNED" if "unsigned" in column.column_type else "SIGNED"
        case _:
            text = expression
            if column.charset and _NAME.fullmatch(column.charset):
                text = f"CONVERT({expression} USING {column.charset})"
            if kept == "char":
                text = f"TRIM(TRAILING ' ' FROM {text})"
            return f"NOT (CONVERT({name} USING binary) <=> CONVERT({text} USING binary))"
    return f"NOT ({name} <=> CAST({expression} AS {target}))"

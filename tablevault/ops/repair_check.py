"""Which tables can be repaired row by row, and what of them: settled before anything is touched."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tablevault.errors import CannotComplete, Unsupported, UsageError
from tablevault.model import Snapshot, TableDef, TableEntry, TableName
from tablevault.mysql import catalog, ddl_parse, relations, triggers
from tablevault.mysql import server as servers
from tablevault.mysql.connect import Connection
from tablevault.mysql.ddl_parse import Role
from tablevault.mysql.sql_repair import Sides
from tablevault.mysql.triggers import Trigger
from tablevault.names import put_table, was_table
from tablevault.ops.diff_plan import Comparison, compare_tables
from tablevault.ops.repair_schema import Alteration, alteration_of
from tablevault.ops.repair_terms import CHANGED, EXTRA, MISSING, RepairOptions
from tablevault.ops.schema_diff import SchemaDifference, schema_differences
from tablevault.rows.kinds import ColumnSpec

_ON_TABLE = ("SELECT", "INSERT", "UPDATE", "DELETE")
_ON_SCHEMA = ("CREATE", "DROP")
_EVENTS = {CHANGED: "UPDATE", MISSING: "INSERT", EXTRA: "DELETE"}


@dataclass(frozen=True)
class Patient:
    """One table that can be repaired."""

    comparison: Comparison
    sides: Sides
    specs: tuple[ColumnSpec, ...]  # of the compared columns, by their live names
    on_update: tuple[str, ...]  # columns that set themselves unless they are assigned
    triggers: tuple[Trigger, ...]

    @property
    def table(self) -> TableName:
        return self.comparison.table

    def firing(self, what: str) -> tuple[Trigger, ...]:
        """The triggers that would fire when rows of one sort are put back."""
        return firing(self.triggers, what)

    def columns(self, positions: Sequence[int]) -> tuple[ColumnSpec, ...]:
        """Some of the compared columns."""
        return tuple(self.specs[at] for at in positions)


def firing(triggers: Iterable[Trigger], what: str) -> tuple[Trigger, ...]:
    """Those that would fire when rows of one sort are put back."""
    return tuple(one for one in triggers if one.when.endswith(_EVENTS[what]))


@dataclass(frozen=True)
class Examined:
    """One table as it stands: how it can be repaired, or why not."""

    entry: TableEntry
    schema: tuple[SchemaDifference, ...]
    comparison: Comparison | None = None  # None: there is no such table
    alteration: Alteration | None = None  # what is to be altered before it can be repaired
    triggers: tuple[Trigger, ...] = ()
    patient: Patient | None = None
    obstacle: str | None = None


def examine(
    conn: Connection,
    snapshot: Snapshot,
    entries: Sequence[TableEntry],
    options: RepairOptions,
    run: str,
) -> list[Examined]:
    """Look at each table.  Raises UsageError for columns that a table does not have."""
    there = [entry for entry in entries if relations.exists(conn, entry.definition.table)]
    found = catalog.table_definitions(conn, [entry.definition.table for entry in there])
    live = {definition.table: definition for definition in found}
    examined = []
    for number, entry in enumerate(entries):
        _check_columns(entry, options)
        now = live.get(entry.definition.table)
        schema = schema_differences(entry.definition, now)
        if now is None:
            examined.append(Examined(entry, schema, obstacle="the table is not there"))
            continue
        comparison = compare_tables(conn, snapshot, number, entry, now, options.columns)
        altering = alteration_of(number, now, schema, options)
        obstacle = next(_for_good(comparison), None)
        if obstacle is None and altering is None:  # an ALTER may take away what else is in the way
            obstacle = next(_for_now(comparison, options), None)
        there_are: tuple[Trigger, ...] = ()
        patient = None
        if obstacle is None:
            there_are = _triggers(conn, now.table, options.fire_triggers)
            if altering is None:
                patient = _patient(comparison, run, there_are)
        examined.append(Examined(entry, schema, comparison, altering, there_are, patient, obstacle))
    return examined


def refuse(examined: Sequence[Examined], way: str) -> None:
    """Raise Unsupported that names every table which can only be restored."""
    found = [
        Unsupported(f"table {one.entry.definition.table}: {one.obstacle}", hint=way)
        for one in examined
        if one.obstacle is not None
    ]
    if found:
        raise Unsupported.of_all(found)


def _for_good(comparison: Comparison) -> Iterator[str]:
    """Why its rows cannot be put back one by one, whatever is altered."""
    before, live = comparison.entry.definition, comparison.live
    if before.row_key is None:
        yield "it has no key by which rows could be told apart"
    if any(column.system_time for column in (*before.columns, *live.columns)):
        yield "it keeps its history, to which a repair would add"
    if not comparison.same_family:
        yield "the snapshot is of the other server family"


def _for_now(comparison: Comparison, options: RepairOptions) -> Iterator[str]:
    """Why its rows cannot be put back one by one as the table is defined now."""
    before, live = comparison.entry.definition, comparison.live
    if not comparison.identity:
        yield "the columns of its key are not there"
        return
    names = [comparison.columns[at].live_name for at in comparison.identity]
    if comparison.index is None or not _unique(live, names):
        yield "the live table has no unique key over " + ", ".join(names)
    wanted = options.columns or tuple(c.name for c in before.columns if not c.generated)
    compared = {column.name: column for column in comparison.columns}
    olds = {column.name: column for column in before.columns}
    news = {column.name: column for column in live.columns}
    for name in wanted:
        column = compared.get(name)
        if column is None:
            yield f"column `{name}` is not there"
        elif column.live_name != name:
            yield f"column `{name}` is called `{column.live_name}` now"
        elif not _alike(olds[name], news[column.live_name]):
            kind = news[column.live_name].column_type
            yield f"column `{name}` is {kind} now, no longer {olds[name].column_type}"
    if options.delete_extra and len(stored(live)) > len(comparison.columns):
        yield "it has columns that the snapshot lacks: rows that are deleted could not come back"


def stored(definition: TableDef) -> list[str]:
    """The names of the columns that hold data."""
    return [column.name for column in definition.columns if not column.generated]


def _alike(old: object, new: object) -> bool:
    """Whether a column holds the same values in the same way; AUTO_INCREMENT does not count."""
    same = {"auto_increment": False, "nullable": True}
    return dataclasses.replace(old, **same) == dataclasses.replace(new, **same)  # type: ignore[type-var]


def _unique(live: TableDef, names: Sequence[str]) -> bool:
    return any(
        element.flavour == "UNIQUE"
        and set(element.columns) <= set(names)
        and "" not in element.columns
        for element in ddl_parse.parse(live.create_sql).elements
        if element.role in (Role.PRIMARY, Role.INDEX)
    )


def _patient(comparison: Comparison, run: str, there_are: tuple[Trigger, ...]) -> Patient:
    live = comparison.live
    specs = tuple(
        dataclasses.replace(column.spec, name=column.live_name) for column in comparison.columns
    )
    taken = {column.name.casefold() for column in live.columns}
    sides = Sides(
        live=live.table,
        source=was_table(live.table, run),
        goal=put_table(live.table, run),
        number=_untaken("_tv_row", taken),
        hash=_untaken("_tv_hash", taken),
        key=tuple(specs[at] for at in comparison.identity),
    )
    parsed = ddl_parse.parse(live.create_sql)
    on_update = tuple(
        element.name for element in parsed.of(Role.COLUMN) if _sets_itself(element.text)
    )
    return Patient(comparison, sides, specs, on_update, there_are)


def _untaken(name: str, taken: set[str]) -> str:
    return next(one for one in (name, f"{name}_", f"{name}__") if one not in taken)


def _triggers(conn: Connection, table: TableName, fire: bool) -> tuple[Trigger, ...]:
    """The table's triggers.  The server hides them from an account without TRIGGER on it."""
    if servers.privileges(conn).has("TRIGGER", table.schema, table.name):
        return triggers.triggers_of(conn, table)
    if fire:
        return ()
    raise CannotComplete(
        f"the account may not see whether {table} has triggers, which would fire",
        hint=f"grant TRIGGER on {table}, or let them fire with --fire-triggers",
    )


def _sets_itself(text: str) -> bool:
    tokens = list(ddl_parse.tokenize(text))
    return any(
        one.says("ON") and following.says("UPDATE") for one, following in itertools.pairwise(tokens)
    )


def _check_columns(entry: TableEntry, options: RepairOptions) -> None:
    known = [column.name for column in entry.definition.columns if not column.generated]
    table = entry.definition.table
    key = {part.name for part in entry.definition.key.columns} if entry.definition.key else set()
    for name in options.columns:
        if name not in known:
            raise UsageError(
                f"table {table} has no column {name}", hint=f"it has {', '.join(known)}"
            )
        if name in key:
            raise UsageError(
                f"column {name} is of the key of {table}: rows are known by it",
                hint="a row whose key changed is a missing and an extra one: leave --columns out",
            )


def require_privileges(conn: Connection, examined: Sequence[Examined]) -> None:
    """Raise CannotComplete, naming them, for privileges whose lack would end it midway."""
    held = servers.privileges(conn)
    for one in examined:
        table = one.entry.definition.table
        needed = (*_ON_TABLE, "ALTER") if one.alteration else _ON_TABLE
        lacking = [name for name in needed if not held.has(name, table.schema, table.name)]
        lacking += [name for name in _ON_SCHEMA if not held.has(name, table.schema)]
        if lacking:
            listed = ", ".join(lacking)
            raise CannotComplete(
                f"the account lacks {listed} on {table.schema}",
                hint=f"GRANT {listed} ON {table.schema}.* to it; nothing was touched",
            )

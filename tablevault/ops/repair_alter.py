"""A repair's first step where definitions differ: the ALTER that makes the table what it was.

Only then are rows compared and put back, by a table whose columns are the snapshot's.  What the
snapshot does not have (a column, an index, a constraint) is kept unless extra things are to go, and
triggers are left alone.  Columns that an ALTER takes away, or whose values it may round, are kept
first, by key, in a table of the run, under the same lock.  An undo compares the table with what it
was before the ALTER, and alters it once more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tablevault.errors import CannotComplete, StatementFailed
from tablevault.model import Column, TableDef, TableEntry, TableName
from tablevault.mysql import catalog, relations, sql_kept, sql_tables
from tablevault.mysql import session as sessions
from tablevault.mysql.connect import Connection
from tablevault.names import set_aside_table
from tablevault.ops.hands import NOT_NOW, Hands, open_hands
from tablevault.ops.narrator import Narrator
from tablevault.ops.repair_locks import lock_tables
from tablevault.ops.repair_schema import Alteration
from tablevault.ops.repair_site import RepairSite
from tablevault.ops.schema_diff import schema_differences, undo_statements
from tablevault.ops.turns import patiently

_NO_SUCH_COLUMN = 1054
_NOT_BACK = "what is in it does not fit the old definition: restore it as a whole"
_TIED = " FOREIGN KEY "  # not under a lock, which would have to be on the parents as well


def alter_tables(site: RepairSite, alterations: Sequence[Alteration]) -> None:
    """Carry out what is still to be altered.  Raises CannotComplete where the data forbid it."""
    for one in alterations:
        _narrated(
            site,
            f"altering {one.table}",
            lambda hands, one=one: _alter(site, hands, one),  # type: ignore[misc]
        )


def alter_back(site: RepairSite) -> None:
    """Give the tables the definitions again that they had before the repair."""
    for number, entry in site.state.altered.items():
        then = _definition(entry["before"])
        _narrated(
            site,
            f"altering {then.table} back",
            lambda hands, number=number, then=then, entry=entry: _back(  # type: ignore[misc]
                site, hands, number, then, entry
            ),
        )


def _narrated(site: RepairSite, what: str, call: Callable[[Hands], None]) -> None:
    narrator = Narrator(what)
    with open_hands(site.target, site.journal, narrator, log_bin=site.options.log_bin) as hands:
        sessions.strict(hands.main)
        narrator.run(site.reporter, lambda: call(hands), hands.abort)


def _alter(site: RepairSite, hands: Hands, one: Alteration) -> None:
    main, journal = hands.main, site.journal
    key = _key_of(site.entries[one.number])
    lost = [name for name in (*one.dropped, *one.retyped) if name not in key]  # a key is kept so
    (live,) = catalog.table_definitions(main, [one.table])
    kept = set_aside_table(one.table, site.reporter.run)
    keeping = bool(lost) and set(key) <= {column.name for column in live.columns}
    if keeping:
        journal.append("creating", table=one.number)  # `cleanup` drops what is kept
        main.execute(sql_tables.drop_table(kept))
        main.execute(sql_kept.create_kept(kept, one.table, key, lost))
    known = site.state.altered.get(one.number)  # of a run that was cut off in its ALTER

    def alter(statements: Sequence[str]) -> None:
        if keeping:
            main.execute(sql_kept.fill_kept(kept, one.table, key, lost))
        before = known["before"] if known else _record(live)
        columns = list(lost) if keeping else list(known["kept"]) if known else []
        site.state.altered[one.number] = journal.append(
            "altering", table=one.number, before=before, kept=columns
        )
        _execute(hands, one.table, statements)

    _locked(site, hands, one.table, [kept] if keeping else [], one.statements, alter)
    journal.append("altered", table=one.number)


def _locked(
    site: RepairSite,
    hands: Hands,
    table: TableName,
    others: Sequence[TableName],
    statements: Sequence[str],
    alter: Callable[[Sequence[str]], None],
) -> None:
    """Alter a table that nobody uses meanwhile: what is kept of it must be all there is."""
    wait_s = site.options.lock_wait_s
    tied = [text for text in statements if _TIED in text]
    own = [text for text in statements if _TIED not in text]
    first = [text for text in tied if text in statements[: statements.index(own[0])]] if own else []
    _execute(hands, table, first, wait_s)
    if not hands.may_lock([table]):
        patiently(hands, [table], wait_s, f"altering {table}", lambda: alter(own))
    else:
        if not lock_tables(hands, [table, *others], wait_s):
            raise CannotComplete(
                f"table {table} cannot be locked beside tables of this run",
                hint="restore it as a whole",
            )
        try:
            alter(own)
        finally:
            hands.unlock(hands.main)
    _execute(hands, table, [text for text in tied if text not in first], wait_s)


def _back(
    site: RepairSite, hands: Hands, number: int, then: TableDef, entry: Mapping[str, Any]
) -> None:
    (now,) = catalog.table_definitions(hands.main, [then.table])
    schema = [one for one in schema_differences(then, now) if not one.kind.startswith("trigger ")]
    kept, key = set_aside_table(then.table, site.reporter.run), _key_of(site.entries[number])
    # only columns that were not there meanwhile: nobody else has written them
    missing = [one.name for one in schema if one.kind == "column missing"]
    missing = [name for name in missing if name in entry["kept"]]
    missing = missing or list(
        site.state.altered_back.get(number, ())
    )  # of an undo that was cut off
    site.journal.append("altering back", table=number, columns=missing)
    there = relations.exists(hands.main, kept)
    others = [kept] if missing and there else []
    advice = _NOT_BACK
    if there and entry["kept"]:
        advice = (
            f"the values of {', '.join(entry['kept'])} are in table {kept} as they were before "
            f"the repair, by key, until `tablevault cleanup {site.reporter.run}`"
        )

    def alter(statements: Sequence[str]) -> None:
        _execute(hands, then.table, statements, advice=advice)
        if others:
            hands.main.execute(sql_kept.put_kept(kept, then.table, key, missing))

    _locked(site, hands, then.table, others, undo_statements(schema), alter)


def _execute(
    hands: Hands,
    table: TableName,
    statements: Sequence[str],
    lock_wait_s: float = 0.0,
    advice: str = _NOT_BACK,
) -> None:
    for statement in statements:

        def one(text: str = statement) -> None:
            hands.step(f"altering {table}", lambda: _once_more(hands.main, text))

        try:
            if lock_wait_s:
                patiently(hands, [table], lock_wait_s, f"altering {table}", one)
            else:
                one()
        except StatementFailed as error:
            if error.errno in NOT_NOW:
                raise
            raise CannotComplete(
                f"table {table} cannot be altered to what it was: {error.message}",
                hint=advice,
            ) from None


def _once_more(main: Connection, statement: str) -> None:
    """An ALTER.  Where a column is not found, tried again.

    MariaDB looks for a column that is renamed in the expressions of generated columns under the
    name by which the table was first opened: an alias of some SELECT, and it fails with 1054 (seen
    on 10.11).  That failure closes the table, so the next try opens it by its own name.
    """
    try:
        main.execute(statement)
    except StatementFailed as error:
        if error.errno != _NO_SUCH_COLUMN:
            raise
        main.execute(statement)


def _key_of(entry: TableEntry) -> list[str]:
    key = entry.definition.row_key
    return [part.name for part in key.columns] if key else []


def _record(live: TableDef) -> dict[str, Any]:
    """What of a definition an undo compares with: not its triggers, which nobody touches."""
    return {
        "table": dataclasses.asdict(live.table),
        "create_sql": live.create_sql,
        "collation": live.collation,
        "columns": [dataclasses.asdict(column) for column in live.columns],
    }


def _definition(record: Mapping[str, Any]) -> TableDef:
    return TableDef(
        table=TableName(**record["table"]),
        create_sql=record["create_sql"],
        columns=tuple(Column(**column) for column in record["columns"]),
        key=None,
        collation=record["collation"],
    )

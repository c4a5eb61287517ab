"""How a table's definition differs from the snapshot's, each difference with what undoes it."""

from __future__ import annotations

from collections.abc import Iterator

from tablevault.model import TableDef, TableName
from tablevault.mysql import ddl_alter, ddl_facets, ddl_parse
from tablevault.mysql.ddl_parse import CreateTable, Role
from tablevault.ops.schema_columns import column_differences, column_renames
from tablevault.ops.schema_terms import SchemaDifference, undo_statements
from tablevault.ops.schema_ties import (
    constraint_differences,
    key_differences,
    trigger_differences,
    triggers_of,
)

__all__ = ["SchemaDifference", "renamed_columns", "schema_differences", "undo_statements"]

_NOTES = {
    "KEY_BLOCK_SIZE": "MariaDB's indexes keep the size they were made with: "
    "compare again after undoing it",
    "WITH SYSTEM VERSIONING": "the history of the rows does not come back by this",
}
_REBUILDS = "partitioning it anew rebuilds the table; rows of a dropped partition do not come back"


def schema_differences(before: TableDef, after: TableDef | None) -> tuple[SchemaDifference, ...]:
    """All that `after` has otherwise than `before`, the snapshot's; None: the table is gone.

    The order of indexes and constraints does not count, nor the next AUTO_INCREMENT, which goes
    with the rows.  To undo all of them use `undo_statements`: one may depend on another one.
    """
    if after is None:
        return (_table_missing(before),)
    table = after.table
    old, new = ddl_parse.parse(before.create_sql), ddl_parse.parse(after.create_sql)
    renames = column_renames(old, new)
    new = ddl_facets.renamed(new, renames)
    columns = column_differences(table, (old, before.columns), (new, after.columns), renames)
    return (
        *_option_differences(table, (old, before.collation), (new, after.collation)),
        *columns,
        *key_differences(table, old, new),
        *_partition_differences(table, old, new),
        *_period_differences(table, old, new),
        *constraint_differences(table, old, new),
        *trigger_differences(table, before, after),
    )


def renamed_columns(before: TableDef, after: TableDef) -> dict[str, str]:
    """The columns that are taken for renamed ones: the snapshot's name to the one now."""
    renames = column_renames(ddl_parse.parse(before.create_sql), ddl_parse.parse(after.create_sql))
    return {old: new for new, old in renames.items()}


def _option_differences(
    table: TableName, before: tuple[CreateTable, str], after: tuple[CreateTable, str]
) -> Iterator[SchemaDifference]:
    olds = dict(ddl_facets.tail_of(before[0]).options)
    news = dict(ddl_facets.tail_of(after[0]).options)
    charset = [options.pop("DEFAULT CHARSET", "") for options in (olds, news)]
    for options in (olds, news):
        options.pop("COLLATE", None)
    if (charset[0], before[1]) != (charset[1], after[1]):
        step = ddl_alter.default_charset(charset[0], before[1])
        yield SchemaDifference(
            table,
            "charset changed",
            "",
            f"{charset[0]} {before[1]}",
            f"{charset[1]} {after[1]}",
            (step,),
            note="of new columns only; each column has its own",
        )
    for name in dict.fromkeys([*olds, *news]):
        if olds.get(name) == news.get(name):
            continue
        # another engine takes its defaults for what is not said again
        again = olds.items() & news.items() if name == "ENGINE" else ()
        steps = [ddl_alter.option(name, olds.get(name))]
        steps += [ddl_alter.option(*one) for one in sorted(again)]
        yield SchemaDifference(
            table,
            "option changed",
            name,
            olds.get(name),
            news.get(name),
            tuple(steps),
            note=_NOTES.get(name, ""),
        )


def _partition_differences(
    table: TableName, before: CreateTable, after: CreateTable
) -> Iterator[SchemaDifference]:
    old, new = ddl_facets.tail_of(before).partitioning, ddl_facets.tail_of(after).partitioning
    if old != new:
        step = ddl_alter.partitioning(old)
        yield SchemaDifference(
            table, "partitions changed", "", old or None, new or None, (step,), note=_REBUILDS
        )


def _period_differences(
    table: TableName, before: CreateTable, after: CreateTable
) -> Iterator[SchemaDifference]:
    olds, news = ([one.text for one in side.of(Role.OTHER)] for side in (before, after))
    for text in news:
        if text not in olds:
            step = ddl_alter.drop_period(text)
            yield SchemaDifference(table, "period extra", "", None, text, (step,))
    for text in olds:
        if text not in news:
            step = ddl_alter.add_period(text)
            yield SchemaDifference(table, "period missing", "", text, None, (step,))


def _table_missing(before: TableDef) -> SchemaDifference:
    steps = [ddl_alter.create_table(before.table, before.create_sql)]
    for trigger in triggers_of(before):  # made in order, each fires after those before it
        steps += ddl_alter.create_trigger(before.table, trigger)
    return SchemaDifference(
        before.table,
        "table missing",
        "",
        before.create_sql,
        None,
        tuple(steps),
        note="comes back empty: `restore` brings back the rows as well",
    )

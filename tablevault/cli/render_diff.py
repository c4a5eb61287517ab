"""What a diff found, as text for people and as a value for `--json`.  Pure: nothing here prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tablevault.cli import units
from tablevault.cli.units import printable
from tablevault.ops.diff_terms import EQUAL, GONE

if TYPE_CHECKING:
    from tablevault.ops.diff_terms import DiffResult, Example, TableDiff
    from tablevault.ops.schema_diff import SchemaDifference

_TABLE_MISSING = "table missing"
_LONGEST_VALUE = 60  # characters of a value that are shown


def diff_text(result: DiffResult, *, brief: bool = False) -> str:
    """What differs, table by table, and a verdict as the last line; `brief`: without that."""
    lines: list[str] = []
    for table in result.tables:
        if table.status != EQUAL:
            lines += _table_lines(table, result.other)
    if brief:
        return "\n".join(lines)
    equal = [table for table in result.tables if table.status == EQUAL]
    if equal and len(equal) < len(result.tables):
        names = ", ".join(printable(str(table.table)) for table in equal)
        lines.append(f"equal: {names}")
    lines += [f"hint: {printable(hint)}" for hint in result.hints]
    return "\n".join([*lines, _verdict(result)])


def _verdict(result: DiffResult) -> str:
    rows = sum(table.rows for table in result.tables)
    tables = units.count(len(result.tables), "table")
    live = f"the live tables of {units.moment(result.began)}"
    if result.other is not None:
        live = printable(result.other)
    took = f"{tables}, {units.count(rows, 'row')} in {units.duration(result.seconds)}"
    differing = sum(table.status != EQUAL for table in result.tables)
    snapshot = printable(result.snapshot)
    if not differing:
        return f"equal: {snapshot} and {live} ({took})"
    return f"DIFFERENT: {units.count(differing)} of {tables}, {snapshot} and {live} ({took})"


def _table_lines(table: TableDiff, other: str | None) -> Iterator[str]:
    name = printable(str(table.table))
    if table.status == GONE:
        yield f"{name}: GONE, with {units.count(table.rows, 'row')} of the snapshot"
    else:
        yield f"{name}: {', '.join(_headline(table, other))}"
    for difference in table.schema:
        yield from _schema_lines(difference)
    for label, count in (("missing", table.missing), ("extra", table.extra)):
        if count:
            yield f"  {label}: {units.count(count, 'row')}"
    if table.changed:
        columns = ", ".join(
            f"{printable(column)} in {units.count(count)}"
            for column, count in table.changed_columns
        )
        yield f"  changed: {units.count(table.changed, 'row')}: {columns}"
    if table.not_compared:
        gone = ", ".join(map(printable, table.not_compared))
        yield f"  not compared, only the snapshot has them: {gone}"
    for example in table.examples:
        yield from _example_lines(table, example)


def _headline(table: TableDiff, other: str | None) -> Iterator[str]:
    if table.schema:
        yield f"DEFINITION DIFFERS in {units.count(len(table.schema), 'place')}"
    if table.differing_rows:
        snapshot, live = units.count(table.rows), units.count(table.live_rows)
        rows = units.count(table.differing_rows, "ROW DIFFERS", "ROWS DIFFER")
        now = "now" if other is None else f"in {printable(other)}"
        yield f"{rows} ({snapshot} in the snapshot, {live} {now})"
    else:
        yield f"rows equal ({units.count(table.rows)})"


def _schema_lines(difference: SchemaDifference) -> Iterator[str]:
    yield f"  {printable(str(difference))}"
    if difference.kind != _TABLE_MISSING:  # its definition is long, and `show --create` has it
        yield from _labelled("snapshot", difference.before)
        yield from _labelled("now", difference.after)
        for statement in difference.undo:
            yield from _labelled("undo", statement)
    yield from _labelled("note", difference.note)


def _labelled(label: str, text: str | None) -> Iterator[str]:
    """Text of one or more lines, each as it stands, so that a statement can be run."""
    for number, line in enumerate(text.splitlines() if text else ()):
        yield f"    {'' if number else label + ':':<9} {printable(line)}"


def _example_lines(table: TableDiff, example: Example) -> Iterator[str]:
    row = example.before or example.after or ()
    named = dict(zip(table.columns, row, strict=True))
    key = ", ".join(f"{printable(name)}={_shown(named[name])}" for name in table.key)
    yield f"  {example.kind} row{f' {key}' if key else ''}"
    if example.before is not None and example.after is not None:
        for at in example.columns:
            before, after = _shown(example.before[at]), _shown(example.after[at])
            yield f"    {printable(table.columns[at])}: {before} -> {after}"
        return
    for name, value in named.items():
        if name not in table.key:
            yield f"    {printable(name)}: {_shown(value)}"


def _shown(value: bytes | None) -> str:
    if value is None:
        return "NULL"
    text = printable(value.decode("utf-8", "backslashreplace"))
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def diff_record(result: DiffResult) -> dict[str, Any]:
    """A diff as a JSON object; its field names are public API."""
    return {
        "run": result.run,
        "snapshot": result.snapshot,
        "other": result.other,
        "began": result.began,
        "ended": result.ended,
        "seconds": result.seconds,
        "tables": [_table_record(table) for table in result.tables],
        "hints": list(result.hints),
    }


def _table_record(table: TableDiff) -> dict[str, Any]:
    return {
        "table": str(table.table),
        "outcome": table.status,
        "schema": [_schema_record(difference) for difference in table.schema],
        "rows": table.rows,
        "live_rows": table.live_rows,
        "missing": table.missing,
        "extra": table.extra,
        "changed": table.changed,
        "changed_columns": dict(table.changed_columns),
        "columns": list(table.columns),
        "not_compared": list(table.not_compared),
        "key": list(table.key),
        "examples": [_example_record(table, example) for example in table.examples],
    }


def _schema_record(difference: SchemaDifference) -> dict[str, Any]:
    return {
        "kind": difference.kind,
        "name": difference.name,
        "before": difference.before,
        "after": difference.after,
        "facets": list(difference.facets),
        "undo": list(difference.undo),
        "note": difference.note,
    }


def _example_record(table: TableDiff, example: Example) -> dict[str, Any]:
    return {
        "kind": example.kind,
        "before": _row_record(table.columns, example.before),
        "after": _row_record(table.columns, example.after),
        "columns": [table.columns[at] for at in example.columns],
    }


def _row_record(
    columns: Sequence[str], row: Sequence[bytes | None] | None
) -> dict[str, str | dict[str, str] | None] | None:
    if row is None:
        return None
    return {name: _value_record(value) for name, value in zip(columns, row, strict=True)}


def _value_record(value: bytes | None) -> str | dict[str, str] | None:
    """As in a chunk list: text where it is printable UTF-8, else hex digits."""
    if value is None:
        return None
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": value.hex()}
    return text if text.isprintable() else {"hex": value.hex()}

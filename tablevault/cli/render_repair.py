"""The plan and the result of a repair, as text and as a value for `--json`.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tablevault.cli import records, units
from tablevault.cli.units import printable

if TYPE_CHECKING:
    from tablevault.ops.repair_terms import RepairResult, TablePlan, TableRepaired


def repair_text(result: RepairResult, *, brief: bool = False) -> str:
    """What would be done, or was done, table by table; the last line is the verdict."""
    lines: list[str] = []
    for plan in result.plans:
        lines += _plan_lines(plan, result.snapshot)
    for table in result.tables:
        lines.append(_done_line(table, result.status))
    lines += [
        f"FINDING {printable(str(one.table))}: {printable(one.message)}" for one in result.findings
    ]
    if result.saved and not brief:
        lines.append(f"what was overwritten is in snapshot {result.saved}")
    lines += [f"hint: {printable(hint)}" for hint in result.hints]
    if (
        result.status == "planned"
        and any(plan.rows or plan.schema for plan in result.plans)
        and not brief
    ):
        lines.append("nothing was changed: the same command with --execute does it")
    return "\n".join(lines)


def _plan_lines(plan: TablePlan, snapshot: str) -> Iterator[str]:
    name = printable(str(plan.table))
    found = plan.difference
    restore = f"tablevault restore {snapshot} {name}"
    if not plan.differs:
        yield f"{name}: equal, nothing to repair"
        return
    if plan.obstacle is not None:
        yield f"{name}: cannot be repaired row by row: {printable(plan.obstacle)}"
        yield f"  put it back as a whole: {restore}"
        return
    yield (
        f"{name}: {units.count(plan.rows, 'row')} would be written, "
        f"{units.size(plan.size_bytes)}, in about {units.duration(plan.repair_s)}"
    )
    for statement in plan.schema:
        yield f"  first {printable(statement)}"
    if plan.losing:
        columns = ", ".join(map(printable, plan.losing))
        yield f"  which drops or rounds values of {columns}: they are kept in a table of the run"
    if found.changed:
        columns = ", ".join(
            f"{printable(column)} in {units.count(count)}"
            for column, count in found.changed_columns
        )
        yield f"  update {units.count(found.changed, 'row')}: {columns}"
    if found.missing:
        yield f"  insert {units.count(found.missing, 'missing row')}"
    for kept in plan.kept:
        yield f"  stays as it is: {printable(kept)}"
    for note in plan.notes:
        yield f"  {printable(note)}"
    told = f"a full restore would take about {units.duration(plan.restore_s)}"
    if plan.restore_is_cheaper:
        yield f"  {told}, which is less:"
        yield f"    {restore}"
    else:
        yield f"  {told}"


def _done_line(table: TableRepaired, status: str) -> str:
    name = printable(str(table.table))
    done = [
        text
        for count, text in (
            (table.changed, f"{units.count(table.changed, 'row')} updated"),
            (table.inserted, f"{units.count(table.inserted)} inserted"),
            (table.deleted, f"{units.count(table.deleted)} deleted"),
            (len(table.altered), "its definition put back"),
        )
        if count
    ]
    if status == "undone":
        return f"{name}: {units.count(table.rows, 'row')} as before the repair"
    text = f"{name}: {', '.join(done) or 'nothing was written'}"
    left = table.left
    if left is None:
        return text
    if not left.differing_rows:
        return f"{text}; {_proof(table)}"
    rest = [
        f"{units.count(count)} {what}"
        for count, what in (
            (left.changed, "changed"),
            (left.missing, "missing"),
            (left.extra, "extra"),
        )
        if count
    ]
    return f"{text}; rows that differ there still: {', '.join(rest)}"


def _proof(table: TableRepaired) -> str:
    """By what the table is known to be as the snapshot has it."""
    if table.again or table.compared is None:
        return "every part of it proven equal to the snapshot"
    rows = "each of these rows proven equal to the snapshot, " if table.rows else ""
    rest = "every other row" if table.rows else "every row"
    if not table.compared.before:
        return f"{rows}{rest} found equal at {units.clock(table.compared.ended)}"
    ended = units.moment(table.compared.ended)
    return (
        f"{rows}{rest} was equal when diff {table.compared.run} ended at {ended}, and was not "
        "looked at again (--prove-all does)"
    )


def repair_record(result: RepairResult) -> dict[str, Any]:
    """A repair as a JSON object; `outcome` is "planned", "repaired" or "undone"."""
    return {
        "run": result.run,
        "snapshot": result.snapshot,
        "outcome": result.status,
        "seconds": result.seconds,
        "saved": result.saved,
        "plans": [_plan_record(plan, result.snapshot) for plan in result.plans],
        "tables": [_table_record(table) for table in result.tables],
        "hints": list(result.hints),
        "findings": [records.finding_record(finding) for finding in result.findings],
    }


def _plan_record(plan: TablePlan, snapshot: str) -> dict[str, Any]:
    found = plan.difference
    return {
        "table": asdict(plan.table),
        "changed": found.changed,
        "missing": found.missing,
        "extra": found.extra,
        "changed_columns": dict(found.changed_columns),
        "rows": plan.rows,
        "size_bytes": plan.size_bytes,
        "repair_seconds": plan.repair_s,
        "restore_seconds": plan.restore_s,
        "cheaper": "restore" if plan.restore_is_cheaper else "repair",
        "restore_command": f"tablevault restore {snapshot} {plan.table}",
        "obstacle": plan.obstacle,
        "schema": [str(one) for one in found.schema],
        "alter": list(plan.schema),
        "losing": list(plan.losing),
        "notes": list(plan.notes),
    }


def _table_record(table: TableRepaired) -> dict[str, Any]:
    left, compared = table.left, table.compared
    return {
        "table": asdict(table.table),
        "changed": table.changed,
        "inserted": table.inserted,
        "deleted": table.deleted,
        "held": table.held,
        "altered": list(table.altered),
        "proven": left is not None and not left.differing_rows,
        "compared": None
        if compared is None
        else {
            "run": compared.run,
            "began": compared.began,
            "ended": compared.ended,
            "before": compared.before,
            "again": table.again,
        },
        "left": None
        if left is None
        else {"changed": left.changed, "missing": left.missing, "extra": left.extra},
    }

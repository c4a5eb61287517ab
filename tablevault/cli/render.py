"""Results as text for people.  Pure: nothing here prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tablevault.cli import units, wording
from tablevault.cli.render_proofs import drill_cell, drill_facts, verified_cell, verified_facts
from tablevault.cli.units import printable

if TYPE_CHECKING:
    from tablevault.model import Finding, Snapshot, TableEntry
    from tablevault.ops.options import RestoreResult, SwapResult, TableResult, VerifyResult
    from tablevault.ops.verify_terms import VaultVerifyResult
    from tablevault.vault.catalog import Listed
    from tablevault.vault.memory import Memory
    from tablevault.vault.proofs import DrillProof


def columns(rows: Sequence[Sequence[str]], *, right: Iterable[int] = ()) -> str:
    """Rows as aligned columns; those in `right` flush right, the rest left."""
    rights = frozenset(right)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i in rights else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


# ---- snapshots


def snapshot_text(snapshot: Snapshot) -> str:
    """What was taken, without the id: that stands alone on the last line."""
    rows = sum(entry.digest.rows for entry in snapshot.tables)
    seconds = snapshot.finished - snapshot.created
    lines = [
        f"snapshot of {units.count(len(snapshot.tables), 'table')}, {units.count(rows, 'row')}, "
        f"{units.size(_wire(snapshot))} in {units.size(_files(snapshot))} of files, "
        f"{units.duration(seconds)}, lock: {snapshot.lock}",
        _reuse(snapshot),
        _tables_text(snapshot),
        *_hint_lines(snapshot.hints),
    ]
    return "\n".join(line for line in lines if line)


def show_text(
    snapshot: Snapshot, drills: Sequence[DrillProof] = (), memory: Memory | None = None
) -> str:
    """All that the manifest says, short of the chunks, and what was proven of it since."""
    server, log = snapshot.server, snapshot.binlog
    family = {"mysql": "MySQL", "mariadb": "MariaDB"}.get(server.family, server.family)
    position = f"{log.file}:{log.position}" if log.file else "not recorded (no privilege, or off)"
    facts = [
        ("snapshot", snapshot.id),
        ("taken", f"{units.moment(snapshot.created)} ({units.age(snapshot.created)})"),
        ("server", f"{family} {server.version_text} at {server.hostname}:{server.port}"),
        ("lock", snapshot.lock),
        ("binary log", position),
        *([("gtid", log.gtid)] if log.gtid else []),
        ("size", f"{units.size(_wire(snapshot))} in {units.size(_files(snapshot))} of files"),
        *([("incremental", _reuse(snapshot))] if _reuse(snapshot) else []),
        ("partial", "yes, it does not hold all rows") if snapshot.partial else ("partial", "no"),
        ("made by", f"tablevault {snapshot.tool_version}"),
        *verified_facts(snapshot, memory),
        *drill_facts(drills),
    ]
    head = columns([(name, printable(value)) for name, value in facts])
    return "\n".join([head, "", _tables_text(snapshot, memory), *_hint_lines(snapshot.hints)])


def list_text(listed: Sequence[Listed], drills: Sequence[DrillProof] = ()) -> str:
    """One line a snapshot, in the order given; below, why some cannot be used."""
    if not listed:
        return "no snapshots"
    rows: list[tuple[str, ...]] = [("SNAPSHOT", "TAKEN", "TABLES", "ROWS", "SIZE", "DRILLED", "")]
    rows += [_list_row(item, [one for one in drills if one.snapshot == item.id]) for item in listed]
    problems = [
        f"{printable(item.id)}: {printable(str(item.problem))}"
        for item in listed
        if item.problem is not None and item.complete
    ]
    return "\n".join([columns(rows, right=(2, 3, 4)), *problems])


def _list_row(item: Listed, drills: Sequence[DrillProof]) -> tuple[str, ...]:
    one = item.snapshot
    if one is None:
        state = "UNUSABLE" if item.complete else "incomplete"
        return (printable(item.id), "", "", "", "", "", state)
    return (
        printable(one.id),
        units.age(one.created),
        units.count(len(one.tables)),
        units.count(sum(entry.digest.rows for entry in one.tables)),
        units.size(_files(one)),
        drill_cell(drills),
        ", ".join(_notes(one)),
    )


def _notes(snapshot: Snapshot) -> list[str]:
    written = sum(entry.written_bytes for entry in snapshot.tables)
    anew = [f"{units.size(written)} anew"] if _reuse(snapshot) else []
    kept = sum(1 for entry in snapshot.tables if entry.tablespace)
    spaces = [units.count(kept, "tablespace")] if kept else []
    return [*anew, *spaces, *(["partial"] if snapshot.partial else [])]


def _reuse(snapshot: Snapshot) -> str:
    """What an incremental snapshot has taken over; nothing of a full one."""
    taken = [entry.reused for entry in snapshot.tables if entry.reused is not None]
    if not taken:
        return ""
    chunks = units.count(sum(entry.chunk_count for entry in snapshot.tables), "chunk")
    of = printable(", ".join(dict.fromkeys(one.base for one in taken)))
    written = units.size(sum(entry.written_bytes for entry in snapshot.tables))
    return f"re-used {sum(one.chunks for one in taken)} of {chunks} of {of}, wrote {written}"


def _tables_text(snapshot: Snapshot, memory: Memory | None = None) -> str:
    own = ("TABLESPACE",) if any(entry.tablespace for entry in snapshot.tables) else ()
    rows: list[tuple[str, ...]] = [
        ("TABLE", "ROWS", "CHUNKS", "SIZE", *own, "KEY", "VERIFIED" if memory else "", "")
    ]
    for entry in snapshot.tables:
        key = entry.definition.key
        names = ", ".join(printable(column.name) for column in key.columns) if key else "none"
        rows.append(
            (
                printable(str(entry.definition.table)),
                units.count(entry.digest.rows),
                units.count(entry.chunk_count),
                units.size(entry.file_bytes),
                *(_tablespace_cell(entry) for _ in own),
                names,
                verified_cell(entry, memory) if memory else "",
                f"where {printable(entry.where)}" if entry.where else "",
            )
        )
    return columns(rows, right=(1, 2, 3, *(4 for _ in own))) if len(rows) > 1 else ""


def _tablespace_cell(entry: TableEntry) -> str:
    return units.size(entry.tablespace.file_bytes) if entry.tablespace else ""


def _wire(snapshot: Snapshot) -> int:
    return sum(entry.wire_bytes for entry in snapshot.tables)


def _files(snapshot: Snapshot) -> int:
    return sum(entry.stored_bytes for entry in snapshot.tables)


# ---- restore and cut-over


def restore_text(result: RestoreResult, server: str) -> str:
    """What was restored, and where it stands now."""
    rows = sum(table.rows for table in result.tables)
    tables = units.count(len(result.tables), "table")
    state = {
        "proven": f"complete and proven beside the live tables of {printable(server)}",
        "swapped": f"proven and live on {printable(server)}",
    }.get(result.status, result.status)
    lines = [
        f"restored {tables}, {units.count(rows, 'row')} in {units.duration(result.seconds)}: "
        f"{state}",
        _results_text(result.tables),
        *_hint_lines(result.hints),
        *map(finding_line, result.findings),
    ]
    return "\n".join(line for line in lines if line)


def swap_text(result: SwapResult) -> str:
    """What a swap, rollback or cleanup did."""
    dropped = [f"  dropped {printable(str(table))}" for table in result.dropped]
    lines = [
        f"{result.status}: {units.count(len(result.tables), 'table')} "
        f"in {units.duration(result.seconds)}",
        "" if result.status == "cleaned" else _results_text(result.tables),
        *dropped,
        *_hint_lines(result.hints),
        *map(finding_line, result.findings),
    ]
    return "\n".join(line for line in lines if line)


def swap_plan(result: RestoreResult, kept: Sequence[str]) -> str:
    """What the swap will do to each table, said before it is asked for."""
    lines = []
    for table, old in zip(result.tables, kept, strict=True):
        name, staging = printable(str(table.table)), printable(str(table.staging))
        if result.partition:
            lines.append(
                f"  {name}: the rows of partition {printable(result.partition)} go to "
                f"{printable(old)}, those in {staging} (proven) take their place"
            )
            continue
        lines.append(
            f"  {name}: the table of that name is kept as {printable(old)}, "
            f"{staging} ({units.count(table.rows, 'row')}, proven) takes its name"
        )
    return "\n".join(lines)


def _results_text(tables: Sequence[TableResult]) -> str:
    rows = []
    for table in tables:
        if table.kept is not None:
            place = f"before: {printable(str(table.kept))}"
        elif table.staging is not None:
            place = f"staged: {printable(str(table.staging))}"
        else:
            place = ""
        figures = (units.count(table.rows, "row"), units.size(table.size_bytes))
        rows.append(("  " + printable(str(table.table)), *figures, place))
    return columns(rows, right=(1, 2)) if rows else ""


# ---- verify


def verify_text(result: VerifyResult) -> str:
    """What was checked, after the findings."""
    lines = [finding_line(finding) for finding in result.findings]
    spaces = ""
    if result.tablespaces:
        of = units.count(result.tablespaces, "tablespace")
        spaces = f"{units.count(result.tablespaces_checked)} of {of}, "
    checked = (
        f"{units.count(result.chunks_checked)} of {units.count(result.chunks, 'chunk')}, {spaces}"
        f"{units.count(result.rows_checked, 'row')}, {units.size(result.bytes_checked)} "
        f"in {units.duration(result.seconds)}"
    )
    if result.findings:
        found = units.count(len(result.findings), "finding")
        lines.append(f"DAMAGED: {found} in {printable(result.snapshot)} ({checked})")
    else:
        proof = {"files": "files present and unchanged", "rows": "every digest recomputed"}
        whole = (result.chunks_checked, result.tablespaces_checked)
        part = "" if whole == (result.chunks, result.tablespaces) else ", as far as checked"
        what = proof.get(result.depth, result.depth)
        lines.append(f"sound: {printable(result.snapshot)}: {what}{part} ({checked})")
    return "\n".join(lines)


def verify_vault_text(result: VaultVerifyResult) -> str:
    """The same of each snapshot, and the sum of all."""
    lines = [finding_line(finding) for finding in result.own_findings]
    lines += [verify_text(one) for one in result.snapshots]
    checked, chunks = (
        sum(one.chunks_checked for one in result.snapshots),
        sum(one.chunks for one in result.snapshots),
    )
    state = "DAMAGED" if result.findings else "sound"
    lines.append(
        f"{state}: {units.count(len(result.snapshots), 'snapshot')}, {units.count(checked)} of "
        f"{units.count(chunks, 'chunk')} checked in {units.duration(result.seconds)}"
    )
    return "\n".join([*lines, *_hint_lines(result.hints)])


def finding_line(finding: Finding) -> str:
    """A finding on one line."""
    table = None if finding.table is None else str(finding.table)
    return printable(wording.finding_text(finding.kind, finding.message, table, finding.chunk))


def _hint_lines(hints: Sequence[str]) -> list[str]:
    return [f"hint: {printable(hint)}" for hint in hints]

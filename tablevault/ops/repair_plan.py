"""What a repair would do, and what a restore would take: the plan, from a comparison."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from tablevault.model import Chunk
from tablevault.mysql import relations, sql_digest
from tablevault.mysql.connect import Connection
from tablevault.ops.diff_plan import Comparison
from tablevault.ops.diff_terms import TableDiff
from tablevault.ops.repair_check import Examined, firing
from tablevault.ops.repair_schema import Alteration
from tablevault.ops.repair_terms import CHANGED, EXTRA, MISSING, RepairOptions, TablePlan

# Measured with bench/bench_repair.py, 2 threads.  A row that is staged on both sides, saved,
# updated and looked at costs ROW_S.  A whole restore takes RESTORE_PER_SCAN times as long as one
# connection needs for the digest of the table, which is how fast this server is known.
ROW_S = 40e-6
RESTORE_PER_SCAN = 7.0
# Likewise an ALTER that writes all rows anew, or builds an index (1,799,979 rows, three indexes).
REBUILD_PER_SCAN, INDEX_PER_SCAN = 5.0, 1.2


def scan_seconds(conn: Connection, comparison: Comparison, chunks: Sequence[Chunk]) -> float:
    """How long one connection would need for the digest of the live table, by a part of it."""
    groups = [group for chunk in chunks for group in chunk.row_groups]
    if not groups:
        return 0.0
    part = groups[len(groups) // 2]
    statement = sql_digest.digest_of_pieces(
        comparison.rows,
        comparison.pieces,
        conn.server.family,
        comparison.index,
        comparison.condition(part.range if comparison.index else None),
    )
    began_s = time.monotonic()
    live = sql_digest.parse_digest(conn.one(statement))
    took_s = time.monotonic() - began_s
    return took_s * max(1.0, comparison.entry.digest.rows / max(1, live.rows))


def plan_table(
    conn: Connection,
    examined: Examined,
    difference: TableDiff,
    options: RepairOptions,
    compared_s: float,
    scan_s: float,
) -> TablePlan:
    """The plan of one table.

    `compared_s` is what its comparison took, `scan_s` what `scan_seconds` says.
    """
    entry, altering = examined.entry, examined.alteration
    rows = difference.rows or 1
    written = difference.changed
    empty = [one for one in altering.undone if one.kind == "column missing"] if altering else []
    if empty and difference.not_compared:  # its values come back row by row
        written = min(rows, difference.live_rows)
    if not options.columns:
        written += difference.missing + (difference.extra if options.delete_extra else 0)
    row_bytes = entry.wire_bytes / rows
    share = len(difference.changed_columns) / max(1, len(difference.columns))
    size = difference.changed * row_bytes * share + (written - difference.changed) * row_bytes
    notes = [] if examined.obstacle else list(_notes(conn, examined, difference, options))
    return TablePlan(
        table=difference.table,
        difference=difference,
        columns=tuple(name for name, _ in difference.changed_columns),
        rows=written,
        size_bytes=int(size),
        # compared, put back, and proven row by row
        repair_s=_altering_s(altering, scan_s) + compared_s + written * ROW_S,
        restore_s=scan_s * RESTORE_PER_SCAN,
        schema=altering.statements if altering else (),
        kept=tuple(
            str(one) for one in examined.schema if not altering or one not in altering.undone
        ),
        losing=(*altering.dropped, *altering.retyped) if altering else (),
        notes=tuple(notes),
        obstacle=examined.obstacle,
    )


def _altering_s(altering: Alteration | None, scan_s: float) -> float:
    if altering is None:
        return 0.0
    return scan_s * (altering.rebuilds * REBUILD_PER_SCAN + altering.indexes * INDEX_PER_SCAN)


def _notes(
    conn: Connection, examined: Examined, difference: TableDiff, options: RepairOptions
) -> Iterator[str]:
    counts = {
        CHANGED: difference.changed,
        MISSING: 0 if options.columns else difference.missing,
        EXTRA: difference.extra if options.delete_extra else 0,
    }
    for what, count in counts.items():
        for trigger in firing(examined.triggers, what) if count else ():
            if options.fire_triggers:
                yield f"trigger `{trigger.name}` fires for each of {count:,} rows"
            else:
                yield (
                    f"trigger `{trigger.name}` would fire for each of {count:,} rows: it is "
                    "dropped and made again around them, under a lock on the table"
                )
    if any(counts.values()):
        for link in relations.links_to(conn, [difference.table]):
            if _cascades(link.clause):
                yield (
                    f"foreign key {link} would cascade: it does not, as foreign keys are not "
                    "checked meanwhile; rows without parents are looked for afterwards"
                )
    if difference.extra and not options.delete_extra:
        yield f"{difference.extra:,} rows that the snapshot does not have are kept (--delete-extra)"
    if options.columns and difference.missing:
        yield f"{difference.missing:,} missing rows stay missing, as --columns names columns"
    if options.where:
        yield "--where is applied when it is executed: the figures are of all rows"


def _cascades(clause: str) -> bool:
    text = clause.upper()
    return any(
        f"ON {event} {action}" in text
        for event in ("DELETE", "UPDATE")
        for action in ("CASCADE", "SET NULL")
    )

"""What a diff has found and kept, taken up by a repair in place of a comparison of its own.

It is used only where it is of this server, of the very same table and snapshot, and recent: what
differs since then is not in it.  Each row is guarded by the bytes that the diff saw.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tablevault.errors import CannotComplete
from tablevault.model import ServerInfo, Snapshot, TableName
from tablevault.ops.diff_kept import CHANGED_LINE, MISSING_LINE, identity_of
from tablevault.ops.diff_plan import Comparison
from tablevault.ops.diff_terms import ChangedRow, RangeDifferences, Row
from tablevault.ops.repair_check import Examined
from tablevault.ops.repair_terms import RepairOptions
from tablevault.rows.text import field_value
from tablevault.vault.kept_rows import KeptRows, kept_path, open_kept

LATEST, NEVER = "latest", "never"  # which diff a repair goes by; else the id of one
_HANDED_ROWS = 5_000  # at once
_CLOCKS_APART_S = 60.0


@dataclass(frozen=True)
class Found:
    """The rows that a diff found to differ in one table, both sides of each."""

    run: str
    began: float  # Unix seconds, of the diff
    ended: float
    comparison: Comparison
    _rows: KeptRows

    def differences(self) -> Iterator[RangeDifferences]:
        """All of them, some thousand rows at a time, by the columns of the comparison."""
        names = self._rows.facts["columns"]
        wanted = [names.index(column.name) for column in self.comparison.columns]
        held = _Held()
        for line in self._rows.lines():
            held.add(line, wanted, len(names))
            if held.rows >= _HANDED_ROWS:
                yield held.differences(self.comparison)
                held = _Held()
        yield held.differences(self.comparison)

    def close(self) -> None:
        """Close the file."""
        self._rows.close()


def found_before(
    state_dir: Path,
    snapshot: Snapshot,
    comparison: Comparison,
    server: ServerInfo,
    options: RepairOptions,
) -> Found | str:
    """What a diff found in this table, or why that cannot be used; "" when nothing is kept."""
    try:
        rows = open_kept(kept_path(state_dir, snapshot.id, comparison.table))
    except ValueError as error:
        return f"it is damaged: {error}"
    if rows is None:
        return ""
    try:
        reason = _misfit(rows.facts, comparison, server, options)
        if not reason:
            facts = rows.facts
            return Found(facts["run"], facts["began"], facts["ended"], comparison, rows)
    except (KeyError, TypeError):
        reason = "another version wrote it"
    rows.close()
    return reason


def require_found(
    state_dir: Path,
    snapshot: Snapshot,
    examined: Sequence[Examined],
    server: ServerInfo,
    options: RepairOptions,
) -> None:
    """Raise CannotComplete, before anything is done, when what is asked for by name is no use."""
    if options.from_diff in (LATEST, NEVER):
        return
    for one in examined:
        found: Found | str = "the table is to be altered first"
        if one.patient is not None:
            found = found_before(state_dir, snapshot, one.patient.comparison, server, options)
        if isinstance(found, str):
            raise not_kept(one.entry.definition.table, options, found)
        found.close()


def not_kept(table: TableName, options: RepairOptions, reason: str) -> CannotComplete:
    """The error for a diff that was asked for by name."""
    return CannotComplete(
        f"table {table}: what diff {options.from_diff} found cannot be put back: "
        f"{reason or 'nothing is kept of it'}",
        hint="leave --from-diff out, to compare anew where that is needed",
    )


def _misfit(
    facts: Mapping[str, Any],
    comparison: Comparison,
    server: ServerInfo,
    options: RepairOptions,
) -> str:
    from_diff, age_s = options.from_diff, options.diff_age_s
    passed_s = time.time() - facts["ended"]
    now = identity_of(comparison.live)
    if from_diff not in (LATEST, facts["run"]):
        return f"it is of diff {facts['run']}, which was the last"
    if facts["chunks"] != comparison.entry.chunks_sha256:
        return "it is of another snapshot of that name"
    if facts["server"] != server.uuid:
        return "it is of another server"
    if not now[0] or (facts["identity"], facts["definition"]) != now:
        return "the table was altered or replaced since"
    if not {column.name for column in comparison.columns} <= set(facts["columns"]):
        return "it is of other columns"
    if passed_s < -_CLOCKS_APART_S:
        return "it is of a time to come"
    if from_diff == LATEST and passed_s > age_s:
        return f"it is {passed_s / 60:,.0f} min old, more than --diff-age allows"
    return ""


@dataclass
class _Held:
    changed: list[ChangedRow] = field(default_factory=list)
    missing: list[Row] = field(default_factory=list)
    extra: list[Row] = field(default_factory=list)
    rows: int = 0

    def add(self, line: bytes, wanted: Sequence[int], width: int) -> None:
        kind, *fields = line.split(b"\t")
        self.rows += 1
        row = tuple([field_value(fields[at]) for at in wanted])
        if kind == CHANGED_LINE:
            after = tuple([field_value(fields[width + at]) for at in wanted])
            columns = tuple([at for at in range(len(row)) if row[at] != after[at]])
            if columns:  # else what differs is in columns that nobody asked for
                self.changed.append(ChangedRow(row, after, columns))
        elif kind == MISSING_LINE:
            self.missing.append(row)
        else:
            self.extra.append(row)

    def differences(self, comparison: Comparison) -> RangeDifferences:
        return RangeDifferences(
            comparison, tuple(self.missing), tuple(self.extra), tuple(self.changed)
        )

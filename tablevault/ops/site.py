"""What the steps of a cut-over work with, and how they answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tablevault.errors import CannotComplete
from tablevault.model import Finding, TableName
from tablevault.mysql import relations
from tablevault.mysql.connect import ConnectOptions
from tablevault.mysql.keysets import SeenKeys
from tablevault.ops import cutover_checks as checks
from tablevault.ops.cutover_plan import Move, Plan
from tablevault.ops.hands import Hands
from tablevault.ops.narrator import Narrator
from tablevault.ops.options import SwapResult, TableResult
from tablevault.ops.runs import RunState
from tablevault.vault.journal import Journal

_STATUSES = {
    "swapping": "swapping",
    "swapped": "swapped",
    "swap given up": "proven",
    "rolling back": "rolling back",
    "rolled back": "rolled back",
    "rollback given up": "swapped",
    "cleaned": "cleaned",
}


@dataclass(frozen=True)
class Wishes:
    """What the person wants of a cut-over."""

    lock_wait_s: float = 60.0
    keep_new: bool = False
    kill_blockers: bool = False
    allow_orphans: bool = False
    yes: bool = False  # rows written since the swap may go


@dataclass(frozen=True)
class Site:
    """One run, one server, one cut-over."""

    target: ConnectOptions
    hands: Hands
    journal: Journal
    state: RunState
    narrator: Narrator
    wishes: Wishes
    seen: Mapping[TableName, SeenKeys] = field(default_factory=dict)  # by the live table's name

    @property
    def partition(self) -> str:
        """The one partition that the run is about; empty: it is about whole tables."""
        return str(self.state.options.get("partition") or "")

    def note(self, kind: str, **fields: Any) -> None:
        """Journal where the run stands now."""
        self.journal.append(kind, **fields)
        self.state.status = _STATUSES[kind]

    def require_staging(self) -> None:
        """Raise CannotComplete when a staging table has gone."""
        for table in self.state.tables:
            if not relations.exists(self.hands.main, table.staging):
                raise CannotComplete(
                    f"staging table {table.staging} is not there any more",
                    hint=f"drop what is left with `tablevault cleanup {self.state.run}`, and "
                    "restore again",
                )

    def require_kept(self) -> None:
        """Raise CannotComplete when a table that was live has gone."""
        for table in self.state.tables:
            had = self.state.had_live.get(str(table.target))
            if had and not relations.exists(self.hands.main, table.kept):
                raise CannotComplete(
                    f"the kept table {table.kept} is not there any more: the swap cannot be undone",
                    hint=f"drop what is left with `tablevault cleanup {self.state.run}`",
                )

    def bare_plan(self) -> Plan:
        """The plan of a run whose journal has none: tables alone."""
        moves = []
        for table in self.state.tables:
            had = bool(self.state.had_live.get(str(table.target)))
            if self.state.status == "rolling back":
                back = table.kept if had else None
                moves.append(Move(table.target, back, table.undone, replaces=True))
            else:
                moves.append(Move(table.target, table.staging, table.kept, replaces=had))
        return Plan(tuple(moves))

    def rows_more_than_restored(self, target: TableName) -> int | None:
        """By how many rows a table has grown since it was restored; None when not counted."""
        found = relations.count_rows(self.hands.looker, target, checks.COUNT_S)
        restored = next(t.rows for t in self.state.tables if t.target == target)
        return None if found is None else max(0, found - restored)

    def result(
        self,
        status: str,
        began: float,
        new_rows: Mapping[TableName, int | None] | None = None,
        carried: Mapping[TableName, int] | None = None,
        findings: Sequence[Finding] = (),
    ) -> SwapResult:
        """The answer; `began` is monotonic seconds."""
        had = self.state.had_live
        return SwapResult(
            run=self.state.run,
            status=status,
            tables=tuple(
                TableResult(
                    table.target,
                    table.rows,
                    table.size_bytes,
                    kept=table.kept if status == "swapped" and had.get(str(table.target)) else None,
                    new_rows=(new_rows or {}).get(table.target),
                    carried=(carried or {}).get(table.target, 0),
                )
                for table in self.state.tables
            ),
            seconds=time.monotonic() - began,
            hints=tuple(self.narrator.hints),
            findings=tuple(findings),
        )

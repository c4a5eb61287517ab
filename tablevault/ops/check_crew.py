"""The crew of a verification: chunks of a snapshot checked in threads, without a server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tablevault.engine.pool import Pool
from tablevault.events import ChunkDone, FindingMade, Reporter, TableProgress
from tablevault.model import Chunk, Finding, Snapshot, TableEntry
from tablevault.ops.running import ProgressSampler
from tablevault.vault import verify as checks
from tablevault.vault.store import Store


@dataclass(frozen=True)
class Check:
    """One chunk to look at; `number` is that of its table."""

    number: int
    entry: TableEntry
    chunk: Chunk


@dataclass(frozen=True)
class Checked:
    """A chunk that was looked at, and what was found."""

    check: Check
    findings: tuple[Finding, ...]


@dataclass
class _Tally:
    """How much of one table was looked at."""

    entry: TableEntry
    total_bytes: int = 0
    rows: int = 0
    bytes: int = 0

    @property
    def progress(self) -> TableProgress:
        return TableProgress(
            table=str(self.entry.definition.table),
            rows_done=self.rows,
            rows_total=self.entry.digest.rows,
            bytes_done=self.bytes,
            state="checking" if self.bytes < self.total_bytes else "checked",
        )


def checks_of(entries: Sequence[TableEntry], lists: Sequence[Sequence[Chunk]]) -> list[Check]:
    """Every chunk of every table; `lists` holds the chunks of each entry."""
    return [
        Check(number, entry, chunk)
        for number, (entry, chunks) in enumerate(zip(entries, lists, strict=True))
        for chunk in chunks
    ]


class CheckCrew:
    """Checks chunks to the given depth; begins none after `budget_s` seconds."""

    def __init__(
        self,
        reporter: Reporter,
        store: Store,
        snapshot: Snapshot,
        depth: str,
        threads: int,
        budget_s: float | None = None,
    ) -> None:
        self._reporter = reporter
        self._store = store
        self._snapshot = snapshot
        self._depth = depth
        self._threads = threads
        self._budget_s = budget_s
        self._began_s = time.monotonic()
        self._sampler = ProgressSampler(reporter)
        self._tallies: dict[int, _Tally] = {}
        self._done: list[Checked] = []

    def run(self, todo: Sequence[Check]) -> list[Checked]:
        """Check all of `todo`; what the budget left out is not in the answer."""
        for check in todo:
            tally = self._tallies.setdefault(check.number, _Tally(check.entry))
            tally.total_bytes += check.chunk.size_bytes
        pool: Pool[None, Check, Checked | None] = Pool(
            [None] * self._threads, self._work, interrupt=lambda _: None
        )
        for check in todo:
            pool.add(check)
        pool.run(self._on_result, self._on_tick)
        return self._done

    def _work(self, _: None, check: Check) -> Checked | None:
        if self._budget_s is not None and time.monotonic() - self._began_s > self._budget_s:
            return None
        found = checks.check_chunk(
            self._store, self._snapshot, check.entry, check.chunk, self._depth
        )
        return Checked(check, tuple(found))

    def _on_result(self, checked: Checked | None) -> None:
        if checked is None:
            return
        self._done.append(checked)
        check = checked.check
        tally = self._tallies[check.number]
        tally.rows += check.chunk.digest.rows
        tally.bytes += check.chunk.size_bytes
        for finding in checked.findings:
            tell_finding(self._reporter, finding)
        self._reporter.emit(
            ChunkDone(
                table=str(check.entry.definition.table),
                chunk=check.chunk.index,
                rows=check.chunk.digest.rows,
                size_bytes=check.chunk.size_bytes,
                proven=not checked.findings and self._depth == checks.ROWS,
            )
        )

    def _on_tick(self) -> None:
        tallies = self._tallies.values()
        self._sampler.show(
            [tally.progress for tally in tallies],
            bytes_total=sum(tally.total_bytes for tally in tallies),
        )


def tell_finding(reporter: Reporter, finding: Finding) -> None:
    """Report a finding as it is made."""
    reporter.emit(
        FindingMade(
            kind=finding.kind,
            message=finding.message,
            table=str(finding.table) if finding.table else None,
            chunk=finding.chunk,
        )
    )

"""The crew of a verification: chunks of a snapshot checked in threads, without a server."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tablevault.engine.pace import Pace
from tablevault.engine.pool import Pool
from tablevault.events import ChunkDone, FindingMade, Reporter, TableProgress
from tablevault.model import Chunk, Finding, Snapshot, TableEntry
from tablevault.ops.running import ProgressSampler
from tablevault.ops.verify_terms import Extent
from tablevault.vault import verify as checks
from tablevault.vault.store import Store
from tablevault.vault.verify_tablespace import check_tablespace


@dataclass(frozen=True)
class Check:
    """One chunk to look at, or a tablespace; `number` is that of its table in its snapshot."""

    snapshot: Snapshot
    number: int
    entry: TableEntry
    chunk: Chunk | None  # None: the table's tablespace

    @property
    def place(self) -> int | None:
        """Which chunk it is."""
        return None if self.chunk is None else self.chunk.index

    @property
    def path(self) -> str:
        """The file it is about."""
        if self.chunk is not None:
            return self.chunk.path
        assert self.entry.tablespace is not None
        return self.entry.tablespace.data.path

    @property
    def rows(self) -> int:
        """Rows that it proves."""
        return 0 if self.chunk is None else self.chunk.digest.rows

    @property
    def size_bytes(self) -> int:
        """Of its files."""
        if self.chunk is not None:
            return self.chunk.size_bytes
        assert self.entry.tablespace is not None
        return self.entry.tablespace.file_bytes


@dataclass(frozen=True)
class Checked:
    """A chunk that was looked at, when (Unix seconds), and what was found."""

    check: Check
    at: float
    findings: tuple[Finding, ...]


@dataclass
class _Tally:
    """How much of one table was looked at."""

    name: str
    entry: TableEntry
    total_bytes: int = 0
    rows: int = 0
    bytes: int = 0

    @property
    def progress(self) -> TableProgress:
        return TableProgress(
            table=self.name,
            rows_done=self.rows,
            rows_total=self.entry.digest.rows,
            bytes_done=self.bytes,
            state="checking" if self.bytes < self.total_bytes else "checked",
        )


def checks_of(
    snapshot: Snapshot, entries: Sequence[TableEntry], lists: Sequence[Sequence[Chunk]]
) -> list[Check]:
    """Every chunk of every table; `lists` holds the chunks of each entry."""
    return [
        Check(snapshot, number, entry, chunk)
        for number, (entry, chunks) in enumerate(zip(entries, lists, strict=True))
        for chunk in chunks
    ]


def tablespace_checks(snapshot: Snapshot, entries: Sequence[TableEntry]) -> list[Check]:
    """The tablespace of every table that has one."""
    return [
        Check(snapshot, number, entry, None)
        for number, entry in enumerate(entries)
        if entry.tablespace is not None
    ]


class CheckCrew:
    """Checks chunks as deep and as fast as the extent says, in the order in which they come.

    Begins none after the budget; `done` are those that were looked at, also when `run` raises.
    """

    def __init__(self, reporter: Reporter, store: Store, extent: Extent) -> None:
        self._reporter = reporter
        self._store = store
        self._extent = extent
        self._began_s = time.monotonic()
        self._sampler = ProgressSampler(reporter)
        self._tallies: dict[tuple[str, int], _Tally] = {}
        self._pace = Pace(extent.rate_bytes_s)
        self._stopping = threading.Event()
        self.done: list[Checked] = []
        self._pool: Pool[None, Check, Checked | None] = Pool(
            [None] * extent.threads, self._work, interrupt=lambda _: self._stopping.set()
        )

    def run(self, todo: Sequence[Check]) -> list[Checked]:
        """Check all of `todo`; what the budget left out is not in the answer."""
        several = len({check.snapshot.id for check in todo}) > 1
        for check in todo:
            table = str(check.entry.definition.table)
            name = f"{check.snapshot.id}: {table}" if several else table
            key = (check.snapshot.id, check.number)
            tally = self._tallies.setdefault(key, _Tally(name, check.entry))
            tally.total_bytes += check.size_bytes
        for check in todo:
            self._pool.add(check)
        self._pool.run(self._on_result, self._on_tick)
        return self.done

    def _work(self, _: None, check: Check) -> Checked | None:
        left_s = None
        if self._extent.budget_s is not None:
            left_s = self._extent.budget_s - (time.monotonic() - self._began_s)
            if left_s <= 0:
                return None
        wait_s = self._pace.wait_s(time.monotonic(), check.size_bytes)
        if left_s is not None and wait_s >= left_s:
            return None
        if self._stopping.wait(wait_s):
            return None
        store, depth = self._store, self._extent.depth
        if check.chunk is None:
            found = check_tablespace(
                store, check.snapshot, check.entry, depth, self._stopping.is_set
            )
        else:
            found = checks.check_chunk(store, check.snapshot, check.entry, check.chunk, depth)
        return Checked(check, time.time(), tuple(found))

    def _on_result(self, checked: Checked | None) -> None:
        if checked is None:
            return
        self.done.append(checked)
        check = checked.check
        tally = self._tallies[(check.snapshot.id, check.number)]
        tally.rows += check.rows
        tally.bytes += check.size_bytes
        for finding in checked.findings:
            tell_finding(self._reporter, finding)
        if check.chunk is None:
            return
        self._reporter.emit(
            ChunkDone(
                table=tally.name,
                chunk=check.chunk.index,
                rows=check.chunk.digest.rows,
                size_bytes=check.chunk.size_bytes,
                proven=not checked.findings and self._extent.depth == checks.ROWS,
                worker=self._pool.spent.worker,
                seconds=self._pool.spent.seconds,
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

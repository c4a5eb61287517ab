"""The library: what the commands do, for Python that automates maintenance.

    from tablevault.api import ConnectOptions, SnapshotOptions, Vault

    vault = Vault("/backup/vault", create=True)
    taken = vault.snapshot(ConnectOptions(host="db1"), SnapshotOptions(patterns=("shop.*",)))

Everything here is silent: progress goes to an observer as typed events (tablevault.events),
findings are in the results, failures are exceptions (tablevault.errors) with an exit code and a
hint.  docs/LIBRARY.md has an example of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tablevault.errors import TablevaultError
from tablevault.events import Observer, silent
from tablevault.model import Snapshot, TableName
from tablevault.mysql.connect import ConnectOptions
from tablevault.names import RUNS_FOLDER
from tablevault.ops import repair as repairs
from tablevault.ops import swap as cut_over
from tablevault.ops.diff import diff
from tablevault.ops.diff_snapshots import diff_snapshots
from tablevault.ops.diff_terms import DiffOptions, DiffResult, OnDifferences, TableDiff
from tablevault.ops.drill import DrillResult, drill
from tablevault.ops.drill_plan import DrillOptions
from tablevault.ops.expectation import Expectation
from tablevault.ops.guard import GuardOptions, GuardResult, begin_guard, end_guard, guard
from tablevault.ops.options import (
    DEFAULT_THREADS,
    RestoreOptions,
    RestoreResult,
    SnapshotOptions,
    SwapResult,
    VerifyResult,
)
from tablevault.ops.prune import PruneResult, prune
from tablevault.ops.query import QueryResult, query
from tablevault.ops.repair import repair
from tablevault.ops.repair_start import plan_repair
from tablevault.ops.repair_terms import RepairOptions, RepairResult, TablePlan, TableRepaired
from tablevault.ops.restore import restore, resume
from tablevault.ops.retention import Rules
from tablevault.ops.schema_diff import SchemaDifference, schema_differences, undo_statements
from tablevault.ops.snapshot import snapshot
from tablevault.ops.verify import verify, verify_vault
from tablevault.ops.verify_terms import Extent, VaultVerifyResult
from tablevault.vault.catalog import Listed, list_snapshots, remove_snapshot, resolve
from tablevault.vault.proofs import DrillProof, drills
from tablevault.vault.store import open_store

__all__ = [
    "ConnectOptions",
    "DiffOptions",
    "DiffResult",
    "DrillOptions",
    "DrillProof",
    "DrillResult",
    "Expectation",
    "Extent",
    "GuardOptions",
    "GuardResult",
    "Listed",
    "Observer",
    "PruneResult",
    "QueryResult",
    "RepairOptions",
    "RepairResult",
    "RestoreOptions",
    "RestoreResult",
    "Rules",
    "SchemaDifference",
    "Snapshot",
    "SnapshotOptions",
    "SwapResult",
    "TableDiff",
    "TableName",
    "TablePlan",
    "TableRepaired",
    "TablevaultError",
    "Vault",
    "VaultVerifyResult",
    "VerifyResult",
    "schema_differences",
    "undo_statements",
]

C = TypeVar("C")


class Vault:
    """A vault, and what can be done with its snapshots.

    A snapshot is named as on the command line: by its id, the start of it, its name, "latest".
    Methods that raise say what; all of it is a TablevaultError.
    """

    def __init__(
        self,
        where: str | Path,
        *,
        create: bool = False,
        state_dir: str | Path | None = None,
        observer: Observer = silent,
    ) -> None:
        """Open the folder `where`, made if `create`; journals go to `state_dir`, in it by default.

        `observer` is given every event of every run, from the thread that called the method.
        Raises UsageError for a folder that is none.
        """
        self.store = open_store(str(where), create=create)
        self.state_dir = Path(state_dir) if state_dir else self.store.root / RUNS_FOLDER
        self.observer = observer

    def list(self) -> list[Listed]:
        """Every snapshot, oldest first; one that cannot be used says why in `problem`."""
        return list_snapshots(self.store)

    def find(self, text: str) -> Snapshot:
        """The snapshot that `text` names.  Raises SnapshotUnusable."""
        return resolve(self.store, text)

    def prune(self, rules: Rules, *, execute: bool = False) -> PruneResult:
        """Decide which snapshots no rule keeps, and with `execute` remove them."""
        return prune(self.store, rules, self.state_dir, self.observer, execute=execute)

    def remove(self, snapshot_id: str) -> None:
        """Remove a snapshot, by its whole id.

        Raises LockedByRun while it is being written or read.
        """
        remove_snapshot(self.store, snapshot_id)

    def snapshot(self, server: ConnectOptions, options: SnapshotOptions) -> Snapshot:
        """Take a snapshot; it is complete when this returns, and absent when it raises."""
        return snapshot(server, self.store, options, self.observer, state_dir=self.state_dir)

    def verify(
        self, text: str = "latest", extent: Extent | None = None, *, patterns: Sequence[str] = ()
    ) -> VerifyResult:
        """Check files (`Extent(depth="files")`), or every row too; damage is a finding."""
        return verify(
            self.store,
            text,
            extent,
            patterns=patterns,
            observer=self.observer,
            state_dir=self.state_dir,
        )

    def verify_all(self, extent: Extent | None = None) -> VaultVerifyResult:
        """Check all snapshots, the least recently proven chunks first."""
        return verify_vault(self.store, extent, observer=self.observer, state_dir=self.state_dir)

    def restore(self, server: ConnectOptions, text: str, options: RestoreOptions) -> RestoreResult:
        """Build and prove tables beside the live ones; swap them if `options.swap`.

        What it raises after its first table was made leaves a run that `resume` completes.
        """
        return restore(server, self.store, text, options, self.state_dir, self.observer)

    def drill(self, server: ConnectOptions, text: str, options: DrillOptions) -> DrillResult:
        """Rehearse a restore into scratch schemas, prove and measure it, and drop all of it.

        Its `proof` is kept in the vault; `drills` has all of them.
        """
        return drill(server, self.store, text, options, self.state_dir, self.observer)

    def drills(self, text: str | None = None) -> tuple[DrillProof, ...]:
        """What drills have proven of a snapshot, or of all, oldest first."""
        return tuple(drills(self.store, None if text is None else self.find(text).id))

    def resume(
        self, server: ConnectOptions, run: str, now: RestoreOptions | None = None
    ) -> RestoreResult:
        """Go on with a restore; of `now` count swap, waits and what is done about stalls."""
        return resume(server, self.store, run, self.state_dir, self.observer, now=now)

    def swap(
        self,
        server: ConnectOptions,
        run: str,
        *,
        lock_wait_s: float = 60.0,
        keep_new: bool = False,
        kill_blockers: bool = False,
        allow_orphans: bool = False,
    ) -> SwapResult:
        """Put a run's proven tables in place.  Raises LockNotGranted, ConsentNeeded."""
        return cut_over.swap(
            server,
            run,
            self.state_dir,
            self.observer,
            lock_wait_s=lock_wait_s,
            keep_new=keep_new,
            kill_blockers=kill_blockers,
            allow_orphans=allow_orphans,
        )

    def rollback(
        self,
        server: ConnectOptions,
        run: str,
        *,
        lock_wait_s: float = 60.0,
        kill_blockers: bool = False,
        yes: bool = False,
    ) -> SwapResult:
        """Undo a swap.  Raises ConsentNeeded when rows would go out of sight, unless `yes`."""
        return cut_over.rollback(
            server,
            run,
            self.state_dir,
            self.observer,
            lock_wait_s=lock_wait_s,
            kill_blockers=kill_blockers,
            yes=yes,
        )

    def cleanup(self, server: ConnectOptions, run: str, *, lock_wait_s: float = 60.0) -> SwapResult:
        """Drop what a run made or kept and no longer serves."""
        return cut_over.cleanup(server, run, self.state_dir, self.observer, lock_wait_s=lock_wait_s)

    def diff(
        self,
        server: ConnectOptions,
        text: str,
        options: DiffOptions,
        on_differences: OnDifferences | None = None,
    ) -> DiffResult:
        """Compare a snapshot with the live tables.

        `on_differences` is given the rows themselves, as they are found, from several threads.
        """
        return diff(
            server,
            self.store,
            text,
            options,
            self.observer,
            state_dir=self.state_dir,
            on_differences=on_differences,
        )

    def diff_snapshots(self, first: str, second: str, options: DiffOptions) -> DiffResult:
        """Compare two snapshots, without a server."""
        return diff_snapshots(
            self.store, first, second, options, self.observer, state_dir=self.state_dir
        )

    def plan_repair(
        self, server: ConnectOptions, text: str, options: RepairOptions
    ) -> RepairResult:
        """What a repair would write, table by table in `plans`; nothing is changed."""
        return plan_repair(
            server, self.store, text, options, self.observer, state_dir=self.state_dir
        )

    def repair(self, server: ConnectOptions, text: str, options: RepairOptions) -> RepairResult:
        """Put back what differs: the definition, then just the rows and columns.

        A row that changed again is a finding, and is not overwritten.  Raises Unsupported for a
        table that can only be restored; what it raises after it began leaves a run that
        `resume_repair` completes and `undo_repair` takes back.
        """
        return repair(server, self.store, text, options, self.state_dir, self.observer)

    def resume_repair(self, server: ConnectOptions, run: str) -> RepairResult:
        """Go on with a repair, or with its undo."""
        return repairs.resume(server, self.store, run, self.state_dir, self.observer)

    def undo_repair(self, server: ConnectOptions, run: str) -> RepairResult:
        """Take back what a repair did, until `cleanup` of its run."""
        return repairs.undo(server, self.store, run, self.state_dir, self.observer)

    @contextmanager
    def query(
        self, text: str, sql: str, *, threads: int = DEFAULT_THREADS
    ) -> Iterator[QueryResult]:
        """Run one SELECT over a snapshot; take its rows within the context.  Needs DuckDB."""
        with query(self.store, text, sql, threads=threads) as result:
            yield result

    def guard(
        self,
        server: ConnectOptions,
        options: GuardOptions,
        maintenance: Callable[[Snapshot], C],
    ) -> tuple[C, GuardResult]:
        """Snapshot, `maintenance`, diff: its answer, and which tables it changed.

        What `maintenance` raises is for it to catch: else there is no diff.
        """
        return guard(
            server, self.store, options, maintenance, self.observer, state_dir=self.state_dir
        )

    def begin_guard(self, server: ConnectOptions, options: GuardOptions) -> Snapshot:
        """The snapshot that a maintenance of several steps is to be compared with."""
        guarded = begin_guard(server, self.store, options, self.observer, state_dir=self.state_dir)
        return guarded.snapshot

    def end_guard(self, server: ConnectOptions, text: str, options: GuardOptions) -> GuardResult:
        """What changed since `begin_guard`."""
        return end_guard(server, self.store, text, options, self.observer, state_dir=self.state_dir)

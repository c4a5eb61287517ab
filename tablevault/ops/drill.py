"""Drill: rehearse a restore into a scratch schema, prove it, measure it, and leave no trace.

The rehearsal is the restore itself, with other names: the same plan, crew, journal and proof, up
to the point where a restore would swap.  It never touches a table that it did not make.  However
it ends, what it made is dropped; what a killed one left, the next drill or `cleanup` drops.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

from tablevault.errors import Interrupted, TablevaultError
from tablevault.events import Event, Observer, PhaseBegan, Reporter, silent
from tablevault.model import ServerInfo, Snapshot
from tablevault.mysql import scratch
from tablevault.mysql.connect import ConnectOptions, connect
from tablevault.names import new_run_id
from tablevault.ops import drill_remains
from tablevault.ops.building import Building, work_off
from tablevault.ops.drill_plan import DrillOptions, DrillPlan, plan_drill
from tablevault.ops.restore_board import Board
from tablevault.ops.restore_plan import index_policy, preflight, run_table, settle_indexes
from tablevault.ops.resumption import recorded
from tablevault.ops.running import aside, reported
from tablevault.ops.runs import DRILL, header, replay
from tablevault.ops.swap import clean_up
from tablevault.ops.verify import check_files
from tablevault.ops.ways import advice
from tablevault.vault.catalog import resolve
from tablevault.vault.journal import Journal
from tablevault.vault.proofs import DrillProof, keep_drill
from tablevault.vault.store import Store

_OF_A_RESTORE = ("checking", "planning", "loading", "indexing", "proving")
_AFTERMATH_S = 15.0  # how long a drill that failed tries to drop what it made before it leaves


@dataclass(frozen=True)
class DrillResult:
    """A rehearsal that was proven; `proof` is what is kept of it in the vault."""

    run: str
    snapshot: str
    proof: DrillProof
    seconds: float  # all of it, with making and dropping the scratch schema
    hints: tuple[str, ...] = ()


class _Stopwatch:
    """Seconds of each phase (an observer)."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._phase = ""
        self._since = time.monotonic()

    def __call__(self, event: Event) -> None:
        if isinstance(event, PhaseBegan):
            self.note(event.phase)

    def note(self, phase: str = "") -> None:
        """The phase at hand is over, and `phase` begins."""
        now = time.monotonic()
        if self._phase:
            before = self.seconds.get(self._phase, 0.0)
            self.seconds[self._phase] = before + now - self._since
        self._phase, self._since = phase, now


def drill(
    target: ConnectOptions,
    store: Store,
    snapshot_text: str,
    options: DrillOptions,
    state_dir: Path,
    observer: Observer = silent,
) -> DrillResult:
    """Rehearse the restore of tables of a snapshot, and keep in the vault how it went.

    Raises as `restore` does; then too what was made is dropped, as far as the server is there,
    and the error's hint says what was not.
    """
    run = new_run_id()
    reporter, watch = Reporter(run, observer), _Stopwatch()
    with reported(reporter, "drill", snapshot=snapshot_text, state_dir=state_dir) as ending:
        hints = aside(
            reporter,
            "looking for what earlier drills left",
            lambda: drill_remains.remove(target, state_dir),
        )
        for hint in hints:
            reporter.hint(hint)
        reporter.add(watch)
        reporter.begin_phase("checking", "manifest and files")
        snapshot = aside(reporter, "reading the manifest", lambda: resolve(store, snapshot_text))
        ending.reads(store, snapshot.id)
        plan = aside(
            reporter, "reading the plan", lambda: plan_drill(store, snapshot, options, run)
        )
        files = [(job.entry, job.chunks) for job in plan.jobs]
        check_files(reporter, store, snapshot, files, options.threads)
        head = header(
            snapshot.id,
            recorded(options.as_restore()),
            [run_table(job, run) for job in plan.jobs],
            DRILL,
        )
        with aside(
            reporter, "beginning the journal", lambda: Journal.create(state_dir / run, run, head)
        ) as journal:
            rehearsal = _Rehearsal(target, store, snapshot, plan, options, journal, reporter)
            proof, unkept = rehearsal.carry_out(watch)
        return DrillResult(run, snapshot.id, proof, reporter.seconds, (*hints, *unkept))


@dataclass(frozen=True)
class _Rehearsal:
    """One drill, from the scratch schemas to their removal."""

    target: ConnectOptions
    store: Store
    snapshot: Snapshot
    plan: DrillPlan
    options: DrillOptions
    journal: Journal
    reporter: Reporter

    def carry_out(self, watch: _Stopwatch) -> tuple[DrillProof, tuple[str, ...]]:
        """Build, prove, measure, keep, drop; what fails is dropped as well."""
        try:
            server, done = self._build()
            watch.note()
            proof = self._proof(server, done, watch.seconds)
            hints = _keep(self.reporter, self.store, proof)  # it holds, however the rest goes
            self.reporter.begin_phase("cleanup", "dropping what was made")
            clean_up(self.target, self.journal, self.reporter, self.options.lock_wait_s)
        except BaseException as error:
            self._drop_after(error)
            raise
        return proof, hints

    def _build(self) -> tuple[ServerInfo, DrillPlan]:
        reporter, options = self.reporter, self.options.as_restore()
        reporter.begin_phase("preparing", ", ".join(self.plan.schemas))
        server = aside(reporter, "creating the scratch schema", self._make_schemas)
        reporter.begin_phase("planning", "what the server allows")
        terms = aside(
            reporter,
            "asking the server",
            lambda: preflight(self.target, self.snapshot, self.plan.jobs, options),
        )
        for hint in terms.hints:
            reporter.hint(hint)
        # decided for the whole tables: a sample is to be built as they would be
        family = self.snapshot.server.family
        settled = settle_indexes(self.plan.whole, family, options.indexes, terms.builders)
        plan = dataclasses.replace(self.plan, whole=tuple(settled))
        site = Building(
            self.target,
            self.store,
            self.snapshot,
            plan.jobs,
            options,
            self.journal,
            reporter,
            terms,
        )
        reporter.begin_phase("loading", _what(plan))
        work_off(site, Board(plan.jobs))
        aside(reporter, "writing the journal", lambda: self.journal.append("drilled"))
        return server, plan

    def _make_schemas(self) -> ServerInfo:
        """The journal names each schema before it is made, and says so when it is not ours."""
        with connect(self.target, no_binlog=not self.options.log_bin) as connection:
            server = connection.server
            self.journal.append(
                "connections",
                ids=[connection.id],
                server_started=server.started_at,
                server_uuid=server.uuid,
            )
            for schema in self.plan.schemas:
                self.journal.append("creating schema", schema=schema)
                try:
                    scratch.create(connection, schema)
                except scratch.Refused:
                    self.journal.append("schema refused", schema=schema)
                    raise
            return server

    def _drop_after(self, error: BaseException) -> None:
        """Drop what a failed drill made, within bounds; the error says when that did not work."""
        run = self.reporter.run
        self.reporter.begin_phase("cleanup", "dropping what was made")
        try:
            if not replay(run, self.journal.entries).scratch:  # it had made nothing
                self.journal.append("cleaned")
                return
            within_s = min(_AFTERMATH_S, self.options.lock_wait_s)
            clean_up(self.target, self.journal, self.reporter, within_s)
        except (TablevaultError, KeyboardInterrupt) as second:
            status = replay(run, self.journal.entries).status
            left = (
                f"its scratch schema could not be dropped yet: {advice(run, status)}; "
                "the next drill drops it too"
            )
            if isinstance(error, TablevaultError):
                error.hint = "; ".join(part for part in (error.hint, left) if part)
            elif isinstance(error, KeyboardInterrupt):
                raise Interrupted("drill interrupted", hint=left) from second

    def _proof(self, server: ServerInfo, plan: DrillPlan, phases: dict[str, float]) -> DrillProof:
        jobs = plan.jobs
        seconds = {phase: phases.get(phase, 0.0) for phase in _OF_A_RESTORE}
        work_s = sum(seconds[phase] for phase in ("loading", "indexing", "proving"))
        cost, whole_cost = sum(job.cost for job in jobs), sum(job.cost for job in plan.whole)
        loaded = sum(job.entry.wire_bytes for job in jobs)
        measured_s = sum(seconds.values())
        restore_s = measured_s
        if plan.share < 1.0:
            files_s = seconds["checking"] / plan.share if plan.share else 0.0
            restore_s = files_s + seconds["planning"] + work_s * whole_cost / cost
        return DrillProof(
            run=self.reporter.run,
            snapshot=self.snapshot.id,
            at=time.time(),
            family=server.family,
            version=server.version_text,
            address=f"{server.hostname}:{server.port}",
            server_uuid=server.uuid,
            tables=tuple(str(job.entry.definition.table) for job in jobs),
            all_tables=plan.all_tables,
            share=plan.share,
            rows=sum(job.entry.digest.rows for job in jobs),
            size_bytes=loaded,
            seconds=measured_s,
            restore_s=restore_s,
            rate_bytes_s=loaded / work_s if work_s else 0.0,
            cost=cost,
            threads=self.options.threads,
            phases={**seconds, "preparing": phases.get("preparing", 0.0)},
        )


def _what(plan: DrillPlan) -> str:
    policy = index_policy(plan.jobs)
    if plan.share >= 1.0:
        return policy
    groups = sum(len(job.parts) for job in plan.jobs)
    return f"a sample: {groups} row groups, {plan.share:.1%} of the bytes; {policy}"


def _keep(reporter: Reporter, store: Store, proof: DrillProof) -> tuple[str, ...]:
    try:
        aside(reporter, "keeping the result", lambda: keep_drill(store, proof))
    except TablevaultError as error:
        hint = f"the result could not be kept in the vault: {error.message}"
        reporter.hint(hint)
        return (hint,)
    return ()

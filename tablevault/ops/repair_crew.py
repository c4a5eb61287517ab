"""The crew of a repair: workers at its batches, and a coordinator that tells how it goes."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tablevault.engine.pool import Pool
from tablevault.errors import TablevaultError
from tablevault.events import Event, Reporter, Retrying, TableProgress, Waiting
from tablevault.mysql.connect import Connection
from tablevault.ops import remains
from tablevault.ops.diagnosis import Doing
from tablevault.ops.governor import Governor
from tablevault.ops.lookout import Lookout
from tablevault.ops.repair_check import Patient
from tablevault.ops.repair_terms import CHANGED, EXTRA, MISSING, Batch, RepairOptions
from tablevault.ops.repair_work import Done, put
from tablevault.ops.retrying import Patience
from tablevault.ops.running import ProgressSampler, first_tick_s
from tablevault.ops.strains import of_server
from tablevault.ops.watchdog import Watchdog
from tablevault.vault.journal import Journal

VERBS = {CHANGED: "updating", MISSING: "inserting", EXTRA: "deleting"}
_VERBS_BACK = {CHANGED: "setting back", MISSING: "removing", EXTRA: "inserting again"}


@dataclass(frozen=True)
class Course:
    """Which way a repair goes: forward, or back."""

    forward: bool

    @property
    def before(self) -> str:
        return "putting" if self.forward else "taking"

    @property
    def after(self) -> str:
        return "put back" if self.forward else "taken back"

    @property
    def stages(self) -> tuple[str, ...]:
        """What goes makes room for what comes: unique values, above all."""
        return (EXTRA, CHANGED, MISSING) if self.forward else (MISSING, CHANGED, EXTRA)

    def event(self, what: str) -> str:
        """The sort of rows whose triggers would fire: an undo inserts what was deleted."""
        if self.forward or what == CHANGED:
            return what
        return EXTRA if what == MISSING else MISSING

    def verb(self, what: str) -> str:
        return (VERBS if self.forward else _VERBS_BACK)[what]


class Mender:
    """A worker: one connection, one batch at a time, in the journal before and after."""

    def __init__(
        self,
        connection: Connection,
        open_connection: Callable[[], Connection],
        patients: Mapping[int, Patient],
        journal: Journal,
        course: Course,
    ) -> None:
        """`open_connection` journals the id of what it opens before it returns."""
        self.connection = connection
        self._open_connection = open_connection
        self.batch: Batch | None = None
        self.pause_s = 0.0  # before each batch; set by the coordinator when the server is pressed
        self.notes: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._patients = patients
        self._journal = journal
        self._course = course
        self._stopping = threading.Event()

    def work(self, batch: Batch) -> tuple[Batch, Done]:
        """Carry out one batch; conflicts and lost connections are waited out, within bounds."""
        self._pause()
        self.batch = batch
        patience = Patience(time.monotonic)
        try:
            while True:
                try:
                    self._recover()
                    return batch, self._carry_out(batch)
                except TablevaultError as error:
                    delay_s = None if self._stopping.is_set() else patience.delay_s(error)
                    if delay_s is None:
                        raise
                    what = self.describe(batch)
                    self.notes.put(
                        Retrying(
                            what=what,
                            cause=error.message,
                            attempt=patience.attempts,
                            delay_s=delay_s,
                        )
                    )
                    if self._stopping.wait(delay_s):
                        raise
        finally:
            self.batch = None

    def interrupt(self) -> None:
        """From any thread: end the batch at hand at once, and begin no other try."""
        self._stopping.set()
        self.connection.abort()

    def close(self) -> None:
        """Release the connection."""
        self.connection.close()

    def describe(self, batch: Batch) -> str:
        """What a batch does, in a few words."""
        rows = batch.stop - batch.first
        return f"{self._course.verb(batch.what)} {rows} rows of {self._patients[batch.table].table}"

    def _carry_out(self, batch: Batch) -> Done:
        return carry_out(
            self.connection,
            self._patients[batch.table],
            batch,
            self._journal,
            self._course,
            self._pause,
        )

    def _recover(self) -> None:
        """A new connection for one that was lost: what it was at can be done once more."""
        lost = self.connection
        if lost.closed:
            self.connection = self._open_connection()
            if self._stopping.is_set():  # it was interrupted while there was nothing to interrupt
                self.connection.abort()
            remains.end_lost(self.connection, lost)

    def _pause(self) -> None:
        if self.pause_s:
            self._stopping.wait(self.pause_s)


def carry_out(
    connection: Connection,
    patient: Patient,
    batch: Batch,
    journal: Journal,
    course: Course,
    pause: Callable[[], None] = lambda: None,
    *,
    locked: bool = False,
) -> Done:
    """One batch, in the journal before it begins and after it is committed."""
    journal.append(course.before, table=batch.table, number=batch.number)
    done = put(connection, patient, batch, forward=course.forward, locked=locked, pause=pause)
    journal.append(course.after, table=batch.table, number=batch.number, **dataclasses.asdict(done))
    return done


class RepairCrew:
    """Works off batches; use it as a context manager, within which it watches the server."""

    def __init__(
        self,
        menders: Sequence[Mender],
        patients: Mapping[int, Patient],
        reporter: Reporter,
        options: RepairOptions,
        open_connection: Callable[[], Connection],
        totals: Mapping[int, int],
    ) -> None:
        """`open_connection` serves the lookout; `totals` are the bytes of each table."""
        self._menders = menders
        self._patients = patients
        self._reporter = reporter
        self._sampler = ProgressSampler(reporter)
        self._governor = Governor(reporter, emergency=options.emergency)
        self._totals = totals
        self._bytes: Counter[int] = Counter()
        self._rows: Counter[int] = Counter()
        self._stopping_since: float | None = None
        self._lookout = Lookout(open_connection, self._connection_ids, list)
        self._watchdog = Watchdog(
            reporter, self._lookout, self._doing, stalled_after_s=options.stalled_after_s
        )
        self.results: dict[tuple[int, int], Done] = {}

    def __enter__(self) -> RepairCrew:
        self._lookout.poller.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._lookout.poller.__exit__(*exc)

    def run(self, batches: Sequence[Batch]) -> None:
        """Carry out batches, in no order.  Raises the first error."""
        pool: Pool[Mender, Batch, tuple[Batch, Done]] = Pool(
            self._menders, lambda mender, task: mender.work(task), interrupt=Mender.interrupt
        )
        for batch in batches:
            pool.add(batch)
        pool.run(
            self._on_result,
            self._on_tick,
            first_tick_s=first_tick_s(self._reporter),
            on_stopping=self._on_stopping,
        )
        self._on_tick()

    def collided(self, batch: Batch) -> bool:
        """Whether rows of a batch wait for a unique value that another row has."""
        done = self.results.get((batch.table, batch.number))
        return done is not None and bool(done.collisions)

    def has_done(self, batch: Batch) -> bool:
        """Whether a batch was carried out."""
        return (batch.table, batch.number) in self.results

    def note(self, batch: Batch, done: Done) -> None:
        """A batch that was carried out elsewhere."""
        self.results[batch.table, batch.number] = done
        self._bytes[batch.table] += batch.size_bytes
        self._rows[batch.table] += done.rows

    def _on_result(self, result: tuple[Batch, Done]) -> None:
        self.note(*result)

    def _on_tick(self) -> None:
        for mender in self._menders:
            while not mender.notes.empty():
                self._reporter.emit(mender.notes.get())
        tables = [
            TableProgress(
                table=str(self._patients[number].table),
                rows_done=self._rows[number],
                rows_total=max(1, self._rows[number]),
                bytes_done=min(self._bytes[number], total),
                state="repairing",
            )
            for number, total in self._totals.items()
        ]
        self._sampler.show(tables, bytes_total=sum(self._totals.values()))
        self._governor.tick([*of_server(self._lookout.view.pressure)])
        for mender in self._menders:
            mender.pause_s = self._governor.pause_s
        self._watchdog.tick(sum(self._bytes.values()))

    def _on_stopping(self) -> None:
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()
        waited_s = time.monotonic() - self._stopping_since
        self._reporter.emit(Waiting(what="the workers to stop", seconds=waited_s))

    def _connection_ids(self) -> list[int]:
        return [mender.connection.id for mender in self._menders]

    def _doing(self) -> list[Doing]:
        return [
            Doing.on(mender.connection, number, mender.describe(batch))
            for number, mender in enumerate(self._menders, 1)
            if (batch := mender.batch) is not None  # it ends in its own thread
        ]

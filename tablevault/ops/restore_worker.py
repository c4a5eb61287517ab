"""A worker of a restore: what each task of the board does on one connection.

Order is safety here.  Every step is journalled before and after; a row group counts as proven
only when the server itself has recomputed its digest, and no index or swap makes up for that; what
fails is rolled back and said at once.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tablevault.errors import (
    CannotComplete,
    ConnectionLost,
    Interrupted,
    StatementFailed,
    TablevaultError,
)
from tablevault.events import Event, Retrying
from tablevault.mysql import keysets, sql_tables
from tablevault.mysql import session as sessions
from tablevault.mysql.connect import Connection
from tablevault.ops import lane_place, remains
from tablevault.ops.cutover_checks import COUNT_S
from tablevault.ops.lane_place import Tools
from tablevault.ops.restore_proof import (
    clear_group,
    group_stands,
    index_stands,
    prove_group,
    prove_rows,
    prove_table,
)
from tablevault.ops.restore_tasks import (
    BuildIndex,
    CreateStaging,
    LaneLost,
    LoadGroup,
    LookAtLive,
    MakeRoom,
    PlaceTable,
    ProveGroup,
    ProveRows,
    ProveTable,
    TableJob,
    Task,
    Written,
    again,
    describe,
)
from tablevault.ops.retrying import Patience
from tablevault.ops.terms import Terms
from tablevault.vault.journal import Journal
from tablevault.vault.store import Store

if TYPE_CHECKING:
    from tablevault.vault.chunk import ChunkReader

_HELD_LOOK_S = 0.1
R = TypeVar("R")


class Loader:
    """One connection at a time, one open chunk file, and counters that others may look at."""

    def __init__(
        self,
        open_connection: Callable[[], Connection],
        store: Store,
        snapshot: str,
        journal: Journal,
        terms: Terms,
    ) -> None:
        """`open_connection` journals the id of what it opens before it returns."""
        self.connection = open_connection()
        self.task: Task | None = None
        self.live_bytes = 0  # text sent of the row group at hand
        self.pausing = ""  # the error after which it waits to try again
        self.pause_s = 0.0  # after each block; set by the coordinator when the server is pressed
        self.held = False  # begin no rows and no index; set by the coordinator as well
        self.holding = False  # it waits because it is held
        self.notes: queue.SimpleQueue[Event] = queue.SimpleQueue()  # for the coordinator to tell
        self.announce: Callable[[Task], None] = lambda task: None  # what comes before a result
        self._open_connection = open_connection
        self._store = store
        self._snapshot = snapshot
        self._journal = journal
        self._terms = terms
        self._reader: tuple[str, ChunkReader] | None = None
        self._stopping = threading.Event()
        self._committing = False
        self._placings = 0  # of the task at hand

    def work(self, task: Task) -> Task:
        """Carry out one task; returns it when it is done and proven.

        Conflicts and lost connections are waited out and tried again, within bounds; a step that
        may have been carried out before the loss is looked at, never blindly repeated.
        """
        patience = Patience(time.monotonic)
        attempt: Task = task
        self._placings = 0
        try:
            while True:
                try:
                    self._recover()
                    self.task, self.live_bytes = attempt, 0
                    self._await_release(attempt)
                    return self._carry_out(attempt) or task
                except TablevaultError as error:
                    if self._stopping.is_set():
                        raise
                    if self._gives_up_lane(task, error):
                        return LaneLost(task.job, error.message)
                    delay_s = patience.delay_s(error)
                    if delay_s is None:
                        raise
                    self._note(task, error, patience.attempts, delay_s)
                    self.pausing = error.message
                    stopped = self._stopping.wait(delay_s)
                    self.pausing = ""
                    if stopped:
                        raise
                    attempt = again(task)
        finally:
            self.task, self.live_bytes, self.holding = None, 0, False

    def interrupt(self) -> None:
        """From any thread: end the task at hand at once, and begin no other try."""
        self._stopping.set()
        self.connection.abort()

    def _carry_out(self, task: Task) -> Task | None:
        """Do it; the task with what it came to, if it came to anything that others need."""
        match task:
            case CreateStaging(job):
                self._create(job)
            case MakeRoom(job):
                return MakeRoom(job, self._place(job, lane_place.make_room))
            case PlaceTable():
                self._place(task.job, lambda *tools: lane_place.fill(task.room, *tools))
            case ProveGroup():
                prove_group(self.connection, task)
                self._note_step(task.job, "proven", chunk=task.chunk.index, group=task.group)
            case LoadGroup():
                return self._load(task)
            case BuildIndex(job, number):
                self._build_index(job, number)
            case ProveRows():
                return dataclasses.replace(task, keys=prove_rows(self.connection, task))
            case LookAtLive(job):
                live = keysets.look(self.connection, job.target, COUNT_S)
                return LookAtLive(job, live)
            case ProveTable(job):
                prove_table(self.connection, job)
                self._journal.append("table proven", table=job.index)
            case LaneLost() | Written():
                raise AssertionError("that is an outcome")
        return None

    def _await_release(self, task: Task) -> None:
        """Between two transactions is where a loader that is held can wait: it holds nothing then.

        The coordinator says why it waits, and bounds it.
        """
        if not isinstance(task, LoadGroup | BuildIndex | PlaceTable | LookAtLive):
            return
        while self.held:
            self.holding = True
            if self._stopping.wait(_HELD_LOOK_S):
                raise Interrupted("stopped while it waited")
        self.holding = False

    def _recover(self) -> None:
        """A new connection for one that was lost, once the server has let go of the old one."""
        lost = self.connection
        if not lost.closed:
            return
        self.connection = self._open_connection()
        if self._stopping.is_set():  # it was interrupted while there was nothing to interrupt
            self.connection.abort()
        remains.end_lost(self.connection, lost)

    def _note(self, task: Task, error: TablevaultError, attempt: int, delay_s: float) -> None:
        self.notes.put(
            Retrying(what=describe(task), cause=error.message, attempt=attempt, delay_s=delay_s)
        )

    def close(self) -> None:
        """Release the file and the connection; never raises."""
        if self._reader is not None:
            self._reader[1].close()
        self.connection.close()

    def _create(self, job: TableJob) -> None:
        """The staging table.  One of that name is a dead run's, which journalled it as its own."""
        self._journal.append("creating", table=job.index, staging=str(job.staging))
        lane_place.clear(self.connection, job)
        with sessions.defining(self.connection):
            self.connection.execute(job.staging_sql)
            issued = job.entry.definition.auto_increment
            if issued is not None and issued > 1:
                self.connection.execute(sql_tables.set_auto_increment(job.staging, issued))
        self._journal.append("created", table=job.index)

    def _place(self, job: TableJob, step: Callable[[Tools, TableJob], R]) -> R:
        """A step towards the rows of the snapshot's tablespace, which are then to be proven."""
        self._placings += 1

        def note(kind: str, **fields: Any) -> None:
            self._note_step(job, kind, **fields)

        tools = Tools(
            self.connection,
            self._store,
            self._snapshot,
            note,
            on_bytes=self._count_placed,
            on_written=lambda: self.announce(Written(job)),
        )
        try:
            return step(tools, job)
        except TablevaultError:
            if self._stopping.is_set():  # by a person: that is no failure of the tablespace
                note("placing stopped")
            raise

    def _gives_up_lane(self, task: Task, error: TablevaultError) -> bool:
        """Whether the task's table begins anew by its rows, journalled if so."""
        job = task.job
        if isinstance(task, LookAtLive):  # nothing of the tablespace's
            return False
        tries = self._placings + (job.lane.tries if job.lane else 0)
        if not lane_place.may_be_lost(job, error, tries):
            return False
        self._note_step(job, "lane lost", why=error.message)
        return True

    def _note_step(self, job: TableJob, kind: str, **fields: Any) -> None:
        self._journal.append(kind, table=job.index, **fields)

    def _count_placed(self, size_bytes: int) -> None:
        if self._stopping.is_set():
            raise Interrupted("stopped while it wrote a tablespace")
        self._count(size_bytes)

    def _load(self, task: LoadGroup) -> LoadGroup:
        """One row group: one transaction, as a rule proven by the server before it is committed."""
        # Arrow is slow to import, and tables that come as tablespaces have no need of it.
        from tablevault.ops.loading import load_group

        where = {"table": task.job.index, "chunk": task.chunk.index, "group": task.group}
        if task.found and task.job.keyed and group_stands(self.connection, task):
            return dataclasses.replace(task, late=False)
        if task.found and task.job.keyed:
            clear_group(self.connection, task)
        self._journal.append("loading", **where)
        self._committing = False
        try:
            self.live_bytes = 0
            load_group(
                self.connection,
                self._open(task),
                task,
                self._terms,
                self._count,
                self._note_commit,
            )
        except (ConnectionLost, StatementFailed) as error:
            uncertain = self._committing and isinstance(error, ConnectionLost)
            if not task.job.keyed and (uncertain or not task.job.undoes):
                raise CannotComplete(
                    f"{describe(task)}: {error.message}; without a key nobody can tell which of "
                    "the rows are there",
                    hint="a resumed run loads this table from its beginning",
                ) from error
            raise
        self._journal.append("loaded" if task.late else "proven", **where)
        return task

    def _note_commit(self) -> None:
        self._committing = True

    def _count(self, size_bytes: int) -> None:
        self.live_bytes += size_bytes
        if self.pause_s:
            self._stopping.wait(self.pause_s)

    def _open(self, task: LoadGroup) -> ChunkReader:
        if self._reader is not None:
            path, reader = self._reader
            if path == task.chunk.path:
                return reader
            reader.close()
            self._reader = None
        from tablevault.vault.chunk import ChunkReader

        definition = task.job.entry.definition
        reader = ChunkReader(self._store, self._snapshot, definition, task.chunk, task.job.specs)
        self._reader = (task.chunk.path, reader)
        return reader

    def _build_index(self, job: TableJob, number: int) -> None:
        clause = job.indexes[number]
        self._journal.append("indexing", table=job.index, index=number, clause=clause)
        if not index_stands(self.connection, job, clause):
            with sessions.building(self.connection), sessions.defining(self.connection):
                self.connection.execute(sql_tables.alter_table(job.staging, clause))
        self._journal.append("indexed", table=job.index, index=number)

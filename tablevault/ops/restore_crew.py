"""The crew of a restore: workers at the board's tasks, and a coordinator that tells how it goes.

The coordinator's thread samples counters and views; it runs neither SQL nor file I/O itself, so
nothing that a worker, the server or a disk does can make it fall silent.
"""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tablevault.engine.gauge import Gauge
from tablevault.engine.pool import Pool
from tablevault.engine.throttle import Throttle
from tablevault.events import ChunkDone, Reporter, TableDone, TableProgress, Waiting
from tablevault.mysql.connect import Connection
from tablevault.ops.diagnosis import Doing
from tablevault.ops.lookout import Lookout
from tablevault.ops.options import RestoreOptions
from tablevault.ops.restore_board import Board, BuildIndex, LoadGroup, ProveTable, Task
from tablevault.ops.restore_worker import Loader, describe
from tablevault.ops.running import ProgressSampler, first_tick_s
from tablevault.ops.watchdog import Watchdog


class Crew:
    """Works a board off; `run` returns when every table is proven, or raises the first error."""

    def __init__(
        self,
        board: Board,
        loaders: Sequence[Loader],
        reporter: Reporter,
        options: RestoreOptions,
        open_connection: Callable[[], Connection],
        stacks_path: Path,
    ) -> None:
        """`open_connection` serves the lookout; Python stacks go to `stacks_path` if need be."""
        self._board = board
        self._loaders = loaders
        self._reporter = reporter
        self._sampler = ProgressSampler(reporter, board.cost_total)
        self._gauge = Gauge()
        self._throttle = Throttle(enabled=not options.emergency)
        self._stopping_since: float | None = None
        self._lookout = Lookout(open_connection, self._connection_ids, self._building)
        self._watchdog = Watchdog(
            reporter,
            self._lookout,
            self._doing,
            action=options.stall_action,
            stalled_after_s=options.stalled_after_s,
            cancel=self._cancel,
            dump_stacks=lambda: _dump_stacks(stacks_path),
        )
        self._pool: Pool[Loader, Task, Task] = Pool(
            loaders, lambda loader, task: loader.work(task), interrupt=Loader.interrupt
        )

    def run(self) -> None:
        """Load, index and prove everything on the board."""
        with self._lookout.poller:
            for task, priority in self._board.first_tasks():
                self._pool.add(task, priority=priority)
            self._pool.run(
                self._on_result,
                self._on_tick,
                first_tick_s=first_tick_s(self._reporter),
                on_stopping=self._on_stopping,
            )
            self._on_tick()

    def _on_result(self, task: Task) -> None:
        for follower, priority in self._board.after(task):
            self._pool.add(follower, priority=priority)
        self._tell(task)

    def _on_tick(self) -> None:
        """Twice a second: notes of the workers, the phase, a sample, pressure, stillness."""
        for loader in self._loaders:
            while not loader.notes.empty():
                self._reporter.emit(loader.notes.get())
        phase = self._board.phase()
        if phase != self._reporter.phase:
            self._reporter.begin_phase(phase)
        tables = self._board.progress(*self._live())
        fractions = self._index_fractions()
        cost_done = self._board.cost_done(tables, fractions)
        self._sampler.show(tables, bytes_total=self._board.bytes_total, cost_done=cost_done)
        self._press()
        self._watchdog.tick((cost_done, self._steps(tables)))

    def _on_stopping(self) -> None:
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()
        waited_s = time.monotonic() - self._stopping_since
        self._reporter.emit(Waiting(what="the workers to stop", seconds=waited_s))

    def _press(self) -> None:
        before_s = self._throttle.pause_s
        pause_s = self._throttle.feel(self._lookout.view.pressure.level)
        for loader in self._loaders:
            loader.pause_s = pause_s
        if pause_s and not before_s:
            level = self._lookout.view.pressure.level or 0.0
            self._reporter.hint(f"the server is under pressure ({level:.0%}): loaders slow down")
        elif before_s and not pause_s:
            self._reporter.hint("the pressure is gone: loaders run freely again")

    def _tell(self, task: Task) -> None:
        match task:
            case LoadGroup(job):
                self._reporter.emit(
                    ChunkDone(
                        table=str(job.target),
                        chunk=task.chunk.index,
                        row_group=task.group,
                        rows=task.row_group.digest.rows,
                        size_bytes=task.row_group.wire_bytes,
                        proven=job.keyed,
                    )
                )
            case ProveTable(job):
                self._reporter.emit(
                    TableDone(
                        table=str(job.target),
                        rows=job.entry.digest.rows,
                        size_bytes=job.entry.wire_bytes,
                        seconds=self._reporter.seconds,
                    )
                )
            case _:
                pass

    def _live(self) -> tuple[dict[int, int], dict[int, int]]:
        """Rows and bytes of row groups at hand, by table, from the bytes sent so far."""
        rows: dict[int, int] = {}
        sizes: dict[int, int] = {}
        for loader in self._loaders:
            task = loader.task
            if isinstance(task, LoadGroup):
                group = task.row_group
                sent = min(loader.live_bytes, group.wire_bytes)
                number = task.job.index
                sizes[number] = sizes.get(number, 0) + sent
                share = sent / group.wire_bytes if group.wire_bytes else 0.0
                rows[number] = rows.get(number, 0) + int(group.digest.rows * share)
        return rows, sizes

    def _index_fractions(self) -> dict[int, float]:
        """How far the running index builds are, by table."""
        percents = self._lookout.view.percents
        fractions = {}
        for loader in self._loaders:
            task = loader.task
            if isinstance(task, BuildIndex):
                percent = percents.get(loader.connection.id)
                step = (task.job.index, task.number)
                fractions[task.job.index] = self._gauge.read(
                    step, None if percent is None else percent / 100
                )
        return fractions

    def _steps(self, tables: Sequence[TableProgress]) -> tuple[str, ...]:
        return tuple(table.state for table in tables)

    def _connection_ids(self) -> list[int]:
        return [loader.connection.id for loader in self._loaders]

    def _building(self) -> list[int]:
        return [
            loader.connection.id for loader in self._loaders if isinstance(loader.task, BuildIndex)
        ]

    def _doing(self) -> list[Doing]:
        now_s = time.monotonic()
        found = []
        for number, loader in enumerate(self._loaders, 1):
            task, connection = loader.task, loader.connection
            since_s = connection.busy_since
            if task is not None:
                found.append(
                    Doing(
                        number,
                        connection.id,
                        describe(task),
                        connection.statement if since_s is not None else "",
                        now_s - since_s if since_s is not None else 0.0,
                        loader.pausing,
                    )
                )
        return found

    def _cancel(self, connection_id: int) -> None:
        """End a stuck statement from this side; the worker opens a new connection and looks."""
        for loader in self._loaders:
            if loader.connection.id == connection_id:
                loader.connection.abort()


def _dump_stacks(path: Path) -> None:
    with path.open("a") as file:
        faulthandler.dump_traceback(file)

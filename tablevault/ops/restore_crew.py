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
from tablevault.events import ChunkDone, Reporter, TableDone, TableProgress, Waiting
from tablevault.mysql.connect import Connection
from tablevault.ops.diagnosis import Doing
from tablevault.ops.governor import Governor
from tablevault.ops.lookout import Lookout
from tablevault.ops.options import RestoreOptions
from tablevault.ops.restore_board import Board
from tablevault.ops.restore_tasks import (
    BuildIndex,
    LaneLost,
    LoadGroup,
    PlaceTable,
    ProveGroup,
    ProveTable,
    Task,
    describe,
)
from tablevault.ops.restore_worker import Loader
from tablevault.ops.running import ProgressSampler, first_tick_s
from tablevault.ops.strains import of_itself, of_server
from tablevault.ops.surroundings import Surroundings
from tablevault.ops.watchdog import Watchdog
from tablevault.ops.wires import Flow, Wires

_SAID_AFTER_S = 1.0  # how long a statement may run before it is said that it does


class Crew:
    """Works a board off; `run` returns when every table is proven, or raises the first error."""

    def __init__(
        self,
        board: Board,
        loaders: Sequence[Loader],
        reporter: Reporter,
        options: RestoreOptions,
        open_connection: Callable[[], Connection],
        surroundings: Surroundings,
        stacks_path: Path,
    ) -> None:
        """`open_connection` serves the lookout; Python stacks go to `stacks_path` if need be."""
        self._board = board
        self._loaders = loaders
        self._reporter = reporter
        self._sampler = ProgressSampler(reporter, board.cost_total, board.expected_rate_s)
        self._gauge = Gauge()
        self._options = options
        self._surroundings = surroundings
        self._governor = Governor(
            reporter, emergency=options.emergency, patience_s=options.pressure_wait_s
        )
        self._unseen: set[str] = set()  # replicas that do not tell, and were said
        self._wires = Wires()
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
        for loader in loaders:
            loader.announce = self._pool.announce

    def run(self) -> None:
        """Load, index and prove everything on the board."""
        self._press(0.0)
        with self._lookout.poller, self._surroundings:
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
        if isinstance(task, LaneLost):
            table = task.job.target
            self._reporter.hint(f"{table} comes by its rows, not by its tablespace: {task.why}")
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
        fractions = self._fractions()
        tables = self._board.progress(*self._live(), fractions)
        cost_done = self._board.cost_done(tables, fractions)
        self._sampler.cost_total = self._board.cost_total
        self._sampler.show(tables, bytes_total=self._board.bytes_total, cost_done=cost_done)
        self._press(cost_done)
        self._give_up_dead_wires()
        # who is held does not stall: why it waits is said by the governor
        held_since = time.monotonic() if self._governor.holds else None
        figures = (cost_done, self._steps(tables), held_since, self._taking_in())
        self._watchdog.tick(figures, suspects=self._wires.suspects)

    def _on_stopping(self) -> None:
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()
        waited_s = time.monotonic() - self._stopping_since
        self._reporter.emit(Waiting(what="the workers to stop", seconds=waited_s))

    def _press(self, cost_done: float) -> None:
        """Slow the loaders down, or hold them, before a server is in trouble."""
        view = self._lookout.view
        strains = [
            *of_server(view.pressure, writers=view.writers),
            *self._surroundings.strains(self._board.cost_total - cost_done),
        ]
        if view.own_lag_s is not None:
            strains.append(of_itself(view.own_lag_s, self._options.max_lag_s))
        waiting = any(loader.holding for loader in self._loaders)
        self._governor.tick(strains, waiting=waiting)
        for loader in self._loaders:
            loader.pause_s, loader.held = self._governor.pause_s, self._governor.holds
        for name in self._surroundings.unseen():
            if name not in self._unseen:
                self._unseen.add(name)
                self._reporter.hint(f"replica {name} does not tell its lag: nobody waits for it")

    def _give_up_dead_wires(self) -> None:
        flows = [
            Flow(loader.connection.id, describe(task), since_s, loader.live_bytes)
            for loader in self._loaders
            if (task := loader.task) is not None
            and (since_s := loader.connection.busy_since) is not None
        ]
        for one in self._wires.observe(time.monotonic(), flows, self._lookout.view):
            wire = f"connection {one.connection}, {one.what}: no byte passes; {one.cause}"
            if one.over:
                self._reporter.hint(f"{wire}: it is given up after {one.seconds:.0f} s")
                self._cancel(one.connection)
            else:
                self._reporter.emit(Waiting(what=wire, seconds=one.seconds))

    def _tell(self, task: Task) -> None:
        match task:
            case LoadGroup(job) | ProveGroup(job):
                self._reporter.emit(
                    ChunkDone(
                        table=str(job.target),
                        chunk=task.chunk.index,
                        row_group=task.group,
                        rows=task.row_group.digest.rows,
                        size_bytes=task.row_group.wire_bytes,
                        proven=job.keyed and not (isinstance(task, LoadGroup) and task.late),
                        worker=self._pool.spent.worker,
                        seconds=self._pool.spent.seconds,
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

    def _fractions(self) -> dict[int, float]:
        """How far the running index builds and the writing of tablespaces are, by table."""
        percents = self._lookout.view.percents
        fractions = {}
        for loader in self._loaders:
            task = loader.task
            if isinstance(task, PlaceTable) and task.job.lane is not None:
                fractions[task.job.index] = min(1.0, loader.live_bytes / task.job.lane.size_bytes)
            if isinstance(task, BuildIndex):
                percent = percents.get(loader.connection.id)
                step = (task.job.index, task.number)
                fractions[task.job.index] = self._gauge.read(
                    step, None if percent is None else percent / 100
                )
        return fractions

    def _taking_in(self) -> int:
        """What the server has done meanwhile, while it takes in a tablespace; 0 while it does not.

        One statement without any progress of its own: its counters say whether it moves.
        """
        since_s = max(
            (
                time.monotonic() - busy_s
                for loader in self._loaders
                if isinstance(loader.task, PlaceTable)
                and (busy_s := loader.connection.busy_since) is not None
            ),
            default=0.0,
        )
        if since_s < _SAID_AFTER_S:
            return 0
        self._reporter.emit(Waiting(what="the server to take in a tablespace", seconds=since_s))
        return self._lookout.view.pressure.work

    def _steps(self, tables: Sequence[TableProgress]) -> tuple[str, ...]:
        return tuple(table.state for table in tables)

    def _connection_ids(self) -> list[int]:
        return [loader.connection.id for loader in self._loaders]

    def _building(self) -> list[int]:
        return [
            loader.connection.id for loader in self._loaders if isinstance(loader.task, BuildIndex)
        ]

    def _doing(self) -> list[Doing]:
        return [
            Doing.on(loader.connection, number, describe(task), loader.pausing)
            for number, loader in enumerate(self._loaders, 1)
            if (task := loader.task) is not None  # it ends in its own thread
        ]

    def _cancel(self, connection_id: int) -> None:
        """End a stuck statement from this side; the worker opens a new connection and looks."""
        for loader in self._loaders:
            if loader.connection.id == connection_id:
                loader.connection.abort()


def _dump_stacks(path: Path) -> None:
    with path.open("a") as file:
        faulthandler.dump_traceback(file)

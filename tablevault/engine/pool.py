"""Bounded workers around one coordinator: one context each for life, first error wins.

The coordinator's thread hands out tasks, takes results and ticks; it never waits longer than one
tick, so it cannot fall silent whatever the workers do.  There is one queue and no waiting of a
worker for another worker: nothing here can hold and wait.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tablevault.errors import CannotComplete

C = TypeVar("C")
T = TypeVar("T")
R = TypeVar("R")

TICK_S = 0.5
_STOP_GRACE_S = 5.0  # an interrupted worker ends at once; this bounds one that does not
_ENDED = object()


@dataclass(frozen=True)
class Spent:
    """Which worker did a task, by the number of its context, and for how long."""

    worker: int | None = None
    seconds: float = 0.0


class Pool(Generic[C, T, R]):
    """Run `work(context, task)` for every task, one thread a context.

    `interrupt(context)` must make a blocked `work` of that context end at once, may be called
    from the coordinator's thread, and must neither wait nor raise (it shuts a socket).
    Tasks with a smaller `priority` run first; equal ones in the order in which they were added.
    """

    def __init__(
        self,
        contexts: Sequence[C],
        work: Callable[[C, T], R],
        *,
        interrupt: Callable[[C], None],
        tick_s: float = TICK_S,
    ) -> None:
        self.spent = Spent()  # on the task whose result `on_result` has at hand
        self._contexts = contexts
        self._work = work
        self._interrupt = interrupt
        self._tick_s = tick_s
        self._changed = threading.Condition()
        self._tasks: list[tuple[float, int, T]] = []
        self._serial = itertools.count()
        self._results: queue.SimpleQueue[tuple[object, BaseException | None, Spent]] = (
            queue.SimpleQueue()
        )
        self._open = 0  # tasks whose result the coordinator has not handled, and living feeders
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._feeders: list[tuple[Iterable[T], Callable[[], None]]] = []

    def add(self, task: T, *, priority: float = 0.0) -> None:
        """Queue a task; from the coordinator's thread, before or during `run`."""
        with self._changed:
            heapq.heappush(self._tasks, (priority, next(self._serial), task))
            self._open += 1
            self._changed.notify_all()

    def feed(self, source: Iterable[T], interrupt: Callable[[], None]) -> None:
        """Take tasks from `source` in a thread of its own, never far ahead of the workers.

        `interrupt` ends a blocked `source`, under the same rules as the workers' one.
        """
        self._feeders.append((source, interrupt))
        self._open += 1

    def announce(self, result: R) -> None:
        """From the thread of a worker, during a task: a result that comes before the task's own."""
        with self._changed:
            self._open += 1
        self._results.put((result, None, Spent()))

    def run(
        self,
        on_result: Callable[[R], None],
        on_tick: Callable[[], None],
        *,
        first_tick_s: float | None = None,
        on_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        """Work until nothing is left; `on_result` may add tasks.

        Raises the first error of a worker, a feeder, `on_result` or `on_tick`, after all workers
        have been stopped.  What a stopped worker says afterwards is not heard.  `first_tick_s`
        brings the first tick forward; `on_stopping` is called at every tick while it waits for
        workers to end.
        """
        try:
            self._start()  # within: an interruption may come before all threads run
            next_tick = time.monotonic() + (self._tick_s if first_tick_s is None else first_tick_s)
            while self._open:
                wait_s = max(0.0, next_tick - time.monotonic())
                try:
                    outcome = self._results.get(timeout=wait_s)
                except queue.Empty:
                    pass
                else:
                    result, error, self.spent = outcome
                    self._handle(result, error, on_result)
                if time.monotonic() >= next_tick:
                    on_tick()
                    next_tick = time.monotonic() + self._tick_s
        except BaseException:
            self._stop(on_stopping, interrupt=True)
            raise
        self._stop(on_stopping, interrupt=False)

    def _handle(
        self, result: object, error: BaseException | None, on_result: Callable[[R], None]
    ) -> None:
        if error is not None:
            raise error
        if result is not _ENDED:
            on_result(result)  # type: ignore[arg-type]
        with self._changed:  # only now: `on_result` may have added what follows from the result
            self._open -= 1

    def _start(self) -> None:
        for numbered in enumerate(self._contexts):
            self._spawn(self._worker, numbered)
        for source, _ in self._feeders:
            self._spawn(self._feeder, source)

    def _spawn(self, body: Callable[..., None], argument: object) -> None:
        thread = threading.Thread(target=body, args=(argument,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _worker(self, numbered: tuple[int, C]) -> None:
        number, context = numbered
        while True:
            with self._changed:
                while not self._tasks and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                _, _, task = heapq.heappop(self._tasks)
                self._changed.notify_all()
            began_s = time.monotonic()
            try:
                result = self._work(context, task)
                self._results.put((result, None, Spent(number, time.monotonic() - began_s)))
            except BaseException as error:
                self._results.put((None, error, Spent(number, time.monotonic() - began_s)))
                return

    def _feeder(self, source: Iterable[T]) -> None:
        ahead = 2 * len(self._contexts)
        try:
            for task in source:
                with self._changed:
                    while len(self._tasks) >= ahead and not self._stopping:
                        self._changed.wait()
                    if self._stopping:
                        return
                self.add(task)
            self._results.put((_ENDED, None, Spent()))
        except BaseException as error:
            self._results.put((None, error, Spent()))

    def _stop(self, on_stopping: Callable[[], None], *, interrupt: bool) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if interrupt:
            for context in self._contexts:
                self._interrupt(context)
            for _, interrupt_source in self._feeders:
                interrupt_source()
        deadline = time.monotonic() + _STOP_GRACE_S
        for thread in self._threads:
            while thread.is_alive() and time.monotonic() < deadline:
                thread.join(min(self._tick_s, max(0.0, deadline - time.monotonic())))
                if thread.is_alive():
                    on_stopping()


def run_aside(
    call: Callable[[], R],
    *,
    on_tick: Callable[[], None],
    interrupt: Callable[[], None],
    tick_s: float = TICK_S,
    first_tick_s: float | None = None,
) -> R:
    """Run one blocking call in a thread while the coordinator ticks; return what it returns.

    `interrupt` is called when the coordinator fails or is interrupted meanwhile, and never once
    the call has ended, however it did: its connection is as usable after an error as before.
    """
    results: list[R] = []
    ended = threading.Event()

    def work(_: None, task: Callable[[], R]) -> R:
        try:
            return task()
        finally:
            ended.set()

    def interrupt_running(_: None) -> None:
        if not ended.is_set():
            interrupt()

    pool: Pool[None, Callable[[], R], R] = Pool(
        [None], work, interrupt=interrupt_running, tick_s=tick_s
    )
    pool.add(call)
    pool.run(results.append, on_tick, first_tick_s=first_tick_s, on_stopping=on_tick)
    if not results:
        raise CannotComplete("an inner step ended without a result")
    return results[0]

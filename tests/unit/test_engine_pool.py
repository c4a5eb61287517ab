"""The pool: every task once, first error wins, nothing outlives it, the coordinator ticks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tablevault.engine.pool import Pool, run_aside
from tablevault.errors import CannotComplete

Task = Callable[[], int]


class Worker:
    """A context whose blocking work can be cut, as a connection's can."""

    def __init__(self) -> None:
        self.cut = threading.Event()

    def interrupt(self) -> None:
        self.cut.set()


def make_pool(workers: list[Worker], work: Callable[[Worker, int], int]) -> Pool[Worker, int, int]:
    return Pool(workers, work, interrupt=Worker.interrupt, tick_s=0.05)


def ignore() -> None:
    pass


def test_every_task_runs_exactly_once() -> None:
    seen: list[int] = []
    pool = make_pool([Worker() for _ in range(3)], lambda _, task: task)
    for task in range(500):
        pool.add(task)
    pool.run(seen.append, ignore)
    assert sorted(seen) == list(range(500))


def test_results_may_add_tasks() -> None:
    seen: list[int] = []
    pool = make_pool([Worker(), Worker()], lambda _, task: task)

    def follow(result: int) -> None:
        seen.append(result)
        if result < 50:
            pool.add(result + 1)

    pool.add(0)
    pool.run(follow, ignore)
    assert seen == list(range(51))


def test_what_a_worker_announces_is_followed_before_its_task_has_ended() -> None:
    seen: list[int] = []
    followed = threading.Event()

    def work(_: Worker, task: int) -> int:
        if task == 1:
            pool.announce(10)
            assert followed.wait(5)  # the other worker has done what follows from it
        if task == 11:
            followed.set()
        return task

    def follow(result: int) -> None:
        seen.append(result)
        if result == 10:
            pool.add(11)

    pool = make_pool([Worker(), Worker()], work)
    pool.add(1)
    pool.run(follow, ignore)
    assert seen[0] == 10 and sorted(seen) == [1, 10, 11]


def test_smaller_priority_runs_first() -> None:
    seen: list[int] = []
    pool = make_pool([Worker()], lambda _, task: task)
    for task in (3, 1, 2):
        pool.add(task, priority=task)
    pool.run(seen.append, ignore)
    assert seen == [1, 2, 3]


def test_feeder_stays_close_to_the_workers() -> None:
    produced = 0
    furthest = 0
    done = 0

    def source() -> Iterator[int]:
        nonlocal produced
        for number in range(200):
            produced += 1
            yield number

    def work(_: Worker, task: int) -> int:
        time.sleep(0.001)
        return task

    def on_result(_: int) -> None:
        nonlocal done, furthest
        done += 1
        furthest = max(furthest, produced - done)

    pool = make_pool([Worker(), Worker()], work)
    pool.feed(source(), ignore)
    pool.run(on_result, ignore)
    assert done == 200
    assert furthest < 30


def test_first_error_wins_and_blocked_workers_are_cut() -> None:
    workers = [Worker(), Worker()]

    def work(worker: Worker, task: int) -> int:
        if task == 1:
            time.sleep(0.1)
            raise CannotComplete("chunk 1 is bad")
        assert worker.cut.wait(30), "was not interrupted"
        raise CannotComplete("a consequence, not the cause")

    pool = make_pool(workers, work)
    pool.add(0)
    pool.add(1)
    began = time.monotonic()
    with pytest.raises(CannotComplete, match="chunk 1 is bad"):
        pool.run(lambda _: None, ignore)
    assert time.monotonic() - began < 5
    assert all(worker.cut.is_set() for worker in workers)


def test_error_of_the_feeder_ends_the_run() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise CannotComplete("planning failed")

    pool = make_pool([Worker()], lambda _, task: task)
    pool.feed(source(), ignore)
    with pytest.raises(CannotComplete, match="planning failed"):
        pool.run(lambda _: None, ignore)


def test_a_blocked_feeder_is_cut() -> None:
    cut = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        assert cut.wait(30)

    def work(_: Worker, task: int) -> int:
        raise CannotComplete("stop")

    pool = make_pool([Worker()], work)
    pool.feed(source(), cut.set)
    with pytest.raises(CannotComplete, match="stop"):
        pool.run(lambda _: None, ignore)
    assert cut.is_set()


def test_an_interruption_in_a_tick_stops_all_threads() -> None:
    before = threading.active_count()
    worker = Worker()

    def interrupted() -> None:
        raise KeyboardInterrupt

    pool = make_pool([worker], lambda context, _: int(context.cut.wait(30)))
    pool.add(1)
    with pytest.raises(KeyboardInterrupt):
        pool.run(lambda _: None, interrupted)
    assert worker.cut.is_set()
    assert threading.active_count() == before


def test_the_coordinator_ticks_while_a_worker_is_busy() -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    pool = make_pool([Worker()], lambda _, task: time.sleep(0.5) or task)
    pool.add(1)
    pool.run(lambda _: None, tick)
    assert ticks >= 5


def test_run_aside_returns_and_raises() -> None:
    assert run_aside(lambda: 42, on_tick=ignore, interrupt=ignore) == 42

    def fail() -> int:
        raise CannotComplete("no")

    with pytest.raises(CannotComplete, match="no"):
        run_aside(fail, on_tick=ignore, interrupt=ignore)


def test_run_aside_interrupts_only_what_still_runs() -> None:
    interrupted: list[int] = []

    def fail() -> int:
        raise CannotComplete("no")

    with pytest.raises(CannotComplete):
        run_aside(fail, on_tick=ignore, interrupt=lambda: interrupted.append(1))
    assert interrupted == []  # its connection is needed for what follows the error

    stop = threading.Event()

    def end() -> None:
        interrupted.append(2)
        stop.set()

    def tick() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_aside(lambda: stop.wait(10), on_tick=tick, interrupt=end)
    assert interrupted == [2]


def test_it_ticks_while_it_waits_for_a_worker_to_end() -> None:
    def stubborn(_: Worker, task: int) -> int:
        if task == 0:
            raise CannotComplete("failed")
        time.sleep(0.5)  # hears no interruption
        return task

    pool = make_pool([Worker(), Worker()], stubborn)
    pool.add(1)
    pool.add(0)
    told: list[float] = []
    with pytest.raises(CannotComplete):
        pool.run(lambda _: None, ignore, on_stopping=lambda: told.append(time.monotonic()))
    assert len(told) >= 4


def test_the_first_tick_can_be_brought_forward() -> None:
    ticks: list[float] = []
    pool = Pool([Worker()], lambda _, task: time.sleep(0.2) or task, interrupt=Worker.interrupt)
    pool.add(1)
    began_s = time.monotonic()
    pool.run(lambda _: None, lambda: ticks.append(time.monotonic() - began_s), first_tick_s=0.05)
    assert len(ticks) == 1 and ticks[0] < 0.15

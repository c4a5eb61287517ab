"""What every operation's run has in common: a first and a last event, and sampled progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tablevault.engine.meter import Meter
from tablevault.engine.pool import TICK_S, run_aside
from tablevault.errors import Interrupted, TablevaultError
from tablevault.events import Progress, Reporter, RunBegan, RunEnded, TableProgress, Waiting
from tablevault.ops.status import shown
from tablevault.vault.catalog import reading
from tablevault.vault.store import Store

R = TypeVar("R")


@dataclass
class Ending:
    """How a run that raises nothing ends; set to "findings" by a check that found some."""

    status: str = "ok"
    held: ExitStack = field(default_factory=ExitStack)

    def reads(self, store: Store, snapshot_id: str) -> None:
        """Keep a snapshot from being removed until the run has ended.  Raises as `reading`."""
        self.held.enter_context(reading(store, snapshot_id))


@contextmanager
def reported(
    reporter: Reporter,
    operation: str,
    *,
    snapshot: str | None = None,
    tables: Sequence[str] = (),
    state_dir: Path | None = None,
) -> Iterator[Ending]:
    """Emit the run's first event, and its last one however the run ends.

    An interruption leaves as Interrupted; every other exception leaves as it is.  With
    `state_dir` the run can be watched from another process.
    """
    with shown(reporter, state_dir):
        reporter.emit(RunBegan(operation=operation, snapshot=snapshot, tables=tuple(tables)))
        with _told_how_it_ends(reporter, operation) as ending, ending.held:
            yield ending


@contextmanager
def _told_how_it_ends(reporter: Reporter, operation: str) -> Iterator[Ending]:
    ending = Ending()
    try:
        yield ending
        reporter.emit(RunEnded(status=ending.status, seconds=reporter.seconds, percent=100.0))
    except KeyboardInterrupt:
        message = f"{operation} interrupted"
        reporter.emit(RunEnded(status="interrupted", seconds=reporter.seconds, message=message))
        raise Interrupted(message) from None
    except TablevaultError as error:
        status = "interrupted" if isinstance(error, Interrupted) else "failed"
        seconds, message, hint = reporter.seconds, error.message, error.hint
        reporter.emit(RunEnded(status=status, seconds=seconds, message=message, hint=hint))
        raise
    except BaseException as error:
        reporter.emit(RunEnded(status="failed", seconds=reporter.seconds, message=repr(error)))
        raise


def aside(
    reporter: Reporter,
    what: str,
    call: Callable[[], R],
    interrupt: Callable[[], None] = lambda: None,
) -> R:
    """Run a blocking call beside the coordinator, which says what is waited for meanwhile."""
    began_s = time.monotonic()

    def tick() -> None:
        reporter.emit(Waiting(what=what, seconds=time.monotonic() - began_s))

    return run_aside(call, on_tick=tick, interrupt=interrupt, first_tick_s=first_tick_s(reporter))


def first_tick_s(reporter: Reporter) -> float:
    """Until the next step's first tick: short steps in a row must not add up to a silence."""
    return max(0.0, TICK_S - reporter.quiet_s)


class ProgressSampler:
    """Turns counters into `Progress` events.

    Work is counted in cost units, so that phases of unlike kind (rows to load, indexes to build)
    add up to one percentage; a unit is what a byte of rows costs.
    """

    def __init__(
        self, reporter: Reporter, cost_total: float = 0.0, expected_rate_s: float = 0.0
    ) -> None:
        """`expected_rate_s` is in cost units: what is gone by until something has moved."""
        self._reporter = reporter
        self.cost_total = cost_total
        self._cost = Meter(expected_rate_s)
        self._bytes = Meter()

    def show(
        self, tables: Sequence[TableProgress], *, bytes_total: int, cost_done: float | None = None
    ) -> None:
        """Emit one sample; `cost_done` defaults to the bytes done."""
        now_s = time.monotonic()
        bytes_done = sum(table.bytes_done for table in tables)
        done = bytes_done if cost_done is None else cost_done
        total = self.cost_total or bytes_total
        self._cost.sample(now_s, done)
        self._bytes.sample(now_s, bytes_done)
        self._reporter.emit(
            Progress(
                # what is sampled is never the end: the last event of the run alone says 100
                percent=min(99.9, 100.0 * done / total) if total else None,
                rows_done=sum(table.rows_done for table in tables),
                rows_total=sum(table.rows_total for table in tables),
                bytes_done=bytes_done,
                bytes_total=bytes_total,
                rate_bytes_s=self._bytes.rate_s,
                remaining_s=self._cost.remaining_s(total) if total else None,
                tables=tuple(tables),
            )
        )

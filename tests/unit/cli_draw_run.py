"""A run that does nothing but draw itself on standard error; started by the tests of the bars."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tablevault.cli.bars import BarProgress
from tablevault.events import (
    Hint,
    PhaseBegan,
    Progress,
    RunBegan,
    RunEnded,
    TableProgress,
    Waiting,
)

TABLES = 9
STEPS = 10


def sample(step: int) -> Progress:
    """Step `step` of ten: the last tables are done first."""
    tables = tuple(
        TableProgress(
            table=f"shop.täble{{{number}}}" if number < 4 else f"shop.t{number}",
            rows_done=80_000 * step,
            rows_total=800_000,
            bytes_done=1,
            state="done" if number > TABLES - step // 2 else "reading",
        )
        for number in range(TABLES)
    )
    return Progress(
        time=step / 2,
        percent=10.0 * step,
        rows_done=1_000_000 * step,
        rows_total=10_000_000,
        bytes_done=1,
        bytes_total=2,
        rate_bytes_s=83.4e6,
        remaining_s=100.0 - 10 * step,
        tables=tables,
    )


def main(mode: str, mark: str | None = None) -> None:
    observer = BarProgress(sys.stderr, verbose=1)
    if mode == "lines":
        observer(RunBegan(run="R1", operation="restore", snapshot="S1"))
        observer(PhaseBegan(phase="locking"))
        blockers = ("connection 42, 61 s: UPDATE x",)
        for second in (3, 4):
            what = "waiting for the lock of shop.orders"
            observer(Waiting(time=second, what=what, seconds=second, blockers=blockers))
    observer(PhaseBegan(phase="reading"))
    for step in range(1, STEPS + 1):
        observer(sample(step))
        if mode == "lines" and step == 5:
            observer(Hint(message="odd \x1b[31m thing"))
        if mode == "slow":
            time.sleep(0.1)
    if mode == "lines":
        observer(RunEnded(status="ok", seconds=3))
    observer.close()
    if mark:
        Path(mark).touch()
    else:
        print("END")


main(*sys.argv[1:])

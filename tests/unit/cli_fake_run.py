"""The command line over operations that only pretend; started by the tests of its dialogue.

FAKE chooses what they do: "proven", "swapped", "hang" until interrupted, "fail".
"""

from __future__ import annotations

import os
import sys
import time
import types
from pathlib import Path
from typing import Any

from tablevault.errors import LockNotGranted, ProofFailed
from tablevault.events import Observer, PhaseBegan, Reporter, RunBegan, RunEnded
from tablevault.model import Finding, TableName
from tablevault.ops.options import (
    RestoreOptions,
    RestoreResult,
    SwapResult,
    TableResult,
    VerifyResult,
)
from tablevault.ops.running import reported
from tablevault.ops.verify_terms import Extent

FAKE = os.environ.get("FAKE", "proven")
RUN = "20260101T000000Z-abcdef"
TABLE = TableName("shop", "orders")
STAGING, KEPT = TableName("shop", "_tv_new_orders"), TableName("shop", "_tv_old_orders")


def restore(
    target: Any, store: Any, snapshot: str, options: Any, state_dir: Path, observer: Observer
) -> RestoreResult:
    reporter = Reporter(RUN, observer)
    with reported(reporter, "restore", snapshot=snapshot):
        reporter.begin_phase("loading")
        if FAKE == "fail":
            raise ProofFailed("shop.orders: the digest differs", hint="look at the disk")
        if FAKE == "hang":
            hang()
        if FAKE == "crash":
            raise RuntimeError("a bug")
    result = TableResult(TABLE, 600_000, 83_000_000, 12.0, staging=STAGING)
    status = "swapped" if options.swap else "proven"
    return RestoreResult(RUN, snapshot, status, (result,), 12.0)


def hang() -> None:
    """Until interrupted; then clean up, which takes a moment and tells when it is through."""
    try:
        sys.stderr.write("HANGING\n")
        sys.stderr.flush()
        time.sleep(20)
    finally:
        time.sleep(0.6)
        sys.stderr.write("CLEANED\n")
        sys.stderr.flush()


def resume(
    target: Any,
    store: Any,
    run: str,
    state_dir: Path,
    observer: Observer,
    *,
    now: RestoreOptions,
) -> RestoreResult:
    return RestoreResult(run, "S", "swapped" if now.swap else "proven", (), 1.0)


def swap(
    target: Any, run: str, state_dir: Path, observer: Observer, *, lock_wait_s: float
) -> SwapResult:
    sys.stderr.write(f"SWAPPING {run} on {target.target} within {lock_wait_s} s\n")
    sys.stderr.write(f"PASSWORD OF {len(target.password or '')}\n")
    if FAKE == "locked":
        raise LockNotGranted("shop.orders stayed in use", hint="try again later")
    result = TableResult(TABLE, 600_000, 83_000_000, kept=KEPT)
    return SwapResult(run, "swapped", (result,), 0.2)


def verify(
    store: Any, snapshot: str, extent: Extent, *, observer: Observer, **options: Any
) -> VerifyResult:
    observer(RunBegan(run=RUN, operation="verify", snapshot=snapshot))
    observer(PhaseBegan(run=RUN, phase="checking"))
    found = Finding("damaged", "one bit is wrong", TABLE, 3, "shop/orders/part-00003.parquet")
    findings = (found,) if FAKE == "findings" else ()
    observer(RunEnded(run=RUN, status="findings" if findings else "ok", seconds=1))
    return VerifyResult(RUN, snapshot, extent.depth, 10, 10, 5, 6, 1.0, findings)


def install(name: str, **members: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module


install("tablevault.ops.restore", restore=restore, resume=resume)
install("tablevault.ops.swap", swap=swap, rollback=swap, cleanup=swap)
install("tablevault.ops.verify", verify=verify)

if __name__ == "__main__":
    from tablevault.cli import signals
    from tablevault.cli.main import main

    signals.PATIENCE_S = float(os.environ.get("PATIENCE_S", signals.PATIENCE_S))

    sys.exit(main())

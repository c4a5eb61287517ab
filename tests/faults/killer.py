"""`python tests/faults/killer.py WHEN ARGUMENT...`: the command line, with a bomb in its journal.

WHEN is `before:N` or `after:N`: the process SIGKILLs itself before, or after, the N-th entry is
appended (counted from 0 in this process, over all threads); `interrupt:N` is a Ctrl-C before it.
`before:KIND:N` counts the entries of one kind only: how many there are of others may vary.
TABLEVAULT_TEST_BATCH_ROWS makes the batches of a repair so small; the process that
TABLEVAULT_TEST_ALSO_KILLED names is killed first: both end, as when a machine does.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any

from tablevault.cli.main import main
from tablevault.ops import repair_stage
from tablevault.vault.journal import Entry, Journal


def arm(when: str) -> None:
    """Let the journal kill the process at one entry."""
    side, _, entry = when.partition(":")
    only, _, number = entry.rpartition(":")
    fatal = int(number)
    count = itertools.count()
    append = Journal.append

    def bomb() -> None:
        if other := os.environ.get("TABLEVAULT_TEST_ALSO_KILLED"):
            os.kill(int(other), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGINT if side == "interrupt" else signal.SIGKILL)

    def armed(self: Journal, kind: str, **fields: Any) -> Entry:
        counted = not only or kind == only
        if side != "after" and counted and next(count) == fatal:
            bomb()
        entry = append(self, kind, **fields)
        # counted only now: those before it are on disk then, whichever thread appended them
        if side == "after" and counted and next(count) == fatal:
            bomb()
        return entry

    Journal.append = armed  # type: ignore[method-assign]


if __name__ == "__main__":
    arm(sys.argv[1])
    if rows := os.environ.get("TABLEVAULT_TEST_BATCH_ROWS"):
        repair_stage.BATCH_ROWS = int(rows)
    sys.exit(main(sys.argv[2:]))

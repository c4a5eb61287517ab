"""`python tests/faults/killer.py WHEN ARGUMENT...`: the command line, with a bomb in its journal.

WHEN is `before:N` or `after:N`: the process SIGKILLs itself before, or after, the N-th entry is
appended (counted from 0 in this process, over all threads).
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any

from tablevault.cli.main import main
from tablevault.vault.journal import Entry, Journal


def arm(when: str) -> None:
    """Let the journal kill the process at one entry."""
    side, _, number = when.partition(":")
    fatal = int(number)
    count = itertools.count()
    append = Journal.append

    def bomb() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def armed(self: Journal, kind: str, **fields: Any) -> Entry:
        here = next(count) == fatal
        if here and side == "before":
            bomb()
        entry = append(self, kind, **fields)
        if here and side == "after":
            bomb()
        return entry

    Journal.append = armed  # type: ignore[method-assign]


if __name__ == "__main__":
    arm(sys.argv[1])
    sys.exit(main(sys.argv[2:]))

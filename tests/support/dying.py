"""Carry out a cut-over and die by SIGKILL at a journal entry: python -m tests.support.dying ...

Arguments: options file (JSON: connection, state folder, operation, run), which entry from
`swapping` on (from 0), and whether to die before it is written or right after; with a fourth,
counted from the first entry of that kind on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tablevault.mysql.connect import ConnectOptions
from tablevault.ops import swap as cutover
from tablevault.vault.journal import Entry, Journal

BEGINS = ("swapping", "rolling back")


def main(options: str, at: int, when: str, *begins: str) -> None:
    told = json.loads(Path(options).read_text())
    append = Journal.append
    seen = -1

    def dying(self: Journal, kind: str, **fields: Any) -> Entry:
        nonlocal seen
        seen += seen >= 0 or kind in (begins or BEGINS)
        if seen == at and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        entry = append(self, kind, **fields)
        if seen == at and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return entry

    Journal.append = dying  # type: ignore[method-assign]
    operation = getattr(cutover, told["operation"])
    operation(ConnectOptions(**told["connection"]), told["run"], Path(told["state"]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])

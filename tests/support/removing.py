"""`python -m tests.support.removing N ARGUMENT...`: the command line, killed before a removal.

The process SIGKILLs itself before the N-th call (from 0) that removes or renames something in a
file system; a negative N never does.  The number of such calls is printed at the end.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from tablevault.cli.main import main

_STATUS = "status.json"  # written each second by the clock: no step of what is tested


def arm(fatal: int) -> Callable[[], int]:
    """Let the steps count, and one of them kill; returns how many there were."""
    count = itertools.count()
    passed = 0

    def armed(call: Callable[..., Any]) -> Callable[..., Any]:
        def step(path: Any, *more: Any, **options: Any) -> Any:
            nonlocal passed
            if not any(_STATUS in os.fspath(name) for name in (path, *more[:1])):
                passed += 1
                if next(count) == fatal:
                    os.kill(os.getpid(), signal.SIGKILL)
            return call(path, *more, **options)

        return step

    for name in ("unlink", "rmdir", "rename"):
        setattr(os, name, armed(getattr(os, name)))
    return lambda: passed


if __name__ == "__main__":
    steps = arm(int(sys.argv[1]))
    code = main(sys.argv[2:])
    sys.stderr.write(f"steps: {steps()}\n")
    sys.exit(code)

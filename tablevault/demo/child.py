"""Running another program so that it never outlives an interruption."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Sequence
from typing import Any

_STOP_WITHIN_S = 15.0


def run_child(command: Sequence[str], *, stop: int = signal.SIGKILL, **popen: Any) -> int:
    """Run `command` to its end and return its exit code; `popen` goes to subprocess.Popen.

    When the caller is interrupted, the program gets the signal `stop`, and SIGKILL if that does
    not end it soon; it is gone when the interruption leaves.
    """
    started: list[subprocess.Popen[bytes]] = []
    failed: list[OSError] = []

    def start() -> None:
        try:
            started.append(subprocess.Popen(command, **popen))
        except OSError as error:
            failed.append(error)

    # A signal is raised in the main thread: there it could fall between the fork and the moment
    # at which the new process has a name by which to end it.
    starting = threading.Thread(target=start)
    try:
        starting.start()
        starting.join()
        if failed:
            raise failed[0]
        return started[0].wait()
    except BaseException:
        if starting.ident is not None:
            starting.join()
        for process in started:
            _end(process, stop)
        raise


def _end(process: subprocess.Popen[bytes], stop: int) -> None:
    if process.poll() is not None:
        return
    process.send_signal(stop)
    try:
        process.wait(_STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

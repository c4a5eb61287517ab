"""Signals that stop a run: once as an interruption, more often without making a mess.

The first SIGINT, SIGTERM or SIGHUP becomes KeyboardInterrupt in the main thread, so that the
operation cleans up and says how it ended.  While it does, further ones are answered by a line;
only after a while does one more end the process at once.  That too is safe (what is committed is
whole, and the next run clears remains away), but it is not the way of an impatient second key.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 10.0


class _Stopper:
    def __init__(self) -> None:
        self._stopped_at: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._stopped_at is None:
            self._stopped_at = now
            raise KeyboardInterrupt
        if now - self._stopped_at < PATIENCE_S:
            _note("tablevault: stopping: cleaning up, a moment please\n")
            return
        _note("tablevault: stopped without cleaning up; the next run does that\n")
        os._exit(130)


@contextmanager
def stopping_signals() -> Iterator[None]:
    """Turn the signals that stop a run into KeyboardInterrupt; main thread only.

    A signal that is ignored from outside (nohup, a background job) stays ignored.
    """
    stopper = _Stopper()
    before = {}
    for number in _STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, stopper)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _note(text: str) -> None:
    # By the descriptor: the handler may have interrupted a write to the stream itself.
    try:
        os.write(2, text.encode())
    except OSError:
        return

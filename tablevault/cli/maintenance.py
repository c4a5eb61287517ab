"""Somebody's maintenance, run as a process of its own that has the terminal to itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tablevault.errors import CannotComplete, UsageError

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_S = 0.5


@dataclass(frozen=True)
class CommandEnd:
    """How a command ended: `code` is its exit code, or minus the number of what killed it."""

    code: int
    seconds: float
    interrupted: bool = False  # by a signal that reached us

    @property
    def signal(self) -> str | None:
        """The name of the signal that ended it."""
        if self.code >= 0:
            return None
        try:
            return signal.Signals(-self.code).name
        except ValueError:
            return f"signal {-self.code}"


def assert_there(words: Sequence[str]) -> None:
    """Raise UsageError when there is no such program: before a snapshot is taken for it."""
    if shutil.which(words[0]) is None:
        raise UsageError(
            f"there is no command {words[0]!r}", hint="for shell syntax write: -- sh -c '...'"
        )


def run_command(
    words: Sequence[str], waiting: Callable[[float], None], *, to_stderr: bool
) -> CommandEnd:
    """Run a command to its end, its input and output ours; `waiting` is told the seconds so far.

    A signal that would stop us stops the command, and then we go on: the comparison that follows
    is needed all the more.  Raises CannotComplete when it cannot be started.
    """
    began_s = time.monotonic()
    try:
        process = subprocess.Popen(words, stdout=sys.stderr if to_stderr else None)
    except OSError as error:
        raise CannotComplete(f"cannot start {words[0]!r}: {error.strerror}") from error
    with _passed_on(process) as signals:
        while True:
            try:
                code = process.wait(timeout=_LOOK_S)
            except subprocess.TimeoutExpired:
                waiting(time.monotonic() - began_s)
            else:
                return CommandEnd(code, time.monotonic() - began_s, interrupted=bool(signals))


@contextmanager
def _passed_on(process: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Signals that would stop us go to the command instead; those that came, in order."""
    came: list[int] = []
    # The terminal sends its own to every process that it shows, so to the command as well: to
    # send it once more would be the second Ctrl-C that nobody pressed.
    terminal = _has_terminal()

    def pass_on(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if number == signal.SIGTERM or not terminal:
            process.send_signal(number)

    before = {
        number: signal.signal(number, pass_on)
        for number in _STOPPING
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY))
    except OSError:
        return False
    return True

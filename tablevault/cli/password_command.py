"""The password as a program gives it: run without a shell, bounded, and never repeated.

What the program says on standard error passes through; of its command line only the program's
name is in a message.
"""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import time

from tablevault.cli.output import tell
from tablevault.errors import UsageError

TIMEOUT_S = 30.0
_SAY_S = 3.0  # what takes longer, or waits for somebody, is said
_LOOK_S = 0.1
_MAX_BYTES = 64 * 1024
_WHAT = "the password command"


def split_command(command: str) -> list[str]:
    """Its words, the program's path with `~` resolved.  Raises UsageError."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        why = str(error)
        raise UsageError(f"{_WHAT} is malformed: {why[:1].lower()}{why[1:]}") from None
    if not words:
        raise UsageError(f"{_WHAT} is empty")
    return [os.path.expanduser(words[0]), *words[1:]]


def from_anywhere(command: str) -> str:
    """The command with its program's path from the root.  Raises UsageError."""
    program, *words = split_command(command)
    # one without a folder is found by PATH, in every folder
    return shlex.join([os.path.abspath(program) if "/" in program else program, *words])


def password_from(command: str, timeout_s: float = TIMEOUT_S) -> str:
    """The first line that the command prints.

    Raises UsageError when it cannot be started, fails, takes too long, or prints no line.
    """
    words = split_command(command)
    name = f"{_WHAT} {words[0]!r}"
    try:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "malformed"
        hint = "for shell syntax write: sh -c '...'"
        raise UsageError(f"{name} cannot be started: {why}", hint=hint) from None
    try:
        printed = _printed(process, name, timeout_s)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    if process.returncode:
        ended = process.returncode
        how = f"with exit code {ended}" if ended > 0 else f"by signal {-ended}"
        raise UsageError(f"{name} failed {how}")
    line, end, _ = printed.partition(b"\n")
    try:
        password = line.removesuffix(b"\r").decode()
    except UnicodeDecodeError:  # which would repeat it
        password = ""
    if not password or (not end and len(printed) > _MAX_BYTES):
        raise UsageError(f"{name} printed no password as its first line, in UTF-8")
    return password


def _printed(process: subprocess.Popen[bytes], name: str, timeout_s: float) -> bytes:
    """The beginning of what it prints, when it has ended; the rest is read and dropped."""
    assert process.stdout is not None
    began_s, said, printed = time.monotonic(), False, b""
    with process.stdout as stdout:
        open_yet = True
        while open_yet or process.poll() is None:
            passed_s = time.monotonic() - began_s
            if passed_s > timeout_s:
                raise UsageError(f"{name} did not end within {timeout_s:g} s")
            if passed_s > _SAY_S and not said:
                said = True
                tell(f"waiting for {name}, up to {timeout_s:g} s")
            if not open_yet:
                time.sleep(_LOOK_S)
            elif select.select([stdout], [], [], _LOOK_S)[0]:
                piece = os.read(stdout.fileno(), _MAX_BYTES)
                open_yet = bool(piece)
                printed += piece if len(printed) <= _MAX_BYTES else b""
            elif process.poll() is not None:
                break  # what it left running in the background holds its output open
    return printed

"""Where words go: results to standard output or a file, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from tablevault.cli.units import printable
from tablevault.errors import CannotComplete


def prepare_streams() -> None:
    """Make sure that no name, however spelled, can fail to be printed."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print a result.

    A reader that has gone away (`| head`) changes nothing of what was done: the rest is dropped
    and the exit code stays that of the operation.  Raises CannotComplete when the result cannot
    be written for another reason.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    except OSError as error:
        _drop_stdout()
        raise CannotComplete(
            f"cannot write the result to standard output: {error.strerror}"
        ) from error


def say_json(result: dict[str, Any]) -> None:
    """Print a result as one JSON object on one line."""
    say(json.dumps(result, ensure_ascii=False, default=str))


def tell(text: str) -> None:
    """Print something that is no result; a terminal that is gone is no reason to fail."""
    write_line(sys.stderr, text)


def tell_error(message: str, hint: str | None = None, lines: Sequence[str] = ()) -> None:
    """Print why it failed, and what to do about it; several reasons are `lines`, one each."""
    for line in lines or (message,):
        tell(f"tablevault: error: {printable(line)}")
    if hint:
        tell(f"hint: {printable(hint)}")


def write_line(stream: TextIO | None, text: str) -> bool:
    """Write one line at once; False when the stream takes no more."""
    if stream is None:
        return False
    try:
        stream.write(text + "\n")
        stream.flush()
    except (OSError, ValueError):  # gone, or closed
        return False
    return True


def _drop_stdout() -> None:
    # What is still buffered must go somewhere, or the interpreter complains at its end.
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def write_whole(path: Path, text: str, mode: int) -> None:
    """Put a file in place at once: whoever reads it sees the old one or the new one."""
    passing = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(passing, path)
    except OSError as error:
        with suppress(OSError):
            passing.unlink()
        raise CannotComplete(f"cannot write {path}: {error.strerror}") from error

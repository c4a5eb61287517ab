"""What formats manual pages, where it is installed: each says what it thinks of a page."""

from __future__ import annotations

import shutil
import subprocess

_COMMANDS = (
    ("mandoc", "-Tlint", "-Wwarning"),
    ("groff", "-man", "-Tutf8", "-ww", "-P-cbou"),  # the text alone, without its bold and italic
    ("man", "-l", "--warnings", "-"),
)
Formatter = tuple[str, ...]


def find_formatters() -> tuple[Formatter, ...]:
    """Those there are; when there is none, that is said at the end of every test run."""
    return tuple(command for command in _COMMANDS if shutil.which(command[0]))


def formatted(formatter: Formatter, page: str) -> str:
    """What one makes of a page; it must complain of nothing."""
    done = subprocess.run(formatter, input=page, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, (formatter, done.stdout, done.stderr)
    return done.stdout

"""A terminal for tests: runs a program on a pseudo terminal, and shows what its screen held."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

_MOVE = re.compile(r"\x1b\[(\d*)([A-Za-z])")


@dataclass
class Screen:
    """The little of a terminal that progress bars use: \\r, \\n, cursor up, wrapping."""

    columns: int
    lines: list[list[str]] = field(default_factory=lambda: [[]])
    wraps: int = 0
    _x: int = 0
    _y: int = 0

    def write(self, text: str) -> None:
        position = 0
        while position < len(text):
            move = _MOVE.match(text, position)
            if move:
                if move[2] == "A":
                    self._y = max(0, self._y - int(move[1] or 1))
                position = move.end()
                continue
            self._put(text[position])
            position += 1

    def text(self) -> str:
        """What is on the screen, and above it."""
        lines = ["".join(line).rstrip() for line in self.lines]
        return "\n".join(lines).rstrip("\n")

    def _put(self, char: str) -> None:
        if char == "\r":
            self._x = 0
        elif char == "\n":
            self._down()
        else:
            if self._x >= self.columns:
                self.wraps += 1
                self._x = 0
                self._down()
            line = self.lines[self._y]
            line.extend(" " * (self._x + 1 - len(line)))
            line[self._x] = char
            self._x += 1

    def _down(self) -> None:
        self._y += 1
        if self._y == len(self.lines):
            self.lines.append([])


def run_on_terminal(
    command: Sequence[str],
    *,
    answers: Sequence[tuple[str, str]] = (),
    columns: int = 100,
    lines: int = 24,
    environment: Mapping[str, str] | None = None,
    on_text: Callable[[str, subprocess.Popen[bytes]], None] | None = None,
    timeout_s: float = 30.0,
) -> tuple[int, str]:
    """Exit code and everything written by `command`; each answer is typed after its question."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env={**os.environ, "TERM": "xterm", **(environment or {})},
    )
    os.close(slave)
    pending, output, deadline = list(answers), b"", time.monotonic() + timeout_s
    try:
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(master, 65536)
            except OSError:  # the other side is closed
                break
            if not data:
                break
            output += data
            text = output.decode("utf-8", "replace")
            if on_text:
                on_text(text, process)
            if pending and pending[0][0] in text:
                os.write(master, pending.pop(0)[1].encode())
        return process.wait(5), output.decode("utf-8", "replace")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)

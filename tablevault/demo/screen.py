"""How the demo writes: titles, paragraphs and figures, on a terminal or through a pipe."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from typing import TextIO

_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


class Screen:
    """Writes to `out` at once, so that it stays in order with what other processes write."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        dumb = os.environ.get("TERM", "dumb") == "dumb"
        self._bold = out.isatty() and not dumb and not os.environ.get("NO_COLOR")

    def title(self, text: str) -> None:
        """A heading, apart from what stands above."""
        self._write(f"\n{_BOLD}{text}{_PLAIN}\n" if self._bold else f"\n{text}\n")
        if not self._bold:
            self._write("-" * len(text) + "\n")

    def text(self, text: str) -> None:
        """A paragraph, as it is broken, without the indentation of the source."""
        self._write(textwrap.dedent(text).strip("\n") + "\n")

    def verbatim(self, text: str) -> None:
        """A file's text or a table of figures, set in by two columns."""
        self._write(textwrap.indent(text.rstrip("\n"), "  ") + "\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as columns: the first flush left, the others flush right.

    >>> print(aligned([("a", "1"), ("bc", "22")]))
    a    1
    bc  22
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)

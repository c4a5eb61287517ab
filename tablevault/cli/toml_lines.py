"""On which line a TOML file says what: tomllib gives values alone.

The text must be valid TOML, which tomllib has found before; so this only looks for where things
begin and end, and never judges.  What it cannot place is given the line of what holds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# the names of tables and keys from the top; a number is the place in an array, from 0
Where = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")  # a number, a date, true, false


class Lines:
    """The lines of one text, from 1."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._counted = (0, 1)  # up to which character, and the line that it is on
        self._lines: dict[Where, int] = {}
        self._arrays: dict[Where, int] = {}  # of tables: how many there are so far
        self._read()

    def of(self, where: Where) -> int | None:
        """The line on which it is written, else that of what holds it; None when nothing does."""
        while where and where not in self._lines:
            where = where[:-1]
        return self._lines.get(where)

    def known(self) -> Iterator[Where]:
        """All that was placed, in the order of the file."""
        return iter(self._lines)

    def _read(self) -> None:
        table: Where = ()
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Where:
        array = self._text.startswith("[[", self._at)
        line = self._line()
        self._at += 2 if array else 1
        names = self._key()
        self._skip(_SPACE)
        self._at += 2 if array else 1
        where: Where = ()
        for name in names[:-1]:
            where = self._last_of((*where, name))
            self._lines.setdefault(where, line)
        where = (*where, names[-1])
        if array:
            self._arrays[where] = self._arrays.get(where, 0) + 1
            self._lines.setdefault(where, line)
            where = self._last_of(where)
        self._lines[where] = line  # nearer than the header of a table within it
        return where

    def _last_of(self, where: Where) -> Where:
        """What a header means that names an array of tables: its last one."""
        return (*where, self._arrays[where] - 1) if where in self._arrays else where

    def _pair(self, table: Where) -> None:
        line = self._line()
        where = table
        for name in self._key():
            where = (*where, name)
            self._lines.setdefault(where, line)
        self._skip(_SPACE)
        self._at += 1  # =
        self._skip(_SPACE)
        self._value(where)

    def _key(self) -> list[str]:
        names = []
        while True:
            self._skip(_SPACE)
            quoted = _STRING.match(self._text, self._at)
            if quoted:
                names.append(_unquoted(quoted[0]))
                self._at = quoted.end()
            else:
                names.append(self._skip(_BARE_KEY))
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return names
            self._at += 1

    def _value(self, where: Where) -> None:
        first = self._text[self._at : self._at + 1]
        if first in ("'", '"'):
            self._skip(_STRING)
        elif first in ("[", "{"):
            self._at += 1
            number = 0
            while self._another():
                if first == "{":
                    self._pair(where)
                else:
                    self._lines[(*where, number)] = self._line()
                    self._value((*where, number))
                number += 1
            self._at += 1
        else:
            self._skip(_SCALAR)

    def _another(self) -> bool:
        """Whether an array or inline table goes on; its next element is at hand then."""
        self._skip(_BLANK)
        if self._text.startswith(",", self._at):
            self._at += 1
            self._skip(_BLANK)
        return self._at < len(self._text) and self._text[self._at] not in "]}"

    def _skip(self, what: re.Pattern[str]) -> str:
        found = what.match(self._text, self._at)
        if found is None:
            raise ValueError(f"not as TOML is: line {self._line()}")
        self._at = found.end()
        return found[0]

    def _line(self) -> int:
        before, line = self._counted
        self._counted = (self._at, line + self._text.count("\n", before, self._at))
        return self._counted[1]


def lines_of(text: str) -> Lines:
    """The lines of a text that tomllib has read; without any where it cannot be followed."""
    try:
        return Lines(text)
    except ValueError:
        return Lines("")


def _unquoted(key: str) -> str:
    import tomllib

    name: str = tomllib.loads(f"key = {key}")["key"]
    return name

"""A configuration file as it is read: its values, where each is written, what is wrong with it.

All mistakes of a file are collected and told together, each with its line and key.  What is wrong
is never shown where it may be a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from tablevault.cli.toml_lines import Lines, Where, lines_of
from tablevault.errors import UsageError

Read = Callable[[Any], Any]  # a value of the file, checked; raises Wrong
_SECRET = re.compile("pass|secret|pwd|token", re.IGNORECASE)
SECRET_HINT = (
    "a secret is only referred to: by a defaults_file (mode 0600), password_command, "
    "password_keyring or MYSQL_PWD"
)


class Wrong(Exception):
    """A value that cannot be taken: what it must be, and advice."""

    def __init__(self, what: str, hint: str | None = None, *, at: Where = ()) -> None:
        super().__init__(what)
        self.what, self.hint, self.at = what, hint, at  # `at`: where in the value


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong, `key` as it is written from the top: job.nightly.steps."""

    path: str
    line: int | None
    key: str
    what: str
    hint: str | None = None

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.key}: {self.what}" if self.key else f"{where}: {self.what}"


class ConfigMistaken(UsageError):
    """What is wrong with a configuration file, all of it, in the order of its lines."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda one: one.line or 0))
        message, hint = str(self.mistakes[0]), self.mistakes[0].hint
        if len(self.mistakes) > 1:
            path, hint = self.mistakes[0].path, None
            message = f"{path} has {len(self.mistakes)} mistakes: {'; '.join(self.lines)}"
        super().__init__(message, hint=hint)

    @property
    def lines(self) -> list[str]:
        """A line for each mistake, with its advice."""
        return [f"{one} ({one.hint})" if one.hint else str(one) for one in self.mistakes]


@dataclass
class ConfigFile:
    """One file; `mistakes` grows as its sections are checked."""

    path: Path
    values: Mapping[str, Any]
    lines: Lines
    mistakes: list[Mistake] = field(default_factory=list)

    def note(self, where: Where, what: str, hint: str | None = None) -> None:
        """Remember what is wrong at `where`."""
        key = ".".join(str(name) for name in where if not isinstance(name, int))
        self.mistakes.append(Mistake(str(self.path), self.lines.of(where), key, what, hint))

    def require(self) -> None:
        """Raise ConfigMistaken when anything is wrong."""
        if self.mistakes:
            raise ConfigMistaken(self.mistakes)

    def sections(self, kind: str) -> Mapping[str, Mapping[str, Any]]:
        """The sections [kind.NAME] by name; what is no such section is noted and left out."""
        found = self.values.get(kind, {})
        if not isinstance(found, dict):
            self.note((kind,), "must be a table", f"write [{kind}.NAME]")
            return {}
        good = {}
        for name, values in found.items():
            if not isinstance(values, dict):
                self.note((kind, name), "must be a table", f"write [{kind}.NAME]")
            else:
                good[name] = values
        return good

    def read(self, where: Where, values: Mapping[str, Any], known: Mapping[str, Read]) -> Any:
        """The values of a section, each by what `known` has for its key; the rest is noted."""
        fields: dict[str, Any] = {}
        for key, value in values.items():
            if key not in known:
                self.note((*where, key), "unknown key", _about_key(key, known))
                continue
            try:
                fields[key] = known[key](value)
            except Wrong as error:
                self.note((*where, key, *error.at), error.what, error.hint)
        return fields


def read_file(path: Path) -> ConfigFile:
    """The file, read.  Raises UsageError when it cannot be, or is no TOML."""
    import tomllib  # only where there is a file to read: it costs start-up time

    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: it is not in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        _refuse_syntax(path, text, str(error))
    return ConfigFile(path, values, lines_of(text))


def _refuse_syntax(path: Path, text: str, why: str) -> NoReturn:
    """tomllib's complaint, its line put where other mistakes have theirs."""
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", why)
    line, column = None, ""
    if found:
        why = why[: found.start()]
        line = int(found[1]) if found[1] else len(text.splitlines()) or 1
        column = f" at column {found[2]}" if found[2] else " at the end of the file"
    why = why[:1].lower() + why[1:]
    raise ConfigMistaken([Mistake(str(path), line, "", f"is not valid TOML: {why}{column}")])


def near(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Advice for a misspelled word; None when nothing known is like it."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=likeness)
    return f"did you mean {close[0]!r}?" if close else None


def _about_key(key: str, known: Iterable[str]) -> str:
    if _SECRET.search(key):  # `password` is like `password_command`, and is something else
        return near(key, known, likeness=0.9) or SECRET_HINT
    return near(key, known) or f"known keys: {', '.join(known)}"


def refer(kind: str, name: str, known: Iterable[str]) -> str:
    """`name` when there is a section [kind.NAME].  Raises Wrong with advice."""
    names = sorted(known)
    if name in names:
        return name
    there = f"{kind} sections there: {', '.join(names)}" if names else f"write [{kind}.{name}]"
    raise Wrong(f"there is no [{kind}.{name}]", near(name, names) or there)

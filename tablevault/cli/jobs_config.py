"""Jobs of the configuration: commands to be run one after the other, when, and who is told.

    [job.nightly]
    steps = [
      "snapshot 'shop.*' --name nightly",
      "verify --all --budget 20m",
      "drill latest",
      "prune --keep-last 7 --keep-weekly 5 --execute",
    ]
    at = "02:30"
    on_failure = ["/usr/local/bin/page-the-dba"]

A step is a command line of this program without its first word, and is checked as one; so there is
one language for options, and nothing in a job that could not be tried by hand.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from tablevault.cli.invocation import Invocation
from tablevault.cli.parser import refuse_password
from tablevault.cli.types import parse_duration
from tablevault.errors import UsageError

STEPS = ("snapshot", "verify", "diff", "drill", "prune", "doctor")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_AT = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
# what a job decides for its steps: where they are, and how they answer
_NOT_IN_STEPS = ("--json", "--events", "--config", "--profile", "--vault", "--state-dir", "-p")


@dataclass(frozen=True)
class SecretReference:
    """Where a secret is, never the secret itself: in an environment variable or in a file."""

    env: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        return f"${self.env}" if self.env else f"the file {self.file}"


@dataclass(frozen=True)
class Job:
    """One job, checked; times are in seconds."""

    name: str
    steps: tuple[tuple[str, ...], ...]
    profile: str | None = None
    at: tuple[int, int] = (2, 30)  # hour and minute, local time
    weekdays: tuple[str, ...] = ()  # none: every day
    jitter_s: float = 0.0
    max_runtime_s: float | None = None
    metrics: str | None = None  # a file for Prometheus' textfile collector
    on_failure: tuple[str, ...] = ()
    on_recovery: tuple[str, ...] = ()
    webhook: SecretReference | None = None


def read_jobs(path: Path, commands: Mapping[str, click.Command]) -> dict[str, Job]:
    """The jobs of a configuration.  Raises UsageError naming file, line and key."""
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    jobs = document.get("job", {})
    if not isinstance(jobs, dict):
        raise UsageError(f"{path}: 'job' must be a table", hint="write [job.NAME]")
    return {
        name: _Reader(path, text, name, values, commands).job() for name, values in jobs.items()
    }


class _Reader:
    """One section of the file."""

    def __init__(
        self,
        path: Path,
        text: str,
        name: str,
        values: Any,
        commands: Mapping[str, click.Command],
    ) -> None:
        self._path, self._text, self._name, self._commands = path, text, name, commands
        if not isinstance(values, dict):
            raise UsageError(f"{path}: job {name!r} must be a table", hint="write [job.NAME]")
        self._values: dict[str, Any] = values

    def job(self) -> Job:
        if not _NAME.fullmatch(self._name):
            self._refuse(None, "a job's name has letters a-z, digits, - and _ only")
        known = {
            "steps": self._steps,
            "profile": self._text_of,
            "at": self._at,
            "weekdays": self._weekdays,
            "jitter": self._duration,
            "max_runtime": self._duration,
            "metrics": self._text_of,
            "on_failure": self._words,
            "on_recovery": self._words,
            "webhook": self._reference,
        }
        fields: dict[str, Any] = {}
        for key, value in self._values.items():
            read: Callable[[str, Any], Any] | None = known.get(key)
            if read is None:
                hint = f"known keys: {', '.join(known)}"
                if re.search("pass|secret|pwd", key):
                    hint = "secrets come from the profile's defaults_file (mode 0600) or "
                    hint += "password_command, or from MYSQL_PWD"
                self._refuse(key, "unknown key", hint)
            name = f"{key}_s" if read == self._duration else key
            fields[name] = read(key, value)
        if not fields.get("steps"):
            self._refuse(None, "a job needs steps", 'such as steps = ["verify latest"]')
        return Job(name=self._name, **fields)

    def _steps(self, key: str, value: Any) -> tuple[tuple[str, ...], ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self._refuse(key, "must be a list of command lines")
        return tuple(self._step(key, number, line) for number, line in enumerate(value, 1))

    def _step(self, key: str, number: int, line: str) -> tuple[str, ...]:
        where = f"step {number}, {line!r}"
        try:
            words = shlex.split(line)
            refuse_password(words)
        except (ValueError, UsageError) as error:
            self._refuse(key, f"{where}: {error}")
        if not words or words[0] not in STEPS:
            self._refuse(key, f"{where}: a step is one of {', '.join(STEPS)}")
        decided = [w for w in words if w.partition("=")[0] in _NOT_IN_STEPS]
        if decided:
            self._refuse(key, f"{where}: {decided[0]} is for the job or its profile to say")
        command = self._commands[words[0]]
        try:
            command.make_context(words[0], words[1:], obj=Invocation())
        except click.ClickException as error:
            self._refuse(key, f"{where}: {error.format_message().rstrip('.')}")
        except (UsageError, click.exceptions.Exit) as error:
            self._refuse(key, f"{where}: {error}")
        return tuple(words)

    def _at(self, key: str, value: Any) -> tuple[int, int]:
        found = _AT.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            self._refuse(key, f'must be a time of day such as "02:30", not {value!r}')
        return int(found[1]), int(found[2])

    def _weekdays(self, key: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or not set(value) <= set(WEEKDAYS):
            self._refuse(key, f"must be a list of {', '.join(WEEKDAYS)}")
        return tuple(day for day in WEEKDAYS if day in value)

    def _duration(self, key: str, value: Any) -> float:
        try:
            return parse_duration(value if isinstance(value, str) else "")
        except ValueError:
            self._refuse(key, f'must be a duration such as "10m", not {value!r}')

    def _text_of(self, key: str, value: Any) -> str:
        if not isinstance(value, str) or not value:
            self._refuse(key, f"must be a string, not {value!r}")
        return value

    def _words(self, key: str, value: Any) -> tuple[str, ...]:
        if (
            not isinstance(value, list)
            or not value
            or not all(isinstance(one, str) for one in value)
        ):
            self._refuse(key, "must be a list of words: a program and its arguments")
        return tuple(value)

    def _reference(self, key: str, value: Any) -> SecretReference:
        # what is wrong is not shown: it may be the secret itself
        if isinstance(value, dict) and len(value) == 1:
            (kind, where), *_ = value.items()
            if kind == "env" and isinstance(where, str) and _VARIABLE.fullmatch(where):
                return SecretReference(env=where)
            if kind == "file" and isinstance(where, str) and where and "://" not in where:
                return SecretReference(file=where)
        self._refuse(
            key,
            'must be {env = "NAME"} or {file = "PATH"}',
            "the URL is a secret: name the environment variable or the file that holds it",
        )

    def _refuse(self, key: str | None, what: str, hint: str | None = None) -> NoReturn:
        line = _line_of(self._text, self._name, key)
        where = f"{self._path}:{line}" if line else str(self._path)
        section = f"job.{self._name}" + (f".{key}" if key else "")
        raise UsageError(f"{where}: {section}: {what}", hint=hint)


def _line_of(text: str, job: str, key: str | None) -> int | None:
    """The line of a key, or of its section where the file writes it in another way; from 1."""
    header = re.compile(rf"\s*\[\s*job\s*\.\s*[\"']?{re.escape(job)}[\"']?\s*\]")
    wanted = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=") if key else None
    section: int | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if header.match(line):
            section = number
        elif section and line.lstrip().startswith("[") and not line.lstrip().startswith("[["):
            if re.match(r"\s*\[[^\]]*\]\s*(#.*)?$", line):
                break
        elif section and wanted and wanted.match(line):
            return number
    return section

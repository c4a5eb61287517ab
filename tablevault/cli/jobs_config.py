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
from functools import partial
from pathlib import Path
from typing import Any

import click

from tablevault.cli import config_values
from tablevault.cli.config import DEFAULT_PROFILE, Configuration, check_configuration
from tablevault.cli.config_file import ConfigFile, Read, Wrong, near, read_file, refer
from tablevault.cli.config_sections import Sections
from tablevault.cli.invocation import Invocation
from tablevault.cli.parser import refuse_password
from tablevault.errors import UsageError

ASK_A_SERVER = ("snapshot", "diff", "drill", "doctor")
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
    server: str | None = None  # [server.NAME], for the steps that ask one
    vault: str | None = None  # [vault.NAME], or a folder
    at: tuple[int, int] = (2, 30)  # hour and minute, local time
    weekdays: tuple[str, ...] = ()  # none: every day
    jitter_s: float = 0.0
    max_runtime_s: float | None = None
    metrics: str | None = None  # a file for Prometheus' textfile collector
    on_failure: tuple[str, ...] = ()
    on_recovery: tuple[str, ...] = ()
    webhook: SecretReference | None = None


@dataclass(frozen=True)
class _Around:
    """What a step is checked against."""

    sections: Sections
    has_server: bool  # the job names one
    has_rules: bool  # its vault says what a prune keeps


def read_jobs(path: Path, commands: Mapping[str, click.Command]) -> dict[str, Job]:
    """The jobs of a configuration.

    Raises UsageError naming each mistake of the whole file by line and key.
    """
    file = read_file(path)
    about = check_configuration(file)
    jobs = {
        name: _job(file, name, values, about, commands)
        for name, values in file.sections("job").items()
    }
    file.require()
    return {name: job for name, job in jobs.items() if job is not None}


def _job(
    file: ConfigFile,
    name: str,
    values: Mapping[str, Any],
    about: Configuration,
    commands: Mapping[str, click.Command],
) -> Job | None:
    """One job; None, and noted, when anything is wrong with it."""
    where, before = ("job", name), len(file.mistakes)
    if not _NAME.fullmatch(name):
        file.note(where, "a job's name has letters a-z, digits, - and _ only")
    around = _Around(about.sections, "server" in values, _has_rules(about, values))
    check = partial(_step, around, commands)
    known: dict[str, Read] = {
        "steps": partial(_steps, file, name, check),
        "profile": lambda value: refer("profile", config_values.text(value), about.profiles),
        "server": lambda value: refer("server", config_values.text(value), about.sections.server),
        "vault": about.sections.vault_word,
        "at": _at,
        "weekdays": _weekdays,
        "jitter": config_values.duration,
        "max_runtime": config_values.duration,
        "metrics": config_values.text,
        "on_failure": config_values.program,
        "on_recovery": config_values.program,
        "webhook": _reference,
    }
    fields = file.read(where, values, known)
    if not values.get("steps"):
        place = ("steps",) if "steps" in values else ()
        file.note((*where, *place), "a job needs steps", 'such as steps = ["verify latest"]')
    if len(file.mistakes) > before:
        return None
    for key in ("jitter", "max_runtime"):
        if key in fields:
            fields[f"{key}_s"] = fields.pop(key)
    return Job(name=name, **fields)


def _steps(
    file: ConfigFile, name: str, check: Callable[[str], tuple[str, ...]], value: Any
) -> tuple[tuple[str, ...], ...]:
    """The words of each step; each wrong one is noted at its own line."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise Wrong("must be a list of command lines")
    steps = []
    for place, line in enumerate(value):
        try:
            steps.append(check(line))
        except Wrong as error:
            what = f"step {place + 1}, {_shown(line)}: {error.what}"
            file.note(("job", name, "steps", place), what, error.hint)
    return tuple(steps)


def _step(around: _Around, commands: Mapping[str, click.Command], line: str) -> tuple[str, ...]:
    try:
        words = shlex.split(line)
        refuse_password(words)
    except ValueError as error:
        raise Wrong(str(error)[:1].lower() + str(error)[1:]) from None
    except UsageError as error:
        raise Wrong(error.message, error.hint) from None
    if not words or words[0] not in STEPS:
        hint = near(words[0], STEPS) if words else None
        raise Wrong(f"a step is one of {', '.join(STEPS)}", hint)
    decided = [w for w in words if w.partition("=")[0] in _NOT_IN_STEPS]
    if decided:
        raise Wrong(f"{decided[0].partition('=')[0]} is for the job or its profile to say")
    try:
        read = commands[words[0]].make_context(words[0], words[1:], obj=Invocation())
    except click.exceptions.NoSuchOption as error:
        close = f"did you mean {error.possibilities[0]}?" if error.possibilities else None
        raise Wrong(f"no such option {error.option_name}", close) from None
    except click.ClickException as error:
        raise Wrong(error.format_message().rstrip(".")) from None
    except UsageError as error:
        raise Wrong(error.message, error.hint) from None
    except click.exceptions.Exit:
        raise Wrong("it only shows something") from None
    _check_references(around, read.params)
    if words[0] == "prune" and not around.has_rules and not _says_rules(read.params):
        hint = "give it --keep-last N or --retention NAME, or the vault's section a retention"
        raise Wrong("no rule says what to keep", hint)
    return tuple(words)


def _has_rules(about: Configuration, values: Mapping[str, Any]) -> bool:
    """Whether a prune without rules may find some with the job's vault, as far as is known."""
    profile = about.profiles.get(str(values.get("profile", DEFAULT_PROFILE)), {})
    vault = values.get("vault") or profile.get("vault_section") or profile.get("vault")
    return vault is None or "retention" in about.sections.vault.get(str(vault), {})


def _says_rules(given: Mapping[str, Any]) -> bool:
    return any(
        value is not None
        for key, value in given.items()
        if key == "retention" or key.startswith("keep_")
    )


def _check_references(around: _Around, given: Mapping[str, Any]) -> None:
    sections = around.sections
    sections.patterns(given.get("tables") or ())
    for kind in ("server", "retention"):
        if given.get(kind) is not None:
            refer(kind, given[kind], sections.of(kind))
    for option in ("server", "url", "host", "port", "socket"):
        if around.has_server and given.get(option) is not None:
            raise Wrong(f"the job's server says which server it is, not --{option}")


def _shown(line: str) -> str:
    """A step for a message; one that may hold a password is not repeated."""
    return "not shown" if re.search("pass|://", line) else repr(line)


def _at(value: Any) -> tuple[int, int]:
    found = _AT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Wrong(f'must be a time of day such as "02:30", not {value!r}')
    return int(found[1]), int(found[2])


def _weekdays(value: Any) -> tuple[str, ...]:
    what = f"must be a list of {', '.join(WEEKDAYS)}"
    if not isinstance(value, list) or not value:
        raise Wrong(what)
    for place, day in enumerate(value):
        if day not in WEEKDAYS:
            hint = near(day, WEEKDAYS) if isinstance(day, str) else None
            raise Wrong(what, hint, at=(place,))
    return tuple(day for day in WEEKDAYS if day in value)


def _reference(value: Any) -> SecretReference:
    # what is wrong is not shown: it may be the secret itself
    if isinstance(value, dict) and len(value) == 1:
        (kind, where), *_ = value.items()
        if kind == "env" and isinstance(where, str) and _VARIABLE.fullmatch(where):
            return SecretReference(env=where)
        if kind == "file" and isinstance(where, str) and where and "://" not in where:
            return SecretReference(file=where)
    raise Wrong(
        'must be {env = "NAME"} or {file = "PATH"}',
        "the URL is a secret: name the environment variable or the file that holds it",
    )

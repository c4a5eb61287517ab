"""The commands that hints name, whole: pasted into any shell they reach the same server.

Operations name them in their shortest form, `tablevault swap RUN`; what was given on the command
line is added here: the connection, the vault, the folder of journals, and never a password.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from tablevault.cli.invocation import invocation
from tablevault.cli.target import given_vault

if TYPE_CHECKING:
    from tablevault.events import Event, Observer

_GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
_CONNECTION = {  # parameter → the spelling a printed command uses
    "server": "--server",
    "host": "-h",
    "port": "-P",
    "user": "-u",
    "socket": "-S",
    "url": "--url",
    "defaults_file": "--defaults-file",
    "ssl_ca": "--ssl-ca",
    "ssl_mode": "--ssl-mode",
    "password_command": "--password-command",
    "password_keyring": "--password-keyring",
}
_FOLDERS = {"vault": "--vault", "state_dir": "--state-dir"}
_PATHS = frozenset({"socket", "defaults_file", "ssl_ca", "vault", "state_dir"})
_ASKING = "-p"
_COMPLETE = "|".join([*_CONNECTION.values(), *_FOLDERS.values(), "--config", "--profile", _ASKING])
_COMMANDS = "(?:restore|repair)(?: --resume)?|repair --undo|drill|diff|swap|rollback|cleanup|watch"
_ID = r"\d{8}T\d{6}Z-[\w.-]*\w"  # of a run or a snapshot
_NAMED = re.compile(
    rf"\btablevault ({_COMMANDS}) ({_ID})(?![\w.-]*\w)(?![^`;\n]* (?:{_COMPLETE})\b)"
)


def connection_words(ctx: click.Context) -> tuple[str, ...]:
    """The connection options as they were given, paths from the root, without a password."""
    words = _words(ctx, _CONNECTION)
    if ctx.params.get("ask_password"):
        words.append(_ASKING)
    return tuple(words)


def follow_up(
    ctx: click.Context, command: str, *names: str, reached_by: Sequence[str] | None = None
) -> str:
    """The command line that goes on with `names`: the same server and folders, never a password.

    It is complete in another shell and folder, save for MYSQL_PWD and the password itself.
    `reached_by` are the connection's options for a command that has none of its own.
    """
    folders = _words(ctx, _FOLDERS)  # first: it may find out which configuration is meant
    words = ["tablevault", *command.split(), *names, *_configuration(ctx)]
    connection = connection_words(ctx) if reached_by is None else reached_by
    if command != "watch":  # it asks no server
        words += connection
    return shlex.join([*words, *folders])


def completed(ctx: click.Context, text: str, reached_by: Sequence[str] | None = None) -> str:
    """`text` with every command for a run or a snapshot in it made whole."""
    return _NAMED.sub(lambda found: follow_up(ctx, found[1], found[2], reached_by=reached_by), text)


def completing(ctx: click.Context, observer: Observer) -> Observer:
    """`observer`, told of whole commands."""
    from tablevault.events import Hint, RunEnded  # not before a run begins

    def observe(event: Event) -> None:
        if isinstance(event, Hint):
            event = replace(event, message=completed(ctx, event.message))
        elif isinstance(event, RunEnded) and event.hint:
            event = replace(event, hint=completed(ctx, event.hint))
        observer(event)

    return observe


def _words(ctx: click.Context, flags: dict[str, str]) -> list[str]:
    words = []
    for name, flag in flags.items():
        if ctx.get_parameter_source(name) in _GIVEN:
            value = str(ctx.params[name])
            if name == "vault" and given_vault(ctx):
                pass  # found by its name, with what else its section says
            elif name in _PATHS:
                value = _from_anywhere(value)
            elif name == "password_command":
                from tablevault.cli.password_command import from_anywhere

                value = from_anywhere(value)
            words += [flag, value]
    return words


def _configuration(ctx: click.Context) -> list[str]:
    settings = invocation(ctx)
    # one that was found in this folder is not found from another
    config = settings.config or settings.found_here
    words = ["--config", _from_anywhere(config)] if config else []
    return [*words, "--profile", settings.profile] if settings.profile else words


def _from_anywhere(location: str) -> str:
    return location if "://" in location else os.path.abspath(os.path.expanduser(location))

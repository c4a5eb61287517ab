"""From options to things: the server, the vault and the state directory a command works with.

An option given on the command line or by its environment variable wins over the profile's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from tablevault.cli.invocation import invocation
from tablevault.errors import UsageError

if TYPE_CHECKING:
    from tablevault.mysql.options import ConnectOptions
    from tablevault.vault.store import LocalStore

_CONNECTION = ("host", "port", "user", "socket", "defaults_file")


def setting(ctx: click.Context, name: str) -> Any:
    """The value of an option: given, else the profile's, else None."""
    given = ctx.params.get(name)
    return invocation(ctx).settings.get(name) if given is None else given


def table_patterns(ctx: click.Context, given: tuple[str, ...]) -> tuple[str, ...]:
    """The tables named on the command line, else the profile's."""
    return given or tuple(invocation(ctx).settings.get("tables") or ())


def connect_options(ctx: click.Context) -> ConnectOptions:
    """How to reach the server.

    Asks for the password with `-p`, runs the password command.  Raises UsageError.
    """
    from tablevault.mysql.options import ConnectOptions

    refuse_url_password(ctx.params.get("url"))
    options = ConnectOptions.from_sources(
        url=ctx.params.get("url"),
        ssl_ca=ctx.params.get("ssl_ca"),
        ssl_mode=ctx.params.get("ssl_mode"),
        **merge_connection(ctx.params, invocation(ctx).settings.values),
    )
    asks = ctx.params.get("ask_password")
    command = password_command(ctx.params, invocation(ctx).settings.values, os.environ)
    if not asks and command is None:
        return options
    from dataclasses import replace

    from tablevault.cli.password_command import password_from

    if asks:
        password = _ask_password(f"{options.user}@{options.target}")
    else:
        password = password_from(command or "")
    return replace(options, password=password)


def password_command(given: Any, profile: Any, environ: Mapping[str, str]) -> str | None:
    """The command that gives the password: the given one, else the profile's.

    Not the profile's where the password is given nearer, or with another account's address.
    Raises UsageError when it is given twice.
    """
    command: str | None = given.get("password_command")
    if command is not None:
        if given.get("ask_password"):
            raise UsageError("-p and --password-command exclude each other")
        return command
    nearer = given.get("url") is not None or given.get("defaults_file") is not None
    return None if nearer or "MYSQL_PWD" in environ else profile.get("password_command")


def merge_connection(given: Any, profile: Any) -> dict[str, Any]:
    """The profile's connection values under the given ones.

    An address is one thing: when part of one is given, the profile's parts of it do not mix in.
    """
    values = {key: profile.get(key) for key in _CONNECTION}
    if given.get("url") is not None:
        values = {"defaults_file": values["defaults_file"]}
    elif given.get("socket") is not None:
        values.update(host=None, port=None)
    elif given.get("host") is not None:
        values.update(port=None, socket=None)
    elif given.get("port") is not None:
        values.update(socket=None)
    values.update({key: given[key] for key in _CONNECTION if given.get(key) is not None})
    return values


def refuse_url_password(url: str | None) -> None:
    """Raise UsageError when the URL carries a password; it is not repeated."""
    if url is None:
        return
    try:
        carries = urlsplit(url).password is not None
    except ValueError:
        return  # malformed, which is said where it is read
    if carries:
        raise UsageError(
            "a password in --url can be read by every user of the machine",
            hint="use -p to be asked, or MYSQL_PWD, --defaults-file, --password-command",
        )


def open_vault(ctx: click.Context, *, create: bool = False) -> LocalStore:
    """The vault.  Raises UsageError when none is named, or it does not exist."""
    from tablevault.vault.store import open_store

    return open_store(_vault_uri(ctx), create=create)


def state_dir(ctx: click.Context) -> Path:
    """Where journals of runs are.  Raises UsageError when neither it nor a vault is named."""
    given = setting(ctx, "state_dir")
    if given:
        return Path(given).expanduser()
    from tablevault.names import RUNS_FOLDER

    return open_vault(ctx).root / RUNS_FOLDER


def _vault_uri(ctx: click.Context) -> str:
    uri: str | None = setting(ctx, "vault")
    if not uri:
        raise UsageError("no vault is named", hint="use --vault DIR, or set TABLEVAULT_VAULT")
    return uri


def _ask_password(account: str) -> str:
    import getpass
    import warnings

    with warnings.catch_warnings():
        # Without a terminal getpass would warn and echo: no password is better than a seen one.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(f"password of {account}: ")
        except (getpass.GetPassWarning, EOFError):
            raise UsageError(
                "-p asks for the password, and there is no terminal to ask on",
                hint="set MYSQL_PWD, or use --defaults-file or --password-command",
            ) from None

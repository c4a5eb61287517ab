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

from tablevault.cli.config import find_section, names_section
from tablevault.cli.config_sections import PASSWORD_KEYS, is_reference
from tablevault.cli.invocation import invocation
from tablevault.errors import UsageError

if TYPE_CHECKING:
    from tablevault.mysql.options import ConnectOptions
    from tablevault.vault.store import LocalStore

_CONNECTION = ("host", "port", "user", "socket", "defaults_file", "ssl_ca", "ssl_mode")


def setting(ctx: click.Context, name: str) -> Any:
    """The value of an option: given, else the profile's, else None."""
    given = ctx.params.get(name)
    return invocation(ctx).settings.get(name) if given is None else given


def table_patterns(ctx: click.Context, given: tuple[str, ...]) -> tuple[str, ...]:
    """The tables named on the command line, else the profile's."""
    return given or tuple(invocation(ctx).settings.get("tables") or ())


def table_words(ctx: click.Context, words: tuple[str, ...]) -> tuple[str, ...]:
    """The patterns that words of the command line mean, each @NAME of them resolved."""
    found: list[str] = []
    for word in words:
        found += section(ctx, "tables", word[1:]) if is_reference(word) else (word,)
    return tuple(found)


def section(ctx: click.Context, kind: str, name: str) -> Any:
    """What [kind.NAME] of the configuration says.  Raises UsageError when there is none."""
    about = invocation(ctx)
    found, about.section_source = find_section(about.config, kind, name)
    return found


def connect_options(ctx: click.Context) -> ConnectOptions:
    """How to reach the server.

    Asks for the password with `-p`, the password command or the keyring.  Raises UsageError.
    """
    from tablevault.mysql.options import ConnectOptions

    refuse_url_password(ctx.params.get("url"))
    base = _base(ctx)
    options = ConnectOptions.from_sources(
        url=ctx.params.get("url"), **merge_connection(ctx.params, base)
    )
    asks = ctx.params.get("ask_password")
    reference = password_reference(ctx.params, base, os.environ)
    if not asks and reference is None:
        return options
    from dataclasses import replace

    if asks or reference is None:
        password = _ask_password(f"{options.user}@{options.target}")
    else:
        password = _referred_to(*reference, options.user)
    return replace(options, password=password)


def _base(ctx: click.Context) -> Mapping[str, Any]:
    """What options are laid over: the server named, else the profile."""
    server = ctx.params.get("server")
    if server is None:
        return invocation(ctx).settings.values
    for other in ("url", "host", "port", "socket"):
        if ctx.params.get(other) is not None:
            raise UsageError(f"--server and --{other} exclude each other")
    found: Mapping[str, Any] = section(ctx, "server", server)
    return found


def password_reference(
    given: Any, profile: Any, environ: Mapping[str, str]
) -> tuple[str, str] | None:
    """What gives the password and its value: of the options given, else of the profile.

    Not the profile's where the password is given nearer, or with another account's address.
    Raises UsageError when it is given twice.
    """
    named = [(key, given[key]) for key in PASSWORD_KEYS if given.get(key) is not None]
    asked = ["-p"] if given.get("ask_password") else []
    twice = asked + [f"--{key.replace('_', '-')}" for key, _ in named]
    if len(twice) > 1:
        raise UsageError(f"{twice[0]} and {twice[1]} exclude each other")
    if named:
        return named[0]
    nearer = given.get("url") is not None or given.get("defaults_file") is not None
    if nearer or "MYSQL_PWD" in environ:
        return None
    return next(((key, profile[key]) for key in PASSWORD_KEYS if profile.get(key)), None)


def _referred_to(key: str, value: str, user: str) -> str:
    if key == "password_keyring":
        from tablevault.cli.password_keyring import password_in_keyring

        return password_in_keyring(value, user)
    from tablevault.cli.password_command import password_from

    return password_from(value)


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

    uri = vault_uri(ctx)
    if not uri:
        raise UsageError("no vault is named", hint="use --vault DIR, or set TABLEVAULT_VAULT")
    return open_store(uri, create=create)


def vault_uri(ctx: click.Context) -> str | None:
    """Where the vault is; None when none is named."""
    found: str | None = given_vault(ctx).get("uri") or setting(ctx, "vault")
    return found


def given_vault(ctx: click.Context) -> Mapping[str, Any]:
    """What the section says that --vault names; nothing when it names a folder, or is not given."""
    name = ctx.params.get("vault")
    if name is None or not names_section(invocation(ctx).config, "vault", name):
        return {}
    found: Mapping[str, Any] = section(ctx, "vault", name)
    return found


def vault_name(ctx: click.Context) -> str | None:
    """The NAME of [vault.NAME] in use, where it is one."""
    given: str | None = ctx.params.get("vault")
    if given is None:
        given = invocation(ctx).settings.get("vault_section")
        return given
    return given if given_vault(ctx) else None


def retention(ctx: click.Context, name: str | None) -> Mapping[str, int]:
    """The rules of [retention.NAME], else those that go with the vault; nothing without any."""
    if name is None and ctx.params.get("vault") is not None:
        name = given_vault(ctx).get("retention")
    elif name is None:
        return invocation(ctx).settings.get("retention") or {}
    found: Mapping[str, int] = section(ctx, "retention", name) if name else {}
    return found


def state_dir(ctx: click.Context) -> Path:
    """Where journals of runs are.  Raises UsageError when neither it nor a vault is named."""
    if (named := named_state_dir(ctx)) is not None:
        return named
    from tablevault.names import RUNS_FOLDER

    return open_vault(ctx).root / RUNS_FOLDER


def named_state_dir(ctx: click.Context) -> Path | None:
    """Where journals are as an option or the configuration says; None: in the vault."""
    given = ctx.params.get("state_dir") or given_vault(ctx).get("state_dir")
    given = given or setting(ctx, "state_dir")
    return Path(given).expanduser() if given else None


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

"""The configuration file: named profiles of connection and vault options.

    [profile.default]
    host = "db1.internal"
    defaults_file = "~/.my.cnf"
    vault = "/backup/vault"
    tables = ["shop.*", "!shop.tmp_*"]

What several of them share is a section of its own (config_sections.py).

Without `--config`, `./tablevault.toml` and then `~/.config/tablevault/config.toml` are looked
through; the first that has the profile gives it.  Options on the command line and environment
variables win.  A password has no place in it: it belongs into a defaults file, or
comes from the program that `password_command` names, or from the keyring.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tablevault.cli import config_values
from tablevault.cli.config_file import ConfigFile, Read, near, read_file, refer
from tablevault.cli.config_sections import (
    ADDRESS,
    KINDS,
    NAME,
    PASSWORD_KEYS,
    SERVER_KEYS,
    Sections,
    check_password,
    check_sections,
)
from tablevault.errors import UsageError

DEFAULT_PROFILE = "default"
SECTIONS = ("profile", "job", *KINDS)
_KEYS: Mapping[str, Read] = {
    "server": config_values.text,
    **SERVER_KEYS,
    "vault": config_values.text,
    "state_dir": config_values.path,
    "threads": config_values.number,
    "tables": config_values.texts,
}


@dataclass(frozen=True)
class Profile:
    """The values of one profile, checked; `source` is the file they come from."""

    values: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None

    def get(self, key: str) -> Any:
        """The value of `key`, None when the profile does not have it."""
        return self.values.get(key)


@dataclass(frozen=True)
class Configuration:
    """A file, jobs apart."""

    profiles: Mapping[str, dict[str, Any]]
    sections: Sections


def default_paths() -> tuple[Path, ...]:
    """Where a configuration is looked for, nearest first."""
    base = os.environ.get("XDG_CONFIG_HOME")
    home = Path(base) if base else Path("~/.config").expanduser()
    return (Path("tablevault.toml"), home / "tablevault" / "config.toml")


def load_profile(config: str | None, profile: str | None) -> Profile:
    """The profile asked for, or the one named "default" where there is one.

    Raises UsageError when the file named cannot be read, for all that is wrong with it, or when
    no file has the profile asked for.
    """
    wanted = profile or DEFAULT_PROFILE
    known: list[str] = []
    for path in _files(config):
        profiles = read_profiles(path)
        if wanted in profiles:
            return Profile(profiles[wanted], str(path))
        known += profiles
    if profile is None:
        return Profile()
    raise UsageError(
        f"no profile {profile!r} in {_where(config)}",
        hint=near(wanted, known)
        or (f"profiles there: {', '.join(sorted(known))}" if known else None),
    )


def find_section(config: str | None, kind: str, name: str) -> tuple[Any, Path | None]:
    """What [kind.NAME] says, and the file that says it: the nearest one that has it.

    Raises UsageError when none has.
    """
    known: list[str] = []
    for path in _files(config):
        found = read_configuration(path).sections.of(kind)
        if name in found:
            return found[name], path
        known += found
    raise UsageError(
        f"there is no [{kind}.{name}] in {_where(config)}",
        hint=near(name, known)
        or (f"{kind} sections there: {', '.join(sorted(known))}" if known else None),
    )


def names_section(config: str | None, kind: str, word: str) -> bool:
    """Whether a word that may be something else is the name of a [kind.NAME]."""
    return bool(NAME.fullmatch(word)) and any(
        word in read_configuration(path).sections.of(kind) for path in _files(config)
    )


def read_profiles(path: Path) -> Mapping[str, dict[str, Any]]:
    """All profiles of a file, checked.  Raises UsageError naming each mistake by line and key."""
    return read_configuration(path).profiles


def read_configuration(path: Path) -> Configuration:
    """A file, jobs apart.  Raises UsageError naming each mistake by line and key."""
    file = read_file(path)
    found = check_configuration(file)
    file.require()
    return found


def check_configuration(file: ConfigFile) -> Configuration:
    """All that a file says, jobs apart; what is wrong with it is noted."""
    for key in file.values:
        if key not in SECTIONS:  # jobs are read by jobs_config.py
            kinds = ", ".join(f"[{kind}.NAME]" for kind in SECTIONS)
            file.note((key,), "unknown section", near(key, SECTIONS) or f"sections are {kinds}")
    sections = check_sections(file)
    profiles = {
        name: _profile(file, name, values, sections)
        for name, values in file.sections("profile").items()
    }
    return Configuration(profiles, sections)


def _profile(
    file: ConfigFile, name: str, given: Mapping[str, Any], sections: Sections
) -> dict[str, Any]:
    """One profile, what it refers to put in: its own values win over those."""
    known: dict[str, Read] = {
        **_KEYS,
        "server": lambda value: refer("server", config_values.text(value), sections.server),
        "vault": sections.vault_word,
        "tables": sections.table_words,
    }
    values: dict[str, Any] = file.read(("profile", name), given, known)
    check_password(file, ("profile", name))
    server = values.pop("server", None)
    if server is not None:
        for key in ADDRESS:
            if key in given:
                file.note(("profile", name, key), f"[server.{server}] says which server it is")
        shared = sections.server[server]
        if any(key in values for key in PASSWORD_KEYS):
            shared = {key: shared[key] for key in shared if key not in PASSWORD_KEYS}
        values = {**shared, **values}
    if values.get("vault") in sections.vault:
        vault = sections.vault[values["vault"]]
        values["vault_section"], values["vault"] = values["vault"], vault.get("uri")
        values["retention"] = sections.retention.get(vault.get("retention", ""))
        values.setdefault("state_dir", vault.get("state_dir"))
    return values


def _files(config: str | None) -> list[Path]:
    """The configuration named, else those that are there, nearest first."""
    if config:
        return [Path(config).expanduser()]
    return [path for path in default_paths() if path.is_file()]


def _where(config: str | None) -> str:
    return config or " or ".join(str(path) for path in default_paths())

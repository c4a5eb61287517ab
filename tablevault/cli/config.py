"""The configuration file: named profiles of connection and vault options.

    [profile.default]
    host = "db1.internal"
    defaults_file = "~/.my.cnf"
    vault = "/backup/vault"
    tables = ["shop.*"]

Without `--config`, `./tablevault.toml` and then `~/.config/tablevault/config.toml` are looked
through; the first that has the profile gives it.  Options on the command line and environment
variables win.  A password has no place in it: it belongs into a defaults file, or
comes from the program that `password_command` names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tablevault.cli import config_values
from tablevault.cli.config_file import ConfigFile, Read, near, read_file
from tablevault.errors import UsageError

DEFAULT_PROFILE = "default"
SECTIONS = ("profile", "job")
_KEYS: Mapping[str, Read] = {
    "host": config_values.text,
    "port": config_values.number,
    "user": config_values.text,
    "socket": config_values.path,
    "defaults_file": config_values.path,
    "password_command": config_values.text,
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
    paths = (Path(config).expanduser(),) if config else default_paths()
    wanted = profile or DEFAULT_PROFILE
    known: list[str] = []
    for path in paths:
        if not config and not path.is_file():
            continue
        profiles = read_profiles(path)
        if wanted in profiles:
            return Profile(profiles[wanted], str(path))
        known += profiles
    if profile is None:
        return Profile()
    where = config or " or ".join(str(path) for path in paths)
    raise UsageError(
        f"no profile {profile!r} in {where}",
        hint=near(wanted, known)
        or (f"profiles there: {', '.join(sorted(known))}" if known else None),
    )


def read_profiles(path: Path) -> dict[str, dict[str, Any]]:
    """All profiles of a file, checked.  Raises UsageError naming each mistake by line and key."""
    file = read_file(path)
    profiles = check_profiles(file)
    file.require()
    return profiles


def check_profiles(file: ConfigFile) -> dict[str, dict[str, Any]]:
    """All profiles of a file; what is wrong with it, jobs apart, is noted."""
    for key in file.values:
        if key not in SECTIONS:  # jobs are read by jobs_config.py
            kinds = ", ".join(f"[{kind}.NAME]" for kind in SECTIONS)
            file.note((key,), "unknown section", near(key, SECTIONS) or f"sections are {kinds}")
    return {
        name: file.read(("profile", name), values, _KEYS)
        for name, values in file.sections("profile").items()
    }

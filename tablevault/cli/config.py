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

from tablevault.errors import UsageError

DEFAULT_PROFILE = "default"
_PATHS = frozenset({"defaults_file", "socket", "state_dir"})
# key → what its value must be, and that in words
_KEYS: Mapping[str, tuple[type, str]] = {
    "host": (str, "a string"),
    "port": (int, "a number above zero"),
    "user": (str, "a string"),
    "socket": (str, "a string"),
    "defaults_file": (str, "a string"),
    "password_command": (str, "a string"),
    "vault": (str, "a string"),
    "state_dir": (str, "a string"),
    "threads": (int, "a number above zero"),
    "tables": (list, "a list of strings"),
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

    Raises UsageError when the file named cannot be read, has an unknown key or a value of the
    wrong type, or when no file has the profile asked for.
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
        hint=f"profiles there: {', '.join(sorted(known))}" if known else None,
    )


def read_profiles(path: Path) -> dict[str, dict[str, Any]]:
    """All profiles of a file, checked.  Raises UsageError naming the file and the key."""
    import tomllib  # only where there is a file to read: it costs start-up time

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    for key in document:
        if key not in ("profile", "job"):  # jobs are read by jobs_config.py
            hint = "profiles are [profile.NAME], jobs [job.NAME]"
            raise UsageError(f"{path}: unknown key {key!r}", hint=hint)
    profiles = document.get("profile", {})
    if not isinstance(profiles, dict):
        raise UsageError(f"{path}: 'profile' must be a table", hint="write [profile.NAME]")
    return {name: _checked(path, name, values) for name, values in profiles.items()}


def _checked(path: Path, name: str, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise UsageError(f"{path}: profile {name!r} must be a table", hint="write [profile.NAME]")
    return {key: _value(path, f"profile.{name}", key, value) for key, value in values.items()}


def _value(path: Path, section: str, key: str, value: Any) -> Any:
    if key not in _KEYS:
        hint = f"known keys: {', '.join(_KEYS)}"
        if key == "password":
            hint = "keep it in a defaults_file (mode 0600) or in MYSQL_PWD, or use password_command"
        raise UsageError(f"{path}: unknown key {key!r} in [{section}]", hint=hint)
    kind, words = _KEYS[key]
    fits = isinstance(value, kind) and not isinstance(value, bool)
    if fits and isinstance(value, list):
        fits = all(isinstance(item, str) for item in value)
    elif fits and isinstance(value, int):
        fits = value > 0
    if not fits:
        raise UsageError(f"{path}: {section}.{key} must be {words}, not {value!r}")
    return os.path.expanduser(value) if key in _PATHS else value

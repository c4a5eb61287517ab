"""Named sections of the configuration, which profiles, jobs and the command line refer to.

    [server.db1]                     # --server db1, server = "db1"
    host = "db1.internal"
    defaults_file = "/etc/tablevault/db1.cnf"

    [vault.main]                     # --vault main, vault = "main"
    uri = "/backup/vault"
    retention = "month"

    [retention.month]                # prune --retention month
    keep_last = 7
    keep_monthly = 3

    [tables.shop]                    # @shop wherever tables are named
    include = ["shop.*"]
    exclude = ["shop.tmp_*"]

A name that is not there is a mistake of the line that refers to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tablevault.cli import config_values
from tablevault.cli.config_file import ConfigFile, Read, Wrong, near, refer

KINDS = ("server", "vault", "retention", "tables")
REFERENCE = "@"  # before the name of a section, among tables
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def _ssl_mode(value: Any) -> str:
    from tablevault.mysql.options import SSL_MODES

    text = config_values.text(value)
    if text.lower() not in SSL_MODES:
        hint = near(text.lower(), SSL_MODES)
        raise Wrong(f"must be one of {', '.join(SSL_MODES)}, not {text!r}", hint)
    return text


ADDRESS = ("host", "port", "socket")
PASSWORD_KEYS = ("password_command", "password_keyring")  # where it comes from, one of them
SERVER_KEYS: Mapping[str, Read] = {
    "host": config_values.text,
    "port": config_values.number,
    "user": config_values.text,
    "socket": config_values.path,
    "defaults_file": config_values.path,
    **dict.fromkeys(PASSWORD_KEYS, config_values.text),
    "ssl_ca": config_values.path,
    "ssl_mode": _ssl_mode,
}
VAULT_KEYS: Mapping[str, Read] = {
    "uri": config_values.text,
    "state_dir": config_values.path,
    "retention": config_values.text,
}
RETENTION_KEYS: Mapping[str, Read] = dict.fromkeys(
    ("keep_last", "keep_days", "keep_weekly", "keep_monthly"), config_values.number
)
TABLES_KEYS: Mapping[str, Read] = {"include": config_values.texts, "exclude": config_values.texts}


@dataclass(frozen=True)
class Sections:
    """What a file has of each kind, by name; of tables, the patterns as a command takes them."""

    server: Mapping[str, Mapping[str, Any]]
    vault: Mapping[str, Mapping[str, Any]]
    retention: Mapping[str, Mapping[str, int]]
    tables: Mapping[str, tuple[str, ...]]

    def of(self, kind: str) -> Mapping[str, Any]:
        """All of a kind."""
        found: Mapping[str, Any] = getattr(self, kind)
        return found

    def vault_word(self, value: Any) -> str:
        """The name of a vault's section, or a folder.  Raises Wrong for a name that is neither."""
        word = config_values.text(value)
        if self.vault and NAME.fullmatch(word) and word not in self.vault:
            hint = near(word, self.vault) or f"sections there: {', '.join(sorted(self.vault))}"
            raise Wrong(f"there is no [vault.{word}]", f"{hint} (a folder here is './{word}')")
        return word

    def table_words(self, value: Any) -> tuple[str, ...]:
        """The patterns that a list of tables means, references among them resolved."""
        if isinstance(value, str) and value:
            return self.patterns((REFERENCE + value.removeprefix(REFERENCE),))
        return self.patterns(config_values.texts(value))

    def patterns(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """`words` with each @NAME in them resolved.  Raises Wrong for one that is not there."""
        found: list[str] = []
        for place, word in enumerate(words):
            if not is_reference(word):
                found.append(word)
                continue
            try:
                found += self.tables[refer("tables", word.removeprefix(REFERENCE), self.tables)]
            except Wrong as error:
                at = (place,) if len(words) > 1 else ()
                raise Wrong(error.what, error.hint, at=at) from None
        return tuple(found)


def is_reference(word: str) -> bool:
    """Whether a word among tables names a section: no table's pattern is without a dot."""
    return word.startswith(REFERENCE) and "." not in word


def check_sections(file: ConfigFile) -> Sections:
    """The named sections of a file; what is wrong with them is noted."""
    read: dict[str, dict[str, dict[str, Any]]] = {}
    known = (SERVER_KEYS, VAULT_KEYS, RETENTION_KEYS, TABLES_KEYS)
    for kind, keys in zip(KINDS, known, strict=True):
        read[kind] = {}
        for name, values in file.sections(kind).items():
            if not NAME.fullmatch(name):
                file.note((kind, name), "a name has letters, digits, - and _ only")
            read[kind][name] = file.read((kind, name), values, keys)
    for name in file.sections("server"):
        check_password(file, ("server", name))
    for name, values in file.sections("vault").items():
        _check_vault(file, name, values, read)
    for name, values in file.sections("retention").items():
        if not values:
            file.note(("retention", name), "no rule says what to keep", "such as keep_last = 7")
    tables = {name: _patterns(file, name, values) for name, values in read["tables"].items()}
    return Sections(read["server"], read["vault"], read["retention"], tables)


def check_password(file: ConfigFile, where: tuple[str, str]) -> None:
    """Note a section that says twice where the password comes from."""
    kind, name = where
    if all(key in file.sections(kind)[name] for key in PASSWORD_KEYS):
        one, other = PASSWORD_KEYS
        file.note((*where, other), f"excludes {one}: one of them gives the password")


def _check_vault(
    file: ConfigFile, name: str, values: Mapping[str, Any], read: Mapping[str, Mapping[str, Any]]
) -> None:
    if "uri" not in values:
        file.note(("vault", name), "a vault needs a uri", 'such as uri = "/backup/vault"')
    retention = read["vault"][name].get("retention")
    if retention is not None:
        try:
            refer("retention", retention, read["retention"])
        except Wrong as error:
            file.note(("vault", name, "retention"), error.what, error.hint)


def _patterns(file: ConfigFile, name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    include, exclude = values.get("include", ()), values.get("exclude", ())
    if not include and "include" not in file.sections("tables")[name]:
        file.note(("tables", name), "needs tables to include", 'such as include = ["shop.*"]')
    for key, words in (("include", include), ("exclude", exclude)):
        for place, word in enumerate(words):
            where = ("tables", name, key, place)
            if is_reference(word):
                file.note(where, f"{word!r}: tables of one section cannot name another")
            elif key == "exclude" and word.startswith("!"):
                file.note(where, f"{word!r}: what is excluded is written without !")
    return (*include, *(f"!{word}" for word in exclude))

"""What a preflight check gets and what it gives: plain values, no policy.

A check is a function from a `Patient` to its findings.  It reports what it could not see as a
finding of its own and raises nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from tablevault.model import Snapshot, TableEntry, TableName
from tablevault.mysql import ddl
from tablevault.mysql.inspect import Inspector, TableFacts
from tablevault.vault.store import Store

SNAPSHOT, RESTORE, SWAP = "snapshot", "restore", "swap"
_PRIMARY_KEY = re.compile(r"^\s*PRIMARY KEY", re.MULTILINE)
COMMANDS = (SNAPSHOT, RESTORE, SWAP)
_SHOWN = 8  # of a list


class Severity(StrEnum):
    """How much it matters; fatal ones say for which commands."""

    FATAL = "fatal"
    WARNING = "warning"
    NOTE = "note"
    OK = "ok"


@dataclass(frozen=True)
class Advice:
    """One finding of a check: what was found, and what can be done about it."""

    severity: Severity
    name: str  # of the check; stable
    message: str
    remedy: str | None = None
    fatal_for: tuple[str, ...] = ()  # of COMMANDS
    table: TableName | None = None


def fatal(
    commands: Iterable[str], name: str, message: str, remedy: str, table: TableName | None = None
) -> Advice:
    """What keeps `commands` from succeeding."""
    return Advice(Severity.FATAL, name, message, remedy, tuple(commands), table)


def warning(name: str, message: str, remedy: str, table: TableName | None = None) -> Advice:
    """What may go wrong or take long."""
    return Advice(Severity.WARNING, name, message, remedy, table=table)


def note(
    name: str, message: str, remedy: str | None = None, table: TableName | None = None
) -> Advice:
    """What is good to know, or could not be seen."""
    return Advice(Severity.NOTE, name, message, remedy, table=table)


def fine(name: str, message: str) -> Advice:
    """What was looked at and is as it should be."""
    return Advice(Severity.OK, name, message)


def listed(things: Sequence[TableName] | Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    shown = ", ".join(str(thing) for thing in things[:_SHOWN])
    return shown if len(things) <= _SHOWN else f"{shown} and {len(things) - _SHOWN} more"


@dataclass(frozen=True)
class Restoring:
    """One table that is to be restored: the entry, its new name, the largest of its row groups."""

    entry: TableEntry
    target: TableName
    largest_group: int  # bytes


@dataclass(frozen=True)
class Volume:
    """How much one table is."""

    table: TableName
    rows_bytes: int  # as text on the wire
    data_bytes: int  # in InnoDB, without secondary indexes
    indexes: int  # secondary ones
    compressed: bool
    primary_key: bool


@dataclass
class Patient:
    """Everything that checks look at."""

    inspect: Inspector
    tables: tuple[TableName, ...]  # live ones: to be read, or to be replaced
    commands: frozenset[str] = frozenset(COMMANDS)
    snapshot: Snapshot | None = None
    restoring: tuple[Restoring, ...] = ()
    threads: int = 2
    log_bin: bool = True  # False: --no-binlog
    asked_no_binlog: bool = False
    store: Store | None = None
    state_dir: Path | None = None
    resumed: str | None = None  # the run that is gone on with

    @cached_property
    def facts(self) -> dict[TableName, TableFacts]:
        """The live tables that exist."""
        return self.inspect.tables(self.tables)

    @property
    def schemas(self) -> list[str]:
        """Where staging tables are made."""
        return sorted({table.schema for table in self.tables})

    @cached_property
    def volumes(self) -> list[Volume]:
        """What a restore of these tables writes; without a snapshot, as large as they are now."""
        if self.snapshot is None:
            return [_live_volume(facts) for facts in self.facts.values()]
        return [_volume(one, self.facts.get(one.target)) for one in self.restoring]

    @property
    def logged(self) -> bool:
        """Whether what a restore writes goes to the binary log."""
        return self.log_bin and self.inspect.is_on("log_bin")

    def wants(self, command: str) -> bool:
        """Whether `command` is to be prepared for."""
        return command in self.commands

    def for_(self, *commands: str) -> tuple[str, ...]:
        """Of `commands` those that are to be prepared for."""
        return tuple(command for command in commands if command in self.commands)


def _live_volume(facts: TableFacts) -> Volume:
    return Volume(
        facts.table,
        facts.data_bytes,
        facts.data_bytes,
        max(0, len(facts.indexes) - 1),
        "compress" in facts.options.lower(),
        facts.has_primary_key,
    )


def _volume(one: Restoring, live: TableFacts | None) -> Volume:
    """InnoDB's size is taken from the table as it was, or as it is now if that is more."""
    definition = one.entry.definition
    data = max(definition.estimated_bytes, one.entry.wire_bytes)
    if live is not None and live.rows >= one.entry.digest.rows > 0:
        data = max(data, live.data_bytes * one.entry.digest.rows // live.rows)
    keep = {definition.key.name} if definition.key else set()
    return Volume(
        one.target,
        one.entry.wire_bytes,
        data,
        len(ddl.deferred_indexes(definition.create_sql, keep)),
        "COMPRESS" in definition.create_sql.rpartition(")")[2].upper(),
        _PRIMARY_KEY.search(definition.create_sql) is not None,
    )

"""The preflight: every check there is, for `doctor`; the fatal ones, before a restore begins.

Nothing is written, locked or tried out on the server.  A check that cannot see something says so
and is no reason to refuse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tablevault.errors import CannotComplete, ConnectionLost, UsageError
from tablevault.model import ServerInfo, Snapshot, TableEntry, TableName
from tablevault.mysql import catalog
from tablevault.mysql.connect import Connection, ConnectOptions, connect
from tablevault.mysql.inspect import Inspector
from tablevault.ops import (
    checks_indexes,
    checks_rights,
    checks_server,
    checks_space,
    checks_tables,
    checks_tablespaces,
    checks_vault,
    unfinished,
)
from tablevault.ops.checkup import (
    COMMANDS,
    RESTORE,
    SWAP,
    Advice,
    Patient,
    Restoring,
    Severity,
    warning,
)
from tablevault.ops.options import RestoreOptions
from tablevault.ops.restore_tasks import TableJob
from tablevault.ops.selection import select_entries
from tablevault.vault.catalog import resolve
from tablevault.vault.store import Store

Check = Callable[[Patient], Iterable[Advice]]

# What a restore is refused for: cheap, and never a guess.
_FATAL_CHECKS: tuple[Check, ...] = (
    checks_server.writable,
    checks_rights.rights,
    checks_server.loading,
    checks_server.binlog,
    checks_server.cluster,
    checks_tables.missing,
    checks_tables.engines,
    checks_tables.history,
    checks_tables.sequences,
    checks_tables.collations,
    checks_tables.keys,
    checks_space.space,
)
CHECKS: tuple[Check, ...] = (
    *_FATAL_CHECKS,
    checks_tables.columns,
    checks_tables.relations,
    checks_indexes.builders,
    checks_indexes.special_indexes,
    checks_tables.known_bugs,
    checks_server.redo,
    checks_server.connections,
    checks_server.timeouts,
    checks_server.switches,
    checks_server.waiting,
    checks_tablespaces.kept_tablespaces,
    checks_tablespaces.returning_tablespaces,
    checks_vault.vault,
    checks_vault.unfinished_runs,
    checks_vault.leftovers,
)
_ORDER = list(Severity)


@dataclass(frozen=True)
class DoctorOptions:
    """What to examine, and for which commands."""

    patterns: tuple[str, ...] = ()  # none: every table of the account, or of the snapshot
    commands: frozenset[str] = frozenset(COMMANDS)
    snapshot: str | None = None
    threads: int = 2
    log_bin: bool = True


@dataclass(frozen=True)
class DoctorResult:
    """What was found, the worst first."""

    server: ServerInfo
    tables: tuple[TableName, ...]
    snapshot: str | None
    findings: tuple[Advice, ...]
    seconds: float

    @property
    def fatal(self) -> tuple[Advice, ...]:
        """What keeps one of the asked commands from succeeding."""
        return tuple(one for one in self.findings if one.severity is Severity.FATAL)


def doctor(
    target: ConnectOptions,
    options: DoctorOptions,
    *,
    store: Store | None = None,
    state_dir: Path | None = None,
) -> DoctorResult:
    """Examine server, account, tables and vault for the commands of `options`.

    Raises UsageError for names that mean no table, SnapshotUnusable, ServerUnavailable; whatever
    else is wrong is a finding.
    """
    began = time.monotonic()
    snapshot = None
    if options.snapshot is not None:
        if store is None:
            raise UsageError("a snapshot is named, but no vault", hint="name it with --vault")
        snapshot = resolve(store, options.snapshot)
    with connect(target) as connection:
        entries = select_entries(snapshot, options.patterns) if snapshot else ()
        if snapshot is not None:
            tables = [entry.definition.table for entry in entries]
        else:
            tables = catalog.resolve_tables(connection, options.patterns)
        patient = Patient(
            Inspector(connection),
            tuple(tables),
            options.commands,
            snapshot,
            tuple(_restoring(entry) for entry in entries),
            options.threads,
            options.log_bin,
            asked_no_binlog=not options.log_bin,
            store=store,
            state_dir=state_dir,
        )
        findings = examine(patient, CHECKS)
        return DoctorResult(
            connection.server,
            tuple(tables),
            snapshot.id if snapshot else None,
            tuple(sorted(findings, key=lambda one: _ORDER.index(one.severity))),
            time.monotonic() - began,
        )


def examine(patient: Patient, checks: Sequence[Check]) -> list[Advice]:
    """All findings of `checks`; a server that stops answering ends them with a warning."""
    findings: list[Advice] = []
    for check in checks:
        try:
            findings += check(patient)
        except ConnectionLost:
            break
    if patient.inspect.connection.closed or patient.inspect.late:
        findings.append(
            warning(
                "server",
                "the server does not answer in time: not all was seen, and what is fine may not be",
                "look at what it is doing: SHOW FULL PROCESSLIST",
            )
        )
    return [one for one in findings if one.severity is not Severity.FATAL or one.fatal_for]


def require_restorable(
    connection: Connection,
    snapshot: Snapshot,
    jobs: Sequence[TableJob],
    options: RestoreOptions,
    *,
    state_dir: Path | None = None,
    resumed: str | None = None,
) -> None:
    """Refuse a restore that cannot succeed, naming all that is in its way at once.

    Raises LockedByRun or CannotComplete for another run on the same tables, CannotComplete for
    the rest; `resumed` is the run that is gone on with.
    """
    targets = [job.target for job in jobs]
    if state_dir is not None and resumed is None and not options.new:
        unfinished.refuse(state_dir, connection.server, targets)
    patient = Patient(
        Inspector(connection),
        tuple(targets),
        frozenset({RESTORE, SWAP} if options.swap else {RESTORE}),
        snapshot,
        tuple(_job(job) for job in jobs),
        options.threads,
        options.log_bin,
        asked_no_binlog=not options.log_bin,
        resumed=resumed,
    )
    refuse(one for one in examine(patient, _FATAL_CHECKS) if one.severity is Severity.FATAL)


def refuse(fatal: Iterable[Advice]) -> None:
    """Raise CannotComplete with all of `fatal`; return when there is none."""
    found = list(fatal)
    if not found:
        return
    if len(found) == 1:
        raise CannotComplete(found[0].message, hint=found[0].remedy)
    numbered = list(_numbered(one.message for one in found))
    remedies = list(_numbered(one.remedy or "see above" for one in found))
    raise CannotComplete(
        f"{len(found)} things stand in the way: {'; '.join(numbered)}", hint="; ".join(remedies)
    )


def _numbered(texts: Iterable[str]) -> Iterator[str]:
    for number, text in enumerate(texts, start=1):
        yield f"({number}) {text}"


def _restoring(entry: TableEntry) -> Restoring:
    group = max(checks_server.ROW_GROUP_BYTES, entry.largest_row)
    return Restoring(entry, entry.definition.table, min(entry.wire_bytes, group))


def _job(job: TableJob) -> Restoring:
    groups: Collection[int] = [g.wire_bytes for chunk in job.chunks for g in chunk.row_groups]
    return Restoring(job.entry, job.target, max(groups, default=0))

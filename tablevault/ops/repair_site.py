"""What the steps of a repair work with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tablevault.events import FindingMade, Reporter
from tablevault.model import Finding, Snapshot, TableEntry
from tablevault.mysql.connect import Connection, ConnectOptions, Purpose, connect
from tablevault.ops.diff_terms import DiffOptions
from tablevault.ops.repair_check import Examined, Patient
from tablevault.ops.repair_schema import Alteration
from tablevault.ops.repair_state import RepairState
from tablevault.ops.repair_terms import (
    RepairOptions,
)
from tablevault.vault.journal import Journal
from tablevault.vault.store import Store

_CONFLICT_WAIT_S = 10  # for a row that the application has locked; then it is tried again


@dataclass
class RepairSite:
    """What the steps of one repair work with."""

    target: ConnectOptions
    store: Store
    snapshot: Snapshot
    state_dir: Path
    entries: tuple[TableEntry, ...]
    options: RepairOptions
    journal: Journal
    reporter: Reporter
    state: RepairState
    patients: dict[int, Patient] = field(default_factory=dict)  # by the number of their entry
    alterations: list[Alteration] = field(default_factory=list)  # still to be made
    altered: dict[int, tuple[str, ...]] = field(default_factory=dict)  # the statements, when made
    findings: list[Finding] = field(default_factory=list)

    def admit(self, examined: Iterable[Examined]) -> None:
        """Work on these tables, as they stand now."""
        examined = list(examined)
        self.alterations = [one.alteration for one in examined if one.alteration]
        patients = [one.patient for one in examined if one.patient]
        self.patients = {patient.comparison.number: patient for patient in patients}

    def find(self, finding: Finding) -> None:
        """Say what was found, and keep it for the result."""
        self.findings.append(finding)
        table = str(finding.table) if finding.table else None
        self.reporter.emit(FindingMade(kind=finding.kind, message=finding.message, table=table))

    def open_worker(self) -> Connection:
        """A connection that changes rows; its id is journalled before it does anything."""
        connection = connect(
            self.target,
            Purpose.LOAD,
            no_binlog=not self.options.log_bin,
            lock_wait_s=_CONFLICT_WAIT_S,
        )
        server = connection.server
        self.journal.append(
            "connections",
            ids=[connection.id],
            server_started=server.started_at,
            server_uuid=server.uuid,
        )
        return connection

    def diff_options(self, **more: object) -> DiffOptions:
        """How both comparisons are made."""
        options = self.options
        base = DiffOptions(
            threads=options.threads,
            emergency=options.emergency,
            ddl_wait_s=options.ddl_wait_s,
            stalled_after_s=options.stalled_after_s,
            columns=options.columns,
        )
        return dataclasses.replace(base, **more)  # type: ignore[arg-type]

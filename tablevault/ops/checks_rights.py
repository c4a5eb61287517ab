"""Preflight: may this account do what the commands need, privilege by privilege.

SHOW GRANTS is the source; where it cannot be read that is a note and nothing is called missing.
"""

from __future__ import annotations

from collections.abc import Iterator

from tablevault.errors import TablevaultError
from tablevault.model import TableName
from tablevault.mysql import ddl, lock_choice
from tablevault.mysql.server import Privileges
from tablevault.ops.checkup import (
    COMMANDS,
    RESTORE,
    SNAPSHOT,
    SWAP,
    Advice,
    Patient,
    fatal,
    fine,
    note,
    warning,
)

# On tables not yet named; ALTER ... ADD KEY needs no INDEX on either family.
_STAGING = ("CREATE", "INSERT", "SELECT", "ALTER", "DROP")
_NAME = "privileges"
_SHOWN = 5


def rights(patient: Patient) -> Iterator[Advice]:
    """Every privilege that the asked commands need, and the ones that they do better with."""
    held = patient.inspect.privileges
    if held is None:
        why = patient.inspect.unseen.get("privileges", "")
        yield note(_NAME, f"the account's privileges cannot be seen: {why}")
        return
    missing = [
        *(_for_snapshot(patient, held) if patient.wants(SNAPSHOT) else ()),
        *(_for_restore(patient, held) if patient.wants(RESTORE) else ()),
        *(_for_swap(patient, held) if patient.wants(SWAP) else ()),
    ]
    yield from missing
    if not any(one.fatal_for for one in missing):
        yield fine(_NAME, f"the account may do all that is needed for {_purpose(patient)}")
    yield from _helpful(patient, held)


def _for_snapshot(patient: Patient, held: Privileges) -> Iterator[Advice]:
    commands = patient.for_(SNAPSHOT)
    unread = [table for table in patient.tables if not _may(held, "SELECT", table)]
    if unread:
        message = f"the account may not read {_listed(unread)}"
        yield fatal(commands, _NAME, message, "grant SELECT on them")
    elif patient.tables:
        yield from _lock(patient, held)
    hidden = [table for table in patient.tables if not _may(held, "TRIGGER", table)]
    if hidden:
        yield warning(
            _NAME,
            f"without TRIGGER the triggers of {_listed(hidden)} are not seen, "
            "and a snapshot does not have them",
            "grant TRIGGER on the tables",
        )


def _lock(patient: Patient, held: Privileges) -> Iterator[Advice]:
    mode = lock_choice.LockMode.AUTO
    connection = patient.inspect.connection
    try:
        kind, why, hints = lock_choice.choose(connection, mode, patient.tables, held)
    except TablevaultError as error:
        yield fatal(patient.for_(SNAPSHOT), "lock", error.message, error.hint or "")
        return
    yield fine("lock", f"a snapshot takes the lock {kind}: {why}")
    for hint in hints:
        better = "RELOAD" if patient.inspect.mariadb else "BACKUP_ADMIN"
        yield warning("lock", hint, f"grant {better}")


def _for_restore(patient: Patient, held: Privileges) -> Iterator[Advice]:
    for schema in patient.schemas:
        missing = [one for one in _STAGING if not held.has(one, schema)]
        if missing:
            yield fatal(
                patient.for_(RESTORE, SWAP),
                _NAME,
                f"the account lacks {', '.join(missing)} on schema {schema}, where staging "
                "tables are made under names of their own",
                f"GRANT {', '.join(missing)} ON `{schema}`.* TO the account",
            )
    lacking = [
        table for table in _with_foreign_keys(patient) if not _may(held, "REFERENCES", table)
    ]
    if lacking:
        yield fatal(
            patient.for_(RESTORE, SWAP),
            _NAME,
            f"the account lacks REFERENCES for the foreign keys of {_listed(lacking)}",
            "grant REFERENCES on their schemas",
        )
    if patient.asked_no_binlog and not may_leave_binlog(patient, held):
        yield fatal(
            patient.for_(RESTORE),
            _NAME,
            "--no-binlog: this account may not leave the binary log",
            f"grant {_binlog_privilege(patient)}, or leave --no-binlog out",
        )


def _for_swap(patient: Patient, held: Privileges) -> Iterator[Advice]:
    live = [table for table in patient.tables if table in patient.facts]
    for privilege in ("ALTER", "DROP"):
        lacking = [table for table in live if not _may(held, privilege, table)]
        if lacking:
            yield fatal(
                patient.for_(SWAP),
                _NAME,
                f"the account lacks {privilege} on {_listed(lacking)}, which the swap renames",
                f"grant {privilege} on them",
            )
    triggered = sorted({one.target for one in patient.restoring if one.entry.definition.triggers})
    lacking = [table for table in triggered if not _may(held, "TRIGGER", table)]
    if lacking:
        yield fatal(
            patient.for_(SWAP),
            _NAME,
            f"the account lacks TRIGGER for the triggers of {_listed(lacking)}",
            "grant TRIGGER on their schemas",
        )
    elif triggered and not _may_create_triggers(patient, held):
        yield fatal(
            patient.for_(SWAP),
            _NAME,
            f"with the binary log on this account may not create the triggers of "
            f"{_listed(triggered)} again (1419)",
            "grant SUPER, or SET GLOBAL log_bin_trust_function_creators = 1 for the time of it",
        )


def _may_create_triggers(patient: Patient, held: Privileges) -> bool:
    seen = patient.inspect
    trusted = seen.is_on("log_bin_trust_function_creators") or not seen.is_on("log_bin")
    return trusted or held.has("SUPER") or (seen.mariadb and held.has("BINLOG ADMIN"))


def _helpful(patient: Patient, held: Privileges) -> Iterator[Advice]:
    if not held.has("PROCESS"):
        yield warning(
            _NAME,
            "without PROCESS nobody can say which session is in the way when something waits, "
            "and long transactions are not seen",
            "grant PROCESS",
        )
    logs = patient.inspect.is_on("log_bin")
    position = ("REPLICATION CLIENT", "BINLOG MONITOR", "SUPER")
    if patient.wants(SNAPSHOT) and logs and not any(held.has(one) for one in position):
        yield note(
            _NAME,
            "without it a snapshot does not record the position in the binary log",
            f"grant {'BINLOG MONITOR' if patient.inspect.mariadb else 'REPLICATION CLIENT'}",
        )
    if patient.wants(RESTORE) and logs and not may_leave_binlog(patient, held):
        yield note(
            _NAME,
            "--no-binlog is not open to this account: a restore is written to the binary log",
            f"grant {_binlog_privilege(patient)} if it must not be",
        )
    if not patient.inspect.mariadb and not held.has("SELECT", "performance_schema"):
        yield note(
            _NAME,
            "without SELECT on performance_schema neither the progress of an index build nor the "
            "holders of a lock are seen",
            "GRANT SELECT ON performance_schema.* TO the account",
        )


def may_leave_binlog(patient: Patient, held: Privileges) -> bool:
    """Whether the account may set sql_log_bin."""
    if patient.inspect.mariadb:
        return held.has("SUPER") or held.has("BINLOG ADMIN")
    return any(
        held.has(one) for one in ("SUPER", "SYSTEM_VARIABLES_ADMIN", "SESSION_VARIABLES_ADMIN")
    )


def _binlog_privilege(patient: Patient) -> str:
    return "BINLOG ADMIN" if patient.inspect.mariadb else "SESSION_VARIABLES_ADMIN"


def _with_foreign_keys(patient: Patient) -> list[TableName]:
    """Tables of the snapshot whose constraints a restore has to make again.

    MariaDB takes a constraint without the privilege.
    """
    if patient.inspect.mariadb:
        return []
    return [
        one.target for one in patient.restoring if ddl.foreign_keys(one.entry.definition.create_sql)
    ]


def _purpose(patient: Patient) -> str:
    return ", ".join(command for command in COMMANDS if patient.wants(command))


def _may(held: Privileges, privilege: str, table: TableName) -> bool:
    return held.has(privilege, table.schema, table.name)


def _listed(things: list[TableName] | list[str]) -> str:
    shown = ", ".join(str(thing) for thing in things[:_SHOWN])
    return shown if len(things) <= _SHOWN else f"{shown} and {len(things) - _SHOWN} more"

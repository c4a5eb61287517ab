"""Preflight: is the server set up so that a snapshot or restore can succeed.

One function a matter.  Figures that come from measurement are named and explained where they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from tablevault.mysql.sql_doctor import set_global
from tablevault.ops.checkup import (
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

ROW_GROUP_BYTES = 16 << 20  # of buffers: the largest transaction, save for a single larger row
REDO_PER_BYTE = 1.3  # of rows loaded; measured: 93 MB of redo for 72 MB, one secondary index
RATE_BYTES_S = 25e6  # a loader on a fast disk; what redo has to take for each thread
_BINLOG_SLACK = 1.1  # row events carry a header and the lengths of their columns
_INSERT_SLACK = 64 << 10
_HISTORY_LONG = 1_000_000  # undo logs
_LONG_S = 60


def writable(patient: Patient) -> Iterator[Advice]:
    """read_only, super_read_only, innodb_read_only, innodb_force_recovery."""
    seen, held = patient.inspect, patient.inspect.privileges
    writing = patient.for_(RESTORE, SWAP)
    if not writing:
        return
    bypass = ("READ_ONLY ADMIN", "READ ONLY ADMIN") if seen.mariadb else ("CONNECTION_ADMIN",)
    if not seen.mariadb or seen.server.version < (10, 11, 0):
        bypass = (*bypass, "SUPER")
    exempt = held is None or any(held.has(one) for one in bypass)
    blocked = [
        name
        for name in ("super_read_only", "innodb_read_only", "transaction_read_only", "tx_read_only")
        if seen.is_on(name)
    ]
    if seen.is_on("read_only") and not exempt:
        blocked.append("read_only")
    recovery = seen.number("innodb_force_recovery") or 0
    if recovery >= 4:
        blocked.append(f"innodb_force_recovery = {recovery}")
    if blocked:
        yield fatal(
            writing,
            "read-only",
            f"the server takes no writes: {', '.join(blocked)}",
            "connect to the primary, or turn it off if this is the primary",
        )
    elif seen.is_on("read_only"):
        yield warning(
            "read-only",
            "the server is read_only and this account is exempt: it looks like a replica",
            "restore on the primary: what is written here alone makes this replica differ",
        )
    else:
        yield fine("read-only", "the server takes writes")


def loading(patient: Patient) -> Iterator[Advice]:
    """local_infile, and max_allowed_packet against the largest row."""
    if not patient.wants(RESTORE):
        return
    seen = patient.inspect
    local = seen.settings.get("local_infile", "ON").upper() not in ("OFF", "0")
    if local:
        yield fine("local_infile", "rows go in by LOAD DATA LOCAL")
    else:
        yield warning(
            "local_infile",
            "the server refuses LOAD DATA LOCAL: rows go in by INSERT, several times slower",
            set_global("local_infile", 1),
        )
    packet = seen.number("max_allowed_packet")
    if packet is None or not patient.restoring:
        return
    largest = max(one.entry.largest_row for one in patient.restoring)
    needed = largest if local else 2 * largest + _INSERT_SLACK  # a literal may take twice as much
    remedy = set_global("max_allowed_packet", -(-max(needed, 1) // (1 << 20)) << 20)
    if needed <= packet:
        yield fine("packet", f"the largest row, {_mb(largest)}, fits into {_mb(packet)}")
    elif local:
        message = f"the largest row has {_mb(largest)}, max_allowed_packet is {_mb(packet)}"
        yield warning("packet", f"{message}: clients may be unable to read it back", remedy)
    else:
        yield fatal(
            patient.for_(RESTORE),
            "packet",
            f"the largest row has {_mb(largest)}, which max_allowed_packet = {_mb(packet)} may "
            "not let in by INSERT",
            f"{remedy}, or allow LOAD DATA LOCAL: SET GLOBAL local_infile = 1",
        )


def timeouts(patient: Patient) -> Iterator[Advice]:
    """The session sets its own; a proxy in between has its own."""
    short = [
        f"{name} = {value}"
        for name in ("net_read_timeout", "net_write_timeout", "wait_timeout")
        if (value := patient.inspect.number(name)) is not None and value < 30
    ]
    if short:
        yield note("timeouts", f"short on this server, raised by each session: {', '.join(short)}")
    else:
        yield fine("timeouts", "each session sets its own network timeouts")


def binlog(patient: Patient) -> Iterator[Advice]:
    """Its format, and the largest transaction it takes."""
    seen = patient.inspect
    if not patient.wants(RESTORE):
        return
    if not patient.logged:
        yield fine("binlog", "a restore is not written to a binary log")
        return
    if seen.settings.get("binlog_format", "ROW").upper() == "STATEMENT":
        yield fatal(
            patient.for_(RESTORE),
            "binlog",
            "binlog_format = STATEMENT logs LOAD DATA as IGNORE: replicas would drop rows",
            set_global("binlog_format", "'ROW'") + " (or MIXED), or use --no-binlog",
        )
    yield _transactions(patient, "binlog", "max_binlog_cache_size")


def _transactions(patient: Patient, name: str, setting: str) -> Advice:
    """A row group goes in whole or, where the server takes less, in parts; a row only whole."""
    limit, group = patient.inspect.number(setting) or 0, largest_group(patient)
    row = max((one.entry.largest_row for one in patient.restoring), default=0)
    if limit and limit < row * _BINLOG_SLACK:
        return fatal(
            patient.for_(RESTORE),
            name,
            f"the largest row has {_mb(row)}, more than {setting} = {_mb(limit)} takes",
            set_global(setting, int(row * 4)),
        )
    if limit and limit < group * 2:
        return note(
            name,
            f"{setting} = {_mb(limit)}: row groups of up to {_mb(group)} are loaded in parts",
            set_global(setting, group * 4) + " to load them whole",
        )
    return fine(name, f"transactions of up to {_mb(group)} pass {setting}")


def cluster(patient: Patient) -> Iterator[Advice]:
    """Galera and group replication: their limits, and what index builds do to them."""
    if not patient.wants(RESTORE):
        return
    seen = patient.inspect
    if seen.is_on("wsrep_on"):
        yield warning(
            "galera",
            "a Galera cluster runs each index build and the swap as total-order DDL: the whole "
            "cluster takes no writes meanwhile",
            "restore with --indexes inline, or in a quiet hour",
        )
        if seen.number("wsrep_max_ws_size"):
            yield _transactions(patient, "galera", "wsrep_max_ws_size")
        if seen.status.get("wsrep_ready", "ON").upper() != "ON":
            remedy = "connect to a node that is in the primary component"
            yield fatal(
                patient.for_(SNAPSHOT, RESTORE, SWAP), "galera", "wsrep_ready is OFF", remedy
            )
    limit = seen.number("group_replication_transaction_size_limit")
    if limit is not None and seen.in_group():
        yield _transactions(
            patient, "group replication", "group_replication_transaction_size_limit"
        )


def redo(patient: Patient) -> Iterator[Advice]:
    """The capacity of the redo log against what a load writes: checkpoint stalls."""
    if not patient.wants(RESTORE):
        return
    capacity = redo_capacity(patient)
    if capacity is None:
        yield note("redo", "the capacity of the redo log cannot be seen")
        return
    rows = sum(one.rows_bytes for one in patient.volumes)
    turns = rows * REDO_PER_BYTE / capacity
    seconds = capacity / (RATE_BYTES_S * REDO_PER_BYTE * min(patient.threads, 4))
    shown = f"the redo log holds {_mb(capacity)}, {seconds:.0f} s of loading at full speed"
    if (rows and turns <= 0.5) or seconds >= 30:
        yield fine("redo", shown)
        return
    times = "once" if turns < 1.5 else f"{turns:.0f} times"
    fills = f" and is filled {times} by this restore" if turns >= 1 else ""
    yield warning(
        "redo",
        f"{shown}{fills}: near its end InnoDB makes writers wait, and loaders slow down before",
        _larger_redo(patient),
    )


def _larger_redo(patient: Patient) -> str:
    seen, size = patient.inspect, 2 << 30
    if not seen.mariadb and "innodb_redo_log_capacity" in seen.settings:
        return set_global("innodb_redo_log_capacity", size) + " before large restores"
    if seen.mariadb and seen.server.version >= (10, 9, 0):
        return set_global("innodb_log_file_size", size) + " before large restores"
    return "raise innodb_log_file_size in the server's configuration, and restart it"


def redo_capacity(patient: Patient) -> int | None:
    """Bytes of redo before InnoDB must flush; None where it is not to be seen."""
    seen = patient.inspect
    modern = seen.number("innodb_redo_log_capacity")
    if modern is not None:
        return modern
    size = seen.number("innodb_log_file_size")
    return None if size is None else size * (seen.number("innodb_log_files_in_group") or 1)


def connections(patient: Patient) -> Iterator[Advice]:
    """Room for the workers' connections."""
    seen, needed = patient.inspect, patient.threads + 4
    limit, used = seen.number("max_connections"), seen.status.get("threads_connected", "")
    if limit is None or not used.isdigit():
        yield note("connections", "how many connections are free cannot be seen")
        return
    free = limit - int(used)
    own = seen.number("max_user_connections") or 0
    if free < needed:
        yield warning(
            "connections",
            f"{free} of {limit} connections are free, {needed} are needed",
            f"use --threads {max(1, free - 4)}, or raise max_connections",
        )
    elif 0 < own < needed:
        yield warning(
            "connections",
            f"max_user_connections = {own}, and {needed} connections are needed",
            f"use --threads {max(1, own - 4)}, or raise it",
        )
    else:
        yield fine("connections", f"{free} of {limit} connections are free, {needed} are needed")


def switches(patient: Patient) -> Iterator[Advice]:
    """Settings that are known to bite, and do not bite here, or do."""
    seen = patient.inspect
    if "unique_checks" in seen.settings and not seen.is_on("unique_checks"):
        yield warning(
            "unique_checks",
            "unique_checks is off for the whole server: loads by others move their work into "
            "COMMIT (each session of tablevault turns it on)",
            set_global("unique_checks", 1),
        )
    limit = seen.number("innodb_online_alter_log_max_size")
    if patient.wants(RESTORE) and limit is not None:
        yield fine(
            "online alter log",
            f"innodb_online_alter_log_max_size = {_mb(limit)} is not used up: nobody writes to a "
            "staging table while its indexes are built",
        )


def waiting(patient: Patient) -> Iterator[Advice]:
    """Long transactions, locks on the tables, the length of the undo history."""
    seen = patient.inspect
    long = seen.long_transactions(_LONG_S)
    if long is None:
        yield note("transactions", "long transactions cannot be seen", "grant PROCESS")
    elif long:
        yield warning(
            "transactions",
            f"open for more than a minute: {'; '.join(long[:5])}",
            "end them: a swap waits for each that has read the table, a snapshot for writers",
        )
    else:
        yield fine("transactions", "no transaction is open for more than a minute")
    holders = seen.lock_holders(patient.tables) if patient.tables else []
    if holders is None:
        how = "INSTALL SONAME 'metadata_lock_info'" if seen.mariadb else "grant SELECT on it"
        where = "METADATA_LOCK_INFO" if seen.mariadb else "performance_schema.metadata_locks"
        yield note("locks", f"who holds the tables cannot be seen: {where} is not there", how)
    elif holders:
        remedy = "a swap waits for them; end them, or see --lock-wait"
        yield warning("locks", f"the tables are held by {'; '.join(holders[:5])}", remedy)
    history = seen.history_length
    if history is not None and history > _HISTORY_LONG:
        yield warning(
            "history",
            f"{history} undo logs wait to be purged: reads of old rows are slow",
            "find the oldest transaction and end it; a long snapshot makes it grow further",
        )


def largest_group(patient: Patient) -> int:
    """Bytes of the largest transaction that a restore commits."""
    return max((one.largest_group for one in patient.restoring), default=ROW_GROUP_BYTES)


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e10 else f"{size / 1e9:.0f} GB"

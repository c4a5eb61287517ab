"""How near the server is to standing still, from counters that every account may read.

A writer stalls when the redo log is full of changes whose pages are not flushed yet: InnoDB
flushes ahead from about 7/8 of it on, and at its end stops every writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

_STATUS = (
    "SHOW GLOBAL STATUS WHERE Variable_name IN ("
    "'Innodb_checkpoint_age', 'Innodb_checkpoint_max_age', "  # MariaDB
    "'Innodb_redo_log_current_lsn', 'Innodb_redo_log_checkpoint_lsn', "  # MySQL
    "'Innodb_redo_log_capacity_resized', 'Innodb_buffer_pool_pages_dirty', "
    "'Innodb_buffer_pool_pages_total', 'Innodb_buffer_pool_read_requests', "
    "'Innodb_data_written', 'Innodb_data_read', 'Innodb_os_log_written', 'Handler_write', "
    "'Threads_running', 'Innodb_onlineddl_pct_progress', "
    "'Com_insert', 'Com_insert_select', 'Com_replace', 'Com_replace_select', 'Com_update', "
    "'Com_update_multi', 'Com_delete', 'Com_delete_multi')"
)
_MOVING = (
    "Innodb_buffer_pool_read_requests",
    "Innodb_data_written",
    "Innodb_data_read",
    "Innodb_os_log_written",
    "Handler_write",
)
# MySQL begins to flush hard well before the log is full: 7/8 of it may hold unflushed changes.
_MYSQL_USABLE = 0.875


@dataclass(frozen=True)
class Pressure:
    """One look at the server; fractions are 0 (free) to 1 (full), None where unknown."""

    redo: float | None = None  # checkpoint age over its limit
    dirty: float | None = None  # dirty pages over the buffer pool
    threads_running: int = 0
    work: int = 0  # a sum of counters that grows while the server works at anything
    writes: int = 0  # statements that change rows since the server's start, LOAD DATA apart


def look(conn: Connection) -> Pressure:
    """Read the counters; a server that lacks some gives what it has."""
    found = {(name or b"").decode(): int(value) for name, value in conn.query(_STATUS) if value}
    total = found.get("Innodb_buffer_pool_pages_total", 0)
    dirty = found.get("Innodb_buffer_pool_pages_dirty")
    return Pressure(
        redo=_redo(found),
        dirty=dirty / total if dirty is not None and total else None,
        threads_running=found.get("Threads_running", 0),
        work=sum(found.get(name, 0) for name in _MOVING),
        writes=sum(count for name, count in found.items() if name.startswith("Com_")),
    )


def _redo(found: dict[str, int]) -> float | None:
    limit = found.get("Innodb_checkpoint_max_age", 0)
    if limit:
        return min(1.0, found.get("Innodb_checkpoint_age", 0) / limit)
    capacity = found.get("Innodb_redo_log_capacity_resized", 0)
    if capacity:
        age = found["Innodb_redo_log_current_lsn"] - found["Innodb_redo_log_checkpoint_lsn"]
        return min(1.0, age / (capacity * _MYSQL_USABLE))
    return None

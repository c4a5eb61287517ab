"""InnoDB's checkpoint: what recovery after a crash begins with, and how it is brought forward.

MariaDB must have made one between DISCARD and IMPORT TABLESPACE: recovery would repeat the making
and the discarding of the table that the log tells of, on the rows that were taken in since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

NOW = "innodb_log_checkpoint_now"
"""MariaDB from 10.10 (MDEV-30000): set, it flushes all that is dirty, as fast as the disk takes it.

That is no setting: it reads OFF before and after.  With `innodb_max_dirty_pages_pct` at 0 the same
pages go at the pace of `innodb_io_capacity`: 300 MB took 90 s.
"""
_CURRENT = ("Innodb_lsn_current", "Innodb_redo_log_current_lsn")  # MariaDB, MySQL
_CHECKPOINT = ("Innodb_lsn_last_checkpoint", "Innodb_redo_log_checkpoint_lsn")


@dataclass(frozen=True)
class LogPosition:
    """Bytes of redo log, counted since the server was made."""

    current: int
    checkpoint: int


def log_position(conn: Connection) -> LogPosition | None:
    """Where the redo log stands; None where the server does not tell."""
    listed = ", ".join(f"'{name}'" for name in (*_CURRENT, *_CHECKPOINT))
    rows = conn.query(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({listed})")
    found = {(name or b"").decode(): int(value or 0) for name, value in rows}
    current = next((found[name] for name in _CURRENT if name in found), None)
    checkpoint = next((found[name] for name in _CHECKPOINT if name in found), None)
    return None if current is None or checkpoint is None else LogPosition(current, checkpoint)


def make(conn: Connection) -> None:
    """Make a checkpoint at the end of the log; it is made on return.  Needs SUPER."""
    conn.execute(f"SET GLOBAL {NOW} = ON")

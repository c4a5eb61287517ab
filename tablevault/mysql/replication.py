"""How far a server is behind the one it replicates from, and who replicates from a server.

How far a replica is behind only the replica can tell: a primary sees who reads its binary log, and
at best what it has sent, never what was applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tablevault.errors import StatementFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tablevault.mysql.connect import Connection

_READERS = "SELECT HOST FROM {source} WHERE COMMAND LIKE 'Binlog Dump%' ORDER BY HOST"
_OLD_NAMES = (8, 0, 22)  # MySQL before this knows SHOW SLAVE STATUS only
NEEDS = "REPLICA MONITOR (MariaDB 10.5 and later) or REPLICATION CLIENT (MySQL)"


def lag_s(conn: Connection) -> float | None:
    """Seconds that the server is behind; None when it replicates from nobody, or stands still.

    Of several sources the worst counts, and a delay that was asked for is none.
    Raises StatementFailed when the account may not see it.
    """
    lags = [_behind_s(source) for source in _sources(conn)]
    return max((one for one in lags if one is not None), default=None)


def replicates(conn: Connection) -> bool:
    """Whether the server replicates from another at all.  Raises as `lag_s`."""
    return bool(_sources(conn))


def readers(conn: Connection) -> tuple[str, ...]:
    """The hosts that read the server's binary log, as far as the account may see them."""
    mysql = conn.server.family == "mysql"
    source = "performance_schema.processlist" if mysql else "information_schema.PROCESSLIST"
    try:
        rows = conn.query(_READERS.format(source=source))
    except StatementFailed:
        return ()
    hosts = [(row[0] or b"").decode("utf-8", "replace").rpartition(":")[0] for row in rows]
    return tuple(dict.fromkeys(host for host in hosts if host))


def _sources(conn: Connection) -> list[dict[str, bytes | None]]:
    if conn.server.family == "mariadb":
        return conn.named("SHOW ALL SLAVES STATUS")
    old = conn.server.version < _OLD_NAMES
    return conn.named("SHOW SLAVE STATUS" if old else "SHOW REPLICA STATUS")


def _behind_s(source: Mapping[str, bytes | None]) -> float | None:
    behind = source.get("Seconds_Behind_Source", source.get("Seconds_Behind_Master"))
    if behind is None:
        return None
    return float(max(0, int(behind) - int(source.get("SQL_Delay") or 0)))

"""On which terms a server takes rows: by which statement, and in transactions of which size."""

from __future__ import annotations

from dataclasses import dataclass

from tablevault.mysql import server as servers
from tablevault.mysql.connect import Connection

# Row events are about as large as the values; what a transaction adds beside them, and blocks
# being whole, is covered by staying at half of what the server would take.
_SAFETY = 0.5
_LEAST_BYTES = 64 << 10
_ROW_GROUP_BYTES = 16 << 20  # as far as a single transaction goes otherwise


@dataclass(frozen=True)
class Terms:
    """`transaction_bytes` bounds a transaction below a row group; None: a row group is one."""

    local_infile: bool = True
    transaction_bytes: int | None = None


def read_terms(connection: Connection, *, log_bin: bool) -> Terms:
    """The server's terms.  `log_bin`: whether the load is to be written to the binary log."""
    found = servers.settings(
        connection,
        ["log_bin", "max_binlog_cache_size", "group_replication_transaction_size_limit"],
    )
    limits = []
    if log_bin and found.get("log_bin", "OFF").upper() in ("ON", "1"):
        limits.append(int(found.get("max_binlog_cache_size", 0)))
        limits.append(int(found.get("group_replication_transaction_size_limit", 0)))
    bound = min((limit for limit in limits if limit), default=None)
    transaction_bytes = None
    if bound is not None and bound * _SAFETY < _ROW_GROUP_BYTES:
        transaction_bytes = max(_LEAST_BYTES, int(bound * _SAFETY))
    return Terms(not servers.local_infile_off(connection), transaction_bytes)

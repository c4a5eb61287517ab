"""Who waits for whose row lock: the server's own answer, where the account may see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tablevault.errors import StatementFailed

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

_MARIADB = (
    "SELECT DISTINCT waiting.trx_mysql_thread_id, holding.trx_mysql_thread_id "
    "FROM information_schema.INNODB_LOCK_WAITS w "
    "JOIN information_schema.INNODB_TRX waiting ON waiting.trx_id = w.requesting_trx_id "
    "JOIN information_schema.INNODB_TRX holding ON holding.trx_id = w.blocking_trx_id"
)
_MYSQL = (
    "SELECT DISTINCT waiting.PROCESSLIST_ID, holding.PROCESSLIST_ID "
    "FROM performance_schema.data_lock_waits w "
    "JOIN performance_schema.threads waiting ON waiting.THREAD_ID = w.REQUESTING_THREAD_ID "
    "JOIN performance_schema.threads holding ON holding.THREAD_ID = w.BLOCKING_THREAD_ID"
)


def row_lock_waits(conn: Connection) -> dict[int, int]:
    """By connection that waits for a row lock, one that holds it; empty where nobody tells."""
    try:
        rows = conn.query(_MYSQL if conn.server.family == "mysql" else _MARIADB)
    except StatementFailed:
        return {}
    return {int(waiting): int(holding) for waiting, holding in rows if waiting and holding}

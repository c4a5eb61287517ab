"""Which lock a snapshot takes: the gentlest one that makes it one instant, and may be had."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from tablevault.errors import CannotComplete
from tablevault.model import TableName

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection
    from tablevault.mysql.server import Privileges


class LockMode(StrEnum):
    """What may be asked for."""

    AUTO = "auto"
    FTWRL = "ftwrl"
    TABLES = "tables"
    NONE = "none"
    EXPORT = "export"  # so that tablespaces can be copied; not to be asked for by name


class LockKind(StrEnum):
    """What was taken; the names stand in the manifest."""

    BACKUP_STAGE = "backup-stage"
    INSTANCE_AND_TABLES = "instance+tables"
    TABLES = "tables"
    FTWRL = "ftwrl"
    NONE = "none"
    EXPORT = "export"


def choose(
    conn: Connection,
    mode: LockMode,
    tables: Sequence[TableName],
    privileges: Privileges,
    without_transactions: Sequence[TableName] = (),
) -> tuple[LockKind, str, tuple[str, ...]]:
    """Which lock, why, and what the person should know of it.  Asks for nothing, locks nothing.

    Tables `without_transactions` take LOCK TABLES in any case.
    """
    mariadb = conn.server.family == "mariadb"
    reload = privileges.has("RELOAD")
    may_lock_tables = all(
        privileges.has("LOCK TABLES", t.schema) and privileges.has("SELECT", t.schema, t.name)
        for t in tables
    )
    if mode is LockMode.NONE:
        hint = "no lock: readers may see different instants while the tables are written to"
        return LockKind.NONE, "asked for", (hint,)
    if mode is LockMode.EXPORT:
        return _export(conn, privileges, may_lock_tables)
    if without_transactions and not may_lock_tables:
        raise CannotComplete(
            f"table {without_transactions[0]} has no transactions, and the account may not lock "
            "it while it is read",
            hint="grant LOCK TABLES on it, or leave the table out",
        )
    if mode is LockMode.FTWRL:
        if not (reload or privileges.has("FLUSH_TABLES")):
            raise CannotComplete(
                "the account may not FLUSH TABLES WITH READ LOCK", hint="grant RELOAD"
            )
        return LockKind.FTWRL, "asked for", ()
    staged = mariadb and reload and conn.server.version >= (10, 4, 1)
    if mode is LockMode.AUTO and staged and not without_transactions:
        return LockKind.BACKUP_STAGE, "the account has RELOAD", ()
    if not may_lock_tables:
        wanted = "RELOAD" if mariadb else "BACKUP_ADMIN and LOCK TABLES"
        raise CannotComplete(
            "the account may take no lock that makes the tables' snapshot one instant",
            hint=f"grant {wanted if mode is LockMode.AUTO else 'LOCK TABLES'}, or use --lock "
            "none when nothing writes to the tables",
        )
    if mode is LockMode.AUTO and not mariadb and privileges.has("BACKUP_ADMIN"):
        return LockKind.INSTANCE_AND_TABLES, "the account has BACKUP_ADMIN and LOCK TABLES", ()
    if mode is LockMode.TABLES:
        return LockKind.TABLES, "asked for", ()
    if without_transactions and staged:
        hint = "with tables without transactions DDL is not kept out, only noticed"
        return LockKind.TABLES, "some tables have no transactions", (hint,)
    missing = "RELOAD" if mariadb else "BACKUP_ADMIN"
    hint = f"without {missing} DDL is not kept out during the snapshot, only noticed"
    return LockKind.TABLES, f"the account lacks {missing}", (hint,)


def _export(
    conn: Connection, privileges: Privileges, may_lock_tables: bool
) -> tuple[LockKind, str, tuple[str, ...]]:
    if not may_lock_tables or not (privileges.has("RELOAD") or privileges.has("FLUSH_TABLES")):
        raise CannotComplete(
            "the account may not FLUSH TABLES ... FOR EXPORT", hint="grant RELOAD and LOCK TABLES"
        )
    hints: tuple[str, ...] = ()
    if conn.server.family == "mysql" and not privileges.has("BACKUP_ADMIN"):
        hints = ("without BACKUP_ADMIN DDL is not kept out during the snapshot, only noticed",)
    return LockKind.EXPORT, "tablespaces are copied", hints


def non_transactional_tables(conn: Connection) -> int:
    """How many tables of the application BACKUP STAGE BLOCK_DDL would keep from being written."""
    row = conn.one(
        "SELECT COUNT(*) FROM information_schema.TABLES t "
        "LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE "
        "WHERE t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND t.TABLE_SCHEMA NOT IN "
        "('mysql', 'information_schema', 'performance_schema', 'sys') "
        "AND COALESCE(e.TRANSACTIONS, 'NO') <> 'YES'"
    )
    return int(row[0] or 0) if row else 0

"""The lock under which all readers begin at one instant, and what keeps DDL out afterwards.

Taken by a coordinator's connection that reads no rows itself.  Every wait is bounded twice: by
`lock_wait_timeout`, and by a second connection that kills the statement.  A lock that does not
come is given up whole, so that nothing of ours is left in the application's way.

- MariaDB: BACKUP STAGE.  Waits neither for open transactions nor for long queries; commits stand
  still only while the readers begin.
- MySQL: LOCK INSTANCE FOR BACKUP against DDL and LOCK TABLES READ for the instant.
- LOCK TABLES READ alone: waits for open writers of the tables, and writers wait behind it, so it
  is tried for a few seconds at a time.
- Tables without transactions are locked by a connection of their own until they are read.  Not
  under BACKUP STAGE: it would wait for the very writers that wait for these tables.
- FLUSH TABLES ... FOR EXPORT of tables whose tablespaces are copied, LOCK TABLES READ of the
  others.  Waits for open writers.
- FLUSH TABLES WITH READ LOCK: only on demand, and only while no older query runs: behind one,
  MySQL leaves the application's reads blocked even after it was given up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tablevault.errors import StatementFailed
from tablevault.model import TableName
from tablevault.mysql import watch
from tablevault.mysql.held_lock import INSTANCE, STAGE_END, STAGES, HeldLock, Undo
from tablevault.mysql.lock_attempt import DENIED, PAUSE_S, Attempt, Step
from tablevault.mysql.lock_choice import (
    LockKind,
    LockMode,
    choose,
    non_transactional_tables,
)
from tablevault.mysql.sql import quote_table
from tablevault.mysql.watchdog import Watchdog

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection
    from tablevault.mysql.server import Privileges

__all__ = ["HeldLock", "LockKind", "LockMode", "acquire", "choose"]


def acquire(
    conn: Connection,
    mode: LockMode | str,
    tables: Sequence[TableName],
    wait_s: float,
    privileges: Privileges,
    open_connection: Callable[[], Connection],
    *,
    keep_ddl_out: bool = True,
    without_transactions: Sequence[TableName] = (),
    exported: Sequence[TableName] = (),
) -> HeldLock:
    """Take the gentlest lock that `mode` and the account allow, within `wait_s` seconds.

    `conn` holds the lock and can hardly be used for anything else meanwhile.  With
    `keep_ddl_out` DDL is kept waiting until release_all() where that costs nobody else anything.
    Those of `tables` that are `without_transactions` stay locked until release_rows(); those
    that are `exported`, with the mode EXPORT alone, have whole files until release_reads().
    Raises LockNotGranted naming who was in the way; CannotComplete when the account may take no
    lock that makes a consistent snapshot.
    """
    bare = tuple(without_transactions)
    kind, why, hints = choose(conn, LockMode(mode), tables, privileges, bare)
    held = HeldLock(kind, why, hints)
    if kind is LockKind.NONE:
        return held
    attempt = Attempt(
        conn,
        held,
        tuple(tables),
        bare,
        tuple(exported),
        wait_s,
        privileges,
        open_connection,
        keep_ddl_out,
    )
    try:
        return _taken(attempt)
    except StatementFailed as error:
        if mode != LockMode.AUTO or kind is LockKind.TABLES or error.errno not in DENIED:
            raise
    # a service may grant RELOAD and still forbid what RELOAD is for
    hint = f"the server forbids {kind} to this account: DDL is not kept out, only noticed"
    attempt.held = HeldLock(LockKind.TABLES, f"the server forbids {kind}", (*hints, hint))
    return _taken(attempt)


def _taken(attempt: Attempt) -> HeldLock:
    held = attempt.held
    try:
        with Watchdog(attempt.open_connection()) as attempt.watchdog:
            _TAKE[held.kind](attempt)
    except BaseException:
        held.release_all()
        raise
    return held


def _take_backup_stage(attempt: Attempt) -> None:
    """Up to BLOCK_COMMIT for the instant; then, where DDL is to be kept out, BLOCK_DDL again.

    Stages go forward only, so there is a moment between the two: DDL that slips in is noticed by
    definition and identity.  (FTWRL under BLOCK_DDL would leave no such moment, but waits for
    every write under way, and new ones wait behind it.)
    """
    conn, held = attempt.conn, attempt.held
    again = attempt.keep_ddl_out
    others = non_transactional_tables(conn) if again else 0
    if others:
        again = False
        held.hints += (_not_kept_out(others),)
    attempt.run(conn, "BACKUP STAGE START", STAGE_END)
    attempt.run(conn, "BACKUP STAGE BLOCK_COMMIT", STAGE_END)
    held.settle(instant=[(conn, STAGE_END)], block_ddl_on=conn if again else None)


def _take_instance_and_tables(attempt: Attempt) -> None:
    """Two connections: UNLOCK TABLES gives back the instance lock of its own connection, too."""
    second = attempt.second()
    attempt.run(second, "LOCK INSTANCE FOR BACKUP", "UNLOCK INSTANCE")
    instant, rows = _lock_tables(attempt)
    ddl = (second, "UNLOCK INSTANCE")
    if attempt.keep_ddl_out:
        attempt.held.settle(instant=instant, ddl=[ddl], rows=rows)
    else:
        attempt.held.settle(instant=[*instant, ddl], rows=rows)


def _take_tables(attempt: Attempt) -> None:
    instant, rows = _lock_tables(attempt)
    attempt.held.settle(instant=instant, rows=rows)


def _lock_tables(attempt: Attempt) -> tuple[list[Undo], list[Undo]]:
    """What gives back the tables with transactions, and those without: each has a connection."""
    others = [table for table in attempt.tables if table not in attempt.bare]
    steps, rows = [], []
    if attempt.bare:
        steps = [_lock_read(attempt.second(), attempt.bare)]
        rows = [(conn, undo) for conn, _, undo in steps]
    if others:
        steps.append(_lock_read(attempt.conn, others))
    attempt.run_gently(*steps)
    return [(conn, undo) for conn, _, undo in steps if conn is attempt.conn], rows


def _lock_read(conn: Connection, tables: Sequence[TableName]) -> Step:
    listed = ", ".join(f"{quote_table(table)} READ" for table in tables)
    return conn, f"LOCK TABLES {listed}", "UNLOCK TABLES"


def _take_export(attempt: Attempt) -> None:
    """All or nothing: one connection exports, others lock what is not exported.

    MySQL keeps DDL out meanwhile by a lock of the connection that exports, and grants it to no
    other one; MariaDB grants its own to another one at once, even with an ALTER waiting.
    """
    conn, held = attempt.conn, attempt.held
    mysql = conn.server.family == "mysql"
    names = ", ".join(quote_table(table) for table in attempt.exported)
    apart = (*attempt.exported, *attempt.bare)
    others = [table for table in attempt.tables if table not in apart]
    steps: list[Step] = [(conn, f"FLUSH TABLES {names} FOR EXPORT", "UNLOCK TABLES")]
    block_ddl_on = None
    if mysql and attempt.keep_ddl_out and attempt.privileges.has("BACKUP_ADMIN"):
        steps.insert(0, (conn, INSTANCE[0][0], INSTANCE[1]))
        block_ddl_on = attempt.second()
    if others:
        steps.append(_lock_read(attempt.second(), others))
    instant: list[Undo] = [(conn, undo) for conn, _, undo in reversed(steps)]
    rows: list[Undo] = []
    if attempt.bare:
        steps.append(_lock_read(attempt.second(), attempt.bare))
        rows = [(steps[-1][0], steps[-1][2])]
    attempt.run_gently(*steps)
    held.settle(instant=instant, rows=rows, block_ddl_on=block_ddl_on)
    if attempt.keep_ddl_out and not mysql:
        tables = non_transactional_tables(conn)
        if tables:
            held.hints += (_not_kept_out(tables),)
        else:
            held._block_ddl(attempt.second(), STAGES)


def _not_kept_out(others: int) -> str:
    return (
        f"DDL is not kept out during the snapshot, only noticed: the server has tables of "
        f"engines without transactions ({others}), which could not be written to meanwhile"
    )


def _take_ftwrl(attempt: Attempt) -> None:
    while True:
        older = watch.running_queries(attempt.conn, 1)
        if not older.sessions:
            break
        if attempt.remaining_s <= PAUSE_S:
            attempt.watchdog.seen = older.lines[:5]
            attempt.give_up("FLUSH TABLES WITH READ LOCK")
        time.sleep(PAUSE_S)
    attempt.run_gently((attempt.conn, "FLUSH TABLES WITH READ LOCK", "UNLOCK TABLES"))
    rows: list[Undo] = []
    if attempt.bare:  # nobody writes now, so that this one is there at once
        conn, text, undo = _lock_read(attempt.second(), attempt.bare)
        attempt.run(conn, text, undo)
        rows = [(conn, undo)]
    attempt.held.settle(instant=[(attempt.conn, "UNLOCK TABLES")], rows=rows)


_TAKE: dict[LockKind, Callable[[Attempt], None]] = {
    LockKind.BACKUP_STAGE: _take_backup_stage,
    LockKind.INSTANCE_AND_TABLES: _take_instance_and_tables,
    LockKind.TABLES: _take_tables,
    LockKind.FTWRL: _take_ftwrl,
    LockKind.EXPORT: _take_export,
}

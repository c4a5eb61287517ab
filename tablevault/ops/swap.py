"""The cut-over of a proven restore, its undo, and the removal of what both leave behind.

Until `swap` the live table has not been touched.  The cut-over is one RENAME under a lock wait of
about a second a try, so that it never queues in front of the application; the table that was live
stays under a name that `rollback` knows until `cleanup`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tablevault.engine.pool import run_aside
from tablevault.errors import CannotComplete, LockNotGranted, StatementFailed, Unsupported
from tablevault.events import Observer, Reporter, Retrying, Waiting, silent
from tablevault.model import TableName
from tablevault.mysql import session as sessions
from tablevault.mysql import sql_tables, watch
from tablevault.mysql.connect import Connection, ConnectOptions, connect
from tablevault.ops.options import SwapResult, TableResult
from tablevault.ops.running import reported
from tablevault.ops.runs import RunState, RunTable, replay, run_folder
from tablevault.vault.journal import Journal

_LOCK_WAIT_TIMEOUT = 1205  # the server's error number
_TRY_S = 1  # lock_wait_timeout of one try: a RENAME that waits blocks the application's SELECTs
_PAUSE_S = 1.0  # between tries, so that the application's queue drains

Pairs = Sequence[tuple[TableName, TableName]]


@dataclass(frozen=True)
class _Site:
    """What the steps of a cut-over work with."""

    connection: Connection
    journal: Journal
    state: RunState
    reporter: Reporter
    lock_wait_s: float


def swap(
    target: ConnectOptions,
    run: str,
    state_dir: Path,
    observer: Observer = silent,
    *,
    lock_wait_s: float = 60.0,
) -> SwapResult:
    """Put the proven staging tables of `run` in the place of the live ones, all in one statement.

    Raises CannotComplete when the run is not proven, LockNotGranted when the tables stayed in
    use for `lock_wait_s`, Unsupported for foreign keys and triggers; then nothing has changed.
    """
    return _operate(target, run, state_dir, observer, lock_wait_s, "swap", _swap)


def rollback(
    target: ConnectOptions,
    run: str,
    state_dir: Path,
    observer: Observer = silent,
    *,
    lock_wait_s: float = 60.0,
) -> SwapResult:
    """Put the tables that were live before the swap of `run` back, all in one statement."""
    return _operate(target, run, state_dir, observer, lock_wait_s, "rollback", _roll_back)


def cleanup(
    target: ConnectOptions,
    run: str,
    state_dir: Path,
    observer: Observer = silent,
    *,
    lock_wait_s: float = 60.0,
) -> SwapResult:
    """Drop what `run` created or kept and no longer serves: never a table that is live."""
    return _operate(target, run, state_dir, observer, lock_wait_s, "cleanup", _clean)


def _operate(
    target: ConnectOptions,
    run: str,
    state_dir: Path,
    observer: Observer,
    lock_wait_s: float,
    operation: str,
    step: Callable[[_Site], SwapResult],
) -> SwapResult:
    """Open the run and the server, then carry `step` out beside a ticking coordinator."""
    reporter = Reporter(run, observer)
    with Journal.open(run_folder(state_dir, run)) as journal:
        state = replay(run, journal.entries)
        names = [str(table.target) for table in state.tables]
        with reported(
            reporter, operation, snapshot=state.snapshot, tables=names, state_dir=state_dir
        ):
            reporter.begin_phase("swapping" if operation == "swap" else operation)
            with connect(target) as connection:
                site = _Site(connection, journal, state, reporter, lock_wait_s)
                return step(site)


def swap_proven(
    target: ConnectOptions, journal: Journal, reporter: Reporter, *, lock_wait_s: float
) -> SwapResult:
    """The cut-over at the end of `restore --swap`, within the same run."""
    state = replay(reporter.run, journal.entries)
    with connect(target) as connection:
        return _swap(_Site(connection, journal, state, reporter, lock_wait_s))


def _swap(site: _Site) -> SwapResult:
    began = time.monotonic()
    state, connection = site.state, site.connection
    if state.status in ("swapping", "rolling back"):
        _settle(site)
    if state.status == "swapped":
        return _result(site, "swapped", began)
    if state.status != "proven":
        raise CannotComplete(
            f"run {state.run} is {state.status}, not proven",
            hint=f"complete it with: tablevault restore --resume {state.run}",
        )
    live = {table.target: _exists(connection, table.target) for table in state.tables}
    for table in state.tables:
        if not _exists(connection, table.staging):
            raise CannotComplete(f"staging table {table.staging} is not there any more")
        refuse_entangled(connection, table.target)
        _raise_auto_increment(connection, table, live[table.target])
    pairs: list[tuple[TableName, TableName]] = []
    for table in state.tables:
        if live[table.target]:
            pairs.append((table.target, table.kept))
        pairs.append((table.staging, table.target))
    had_live = {str(name): there for name, there in live.items()}
    site.journal.append("swapping", had_live=had_live)
    state.had_live, state.status = had_live, "swapping"
    # The dangerous step, and the last: until here nothing live was touched, and what it does
    # is one statement that `rollback` undoes.
    _rename(site, pairs, given_up="swap given up")
    site.journal.append("swapped", had_live=had_live)
    state.status = "swapped"
    return _result(site, "swapped", began)


def _roll_back(site: _Site) -> SwapResult:
    began = time.monotonic()
    state = site.state
    if state.status in ("swapping", "rolling back"):
        _settle(site)
    if state.status == "rolled back":
        return _result(site, "rolled back", began)
    if state.status != "swapped":
        raise CannotComplete(f"run {state.run} is {state.status}: there is no swap to undo")
    pairs: list[tuple[TableName, TableName]] = []
    for table in state.tables:
        refuse_entangled(site.connection, table.target)
        if state.had_live.get(str(table.target)):
            if not _exists(site.connection, table.kept):
                raise CannotComplete(f"the kept table {table.kept} is not there any more")
            _raise_auto_increment(site.connection, table, True, onto=table.kept)
            pairs += [(table.target, table.undone), (table.kept, table.target)]
        else:
            pairs.append((table.target, table.undone))
    site.journal.append("rolling back", had_live=dict(state.had_live))
    state.status = "rolling back"
    _rename(site, pairs, given_up="rollback given up")
    site.journal.append("rolled back", had_live=dict(state.had_live))
    state.status = "rolled back"
    return _result(site, "rolled back", began)


def _clean(site: _Site) -> SwapResult:
    began = time.monotonic()
    state = site.state
    if state.status in ("swapping", "rolling back"):
        _settle(site)
    dropped = []
    for number, table in enumerate(state.tables):
        if number not in state.creating:
            continue  # the run never reached it: whatever has that name is not ours
        for name in (table.staging, table.kept, table.undone):
            if _exists(site.connection, name):
                statement = sql_tables.drop_table(name)
                _patiently(site, f"dropping {name}", statement, given_up=None)
                dropped.append(name)
    site.journal.append("cleaned", had_live=dict(state.had_live))
    state.status = "cleaned"
    return SwapResult(
        run=state.run,
        status="cleaned",
        tables=tuple(TableResult(table.target, 0, 0) for table in state.tables),
        seconds=time.monotonic() - began,
        dropped=tuple(dropped),
    )


def refuse_entangled(connection: Connection, table: TableName) -> None:
    """Raise Unsupported when foreign keys or triggers would stay with the old table.

    After a RENAME children go on referencing the table that was live, and its triggers follow it
    (tried on both servers); this version does not move them.
    """
    keys = connection.query(sql_tables.foreign_keys_around(table))
    if keys:
        name = (keys[0][1] or b"").decode("utf-8", "replace")
        raise Unsupported(
            f"table {table} has foreign keys (`{name}`): a swap leaves them with the old table",
            hint="restore it under another name with --as and copy the rows back by hand",
        )
    triggers = connection.query(sql_tables.triggers_of(table))
    if triggers:
        name = (triggers[0][0] or b"").decode("utf-8", "replace")
        raise Unsupported(
            f"table {table} has triggers (`{name}`): a swap leaves them with the old table",
            hint="drop the triggers, swap, and create them again",
        )


def _raise_auto_increment(
    connection: Connection, table: RunTable, live: bool, onto: TableName | None = None
) -> None:
    """The replacement must not issue ids that the live table has issued already."""
    onto = onto or table.staging
    if not live:
        return
    issued = _number(connection, sql_tables.next_auto_increment(table.target))
    own = _number(connection, sql_tables.next_auto_increment(onto))
    if issued is not None and own is not None and issued > own:
        with sessions.defining(connection):
            connection.execute(sql_tables.set_auto_increment(onto, issued))


def _rename(site: _Site, pairs: Pairs, *, given_up: str) -> None:
    what = "renaming " + ", ".join(f"{old} to {new}" for old, new in pairs)
    _patiently(site, what, sql_tables.rename_tables(pairs), given_up=given_up)


def _patiently(site: _Site, what: str, statement: str, *, given_up: str | None) -> None:
    """Run `statement`, a second of lock wait a try, until `lock_wait_s` is over.

    Names the sessions that hold the tables while it waits.  When it is given up, the journal
    says so and nothing queues for the lock.
    """
    connection, reporter = site.connection, site.reporter
    connection.execute(sql_tables.set_lock_wait(_TRY_S))
    began = time.monotonic()
    attempt = 0
    while True:
        attempt += 1

        def tick() -> None:
            waited_s = time.monotonic() - began
            reporter.emit(Waiting(what=f"{what}: waiting for the table's lock", seconds=waited_s))

        try:
            run_aside(
                lambda: connection.execute(statement), on_tick=tick, interrupt=connection.abort
            )
            return
        except StatementFailed as error:
            blockers = tuple(
                line
                for table in site.state.tables
                for line in watch.blockers(connection, table.target).lines
            )
            if error.errno != _LOCK_WAIT_TIMEOUT or time.monotonic() - began > site.lock_wait_s:
                if given_up:
                    site.journal.append(given_up, had_live=dict(site.state.had_live))
                if error.errno != _LOCK_WAIT_TIMEOUT:
                    raise
                raise LockNotGranted(
                    f"{what}: the tables were in use for {site.lock_wait_s:.0f} s"
                    + (f" by {'; '.join(blockers)}" if blockers else ""),
                    hint="end those sessions, or try again with a longer --lock-wait",
                ) from None
            reporter.emit(
                Retrying(what=what, cause=error.message, attempt=attempt, delay_s=_PAUSE_S)
            )
            if blockers:
                waited_s = time.monotonic() - began
                reporter.emit(Waiting(what=what, seconds=waited_s, blockers=blockers))
            time.sleep(_PAUSE_S)


def _settle(site: _Site) -> None:
    """Find out how a rename ended whose run died: it happened for all tables or for none."""
    state, connection = site.state, site.connection
    forth = state.status == "swapping"
    moved = []
    for table in state.tables:
        away = table.staging if forth else table.undone
        moved.append(_exists(connection, away) != forth)
    if all(moved):
        state.status = "swapped" if forth else "rolled back"
    elif not any(moved):
        state.status = "proven" if forth else "swapped"
    else:
        raise CannotComplete(
            f"the rename of run {state.run} was carried out for some tables only",
            hint="look at SHOW TABLES LIKE '_tv_%' and at the run's journal before you go on",
        )
    kinds = {"proven": "swap given up", "rolled back": "rolled back"}
    kind = kinds.get(state.status, "swapped" if forth else "rollback given up")
    site.journal.append(kind, had_live=dict(state.had_live))


def _exists(connection: Connection, table: TableName) -> bool:
    return connection.one(sql_tables.table_type(table)) is not None


def _number(connection: Connection, statement: str) -> int | None:
    row = connection.one(statement)
    return int(row[0]) if row and row[0] is not None else None


def _result(site: _Site, status: str, began: float) -> SwapResult:
    state = site.state
    return SwapResult(
        run=state.run,
        status=status,
        tables=tuple(
            TableResult(
                table.target,
                table.rows,
                table.size_bytes,
                kept=table.kept if state.had_live.get(str(table.target)) else None,
            )
            for table in state.tables
        ),
        seconds=time.monotonic() - began,
    )

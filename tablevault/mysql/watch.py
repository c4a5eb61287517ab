"""Looking on from a connection of one's own: who waits, who is in the way, how far an index is.

Read only, and never the cause of a failure: what the account may not see is left out, with one
hint.  Statements of others are shown without their literals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tablevault.errors import StatementFailed
from tablevault.model import TableName
from tablevault.mysql.sql import quote_text

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection, Row

_SHOWN = 100
_LITERAL = re.compile(r"'(?:[^'\\]|\\.|'')*'?|\"(?:[^\"\\]|\\.|\"\")*\"?", re.DOTALL)
_DDL = re.compile(
    r"(?:/\*.*?\*/\s*)*(ALTER|CREATE|DROP|RENAME|TRUNCATE|OPTIMIZE|REPAIR|LOCK)\b",
    re.IGNORECASE | re.DOTALL,
)
_WAITS_ON_LOCK = re.compile(r"waiting for .*(metadata|backup) lock", re.IGNORECASE)
_NO_PROCESS = "grant PROCESS to see who is in the way"


@dataclass(frozen=True)
class Session:
    """Another connection, as the server's process list has it."""

    id: int
    account: str  # user@host, without the port
    seconds: int  # since it began its statement, or began to idle
    statement: str = ""  # its beginning, literals left out
    state: str = ""
    idle: bool = False

    def __str__(self) -> str:
        doing = f"{self.seconds} s"
        if self.idle:
            doing = f"idle in transaction {self.seconds} s"
        shown = f": {self.statement}" if self.statement else ""
        return f"connection {self.id} ({self.account}), {doing}{shown}"


@dataclass(frozen=True)
class Sighting:
    """What could be seen; `hint` says what could not, and how to change that."""

    sessions: tuple[Session, ...] = ()
    hint: str | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """One description a session."""
        return tuple(str(session) for session in self.sessions)


@dataclass(frozen=True)
class IndexProgress:
    """How far an index build is; `percent` is None when the server does not tell."""

    percent: float | None
    stage: str = ""


def ddl_waiting_on(conn: Connection, tables: Iterable[TableName]) -> Sighting:
    """The sessions whose DDL waits for a metadata or backup lock on one of `tables`."""
    wanted = list(tables)
    if conn.server.family == "mysql":
        pending = _mysql_lock_holders(conn, wanted, "PENDING")
        if pending is not None:
            return Sighting(tuple(s for s in pending if _DDL.match(s.statement)))
    sessions, hint = _sessions(conn)
    names = re.compile(
        "|".join(rf"(?<![\w$]){re.escape(table.name)}(?![\w$])" for table in wanted) or r"(?!)"
    )
    return Sighting(
        tuple(
            session
            for session in sessions
            if _WAITS_ON_LOCK.search(session.state)
            and _DDL.match(session.statement)
            and names.search(session.statement)
        ),
        hint,
    )


def blockers(
    conn: Connection, table: TableName | None = None, *, ignore: Iterable[int] = ()
) -> Sighting:
    """The sessions that hold `table`, or (where that is not to be seen) that may hold it.

    Those are the sessions in a transaction and those running a statement, oldest first.
    `ignore` are connection ids that are no news, such as our own.
    """
    ignored = {conn.id, *ignore}
    holders = None
    if table is not None and conn.server.family == "mysql":
        holders = _mysql_lock_holders(conn, [table], "GRANTED")
    elif table is not None:
        holders = _mariadb_lock_holders(conn, table)
    hint = None
    if not holders:
        holders, hint = _busy(conn)
    seen = [session for session in holders if session.id not in ignored]
    return Sighting(tuple(sorted(seen, key=lambda s: -s.seconds)), hint)


def holders(
    conn: Connection, tables: Iterable[TableName], *, ignore: Iterable[int] = ()
) -> tuple[Session, ...] | None:
    """The sessions that hold a metadata lock on one of `tables`; None where that is not to be seen.

    Unlike `blockers` never a guess: what is in it may be killed.
    """
    ignored = {conn.id, *ignore}
    found: dict[int, Session] = {}
    for table in tables:
        if conn.server.family == "mysql":
            seen = _mysql_lock_holders(conn, [table], "GRANTED")
        else:
            seen = _mariadb_lock_holders(conn, table)
        if seen is None:
            return None
        found.update({session.id: session for session in seen if session.id not in ignored})
    return tuple(found.values())


def running_queries(conn: Connection, older_than_s: int, *, ignore: Iterable[int] = ()) -> Sighting:
    """The statements of others that have run for `older_than_s` or longer."""
    ignored = {conn.id, *ignore}
    sessions, hint = _sessions(conn)
    return Sighting(
        tuple(
            session
            for session in sessions
            if session.statement
            and not session.idle
            and session.seconds >= older_than_s
            and session.id not in ignored
        ),
        hint,
    )


def index_progress(conn: Connection, connection_id: int) -> IndexProgress | None:
    """How far the ALTER of `connection_id` is; None when nothing can be seen of it.

    MariaDB's figure is of the whole server: another session's online DDL shows in it, too.
    """
    if conn.server.family == "mysql":
        row = _first(
            conn,
            "SELECT e.EVENT_NAME, e.WORK_COMPLETED, e.WORK_ESTIMATED "
            "FROM performance_schema.events_stages_current e "
            "JOIN performance_schema.threads t USING (THREAD_ID) "
            f"WHERE t.PROCESSLIST_ID = {int(connection_id)}",
        )
        if row is None:
            return None
        done, total = int(row[1] or 0), int(row[2] or 0)
        stage = _text(row[0]).removeprefix("stage/innodb/").removeprefix("stage/sql/")
        return IndexProgress(min(100.0, 100 * done / total) if total else None, stage)
    row = _first(
        conn,
        "SELECT STATE, STAGE, MAX_STAGE, PROGRESS FROM information_schema.PROCESSLIST "
        f"WHERE ID = {int(connection_id)} AND COMMAND = 'Query'",
    )
    if row is None:
        return None
    if int(row[2] or 0):  # a copying ALTER tells its own progress
        percent = (100 * (int(row[1] or 1) - 1) + float(row[3] or 0)) / int(row[2] or 1)
        return IndexProgress(min(100.0, percent), _text(row[0]))
    online = _first(conn, "SHOW GLOBAL STATUS LIKE 'Innodb_onlineddl_pct_progress'")
    hundredths = int(online[1] or 0) if online else 0
    return IndexProgress(min(100.0, hundredths / 100) if online else None, _text(row[0]))


_COUNTERS = (
    "Innodb_buffer_pool_read_requests",
    "Innodb_buffer_pool_pages_dirty",
    "Innodb_data_reads",
    "Innodb_data_writes",
    "Innodb_data_written",
    "Innodb_os_log_written",
    "Innodb_rows_inserted",
    "Innodb_row_lock_current_waits",
    "Innodb_history_list_length",
    "Innodb_onlineddl_pct_progress",
    "Threads_running",
)


def status_counters(conn: Connection) -> dict[str, int]:
    """Counters that move while the server works, and the undo history that a snapshot grows.

    What a server does not have is absent; `Innodb_history_list_length` is there on both families
    where the account may see it.
    """
    listed = ", ".join(f"'{name}'" for name in _COUNTERS)
    rows = _rows(conn, f"SHOW GLOBAL STATUS WHERE Variable_name IN ({listed})") or []
    counters = {_text(name): int(value or 0) for name, value in rows}
    if conn.server.family == "mysql":
        row = _first(
            conn,
            "SELECT `COUNT` FROM information_schema.INNODB_METRICS "
            "WHERE NAME = 'trx_rseg_history_len'",
        )
        if row is not None:
            counters["Innodb_history_list_length"] = int(row[0] or 0)
    return counters


def _busy(conn: Connection) -> tuple[list[Session], str | None]:
    sessions, hint = _sessions(conn)
    return [session for session in sessions if session.statement or session.idle], hint


def _sessions(conn: Connection) -> tuple[list[Session], str | None]:
    """All sessions; those that idle in an open transaction are marked."""
    mysql = conn.server.family == "mysql"
    since = (8, 0, 22)  # information_schema's locks out sessions while it is read
    modern = mysql and conn.server.version >= since
    source = "performance_schema.processlist" if modern else "information_schema.PROCESSLIST"
    rows = _rows(
        conn,
        f"SELECT ID, USER, HOST, TIME, STATE, LEFT(INFO, 1000), COMMAND FROM {source} "
        "WHERE COMMAND NOT IN ('Daemon', 'Binlog Dump', 'Binlog Dump GTID', 'Slave_IO')",
    )
    transactions = _rows(conn, "SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX")
    open_ones = {int(row[0] or 0) for row in transactions or []}
    found = [_session(row, open_ones) for row in rows or []]
    return found, _NO_PROCESS if rows is None or transactions is None else None


def _session(row: Row, in_transaction: set[int]) -> Session:
    number, user, host, seconds, state, info, command = row
    connection = int(number or 0)
    idle = command == b"Sleep" and connection in in_transaction
    return Session(
        id=connection,
        account=f"{_text(user)}@{_text(host).rsplit(':', 1)[0]}",
        seconds=max(int(seconds or 0), 0),
        statement="" if command == b"Sleep" else _shown(_text(info)),
        state=_text(state),
        idle=idle,
    )


def _mysql_lock_holders(
    conn: Connection, tables: Sequence[TableName], status: str
) -> list[Session] | None:
    """Sessions with a metadata lock on one of `tables`; None where that is not to be seen."""
    listed = ", ".join(f"({quote_text(t.schema)}, {quote_text(t.name)})" for t in tables)
    if not listed:
        return []
    rows = _rows(
        conn,
        "SELECT DISTINCT t.PROCESSLIST_ID FROM performance_schema.metadata_locks l "
        "JOIN performance_schema.threads t ON t.THREAD_ID = l.OWNER_THREAD_ID "
        f"WHERE l.OBJECT_TYPE = 'TABLE' AND l.LOCK_STATUS = '{status}' "
        f"AND (l.OBJECT_SCHEMA, l.OBJECT_NAME) IN ({listed})",
    )
    if rows is None:
        return None
    return _by_id(conn, {int(row[0] or 0) for row in rows})


def _mariadb_lock_holders(conn: Connection, table: TableName) -> list[Session] | None:
    """As above, by the plugin METADATA_LOCK_INFO, which few servers have loaded."""
    rows = _rows(
        conn,
        "SELECT DISTINCT THREAD_ID FROM information_schema.METADATA_LOCK_INFO "
        f"WHERE TABLE_SCHEMA = {quote_text(table.schema)} "
        f"AND TABLE_NAME = {quote_text(table.name)}",
    )
    return None if rows is None else _by_id(conn, {int(row[0] or 0) for row in rows})


def _by_id(conn: Connection, ids: set[int]) -> list[Session]:
    sessions, _ = _sessions(conn)
    return [session for session in sessions if session.id in ids]


def _shown(statement: str) -> str:
    text = " ".join(_LITERAL.sub("'…'", statement).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _rows(conn: Connection, statement: str) -> list[Row] | None:
    try:
        return conn.query(statement)
    except StatementFailed:
        return None


def _first(conn: Connection, statement: str) -> Row | None:
    rows = _rows(conn, statement)
    return rows[0] if rows else None


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")

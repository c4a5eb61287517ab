"""What a session must be set to before it is trusted: set, then read back.

One fixed list for all, so that the digest which a snapshot hashes, and the one which the server
computes years later, see the same text of the same value.  A variable that this server does not
have is skipped; one that it has and does not take is an error, except where `_TRIED` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from tablevault.errors import CannotComplete, StatementFailed

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection


class Purpose(StrEnum):
    """What a connection is for."""

    READ = "read"  # rows of a snapshot: results come in each column's own charset
    DIGEST = "digest"  # the server-side proof
    LOAD = "load"  # rows into a staging table: no foreign keys are checked while it fills
    CONTROL = "control"  # catalog, locks, DDL, monitoring: results come as utf8mb4


SQL_MODE = "STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION"
"""Strict, so that bad values fail; but zero and partial dates and AUTO_INCREMENT 0 are values.

Not in it, because each changes what text means: ANSI_QUOTES, NO_BACKSLASH_ESCAPES,
PAD_CHAR_TO_FULL_LENGTH, NO_ZERO_DATE, NO_ZERO_IN_DATE, PIPES_AS_CONCAT, HIGH_NOT_PRECEDENCE.
"""

DEFINING_SQL_MODE = "ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION"
"""For repeating a definition that the server once took: strict mode refuses some of those."""

_ALL: Mapping[str, str] = {
    "sql_mode": SQL_MODE,
    "time_zone": "+00:00",
    "lc_messages": "en_US",
    "autocommit": "ON",
    "completion_type": "NO_CHAIN",  # CHAIN would open a transaction after every COMMIT
    "sql_quote_show_create": "ON",
    "sql_auto_is_null": "OFF",
    "sql_safe_updates": "OFF",
    "sql_select_limit": "18446744073709551615",  # a global limit would cut every table short
    "sql_big_selects": "ON",
    "sql_buffer_result": "OFF",
    "net_read_timeout": "600",  # a source or sink of ours may stand still that long
    "net_write_timeout": "600",
    "wait_timeout": "86400",
    "interactive_timeout": "86400",
    "max_statement_time": "0",  # MariaDB, seconds
    "max_execution_time": "0",  # MySQL, milliseconds
    "foreign_key_checks": "ON",
    "unique_checks": "ON",  # never off: MariaDB 10.6+ then moves the work into the commit
    "information_schema_stats_expiry": "0",  # MySQL: figures of now, not of yesterday
    "query_cache_type": "OFF",
    # MariaDB 11.2: a definition that names a charset alone means its collation of all the years
    "character_set_collations": "",
    "system_versioning_alter_history": "KEEP",  # MariaDB: else versioned tables take no ALTER
}
_INDEX_BUILDS: Mapping[str, str] = {
    # MySQL; its default of 1 MiB makes many runs to merge, and 64 MiB falls out of the processor's
    # caches: an index over 5.8 M rows took 8.1 s with 8 MiB and 9.3 s with 64
    "innodb_ddl_buffer_size": "16777216",
}
_BUILD_WAITS_S = 3600  # what our own look at a table takes at most while its index is built
_ISOLATION = ("transaction_isolation", "tx_isolation")
_TRIED: Mapping[str, tuple[str, str]] = {
    # variable: (value, what it means when it cannot be had)
    "sql_generate_invisible_primary_key": (
        "OFF",
        "sql_generate_invisible_primary_key is on and this account may not turn it off: "
        "tables without a key cannot be restored as they were",
    ),
    "show_create_table_verbosity": ("OFF", "show_create_table_verbosity could not be turned off"),
}
_WATCHED = (
    "max_allowed_packet",
    "character_set_results",
    "character_set_client",
    "collation_connection",
    "binlog_format",
    "log_bin",
    "sql_log_bin",
    "local_infile",
    "lock_wait_timeout",
    "innodb_lock_wait_timeout",
    "innodb_snapshot_isolation",
    "sql_require_primary_key",
)
_DIGEST_SETTINGS = ("time_zone", "sql_mode", "character_set_results", "transaction_isolation")


def wanted(purpose: Purpose, lock_wait_s: int) -> dict[str, str]:
    """The settings that `purpose` needs, by variable name as SHOW VARIABLES spells it."""
    settings = dict(_ALL)
    settings["lock_wait_timeout"] = str(lock_wait_s)
    settings["innodb_lock_wait_timeout"] = str(lock_wait_s)
    if purpose is Purpose.LOAD:
        settings["foreign_key_checks"] = "OFF"
        settings.update(_INDEX_BUILDS)
        settings["system_versioning_insert_history"] = "ON"  # MariaDB: rows with their own times
    return settings


def prepare(
    conn: Connection, purpose: Purpose, *, no_binlog: bool = False, lock_wait_s: int = 60
) -> None:
    """Set the session of `conn` for `purpose`, read it back into `conn.session`.

    Raises CannotComplete, naming the setting, when the server did not take it.
    """
    # first of all: a global sql_select_limit cuts the answers of SHOW as well
    conn.execute(f"SET SESSION sql_select_limit = {_ALL['sql_select_limit']}")
    conn.execute("SET NAMES utf8mb4 COLLATE utf8mb4_bin")
    conn.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    settings = wanted(purpose, lock_wait_s)
    existing = read(conn, [*settings, *_TRIED])
    settings = {name: value for name, value in settings.items() if name in existing}
    # only what differs: some accounts may not set even what is right already
    _set(conn, {name: v for name, v in settings.items() if not _same(existing[name], v)})
    conn.notes = tuple(_try(conn, existing))
    if no_binlog:
        _leave_binlog(conn)
    if purpose in (Purpose.READ, Purpose.DIGEST):
        # last, so that SHOW and SELECT of metadata above came as utf8mb4; text of
        # information_schema is utf8mb3 and reads the same either way
        conn.execute("SET character_set_results = NULL")
        settings["character_set_results"] = ""
    conn.session = read(conn, [*settings, *_TRIED, *_WATCHED, *_ISOLATION])
    isolation = next((conn.session[name] for name in _ISOLATION if name in conn.session), "")
    conn.session["transaction_isolation"] = isolation
    _check(conn, {**settings, "transaction_isolation": "REPEATABLE-READ"})
    if purpose is Purpose.LOAD:
        _check_binlog_format(conn.session)


@contextmanager
def defining(conn: Connection) -> Iterator[None]:
    """DDL that repeats an old definition: what was let in under a lax sql_mode must come back.

    An ENUM with members that its collation takes for equal, say.  What the server makes of it is
    compared with the old definition afterwards, so that nothing is bent in silence.
    """
    conn.execute(f"SET SESSION sql_mode = '{DEFINING_SQL_MODE}'")
    try:
        yield
    finally:
        if not conn.closed:
            strict(conn)


def strict(conn: Connection) -> None:
    """Values that do not fit end the statement from here on, and do not become others."""
    conn.execute(f"SET SESSION sql_mode = '{SQL_MODE}'")


def unchecked(conn: Connection) -> None:
    """Check no CHECKs from here on, where a session may say so (MariaDB).

    For a staging table: rows that were let in unchecked, or checked in another time zone, are rows.
    """
    if conn.server.family != "mysql":
        conn.execute("SET SESSION check_constraint_checks = OFF")


@contextmanager
def building(conn: Connection) -> Iterator[None]:
    """An index build beside which we read the table ourselves: it must outwait our own reading.

    An ALTER needs the table alone for an instant at its start and its end; at its end, a lock wait
    that is over would undo all that it has built.
    """
    usual = conn.session["lock_wait_timeout"]
    conn.execute(f"SET SESSION lock_wait_timeout = {_BUILD_WAITS_S}")
    try:
        yield
    finally:
        if not conn.closed:
            conn.execute(f"SET SESSION lock_wait_timeout = {usual}")


def digest_settings(session: Mapping[str, str]) -> dict[str, str]:
    """Of a session as read back, what a digest depends on: for the manifest."""
    return {name: session[name] for name in _DIGEST_SETTINGS if name in session}


def read(conn: Connection, names: Iterable[str]) -> dict[str, str]:
    """The session's values of `names`, as SHOW VARIABLES gives them; unknown ones are absent."""
    listed = ", ".join(f"'{name}'" for name in sorted(set(names)))
    rows = conn.query(f"SHOW SESSION VARIABLES WHERE Variable_name IN ({listed})")
    return {
        (name or b"").decode(): (value or b"").decode("utf-8", "replace") for name, value in rows
    }


def _set(conn: Connection, settings: Mapping[str, str]) -> None:
    """One statement; when it fails, one by one, to name the setting that is at fault."""
    assignments = [f"SESSION {name} = {_literal(value)}" for name, value in settings.items()]
    if not assignments:
        return
    try:
        conn.execute("SET " + ", ".join(assignments))
        return
    except StatementFailed:
        pass
    for name, assignment in zip(settings, assignments, strict=True):
        try:
            conn.execute("SET " + assignment)
        except StatementFailed as error:
            raise CannotComplete(
                f"the server did not take the session setting {name}: {error.message}",
                hint=error.hint,
            ) from None


def _try(conn: Connection, existing: Mapping[str, str]) -> Iterable[str]:
    for name, (value, note) in _TRIED.items():
        if name not in existing or _same(existing[name], value):
            continue
        try:
            conn.execute(f"SET SESSION {name} = {_literal(value)}")
        except StatementFailed:
            yield note


def _leave_binlog(conn: Connection) -> None:
    try:
        conn.execute("SET SESSION sql_log_bin = 0")
    except StatementFailed as error:
        raise CannotComplete(
            f"--no-binlog: this account may not leave the binary log ({error.errno})",
            hint="grant SUPER, BINLOG ADMIN or SESSION_VARIABLES_ADMIN, or leave --no-binlog out",
        ) from None
    if not _same(read(conn, ["sql_log_bin"]).get("sql_log_bin", ""), "OFF"):
        raise CannotComplete("--no-binlog: the server did not take sql_log_bin = 0")


def _check(conn: Connection, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        found = conn.session.get(name)
        if found is None or not _same(found, value):
            raise CannotComplete(
                f"session setting {name} is {found!r}, but must be {value!r}",
                hint="something between this program and the server resets it, or forbids it",
            )


def _check_binlog_format(session: Mapping[str, str]) -> None:
    logged = _same(session.get("log_bin", "OFF"), "ON")
    logged = logged and _same(session.get("sql_log_bin", "ON"), "ON")
    if logged and session.get("binlog_format", "ROW").upper() == "STATEMENT":
        raise CannotComplete(
            "the server has binlog_format = STATEMENT, which logs LOAD DATA as IGNORE: replicas "
            "would drop rows without a word",
            hint="SET GLOBAL binlog_format = 'ROW' (or MIXED), or use --no-binlog",
        )


def _literal(value: str) -> str:
    return value if value.isdigit() or value in ("ON", "OFF") else f"'{value}'"


def _same(found: str, value: str) -> bool:
    """Whether two spellings of a setting mean the same: ON and 1, 0 and 0.000000, sets of words."""
    return _meaning(found) == _meaning(value)


def _meaning(value: str) -> object:
    word = {"ON": "1", "YES": "1", "OFF": "0", "NO": "0"}.get(value.upper(), value)
    try:
        return int(word) if word.isdigit() else float(word)
    except ValueError:
        return frozenset(value.upper().split(","))

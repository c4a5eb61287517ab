"""What the server, or its silence, said: driver and socket errors become tablevault's own.

The one place where error numbers have a meaning.  No message holds a password; a statement is
named by `doing`, its beginning without the rows it may carry.
"""

from __future__ import annotations

import re
import struct

from tablevault.errors import (
    AccountRefused,
    ConnectionLost,
    NoRoom,
    ServerUnavailable,
    StatementFailed,
    TablevaultError,
)

LOST = frozenset({2006, 2013, 2055, 4031, 1053, 1927, 3169})
"""The connection is gone: client-side losses, idle disconnect, shutdown, killed."""

TRANSIENT = frozenset({1205, 1213, 1020, 1412, 1613, 1614, 3101, 3572, 1928, 1969})
"""The same statement may succeed when tried again: lock waits, deadlocks, write conflicts."""

FULL_OR_STARTING = frozenset({1040, 1047, 1135, 1158, 1159, 1160, 1161, 1203, 1226, 3032, 3168})
"""A connection that is refused for the moment: no room, a network error, a node not ready yet."""

UNREACHABLE = frozenset({2002, 2003, 2005})
_PRIVILEGE = "ask for the privilege, or see `tablevault doctor` for what each command needs"
_HINTS = {
    1021: "the server's disk is full: free space on its data directory and tmpdir, then resume",
    1028: "the server's disk or tmpdir is full or unwritable: free space, then resume",
    1026: "the server's disk or tmpdir is full or unwritable: free space, then resume",
    1878: "the server's tmpdir is full: free space there (innodb_tmpdir, tmpdir), then resume",
    1114: "no room for the table: free space on the data directory and tmpdir, then resume",
    1135: "the server cannot create another thread: lower --threads",
    1040: "lower --threads, or raise the server's max_connections",
    1203: "lower --threads, or raise the account's max_user_connections",
    1226: "the account's resource limit is reached: lower --threads, or raise the limit",
    1044: _PRIVILEGE,
    1045: "check user, password and the host the account is allowed from",
    1142: _PRIVILEGE,
    1143: _PRIVILEGE,
    1227: _PRIVILEGE,
    1370: _PRIVILEGE,
    1698: "the account logs in by the operating system's user: use --socket, or another account",
    1129: "the server has blocked this host: run FLUSH HOSTS there",
    1130: "no account on the server may connect from this host",
    1148: "LOAD DATA LOCAL is off: SET GLOBAL local_infile=1, or restore with INSERT",
    3948: "LOAD DATA LOCAL is off: SET GLOBAL local_infile=1, or restore with INSERT",
    4166: "LOAD DATA LOCAL is off: SET GLOBAL local_infile=1, or restore with INSERT",
    1153: "raise the server's max_allowed_packet above the largest row",
    1290: "the server runs with an option that forbids this, such as read_only",
    1792: "the session is read only",
    1836: "the server is in read-only mode",
    1197: "raise the server's max_binlog_cache_size, or snapshot with smaller chunks",
    1205: "another transaction holds the lock: see SHOW PROCESSLIST and sys.innodb_lock_waits",
    1206: "the server's lock table is full: raise innodb_buffer_pool_size",
    1213: "another transaction was in the way: the step can be tried again",
    1419: "the binary log is on and the account lacks SUPER: set log_bin_trust_function_creators=1",
    1820: "the account's password has expired: set a new one first",
    1862: "the account's password has expired: set a new one first",
    3118: "the account is locked",
    4151: "the account is locked",
    3159: "the server demands TLS: use --ssl-mode required",
    3024: "the server's max_execution_time ended the statement",
    1969: "the server's max_statement_time ended the statement",
    3098: "the table does not fit group replication's rules: it needs a primary key",
    3750: "the server demands primary keys: sql_require_primary_key is on",
    1047: "the cluster node is not ready for queries",
}
_OS_ERROR = re.compile(r'\b(?:errno|errcode|error)"?:? *(\d+)', re.IGNORECASE)
_PLUGIN = re.compile(r"[Aa]uthentication plugin '([^']+)'")
_MAX_MESSAGE_CHARS = 600


def hint_for(errno: int, text: str = "") -> str | None:
    """What to do about a server error, where it is known."""
    if (errno < 1000 or errno in (1030, 1005, 1025, 1026)) and "28" in _OS_ERROR.findall(text):
        return _HINTS[1021]
    return _HINTS.get(errno)


def statement_error(errno: int, text: str, doing: str) -> TablevaultError:
    """The error for an error packet: a lost connection, or a statement that failed."""
    text = _tidy(text)
    if errno in LOST:
        return ConnectionLost(f"connection lost while running {doing}: {text} ({errno})")
    return StatementFailed(
        f"{doing}: {text} ({errno})",
        errno=errno,
        transient=errno in TRANSIENT,
        hint=hint_for(errno, text),
    )


def packet_error(payload: bytes, doing: str) -> TablevaultError:
    """The error that an error packet (its payload, from the 0xff on) describes."""
    if len(payload) < 3 or payload[0] != 0xFF:
        return ConnectionLost(f"connection lost while running {doing}: unintelligible error packet")
    (errno,) = struct.unpack_from("<H", payload, 1)
    text = payload[3:]
    if text[:1] == b"#":
        text = text[6:]
    return statement_error(errno, text.decode("utf-8", "replace"), doing)


def translate(error: BaseException, doing: str) -> TablevaultError:
    """The tablevault error for whatever the driver or the socket raised while `doing`.

    A driver error without a number means that the answer was not understood: the connection can
    no longer be trusted, which is the same as lost.
    """
    if isinstance(error, TablevaultError):
        return error
    errno = _driver_errno(error)
    if errno is None and error.__cause__ is not None and _driver_errno(error.__cause__) == 3948:
        error, errno = error.__cause__, 3948  # the driver hides what the server said of it
    if isinstance(error, TimeoutError) or (errno == 3024 and _is_timeout(error)):
        return ConnectionLost(f"connection given up while running {doing}: no answer in time")
    # below 1000 are the server's own file errors, such as 3: error writing file (Errcode: 28)
    if errno is None or errno in LOST or 2000 <= errno < 3000:
        return ConnectionLost(f"connection lost while running {doing}: {_tidy(_text(error))}")
    return statement_error(errno, _text(error), doing)


def connect_error(error: BaseException, target: str, user: str) -> TablevaultError:
    """The error for a connection to `target` that was not established; never with a password."""
    if isinstance(error, TablevaultError):
        return error
    errno, text = _driver_errno(error), _tidy(_text(error))
    if plugin := _PLUGIN.search(text):
        return AccountRefused(
            f"account '{user}' on {target} uses the authentication plugin {plugin[1]}, "
            "which the Python connector does not have",
            hint="use an account with caching_sha2_password or mysql_native_password",
        )
    if _is_timeout(error):
        return ServerUnavailable(
            f"server {target} did not answer in time", hint="check host, port and firewall"
        )
    if errno == 2005 or "Name or service not known" in text or "name resolution" in text:
        return ServerUnavailable(f"host of {target} is not known", hint="check the host name")
    if errno in UNREACHABLE:
        reason = _tidy(text.rsplit("(", 1)[-1].rstrip(")"))
        return ServerUnavailable(
            f"server {target} cannot be reached: {reason}",
            hint="check that the server runs, and host, port or socket",
        )
    if errno is not None and errno >= 1000 and not 2000 <= errno < 3000:
        kind = NoRoom if errno in FULL_OR_STARTING else AccountRefused
        return kind(
            f"server {target} refused user '{user}': {text} ({errno})", hint=hint_for(errno)
        )
    hint = None
    if "secure connection" in text.lower() or errno == 2061:
        hint = "this account's authentication needs TLS: use --ssl-mode preferred or required"
    return ServerUnavailable(f"server {target} did not accept the connection: {text}", hint=hint)


def _driver_errno(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return None  # a number of the operating system, not of the protocol
    errno = getattr(error, "errno", None)
    return errno if isinstance(errno, int) and errno > 0 else None


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError) or "Timeout" in type(error).__name__


def _text(error: BaseException) -> str:
    message = getattr(error, "msg", None)
    return message if isinstance(message, str) and message else str(error)


def _tidy(text: str) -> str:
    """One line of bounded length, without a full stop at its end."""
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _MAX_MESSAGE_CHARS else text[:_MAX_MESSAGE_CHARS] + "…"

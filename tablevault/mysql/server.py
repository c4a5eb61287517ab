"""What kind of server this is, what the account may do there, and what runs on it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tablevault.errors import StatementFailed
from tablevault.model import BinlogPosition, ServerInfo

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

START_TOLERANCE_S = 2  # UPTIME and the clock are both whole seconds
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_UNKNOWN_THREAD = 1094


def detect(conn: Connection) -> ServerInfo:
    """What the server says of itself."""
    row = conn.one("SELECT VERSION(), @@version_comment, @@hostname, @@port, UNIX_TIMESTAMP()")
    assert row is not None
    version_text, comment, hostname, port, now = (_text(value) for value in row)
    family = "mariadb" if "mariadb" in f"{version_text} {comment}".lower() else "mysql"
    # MariaDB puts 5.5.5- before its version where old replicas may listen
    match = _VERSION.search(version_text.removeprefix("5.5.5-"))
    version = tuple(int(part) for part in match.groups()) if match else (0, 0, 0)
    uptime = conn.one("SHOW GLOBAL STATUS LIKE 'Uptime'")
    known = settings(conn, ["server_uuid", "server_uid", "server_id"])
    stand_in = f"{family}:{hostname}:{port}:{known.get('server_id', '')}"
    return ServerInfo(
        family=family,
        version=(version[0], version[1], version[2]),
        version_text=version_text,
        uuid=known.get("server_uuid") or known.get("server_uid") or stand_in,
        started_at=int(now) - int(_text(uptime[1]) if uptime else 0),
        hostname=hostname,
        port=int(port or 0),
    )


def same_start(one: ServerInfo, other: ServerInfo) -> bool:
    """Whether both are the same run of the same server, so that connection ids still mean it."""
    return one.uuid == other.uuid and abs(one.started_at - other.started_at) <= START_TOLERANCE_S


def settings(conn: Connection, names: Iterable[str]) -> dict[str, str]:
    """The server's global values of `names`; those it does not have are absent."""
    listed = ", ".join(f"'{name}'" for name in names)
    rows = conn.query(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})")
    return {_text(row[0]): _text(row[1]) for row in rows}


def is_on(found: Mapping[str, str], name: str) -> bool:
    """Whether a switch among `found` is on; one that the server does not have is off."""
    return found.get(name, "OFF").upper() in ("ON", "1")


def local_infile_off(conn: Connection) -> bool:
    """Whether the server refuses LOAD DATA LOCAL: rows must go in by INSERT."""
    return settings(conn, ["local_infile"]).get("local_infile", "ON").upper() in ("OFF", "0")


def max_allowed_packet(conn: Connection) -> int:
    """The largest statement or row the server takes, in bytes."""
    row = conn.one("SELECT @@max_allowed_packet")
    return int(_text(row[0])) if row else 0


@dataclass(frozen=True)
class Privileges:
    """What SHOW GRANTS says, by level; privilege names in upper case.

    Schema names are kept as the patterns they are granted on (`%`, `_`, backslash escapes).
    """

    everywhere: frozenset[str] = frozenset()
    schemas: dict[str, frozenset[str]] = field(default_factory=dict)
    tables: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    revoked: dict[str, frozenset[str]] = field(default_factory=dict)  # MySQL's partial revokes

    def has(self, privilege: str, schema: str | None = None, table: str | None = None) -> bool:
        """Whether `privilege` is held everywhere, or on the schema, or on the table."""
        wanted = privilege.upper()
        if _grants(self.everywhere, wanted) and not self._is_revoked(wanted, schema):
            return True
        if schema is None:
            return False
        for pattern, held in self.schemas.items():
            if _pattern_matches(pattern, schema) and _grants(held, wanted):
                return True
        return table is not None and _grants(self.tables.get((schema, table), frozenset()), wanted)

    def _is_revoked(self, privilege: str, schema: str | None) -> bool:
        return schema is not None and _grants(self.revoked.get(schema, frozenset()), privilege)


def privileges(conn: Connection) -> Privileges:
    """The privileges of the current account, its active roles included."""
    statement = "SHOW GRANTS"
    if conn.server.family == "mysql" and conn.server.version >= (8, 0, 0):
        role = conn.one("SELECT CURRENT_ROLE()")
        if role and _text(role[0]) not in ("", "NONE"):
            statement = f"SHOW GRANTS FOR CURRENT_USER() USING {_text(role[0])}"
    return parse_grants(_text(row[0]) for row in conn.query(statement))


_GRANT = re.compile(
    r"(GRANT|REVOKE) (?P<list>.+?) ON (?:TABLE )?"
    r"(?P<schema>\*|`(?:[^`]|``)+`)\.(?P<table>\*|`(?:[^`]|``)+`) (?:TO|FROM) ",
    re.DOTALL,
)


def parse_grants(lines: Iterable[str]) -> Privileges:
    """The privileges that lines of SHOW GRANTS state; grants on columns alone are left out."""
    everywhere: set[str] = set()
    schemas: dict[str, frozenset[str]] = {}
    tables: dict[tuple[str, str], frozenset[str]] = {}
    revoked: dict[str, frozenset[str]] = {}
    for line in lines:
        match = _GRANT.match(line)
        if match is None:
            continue  # a role's name, a proxy, a routine
        names = re.sub(r"\w+ \([^)]*\)", "", match["list"])
        held = frozenset(name.strip().upper() for name in names.split(",") if name.strip())
        if "WITH GRANT OPTION" in line:
            held |= {"GRANT OPTION"}
        schema, table = _unquote(match["schema"]), _unquote(match["table"])
        if match[1] == "REVOKE":
            revoked[schema] = revoked.get(schema, frozenset()) | held
        elif match["schema"] == "*":
            everywhere |= held
        elif match["table"] == "*":
            schemas[schema] = schemas.get(schema, frozenset()) | held
        else:
            tables[schema, table] = tables.get((schema, table), frozenset()) | held
    return Privileges(frozenset(everywhere), schemas, tables, revoked)


def binlog_position(conn: Connection) -> tuple[BinlogPosition, str | None]:
    """Where the binary log stands, and a hint when that cannot be told."""
    modern = conn.server.family == "mysql" and conn.server.version >= (8, 2, 0)
    try:
        row = conn.one("SHOW BINARY LOG STATUS" if modern else "SHOW MASTER STATUS")
    except StatementFailed as error:
        return BinlogPosition(), (
            f"the binary log position is not recorded: {error.message}; "
            "it needs the privilege REPLICATION CLIENT (MariaDB: BINLOG MONITOR)"
        )
    if row is None:
        return BinlogPosition(), "the binary log position is not recorded: the binary log is off"
    file, position = _text(row[0]), int(_text(row[1]))
    if conn.server.family == "mariadb":
        answer = conn.one(f"SELECT BINLOG_GTID_POS('{file}', {position})")
        gtid = _text(answer[0]) if answer else ""
    else:
        gtid = _text(row[4]).replace("\n", "") if len(row) > 4 else ""
    return BinlogPosition(file, position, gtid or None), None


def kill(conn: Connection, connection_id: int, *, query_only: bool = False) -> bool:
    """End another connection, or only its statement; False when there is no such connection."""
    what = "QUERY" if query_only else "CONNECTION"
    try:
        conn.execute(f"KILL {what} {connection_id:d}")
    except StatementFailed as error:
        if error.errno == _UNKNOWN_THREAD:
            return False
        raise
    return True


@dataclass(frozen=True)
class Process:
    """One line of the process list."""

    id: int
    user: str
    host: str
    command: str
    seconds: int
    state: str
    statement: str


def processes(conn: Connection) -> list[Process]:
    """What runs on the server, as far as this account may see it."""
    rows = conn.query("SHOW FULL PROCESSLIST")
    return [
        Process(
            int(_text(row[0])),
            _text(row[1]),
            _text(row[2]),
            _text(row[4]),
            int(_text(row[5]) or 0),
            _text(row[6]),
            _text(row[7]),
        )
        for row in rows
    ]


def is_running(conn: Connection, connection_id: int) -> bool:
    """Whether the connection still exists on the server; own ones are visible to every account."""
    return any(process.id == connection_id for process in processes(conn))


def await_gone(conn: Connection, connection_id: int, *, timeout_s: float) -> bool:
    """Wait until the connection has left the server; False when it is still there after that.

    A killed load or index build rolls back first, which may take its time.
    """
    deadline = time.monotonic() + timeout_s
    while is_running(conn, connection_id):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return True


def _grants(held: frozenset[str], wanted: str) -> bool:
    if wanted in held:
        return True
    return wanted != "GRANT OPTION" and not held.isdisjoint({"ALL PRIVILEGES", "ALL"})


def _pattern_matches(pattern: str, schema: str) -> bool:
    """Whether a schema-level grant on `pattern` covers `schema` (LIKE's wildcards)."""
    parts = []
    characters = iter(pattern)
    for char in characters:
        if char == "\\":
            parts.append(re.escape(next(characters, "\\")))
        else:
            parts.append({"%": ".*", "_": "."}.get(char, re.escape(char)))
    return re.fullmatch("".join(parts), schema, re.DOTALL) is not None


def _unquote(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")

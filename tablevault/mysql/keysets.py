"""The set of keys that a table holds, by a digest of it: equal for equal sets, in any order.

It tells before a cut-over that no row would come or go.  A scan of a live table is dear, so one
that was made while a core was idle anyway is gone by as long as the server says that the table
was not written to since.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tablevault.errors import StatementFailed, TablevaultError
from tablevault.model import ServerInfo, TableDef, TableName
from tablevault.mysql import catalog, sql_relations
from tablevault.mysql.identity import identities
from tablevault.mysql.relations import bounded
from tablevault.mysql.server import same_start

if TYPE_CHECKING:
    from tablevault.mysql.connect import Connection

# How long nobody may have written before the look: a commit is seen some moments after the second
# that it is remembered by.
MARGIN_S = 2


@dataclass(frozen=True)
class KeyDigest:
    """So many rows, and what the hashes of their keys sum up to; `keys` is what was hashed."""

    keys: str
    rows: int
    total: int


@dataclass(frozen=True)
class LiveKeys:
    """What was seen of a live table: which it was, and since when nobody had written to it."""

    digest: KeyDigest
    identity: str
    written_s: int  # Unix seconds, as the server remembers its last change
    clock_s: float  # how far the server's clock was before ours, which never steps
    server: ServerInfo


@dataclass(frozen=True)
class SeenKeys:
    """What is known of a table and its replacement before the cut-over; None: nothing."""

    live: LiveKeys | None = None
    restored: KeyDigest | None = None


def digest_keys(
    conn: Connection, definition: TableDef, table: TableName, index: str = ""
) -> KeyDigest | None:
    """The keys of `table`, which is defined so; None without a key.  `index`: scan that one."""
    if definition.key is None:
        return None
    keys = sql_relations.hashed_keys(definition.key, definition.columns)
    row = conn.one(sql_relations.key_digest(table, keys, index))
    return None if row is None else KeyDigest(keys, int(row[0] or 0), int(row[1] or 0))


def look(conn: Connection, table: TableName, seconds: float) -> LiveKeys | None:
    """The keys of a live table; None where nothing would be saved or known by it.

    That is: no such table, none that is understood here, no key, not done within `seconds`, one
    that is being written to, or a server that would not tell later whether it was.  Whatever
    goes wrong is no failure either: the swap looks by itself.  Then the connection may be lost.
    """
    try:
        definition = catalog.table_definition(conn, table, identity=False)
        identity = _identity(conn, table)
        times = _quiet(conn, table)
        if identity is None or times is None:
            return None
        digest = bounded(conn, seconds, lambda: digest_keys(conn, definition, table))
    except TablevaultError:
        return None
    if digest is None:
        return None
    return LiveKeys(digest, identity, times.written_s, times.clock_s, conn.server)


def stands(conn: Connection, table: TableName, seen: LiveKeys) -> bool:
    """Whether `table` still is the one that was seen, and nobody has written to it since.

    False where the server does not remember: it forgets when it starts, and when it closes a
    table to make room for others.
    """
    try:
        times = _times(conn, table)
        return (
            times is not None
            and times.written_s == seen.written_s
            and abs(times.clock_s - seen.clock_s) < MARGIN_S
            and same_start(conn.server, seen.server)
            and _identity(conn, table) == seen.identity
        )
    except StatementFailed:
        return False


def same_keys(
    pair: tuple[Connection, Connection],
    table: TableDef,
    other: TableName,
    seconds: float,
    seen: SeenKeys | None = None,
) -> bool:
    """Whether both tables hold the same keys, told from digests of them; False when unknown.

    What is not known from `seen` (of `table` the live part, of `other` the restored one) is
    scanned by a connection of `pair` each, at the same time.
    """
    if table.key is None:
        return False
    keys = sql_relations.hashed_keys(table.key, table.columns)
    seen = seen or SeenKeys()
    live = seen.live
    if live is not None and (live.digest.keys != keys or not stands(pair[0], table.table, live)):
        live = None
    restored = seen.restored if seen.restored and seen.restored.keys == keys else None

    def scan(conn: Connection, one: TableName) -> Callable[[], KeyDigest | None]:
        return lambda: bounded(conn, seconds, lambda: digest_keys(conn, table, one))

    asked = [
        (lambda: live.digest) if live else scan(pair[0], table.table),
        (lambda: restored) if restored else scan(pair[1], other),
    ]
    with ThreadPoolExecutor(len(pair)) as threads:
        ours, theirs = threads.map(lambda ask: ask(), asked)
    return ours is not None and ours == theirs


def _identity(conn: Connection, table: TableName) -> str | None:
    """By InnoDB's id, which no other table has; None where it cannot be seen."""
    found = identities(conn, [table]).get(table, "")
    return found if found.startswith("innodb:") else None


@dataclass(frozen=True)
class _Times:
    written_s: int
    now_s: int  # of the same clock
    clock_s: float


def _quiet(conn: Connection, table: TableName) -> _Times | None:
    """When the table was last written to, if the same second cannot come up once more.

    MySQL remembers when a transaction committed, MariaDB when it began: one that is as old as the
    last change, and still open, would be remembered by that second again.
    """
    times = _times(conn, table)
    if times is None or times.written_s >= times.now_s - MARGIN_S:
        return None
    row = conn.one(sql_relations.transactions_since(times.written_s + 1))
    return None if row is None or int(row[0] or 0) else times


def _times(conn: Connection, table: TableName) -> _Times | None:
    """When the table was last written to, and now; None where the server does not remember."""
    row = conn.one(sql_relations.last_write(table))
    if row is None or row[0] is None or row[1] is None:
        return None
    written_s, now_s = int(row[0]), int(row[1])
    return _Times(written_s, now_s, now_s - time.monotonic())

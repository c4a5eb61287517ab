"""Rows into the server: one bounded transaction a call, committed only when it is whole.

`load_rows` streams LOAD DATA LOCAL text from memory; `insert_rows` is the slow way for servers on
which that is impossible.  Both hold the same promise: what is committed is the number of rows that
was expected, without one warning; anything else leaves no row behind.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from tablevault.errors import CannotComplete, ProofFailed
from tablevault.mysql import server
from tablevault.mysql.connect import Connection, Executed
from tablevault.mysql.transaction import Transaction

if TYPE_CHECKING:
    from typing_extensions import Buffer

_SHOWN_WARNINGS = 5
_STATEMENT_SLACK = 4096  # the prefix, names of 64 columns, the protocol's own bytes
_INSERT_BYTES = 1 << 20
_NUMBER = re.compile(r"\d+")
_TRUNCATED = re.compile(r"Data truncated for column '(.*)' at row \d+ \(1265\)", re.DOTALL)


def new_token() -> str:
    """A file name for LOAD DATA LOCAL that names no file and is good for one statement."""
    return f"tablevault-{secrets.token_hex(16)}"


def load_rows(
    conn: Connection,
    statement: str | bytes,
    token: str,
    blocks: Iterable[Buffer],
    expected_rows: int,
    on_bytes: Callable[[int], None] | None = None,
    *,
    before_commit: Callable[[], None] | None = None,
    rounding: Collection[str] = (),
) -> None:
    """Load `blocks` by `statement`, whose file name is `token`, in one transaction.

    Raises ProofFailed when the server counts other rows than `expected_rows`, or skipped, deleted
    or warned of any; StatementFailed when it refuses; whatever `blocks` or `before_commit` raise.
    In each case no row is left; after a failure of `blocks` the connection is closed.
    `on_bytes` is told of each packet sent, in this thread.  `rounding` are columns whose "Data
    truncated" warnings, and no others, are let pass (`sql.rounding_columns`); the digest proves
    what was stored.
    """
    with Transaction(conn) as transaction:
        done = conn.load(statement, token, blocks, on_bytes)
        records, deleted, skipped, warned = load_counts(done)
        _demand_no_warnings(conn, max(warned, done.warnings), rounding)
        if (records, deleted, skipped) != (expected_rows, 0, 0):
            raise ProofFailed(
                f"{conn.statement}: {expected_rows} rows were sent, the server read {records}, "
                f"deleted {deleted} and skipped {skipped}"
            )
        _demand_rows(conn, done.affected, expected_rows)
        if before_commit is not None:
            before_commit()
        transaction.commit()


def insert_rows(
    conn: Connection,
    prefix: str,
    rows: Iterable[str | bytes],
    expected_rows: int,
    on_bytes: Callable[[int], None] | None = None,
    *,
    before_commit: Callable[[], None] | None = None,
    rounding: Collection[str] = (),
) -> None:
    """Insert `rows`, each a rendered `(value, ...)`, in one transaction of several statements.

    `prefix` is `INSERT INTO t (columns) VALUES `.  Statements stay within the server's
    max_allowed_packet; see `require_insertable` for rows that cannot.  Raises as `load_rows`;
    `rounding`, too, is meant as there; of ENUM columns it needs a session that is not strict.
    """
    limit = min(_INSERT_BYTES, server.max_allowed_packet(conn) - _STATEMENT_SLACK)
    inserted = 0
    with Transaction(conn) as transaction:
        for statement in _statements(prefix, rows, limit):
            done = conn.execute(statement)
            _demand_no_warnings(conn, done.warnings, rounding)
            inserted += done.affected
            if on_bytes is not None:
                on_bytes(len(statement))
        _demand_rows(conn, inserted, expected_rows)
        if before_commit is not None:
            before_commit()
        transaction.commit()


def require_insertable(conn: Connection, largest_row: int) -> None:
    """Raises CannotComplete when a row of `largest_row` wire bytes may not fit an INSERT.

    Before anything starts; a literal may take twice the bytes of its value.
    """
    limit = server.max_allowed_packet(conn)
    if 2 * largest_row + _STATEMENT_SLACK > limit:
        raise CannotComplete(
            f"the largest row has {largest_row} bytes, which max_allowed_packet = {limit} may "
            "not let in by INSERT",
            hint=f"raise max_allowed_packet to {2 * largest_row + (1 << 20)}, or allow LOAD DATA "
            "LOCAL: SET GLOBAL local_infile = 1",
        )


def load_counts(done: Executed) -> tuple[int, int, int, int]:
    """Records, deleted, skipped, warnings, as the server's info line gives them.

    The words are in the server's language, the four numbers are not.
    """
    numbers = [int(number) for number in _NUMBER.findall(done.info)]
    if len(numbers) != 4:
        raise ProofFailed(f"the server did not say how many rows it loaded: {done.info!r}")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _statements(prefix: str, rows: Iterable[str | bytes], limit: int) -> Iterator[bytes]:
    head = prefix.encode()
    pending: list[bytes] = []
    size = len(head)
    for row in rows:
        raw = row.encode() if isinstance(row, str) else row
        if pending and size + len(raw) + 1 > limit:
            yield head + b",".join(pending)
            pending, size = [], len(head)
        pending.append(raw)
        size += len(raw) + 1
    if pending:
        yield head + b",".join(pending)


def _demand_no_warnings(conn: Connection, count: int, rounding: Collection[str] = ()) -> None:
    if not count:
        return
    what = conn.statement
    # the server keeps as many as max_error_count; of the rest it only tells the number
    told = conn.warnings()
    bad = [text for text in told if not _is_rounding(text, rounding)]
    if told and not bad:
        return
    shown = bad[:_SHOWN_WARNINGS] or ["the server does not say which"]
    raise ProofFailed(
        f"{what}: {count} {'warning' if count == 1 else 'warnings'}: {'; '.join(shown)}",
        hint="a value does not fit its column as it is: compare the table's definition",
    )


def _is_rounding(warning: str, columns: Collection[str]) -> bool:
    found = _TRUNCATED.fullmatch(warning)
    return found is not None and found[1] in columns


def _demand_rows(conn: Connection, found: int, expected: int) -> None:
    if found != expected:
        raise ProofFailed(f"{conn.statement}: {expected} rows were sent, {found} are in the table")

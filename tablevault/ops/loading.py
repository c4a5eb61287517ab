"""One row group into its staging table: encoded, sent, counted, proven, and only then committed.

One that is to be proven late is committed as it is counted.  As a rule a row group is one
transaction.  Where the server bounds transactions below that, it is several, committed one by one
and proven together; what a failed try left is cleared before the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext

from tablevault.mysql import session as sessions
from tablevault.mysql import sink, sql
from tablevault.mysql.connect import Connection
from tablevault.ops.restore_proof import prove_group
from tablevault.ops.restore_tasks import LoadGroup, TableJob
from tablevault.ops.terms import Terms
from tablevault.rows.rowcodec import CodecBuffer, RowEncoder
from tablevault.rows.text import split_text
from tablevault.vault.chunk import ChunkReader

_BLOCK_BYTES = 1 << 20


def load_group(
    connection: Connection,
    reader: ChunkReader,
    task: LoadGroup,
    terms: Terms,
    on_bytes: Callable[[int], None],
    on_commit: Callable[[], None],
) -> None:
    """Load one row group, and prove it unless that comes late.

    `on_bytes` is told of what is sent, `on_commit` that the last commit comes next.  Raises
    ProofFailed when a count, a warning or the server's digest is not as it must be: then nothing
    of the group stays, or (in several transactions, or without them) what stays is not yet counted
    as proven.
    """
    # without a key a row group has no bounds to be proven in: the table is, as a whole
    proves = task.job.keyed and not task.late
    columns, exact, rows = reader.row_group(task.group)
    limit = terms.transaction_bytes
    # a block is never split, so that it must be smaller than a transaction may be
    block_bytes = _BLOCK_BYTES if limit is None else min(_BLOCK_BYTES, limit // 2)
    # the server computes the digest of what it holds; that of what is sent would prove less
    encoder = RowEncoder(task.job.specs)
    blocks = encoder.encode_blocks(columns, exact, rows, block_bytes, digest=False)
    if limit is None or task.row_group.wire_bytes <= limit:

        def before_commit() -> None:
            if proves:
                prove_group(connection, task)
            on_commit()

        _send(connection, task.job, terms, blocks, rows, on_bytes, before_commit)
        return
    for part in _parts(blocks, limit):
        count = sum(bytes(block).count(b"\n") for block in part)
        _send(connection, task.job, terms, part, count, on_bytes, on_commit)
    if proves:
        prove_group(connection, task)


def _send(
    connection: Connection,
    job: TableJob,
    terms: Terms,
    blocks: Iterable[CodecBuffer],
    rows: int,
    on_bytes: Callable[[int], None],
    before_commit: Callable[[], None],
) -> None:
    columns = job.entry.definition.columns
    rounding = sql.rounding_columns(columns)
    if not terms.local_infile:
        # a strict INSERT refuses the error value of an ENUM, where LOAD DATA LOCAL only warns
        with sessions.defining(connection) if sql.enum_columns(columns) else nullcontext():
            sink.insert_rows(
                connection,
                sql.insert_prefix(job.staging, job.specs),
                _literal_rows(job, blocks),
                rows,
                on_bytes,
                before_commit=before_commit,
                rounding=rounding,
            )
        return
    token = sink.new_token()
    sink.load_rows(
        connection,
        sql.load_data(
            job.staging,
            job.specs,
            token,
            connection.server.family,
            sql.counting_column(columns),
        ),
        token,
        blocks,
        rows,
        on_bytes,
        before_commit=before_commit,
        rounding=rounding,
    )


def _literal_rows(job: TableJob, blocks: Iterable[CodecBuffer]) -> Iterator[str]:
    columns = job.entry.definition.columns
    for block in blocks:
        for values in split_text(block):
            yield sql.insert_row(job.specs, columns, values)


def _parts(blocks: Iterable[CodecBuffer], limit_bytes: int) -> Iterator[list[CodecBuffer]]:
    """Consecutive blocks that make a transaction; at least one each, they are whole lines."""
    part: list[CodecBuffer] = []
    size_bytes = 0
    for block in blocks:
        if part and size_bytes + len(block) > limit_bytes:
            yield part
            part, size_bytes = [], 0
        part.append(block)
        size_bytes += len(block)
    if part:
        yield part

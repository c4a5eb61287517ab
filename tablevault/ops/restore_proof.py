"""The proof of a restore: what the server holds, against what the manifest recorded.

The server recomputes each digest from its own rows, by a route that shares nothing with the one
the rows came by.  A proof that fails is final: it is never tried again until it fits.
"""

from __future__ import annotations

from collections.abc import Callable

from tablevault.errors import CannotComplete, ProofFailed
from tablevault.model import Digest, KeyRange
from tablevault.mysql import (
    catalog,
    ddl,
    ddl_spelling,
    keysets,
    relations,
    sql_digest,
    sql_tables,
)
from tablevault.mysql.connect import Connection
from tablevault.mysql.keysets import KeyDigest
from tablevault.ops.restore_tasks import LoadGroup, ProveGroup, ProveRows, TableJob

_DELETE_ROWS = 5_000  # a statement; each is a transaction of its own


def prove_group(connection: Connection, task: LoadGroup | ProveGroup) -> None:
    """The rows of one row group's key range.  Raises ProofFailed."""
    found = _digest(connection, task.job, task.row_group.range)
    if found != task.row_group.digest:
        raise _mismatch(task, found)


def group_stands(connection: Connection, task: LoadGroup) -> bool:
    """Whether an earlier try at this row group was committed, and is right."""
    return _digest(connection, task.job, task.row_group.range) == task.row_group.digest


def clear_group(connection: Connection, task: LoadGroup) -> None:
    """Delete what an earlier try left of a row group in our own staging table.

    Mostly nothing: only where the server bounds transactions is a group committed in parts, and
    only an engine without them keeps what was not committed.
    Raises CannotComplete for what cannot be deleted: of a versioned table it would be history.
    """
    if not _digest(connection, task.job, task.row_group.range).rows:
        return  # an account that only restores may not delete
    definition = task.job.entry.definition
    if any(column.system_time for column in definition.columns):
        raise CannotComplete(
            f"{task.job.staging} holds a part of a row group, and no statement deletes rows of "
            "a system-versioned table without a trace",
            hint="drop it with `tablevault cleanup`, and restore the table anew",
        )
    statement = sql_tables.delete_range(
        task.job.staging, definition.columns, definition.key, task.row_group.range, _DELETE_ROWS
    )
    while connection.execute(statement).affected:
        pass


def index_stands(connection: Connection, job: TableJob, clause: str) -> bool:
    """Whether an index is there, although nobody said so: an ALTER must not be repeated."""
    built = ddl.deferred_indexes(_definition(connection, job), ())
    return clause in {f"ADD {index.text}" for index in built}


def prove_rows(connection: Connection, task: ProveRows) -> KeyDigest | None:
    """Rows by a built index, or without a number the digest of the whole table.

    Only reads, so that it runs beside the next index build.  Raises ProofFailed.  Returns the
    digest of all keys where that is asked for and the index has them.
    """
    job = task.job
    if task.number is not None:
        name = job.index_names[task.number]
        if task.digests_keys and _holds_keys(job):
            return _count_keys_by(connection, job, name)
        _count_by(connection, job, lambda one: one == name)
        return None
    found, expected = _digest(connection, job, None), job.entry.digest
    if found != expected:
        raise _wrong(job, f"{found.rows} rows with digest {found.total}", expected)
    return None


def prove_table(connection: Connection, job: TableJob) -> None:
    """Rows by every index that `prove_rows` was not asked about, and the definition.

    Raises ProofFailed.  Leaves fresh statistics, so that the first queries have a plan.
    """
    key = job.entry.definition.key
    # by the key went the digests of all row groups, and they tile it
    counted = {*job.index_names, *([key.name] if key else [])}
    _count_by(connection, job, lambda name: name not in counted)
    prove_definition(connection, job)
    connection.execute(sql_tables.analyze_table(job.staging))


def prove_definition(connection: Connection, job: TableJob) -> None:
    """The staging table's definition, save for what comes with the swap.  Raises ProofFailed."""
    wanted, server = job.entry.definition, connection.server
    # foreign keys come with the swap: until then they would tie down the rows of others
    wanted_sql = relations.without_links(wanted.create_sql)
    # MySQL's CHECK names are unique in a schema: staging has others while the live table stands
    named = server.family != "mysql"
    same = ddl_spelling.alike(wanted_sql, _definition(connection, job), constraint_names=named)
    # a text may leave out what another version names; a sequence has no text to be in a collation
    if same and server.version != job.server_version and not wanted.sequence:
        found = catalog.table_definition(connection, job.staging, identity=False)
        same = ddl_spelling.effective(found) == ddl_spelling.effective(wanted)
    if not same:
        raise ProofFailed(
            f"staging table {job.staging} is not defined as {wanted.table} was",
            hint="compare SHOW CREATE TABLE of both; the live table is untouched",
        )


def _holds_keys(job: TableJob) -> bool:
    """Whether each secondary index has the key's columns: those of InnoDB have the primary key's.

    Of a versioned table they have the rows of the past as well.
    """
    definition = job.entry.definition
    return (
        definition.key is not None
        and definition.key.name == "PRIMARY"
        and definition.engine.lower() == "innodb"
        and not any(column.system_time for column in definition.columns)
    )


def _count_keys_by(connection: Connection, job: TableJob, index: str) -> KeyDigest | None:
    """Count the rows by an index and digest their keys; None when it cannot be counted by."""
    if index not in _countable(connection, job):
        return None
    keys = keysets.digest_keys(connection, job.entry.definition, job.staging, index)
    if keys is not None and keys.rows != job.entry.digest.rows:
        raise _wrong(job, f"{keys.rows} rows by index `{index}`", job.entry.digest)
    return keys


def _count_by(connection: Connection, job: TableJob, wanted: Callable[[str], bool]) -> None:
    """Count the rows by each index that is wanted and can be counted by."""
    columns = job.entry.definition.columns
    for index in filter(wanted, _countable(connection, job)):
        row = connection.one(sql_tables.count_by_index(job.staging, columns, index))
        counted = int(row[0] or 0) if row else 0
        if counted != job.entry.digest.rows:
            raise _wrong(job, f"{counted} rows by index `{index}`", job.entry.digest)


def _countable(connection: Connection, job: TableJob) -> list[str]:
    server = connection.server
    visible = sql_tables.visible_index(server.family, server.version)
    rows = connection.query(sql_tables.countable_indexes(job.staging, visible))
    return [(raw or b"").decode("utf-8") for (raw,) in rows]


def _digest(connection: Connection, job: TableJob, key_range: KeyRange | None) -> Digest:
    definition = job.entry.definition
    statement = sql_digest.digest_query(
        job.staging,
        job.specs,
        definition.columns,
        connection.server.family,
        definition.key,
        key_range,
    )
    return sql_digest.parse_digest(connection.one(statement))


def _definition(connection: Connection, job: TableJob) -> str:
    row = connection.one(sql_tables.show_create_table(job.staging))
    if row is None or row[1] is None:
        raise CannotComplete(f"the server does not show the definition of {job.staging}")
    return row[1].decode("utf-8", "surrogateescape")


def _mismatch(task: LoadGroup | ProveGroup, found: Digest) -> ProofFailed:
    expected = task.row_group.digest
    return ProofFailed(
        f"chunk {task.chunk.index}, row group {task.group} of {task.job.entry.definition.table}: "
        f"the server holds {found.rows} rows with digest {found.total}, the snapshot "
        f"{expected.rows} rows with digest {expected.total}",
        hint="the live table is untouched; check the snapshot with `tablevault verify`",
    )


def _wrong(job: TableJob, found: str, expected: Digest) -> ProofFailed:
    return ProofFailed(
        f"table {job.entry.definition.table}: the server holds {found}, the snapshot "
        f"{expected.rows} rows with digest {expected.total}",
        hint="the live table is untouched; check the snapshot with `tablevault verify`",
    )

"""Query: SQL over the tables of a snapshot, without a server and without restoring them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tablevault.ops.options import DEFAULT_THREADS
from tablevault.vault.catalog import reading, resolve
from tablevault.vault.query import Answer, SnapshotQueries
from tablevault.vault.store import LocalStore


@dataclass(frozen=True)
class QueryResult:
    """What a query gives: its answer, and what to know about it."""

    snapshot: str
    answer: Answer
    hints: tuple[str, ...] = ()


@contextmanager
def query(
    store: LocalStore, snapshot_text: str, sql: str, *, threads: int = DEFAULT_THREADS
) -> Iterator[QueryResult]:
    """Run one SELECT of DuckDB's SQL over a snapshot; its rows can be taken within the context.

    Tables are `schema.table`; where the snapshot has one schema only, `table` is enough.  The
    hints name tables of the query with values that read as NULL because no typed column can hold
    them.  Raises UsageError for what is no query, SnapshotUnusable for a snapshot that is none,
    CannotComplete when DuckDB is not installed or fails.
    """
    snapshot = resolve(store, snapshot_text)
    with (
        reading(store, snapshot.id),
        SnapshotQueries(store, snapshot, threads) as queries,
    ):
        hints = [
            f"{table} is left out: DuckDB takes its name for another table's"
            for table in queries.left_out
        ]
        answer = queries.ask(sql)
        hints += [
            f"{rows:,} rows of {entry.definition.table} hold values that DuckDB has no type for "
            "(a zero date, bytes invalid in their charset): they read as NULL"
            for entry in queries.tables_in(sql)
            if (rows := queries.inexact_rows(entry))
        ]
        hints += [
            f"{entry.definition.table} is system-versioned: its history is among its rows"
            for entry in queries.tables_in(sql)
            if any(column.system_time for column in entry.definition.columns)
        ]
        yield QueryResult(snapshot.id, answer, tuple(hints))

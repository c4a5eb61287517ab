"""SQL over a snapshot's files, by DuckDB, which only reads.

DuckDB is given the rows by Arrow and no access to files of its own: no statement, however it is
nested, can write or read any, and none of the vault's but this snapshot's tables.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from tablevault.errors import CannotComplete, UsageError
from tablevault.model import Chunk, Snapshot, TableEntry, TableName
from tablevault.rows.kinds import specs_of
from tablevault.vault.chunk import damaged
from tablevault.vault.chunklist import read_chunks
from tablevault.vault.store import LocalStore
from tablevault.vault.types import arrow_schema, stored_columns

if TYPE_CHECKING:
    import duckdb

BATCH_ROWS = 1000
_NAME = re.compile(r'"(?:[^"]|"")*"|`[^`]*`|[^\W\d][\w$]*')
_READING = ("SELECT", "EXPLAIN")
_LOCKED = (
    "SET python_enable_replacements = false",  # no variable of this program is a table
    "SET temp_directory = ''",  # what does not fit into memory is not written elsewhere
    "SET TimeZone = 'UTC'",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


@dataclass(frozen=True)
class Answer:
    """A query's columns and its rows, which are computed as they are taken, some at a time.

    `types` are DuckDB's.  Values are Python's: int, float, Decimal, str, bytes, bool, date,
    datetime (aware for TIMESTAMP), timedelta for TIME, lists and dicts for what a query nests.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


class SnapshotQueries:
    """The tables of a snapshot as read-only views `schema.table`.  Use it as a context manager.

    A value that no typed column can hold (docs/FORMAT.md) reads as NULL; `inexact_rows` counts.
    Raises SnapshotUnusable for damaged chunk lists and files of another size, CannotComplete where
    DuckDB is not installed.
    """

    def __init__(self, store: LocalStore, snapshot: Snapshot, threads: int = 2) -> None:
        self._store = store
        self._snapshot = snapshot
        self._chunks: dict[TableName, list[Chunk]] = {}
        self._views: dict[tuple[str, str], TableEntry] = {}  # by schema and name as DuckDB folds
        self.left_out: list[TableName] = []
        """Tables whose name DuckDB does not tell from another one's."""
        self._worker = ThreadPoolExecutor(1, "query")
        self._duck = _connect(threads)
        try:
            for number, entry in enumerate(snapshot.tables):
                self._show(number, entry)
            schemas = {entry.definition.table.schema for entry in snapshot.tables}
            if len(schemas) == 1:
                self._duck.execute(f"USE {_quoted(schemas.pop())}")
            for statement in _LOCKED:
                self._duck.execute(statement)
        except BaseException:
            self.close()
            raise

    def ask(self, sql: str) -> Answer:
        """Run one SELECT (or what is as harmless: VALUES, DESCRIBE, EXPLAIN).

        Raises UsageError for any other statement and for SQL that DuckDB does not understand,
        CannotComplete for what fails while it runs, also from `rows`.
        """
        with _explained(sql, self._names()):
            statements = self._duck.extract_statements(sql)
            kinds = [str(one.type).rpartition(".")[2] for one in statements]
            if len(kinds) != 1:
                raise UsageError("a query is one statement", hint="leave out what follows it")
            if kinds[0] not in _READING:
                raise UsageError(
                    f"a snapshot is only read: no {kinds[0]} statement",
                    hint="write a SELECT",
                )
            relation = self._aside(lambda: self._duck.sql(sql))
            reader = self._aside(lambda: relation.to_arrow_reader(BATCH_ROWS))
            types = tuple(str(one) for one in relation.types)
        return Answer(tuple(relation.columns), types, self._rows(sql, reader))

    def tables_in(self, sql: str) -> list[TableEntry]:
        """The tables whose names occur in a statement, quoted or not."""
        words = {word.strip('`"').casefold() for word in _NAME.findall(sql)}
        return [entry for (_, name), entry in self._views.items() if name in words]

    def inexact_rows(self, entry: TableEntry) -> int:
        """How many rows have a value that reads as NULL and is none; reads the files' footers."""
        found = 0
        for chunk in self._chunks[entry.definition.table]:
            with self._store.open(f"{self._snapshot.id}/{chunk.path}") as source:
                try:
                    footer = pq.read_metadata(source)
                except (pa.ArrowException, OSError) as error:
                    raise damaged(entry.definition.table, chunk, str(error)) from error
                last = footer.num_columns - 1
                for index in range(footer.num_row_groups):
                    group = footer.row_group(index)
                    found += group.num_rows - group.column(last).statistics.null_count
        return found

    def close(self) -> None:
        """Let go of the files."""
        self._worker.shutdown()
        self._duck.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _show(self, number: int, entry: TableEntry) -> None:
        """Make the view of one table; its files are opened when they are read."""
        definition = entry.definition
        folded = definition.table.schema.casefold(), definition.table.name.casefold()
        if folded in self._views:
            self.left_out.append(definition.table)
            return
        chunks = list(read_chunks(self._store, self._snapshot.id, entry))
        self._chunks[definition.table] = chunks
        specs = specs_of(definition.table, definition.columns, self._snapshot.server.family)
        files = [self._file(entry, chunk) for chunk in chunks]
        reading = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
        form = ds.ParquetFileFormat(default_fragment_scan_options=reading)
        schema = arrow_schema(specs, stored_columns(definition.columns))
        source = f"_tablevault_{number}"
        self._duck.register(source, ds.dataset(files, schema=schema, format=form))
        schema_name, name = _quoted(definition.table.schema), _quoted(definition.table.name)
        listed = ", ".join(_quoted(spec.name) for spec in specs)
        self._duck.execute(f"CREATE SCHEMA IF NOT EXISTS {schema_name}")
        self._duck.execute(
            f"CREATE VIEW {schema_name}.{name} AS SELECT {listed} FROM {_quoted(source)}"
        )
        self._views[folded] = entry

    def _file(self, entry: TableEntry, chunk: Chunk) -> str:
        name = f"{self._snapshot.id}/{chunk.path}"
        if self._store.size(name) != chunk.size_bytes:
            what = f"{self._store.size(name)} bytes instead of {chunk.size_bytes}"
            raise damaged(entry.definition.table, chunk, what)
        return str(self._store.local_path(name))

    def _rows(self, sql: str, reader: pa.RecordBatchReader) -> Iterator[tuple[Any, ...]]:
        while True:
            with _explained(sql, self._names()):
                batch = self._aside(lambda: next(reader, None))
                columns = [_values(column) for column in batch.columns] if batch else []
            if batch is None:
                return
            yield from zip(*columns, strict=True)

    def _aside(self, work: Callable[[], Any]) -> Any:
        """Have a thread do it: an interruption would wait for DuckDB to come back to Python."""
        doing = self._worker.submit(work)
        try:
            return doing.result()
        except KeyboardInterrupt:
            self._duck.interrupt()
            wait([doing])
            raise

    def _names(self) -> list[str]:
        return [str(entry.definition.table) for entry in self._views.values()]


@contextmanager
def _explained(sql: str, tables: Sequence[str]) -> Iterator[None]:
    """Whatever DuckDB or Arrow raise, as what it means to the person."""
    import duckdb

    try:
        yield
    except (duckdb.ProgrammingError, duckdb.NotSupportedError) as error:
        raise UsageError(
            f"DuckDB refuses the query: {_line(error)}", hint=_hint(sql, tables)
        ) from error
    except duckdb.PermissionException as error:
        raise UsageError(
            f"a query reads the snapshot's tables and nothing else: {_line(error)}"
        ) from error
    except (duckdb.Error, pa.ArrowException, OSError, ValueError) as error:
        raise CannotComplete(
            f"the query failed: {_line(error)}",
            hint="`tablevault verify` tells whether a file is damaged",
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split("\n\n")[0].split())


def _hint(sql: str, tables: Sequence[str]) -> str | None:
    for word in sql.replace('"', "").replace("`", "").split():
        near = difflib.get_close_matches(word, tables, 1, 0.7)
        if near and near[0] != word:
            return f"did you mean {near[0]}?"
    return None


def _connect(threads: int) -> duckdb.DuckDBPyConnection:
    try:
        import duckdb
    except ImportError:
        raise CannotComplete(
            "a query needs DuckDB, which is not installed",
            hint="pip install 'tablevault[query]'",
        ) from None
    return duckdb.connect(config={"threads": threads, "autoload_known_extensions": False})


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _values(column: pa.Array) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if column.type == pa.month_day_nano_interval():
        return [None if value is None else _span(value) for value in values]
    return values


def _span(value: pa.MonthDayNano) -> dt.timedelta | str:
    if value.months:
        return f"{value.months} months {value.days} days {value.nanoseconds / 1e9:g} seconds"
    return dt.timedelta(days=value.days, microseconds=value.nanoseconds // 1000)

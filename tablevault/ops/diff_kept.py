"""What a diff found is kept, so that a repair need not look for it again.

Both sides of each row that differs are written as they are found.  A repair takes them up only
where they are of this server, of the very same table and snapshot, and recent; each row is guarded
by the bytes that the diff saw, so what has changed since is left alone.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tablevault.errors import CannotComplete
from tablevault.model import ServerInfo, Snapshot, TableDef, TableName
from tablevault.mysql import ddl
from tablevault.ops.diff_plan import Comparison
from tablevault.ops.diff_terms import DiffResult, OnDifferences, RangeDifferences, Row, TableDiff
from tablevault.ops.repair_terms import few_enough
from tablevault.rows.text import value_field
from tablevault.vault.kept_rows import RowsWriter, forget_old_rows, forget_rows, kept_path

KEPT_S = 7 * 86400.0
_MOST_BYTES = 1 << 30
CHANGED_LINE, MISSING_LINE, EXTRA_LINE = b"C", b"M", b"E"  # what a line begins with


class Keeper:
    """Writes down the differences that a comparison finds, and hands them on.

    As a context manager: what `finish` did not reach is forgotten.  Never in the way: what cannot
    be kept is said in a hint.
    """

    def __init__(
        self, state_dir: Path, snapshot: Snapshot, then: OnDifferences | None = None
    ) -> None:
        self.kept: set[TableName] = set()  # whose rows were kept, after `finish`
        self._state_dir = state_dir
        self._snapshot = snapshot
        self._then = then
        self._lock = threading.Lock()
        self._tables: dict[TableName, _Keeping] = {}

    def __call__(self, found: RangeDifferences) -> None:
        """Take differences, from any thread."""
        if _can_be_put_back(found.comparison):
            self._keeping(found.comparison).add(found)
        if self._then is not None:
            self._then(found)

    def finish(
        self, result: DiffResult, comparisons: Sequence[Comparison], server: ServerInfo
    ) -> tuple[str, ...]:
        """Keep what was found in place of what was kept before; returns hints."""
        hints = []
        compared = {one.table: one for one in comparisons}
        for found in result.tables:
            keeping = self._tables.get(found.table)
            if keeping is not None:
                facts = _facts(result, compared[found.table], found, server)
                if keeping.commit(facts):
                    self.kept.add(found.table)
                else:
                    hints.append(f"table {found.table}: {keeping.failure}")
            if found.table not in self.kept:  # what an earlier diff found is not so any more
                forget_rows(kept_path(self._state_dir, self._snapshot.id, found.table))
        forget_old_rows(self._state_dir, KEPT_S)
        return tuple(hints)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in self._tables.values():
            one.discard()

    def _keeping(self, comparison: Comparison) -> _Keeping:
        with self._lock:
            if comparison.table not in self._tables:
                path = kept_path(self._state_dir, self._snapshot.id, comparison.table)
                self._tables[comparison.table] = _Keeping(path, comparison.entry.digest.rows)
            return self._tables[comparison.table]


class _Keeping:
    """The file of one table; gives up where a restore would be the better way."""

    def __init__(self, path: Path, rows: int) -> None:
        self.failure = ""
        self._path = path
        self._lock = threading.Lock()
        self._of = rows
        self._rows = 0
        self._file: RowsWriter | None = None

    def add(self, found: RangeDifferences) -> None:
        lines = [_line(CHANGED_LINE, (*one.before, *one.after)) for one in found.changed]
        lines += [_line(MISSING_LINE, row) for row in found.missing]
        lines += [_line(EXTRA_LINE, row) for row in found.extra]
        with self._lock:
            self._rows += len(lines)
            if self.failure:
                return
            try:
                if self._file is None:
                    self._file = RowsWriter(self._path)
                self._file.write(b"".join(lines))
            except CannotComplete as error:
                self.failure = error.message
            if not few_enough(self._rows, self._of) or self._size_bytes > _MOST_BYTES:
                self.failure = "too many rows differ to be kept for a repair"
            if self.failure:
                self.discard()

    def commit(self, facts: dict[str, Any]) -> bool:
        """Whether the rows are kept, all that were found; else `failure` says why not."""
        if self.failure or self._file is None:
            return False
        assert facts["changed"] + facts["missing"] + facts["extra"] == self._rows
        try:
            self._file.commit(facts)
        except CannotComplete as error:
            self.failure = error.message
        return not self.failure

    def discard(self) -> None:
        if self._file is not None:
            self._file.discard()

    @property
    def _size_bytes(self) -> int:
        return self._file.size_bytes if self._file is not None else 0


def _facts(
    result: DiffResult, comparison: Comparison, found: TableDiff, server: ServerInfo
) -> dict[str, Any]:
    identity, definition = identity_of(comparison.live)
    return {
        "run": result.run,
        "snapshot": result.snapshot,
        "chunks": comparison.entry.chunks_sha256,
        "table": [comparison.table.schema, comparison.table.name],
        "server": server.uuid,
        "identity": identity,
        "definition": definition,
        "columns": [column.name for column in comparison.columns],
        "began": result.began,
        "ended": result.ended,
        "changed": found.changed,
        "missing": found.missing,
        "extra": found.extra,
    }


def identity_of(live: TableDef) -> tuple[str, str]:
    """Which table it is, and how it is defined: what rows are kept of must be both still."""
    text = ddl.normalise(live.create_sql)
    return live.identity, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _can_be_put_back(comparison: Comparison) -> bool:
    return comparison.same_family and bool(comparison.identity)


def _line(kind: bytes, row: Row) -> bytes:
    return b"\t".join([kind, *map(value_field, row)]) + b"\n"

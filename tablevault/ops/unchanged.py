"""What of a table is as an earlier snapshot has it: asked of the server, part by part.

The server computes the fingerprint of a part's rows inside the consistent read, and that of the
same part is computed from the earlier snapshot's files, which are proven by it.  Where both agree
the files are taken over.  Rows are neither sent nor written.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from tablevault.engine.plan import Section, even_rows, sections
from tablevault.errors import CannotComplete, SnapshotUnusable
from tablevault.model import Chunk, Fingerprint, KeyRange
from tablevault.mysql.connect import Connection
from tablevault.mysql.sql_digest import fingerprint_query, parse_fingerprint
from tablevault.ops.base import Base, Part, parts_of
from tablevault.ops.doubtful import refuse_in_range
from tablevault.ops.reading import TablePlan
from tablevault.vault.reuse import proven_fingerprint
from tablevault.vault.store import Store


@dataclass(frozen=True)
class CompareTask:
    """One part of one table, to be compared with the base's."""

    plan: TablePlan
    base: Base
    number: int
    part: Part


@dataclass(frozen=True)
class Compared:
    """What was found: how many rows there are now, and whether they are those of the base."""

    task: CompareTask
    rows: int
    unchanged: bool
    damage: str = ""  # of the base's file: then the rows are read, whatever they are


@dataclass(frozen=True)
class Kept:
    """Chunks of the base that are taken over."""

    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Stretch:
    """A range to be read anew, in chunks of `step` rows; None: in one."""

    range: KeyRange
    step: int | None


def compare(connection: Connection, store: Store, task: CompareTask) -> Compared:
    """Compare one part.  Raises Unsupported when a value in it could not come back exactly."""
    plan, part = task.plan, task.part
    definition = plan.definition
    question = fingerprint_query(
        plan.table,
        plan.specs,
        definition.columns,
        connection.server.family,
        definition.key,
        part.range,
        plan.where,
        definition.engine,
    )
    now = parse_fingerprint(connection.one(question))
    if now.rows != part.rows:
        return Compared(task, now.rows, False)
    base, before = task.base, Fingerprint()
    try:
        for chunk in part.chunks:
            before += proven_fingerprint(store, base.snapshot, base.entry, chunk)
    except SnapshotUnusable as error:
        return Compared(task, now.rows, False, error.message)
    if now == before and plan.doubts:
        # such values are not told by their text, so the fingerprint does not see them either
        refuse_in_range(connection, definition, plan.doubts, part.range, plan.where)
    return Compared(task, now.rows, now == before)


class Comparison:
    """The comparison of one table: its tasks, what came of them, and what follows for reading."""

    def __init__(self, plan: TablePlan, base: Base) -> None:
        self.plan = plan
        self.base = base
        self.tasks = [
            CompareTask(plan, base, number, part) for number, part in enumerate(parts_of(base))
        ]
        self.bytes_done = 0  # wire bytes of the base's rows that were compared
        self.bytes_total = sum(task.part.wire_bytes for task in self.tasks)
        self._found: dict[int, Compared] = {}
        self._changed = threading.Condition()
        self._aborted = False

    def add(self, found: Compared) -> None:
        """Note what a task became; from any thread."""
        with self._changed:
            self._found[found.task.number] = found
            self.bytes_done += found.task.part.wire_bytes
            self._changed.notify_all()

    def abort(self) -> None:
        """Let nobody wait any longer; from any thread."""
        with self._changed:
            self._aborted = True
            self._changed.notify_all()

    @property
    def complete(self) -> bool:
        return len(self._found) == len(self.tasks)

    def plan_reading(self, wanted_rows: int) -> Iterator[Kept | Stretch]:
        """What makes up the table now, in key order; waits until all of it is compared."""
        with self._changed:
            while not self.complete and not self._aborted:
                self._changed.wait()
            if not self.complete:
                raise CannotComplete(f"comparing table {self.plan.table} was given up")
        found = [self._found[number] for number in range(len(self.tasks))]
        nulls = 1 if found and found[0].task.part.range.nulls else 0
        for some in (found[:nulls], found[nulls:]):  # no range holds both
            unchanged, rows = [one.unchanged for one in some], [one.rows for one in some]
            for section in sections(unchanged, rows, wanted_rows):
                yield _planned(some[section.first : section.stop], section, wanted_rows)


def _planned(found: list[Compared], section: Section, wanted_rows: int) -> Kept | Stretch:
    parts = [one.task.part for one in found]
    if section.kept:
        return Kept(tuple(chunk for part in parts for chunk in part.chunks))
    first = parts[0].range
    step = even_rows(sum(one.rows for one in found), wanted_rows)
    return Stretch(KeyRange(first.lo, parts[-1].range.hi, first.nulls), step)

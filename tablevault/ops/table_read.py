"""What has become of one table of a snapshot so far: its chunks, its counters, its progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tablevault.engine.plan import chunk_rows
from tablevault.events import TableProgress
from tablevault.model import Chunk, Reused
from tablevault.ops.reading import ChunksRead, Reader, TablePlan
from tablevault.ops.unchanged import Comparison


@dataclass
class TableRead:
    """One table; with a `comparison` some of its chunks are taken over instead of read."""

    plan: TablePlan
    began: float  # monotonic seconds
    comparison: Comparison | None = None
    chunks: list[Chunk] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0  # wire bytes of these rows
    taken: list[int] = field(default_factory=list)  # by number, the chunks that were taken over
    taken_bytes: int = 0  # wire bytes of these
    taken_file_bytes: int = 0
    tasks: int = 0  # planned so far
    done: int = 0
    planned: bool = False  # no more tasks will come
    told: bool = False  # that it is complete

    def add(self, result: ChunksRead, *, taken: bool = False) -> None:
        """Note what a task became."""
        wire_bytes = sum(chunk.wire_bytes for chunk in result.chunks)
        self.chunks += result.chunks
        self.rows += sum(chunk.digest.rows for chunk in result.chunks)
        self.bytes += wire_bytes
        if taken:
            self.taken += [chunk.index for chunk in result.chunks]
            self.taken_bytes += wire_bytes
            self.taken_file_bytes += sum(chunk.size_bytes for chunk in result.chunks)
        self.done += 1

    @property
    def complete(self) -> bool:
        return self.planned and self.done == self.tasks

    @property
    def reused(self) -> Reused | None:
        """What was taken over, when anything was to be."""
        if self.comparison is None:
            return None
        return Reused(self.comparison.base.snapshot.id, len(self.taken), self.taken_file_bytes)

    @property
    def work_bytes(self) -> int:
        """Wire bytes of all that is to be done: comparing, and reading what has to be read.

        Estimated, from what was read as soon as there is some.
        """
        if self.comparison is not None:
            return self.comparison.bytes_total + self.bytes - self.taken_bytes
        if self.complete:
            return self.bytes
        estimated = self.plan.definition.estimated_bytes
        if self.rows:
            estimated = int(self.bytes / self.rows * self.plan.definition.estimated_rows)
        return max(estimated, self.bytes)

    def chunk_rows(self, chunk_bytes: int) -> int:
        """Rows for the next chunk, by the size of those read, or by the server's estimate."""
        if self.comparison is not None and self.comparison.base.entry.digest.rows:
            entry = self.comparison.base.entry
            return chunk_rows(chunk_bytes, entry.digest.rows, entry.wire_bytes)
        if self.rows:
            return chunk_rows(chunk_bytes, self.rows, self.bytes)
        definition = self.plan.definition
        return chunk_rows(chunk_bytes, definition.estimated_rows, definition.estimated_bytes)

    def progress(self, readers: Sequence[Reader]) -> TableProgress:
        """How far it is, with what the readers have of unfinished chunks."""
        live = [one.live for one in readers]
        ours = [one for one in live if one is not None and one[0] == self.plan.number]
        rows = self.rows + sum(one[1] for one in ours)
        compared = self.comparison.bytes_done if self.comparison else 0
        return TableProgress(
            table=str(self.plan.table),
            rows_done=rows,
            rows_total=rows if self.complete else max(rows, self.plan.definition.estimated_rows),
            bytes_done=compared + self.bytes - self.taken_bytes + sum(one[2] for one in ours),
            state=self._state,
        )

    @property
    def _state(self) -> str:
        if self.complete:
            return "read"
        if self.comparison is not None and not self.comparison.complete:
            return "comparing" if self.comparison.bytes_done else "waiting"
        return "reading" if self.tasks else "waiting"

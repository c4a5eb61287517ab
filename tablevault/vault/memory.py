"""When each chunk of a snapshot was last proven: a memory that is believed only where it fits.

It is one of the snapshot's proofs, `verify-<run>.json`: for every chunk list, by its hash, when
each chunk and the tablespace were found sound, by files and by rows.  What is damaged, of another
chunk list or from the future counts as never proven; so the worst that a wrong memory can do is to
prove again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tablevault.model import Snapshot, TableEntry
from tablevault.vault import proofs
from tablevault.vault.store import Store

_VERIFY = "verify-"
DEPTHS = ("files", "rows")  # what proves rows proves files
_CLOCKS_DIFFER_S = 3600.0


class Memory:
    """What is known of one snapshot's chunks; times are whole Unix seconds, 0 is never."""

    def __init__(self, store: Store, snapshot: Snapshot, now: float) -> None:
        """Read what there is.  Raises CannotComplete only when the folder cannot be read."""
        self._store = store
        self._snapshot = snapshot
        self._latest = now + _CLOCKS_DIFFER_S
        self._read = proofs.files(store, snapshot.id, _VERIFY)
        self._times = {
            depth: {entry.path: [0] * entry.chunk_count for entry in snapshot.tables}
            for depth in DEPTHS
        }
        self._spaces = {
            depth: {entry.path: 0 for entry in snapshot.tables if entry.tablespace}
            for depth in DEPTHS
        }
        for content in proofs.kept(store, snapshot.id, _VERIFY):
            self._merge(content.get("tables"))

    def when(self, entry: TableEntry, chunk: int | None, depth: str = "rows") -> int:
        """When a chunk, or the tablespace where it is None, was last proven to this depth."""
        if chunk is None:
            return self._spaces[depth][entry.path]
        return self._times[depth][entry.path][chunk]

    def all_of(self, entry: TableEntry, depth: str = "rows") -> tuple[int, ...]:
        """The same of all chunks of a table."""
        return tuple(self._times[depth][entry.path])

    def note(self, entry: TableEntry, chunk: int | None, depth: str, at: float) -> None:
        """A chunk, or the tablespace where it is None, was proven at `at`."""
        for one in DEPTHS[: DEPTHS.index(depth) + 1]:
            if chunk is None:
                self._spaces[one][entry.path] = int(at)
            else:
                self._times[one][entry.path][chunk] = int(at)

    def forget(self, entry: TableEntry, chunk: int | None) -> None:
        """A chunk, or the tablespace where it is None, was found damaged."""
        self.note(entry, chunk, DEPTHS[-1], 0)

    def save(self, run: str) -> None:
        """Keep it, in the place of what was read.  Raises CannotComplete or UsageError."""
        tables = {
            entry.path: {
                "list": entry.chunks_sha256,
                **{depth: self._times[depth][entry.path] for depth in DEPTHS},
                **(
                    {"tablespace": {depth: self._spaces[depth][entry.path] for depth in DEPTHS}}
                    if entry.tablespace
                    else {}
                ),
            }
            for entry in self._snapshot.tables
        }
        content = {"run": run, "snapshot": self._snapshot.id, "tables": tables}
        proofs.keep(self._store, self._snapshot.id, f"{_VERIFY}{run}", content)
        for old in self._read:
            self._store.remove(old)

    def _merge(self, tables: Any) -> None:
        for entry in self._snapshot.tables:
            found = tables.get(entry.path) if isinstance(tables, dict) else None
            if not isinstance(found, dict) or found.get("list") != entry.chunks_sha256:
                continue
            for depth in DEPTHS:
                times = found.get(depth)
                if isinstance(times, list) and len(times) == entry.chunk_count:
                    mine = self._times[depth][entry.path]
                    both = zip(mine, times, strict=True)
                    mine[:] = [max(one, self._believed(at)) for one, at in both]
            space = found.get("tablespace")
            if entry.tablespace and isinstance(space, dict):
                for depth in DEPTHS:
                    known = self._spaces[depth]
                    known[entry.path] = max(known[entry.path], self._believed(space.get(depth)))

    def _believed(self, at: Any) -> int:
        return at if isinstance(at, int) and 0 < at <= self._latest else 0


def oldest(times: Iterable[int]) -> int:
    """When the least recently proven of these was; 0 when one never was."""
    return min(times, default=0)

"""How a table of one snapshot is compared with that of another: columns, row keys, and stretches.

Stretches are what lies between two boundaries that both chunk lists have.  Their digests are sums
of those in the manifests, so of two snapshots that agree no file is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tablevault.model import Chunk, Digest, KeyValue, RowGroup, Snapshot, TableDef, TableEntry
from tablevault.ops.schema_diff import renamed_columns
from tablevault.rows.kinds import ColumnSpec, Kind, Storage, specs_of

_TEXTS = frozenset({Storage.TEXT, Storage.TABLE, Storage.WIDE})  # UTF-8 in the files, all of them
_INTEGERS = frozenset({Kind.INT, Kind.UINT})

Group = tuple[Chunk, int]
"""A row group: its chunk and its number there."""


@dataclass(frozen=True)
class FileLayout:
    """One side of a pair: which of its stored columns become text, and how."""

    entry: TableEntry
    specs: tuple[ColumnSpec, ...]
    positions: tuple[int, ...]  # among the stored columns
    identity: tuple[int, ...]  # among `positions`: which rows are the same row; none: whole rows


@dataclass(frozen=True)
class Pair:
    """A table of two snapshots; values are compared by the text that `specs` make of them."""

    number: int
    before: FileLayout
    after: FileLayout
    columns: tuple[str, ...]  # those compared, the first snapshot's names
    not_compared: tuple[str, ...]
    shown_otherwise: tuple[str, ...]  # columns whose types may show the same value otherwise
    recorded: bool  # the manifests' digests can be compared with each other
    aligned: bool  # and so can their key ranges

    @property
    def rows(self) -> int:
        """Of the first snapshot."""
        return self.before.entry.digest.rows


@dataclass(frozen=True)
class Stretch:
    """Row groups of both sides that hold the rows of the same keys, and are not known to agree."""

    pair: Pair
    before: tuple[Group, ...]
    after: tuple[Group, ...]

    @property
    def rows(self) -> int:
        """Of the first snapshot."""
        return _digest(self.before).rows

    @property
    def rows_after(self) -> int:
        """Of the second one."""
        return _digest(self.after).rows

    @property
    def wire_bytes(self) -> int:
        """Of the first snapshot."""
        return sum(chunk.row_groups[at].wire_bytes for chunk, at in self.before)


def pair_of(
    number: int, first: Snapshot, before: TableEntry, second: Snapshot, after: TableEntry
) -> Pair:
    """Settle how the two are compared: by the columns that both have."""
    old, new = before.definition, after.definition
    names = _names_now(old, new)
    stored = [column.name for column in old.columns if not column.generated]
    stored_now = {
        name: at
        for at, name in enumerate(column.name for column in new.columns if not column.generated)
    }
    shared = [name for name in stored if names.get(name) in stored_now]
    was, is_now = (
        specs_of(old.table, old.columns, first.server.family),
        specs_of(new.table, new.columns, second.server.family),
    )
    chosen = [(stored.index(name), stored_now[names[name]]) for name in shared]
    specs = [_alike(was[a], is_now[b]) for a, b in chosen]
    key = [part.name for part in old.row_key.columns] if old.row_key else []
    identity = tuple(shared.index(name) for name in key) if set(key) <= set(shared) else ()
    recorded = (
        first.server.family == second.server.family
        and [replace(spec, name="") for spec in was] == [replace(spec, name="") for spec in is_now]
        and [b for _, b in chosen] == list(range(len(stored))) == [a for a, _ in chosen]
    )
    return Pair(
        number,
        FileLayout(before, tuple(a for a, _ in specs), tuple(a for a, _ in chosen), identity),
        FileLayout(after, tuple(b for _, b in specs), tuple(b for _, b in chosen), identity),
        tuple(shared),
        tuple(name for name in stored if name not in shared),
        tuple(name for name, (a, b) in zip(shared, specs, strict=True) if _otherwise(a, b)),
        recorded,
        recorded and _ordered_alike(first, old, second, new, names),
    )


def stretches_of(
    pair: Pair, before: Sequence[Chunk], after: Sequence[Chunk]
) -> tuple[Stretch, ...]:
    """What of a pair must be read, in pieces as small as the manifests allow."""
    olds, news = _groups(before), _groups(after)
    if not olds and not news:
        return ()
    cuts = _cuts(olds, news) if pair.aligned else [(0, 0), (len(olds), len(news))]
    found = (
        Stretch(pair, tuple(olds[a:next_a]), tuple(news[b:next_b]))
        for (a, b), (next_a, next_b) in pairwise(cuts)
    )
    return tuple(
        one for one in found if not pair.recorded or _digest(one.before) != _digest(one.after)
    )


def _names_now(before: TableDef, after: TableDef) -> dict[str, str]:
    """What the first one's columns are called in the second; those that are gone are absent."""
    now = {column.name.casefold(): column.name for column in after.columns}
    renamed = renamed_columns(before, after)
    found = {c.name: renamed.get(c.name) or now.get(c.name.casefold()) for c in before.columns}
    return {name: other for name, other in found.items() if other is not None}


def _alike(before: ColumnSpec, after: ColumnSpec) -> tuple[ColumnSpec, ColumnSpec]:
    """Specs by which equal values of both become equal text, as far as their types allow."""
    if {before.storage, after.storage} <= _TEXTS and _charset(before) != _charset(after):
        before, after = (
            replace(spec, storage=Storage.TEXT, charset_table=None, wide_charset="")
            for spec in (before, after)
        )
    elif before.storage is after.storage and before.storage not in _TEXTS:
        layout = (before.width, before.scale) == (after.width, after.scale)
        if layout and before.kind is after.kind:
            return before, before  # a family shows a DOUBLE otherwise than the other one
    pad = before.pad if {before.kind, after.kind} <= _INTEGERS else after.pad
    return before, replace(after, digest=before.digest, pad=pad)


def _otherwise(before: ColumnSpec, after: ColumnSpec) -> bool:
    texts = {before.storage, after.storage} <= _TEXTS
    integers = {before.kind, after.kind} <= _INTEGERS
    shown = [(spec.kind, spec.storage, spec.scale) for spec in (before, after)]
    return not (texts or integers) and shown[0] != shown[1]


def _charset(spec: ColumnSpec) -> tuple[object, ...]:
    return spec.storage, spec.charset_table, spec.wide_charset


def _ordered_alike(
    first: Snapshot, before: TableDef, second: Snapshot, after: TableDef, names: dict[str, str]
) -> bool:
    if before.row_key is None or after.row_key is None:
        return False
    olds = {column.name: column for column in before.columns}
    news = {column.name: column for column in after.columns}
    release = first.server.version[:2] == second.server.version[:2]
    if [names.get(part.name) for part in before.row_key.columns] != [
        part.name for part in after.row_key.columns
    ]:
        return False
    return all(
        a.descending == b.descending
        and olds[a.name].column_type == news[b.name].column_type
        and olds[a.name].collation == news[b.name].collation
        and (release or olds[a.name].charset is None)
        for a, b in zip(before.row_key.columns, after.row_key.columns, strict=True)
    )


def _groups(chunks: Sequence[Chunk]) -> list[Group]:
    return [(chunk, at) for chunk in chunks for at in range(len(chunk.row_groups))]


def _cuts(olds: Sequence[Group], news: Sequence[Group]) -> list[tuple[int, int]]:
    """Positions before which both sides have the same boundary, in order, both ends too."""
    at_old, at_new = dict(_boundaries(olds)), dict(_boundaries(news))
    common = sorted((at_old[key], at_new[key]) for key in at_old.keys() & at_new.keys())
    cuts = [(0, 0)]
    for cut in [*common, (len(olds), len(news))]:
        if cut != cuts[-1] and cut[1] >= cuts[-1][1]:
            cuts.append(cut)
    return cuts


def _boundaries(groups: Sequence[Group]) -> Iterator[tuple[KeyValue, int]]:
    for at, group in enumerate(groups):
        key_range = _row_group(group).range
        if key_range.lo is not None:
            yield key_range.lo, at
        if key_range.hi is not None:
            yield key_range.hi, at + 1


def _row_group(group: Group) -> RowGroup:
    chunk, at = group
    return chunk.row_groups[at]


def _digest(groups: Sequence[Group]) -> Digest:
    return sum((_row_group(group).digest for group in groups), Digest())

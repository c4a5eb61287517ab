"""Which rows of two sides differ: lines of LOAD DATA text, matched whole, then by key.

A line is a row, exactly: the encoder's escapes are one to one.  Most lines are the same on both
sides and are never taken apart; only what is left over is split into fields.  The first side is
held, the second streams past it, so that memory is bounded by the first whatever the second has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress, count
from operator import itemgetter, ne
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

Fields = list[bytes]
"""One row's values as they stand in its line, escapes and all; `text.field_value` decodes one."""

MOST_HELD = 20_000  # lines of the second side that are held in the hope of a partner


@dataclass
class Unmatched:
    """Rows that differ: on the first side only, on the second only, on both with other values."""

    first: list[Fields] = field(default_factory=list)
    second: list[Fields] = field(default_factory=list)
    changed: list[tuple[Fields, Fields]] = field(default_factory=list)


def lines_of(block: Buffer) -> list[bytes]:
    """The lines of a block of whole lines."""
    lines = bytes(block).split(b"\n")
    lines.pop()
    return lines


class Matcher:
    """The lines of one part of a table, against those of the same part elsewhere.

    `key` are the positions of the fields that say which rows are the same row; without it rows
    match as wholes.  Rows may be there more than once, on either side.
    """

    def __init__(self, first: Sequence[bytes], key: Sequence[int] = ()) -> None:
        self._all = first
        self._first = Counter(first)
        self._second: Counter[bytes] = Counter()
        self._key = itemgetter(*key) if key else None
        self._keys: set[object] | None = None

    def add(self, second: Iterable[bytes]) -> list[Fields]:
        """Take lines of the second side; return those that certainly are on it only, if any.

        There are none before many lines wait for a partner.
        """
        first, unmatched = self._first, self._second
        for line, times in Counter(second).items():
            left = first.pop(line, 0)
            if left > times:
                first[line] = left - times
            elif left < times:
                unmatched[line] += times - left
        return self._let_go() if len(unmatched) > MOST_HELD else []

    def finish(self) -> Unmatched:
        """What differs, after the last line of the second side."""
        first = [line.split(b"\t") for line in self._first.elements()]
        second = [line.split(b"\t") for line in self._second.elements()]
        if self._key is None:
            return Unmatched(first, second)
        found = Unmatched()
        waiting = dict(zip(map(self._key, second), second, strict=True))
        twice = [] if len(waiting) == len(second) else _without(second, waiting.values())
        for key, fields in zip(map(self._key, first), first, strict=True):
            partner = waiting.pop(key, None)
            if partner is None:
                found.first.append(fields)
            else:
                found.changed.append((fields, partner))
        if twice:
            twice = self._pair_more(found, twice)
        found.second += [*waiting.values(), *twice]
        return found

    def _pair_more(self, found: Unmatched, second: Sequence[Fields]) -> list[Fields]:
        """Partners among rows whose key another row has as well; returns those left over."""
        assert self._key is not None
        waiting: dict[object, list[Fields]] = {}
        for fields in second:
            waiting.setdefault(self._key(fields), []).append(fields)
        alone = []
        for fields in found.first:
            partners = waiting.get(self._key(fields))
            if partners:
                found.changed.append((fields, partners.pop()))
            else:
                alone.append(fields)
        found.first = alone
        return [fields for partners in waiting.values() for fields in partners]

    def _let_go(self) -> list[Fields]:
        """Stop waiting for a partner of those lines whose key the first side does not have."""
        if self._key and self._keys is None:
            self._keys = {self._key(line.split(b"\t")) for line in self._all}
        keys = self._keys or set()
        gone = []
        kept: Counter[bytes] = Counter()
        for line, times in self._second.items():
            fields = line.split(b"\t")
            if self._key and self._key(fields) in keys:
                kept[line] = times
            else:
                gone += [fields] * times
        self._second = kept
        return gone


@dataclass
class Odd:
    """Lines without their like on the other side; `rows` are all of the second one."""

    missing: set[bytes]
    found: set[bytes]
    rows: int


def odd_ones(first: Sequence[bytes], second: Iterable[Sequence[bytes]], most: int) -> Odd | None:
    """The lines that only one side has, none there twice; None for more than `most` on the second.

    Cheap where both come in the same order, right in any.  `second` is taken to its end anyway.
    """
    missing: set[bytes] = set()
    found: set[bytes] = set()
    rows = 0
    for batch in second:
        part, rows = first[rows : rows + len(batch)], rows + len(batch)
        if len(found) > most + len(first):  # not even all of the first side could match them
            continue
        missing.update(compress(part, map(ne, part, batch)))
        found.update(compress(batch, map(ne, batch, part)), batch[len(part) :])
        if len(found) > most + len(first):
            _strike(missing, found)
    missing.update(first[rows:])
    _strike(missing, found)
    return Odd(missing, found, rows) if len(found) <= most else None


def _strike(one: set[bytes], other: set[bytes]) -> None:
    """Take out of both what both have."""
    common = one & other
    one -= common
    other -= common


def differing(before: Fields, after: Fields) -> tuple[int, ...]:
    """The positions of the fields that differ in two rows of the same columns."""
    return tuple(compress(count(), map(ne, before, after)))


def _without(rows: Sequence[Fields], others: Iterable[Fields]) -> list[Fields]:
    """Those of `rows` that are none of `others` themselves."""
    these = set(map(id, others))
    return [fields for fields in rows if id(fields) not in these]

"""Whether two selections of tables may have one in common, decided by their patterns alone.

A selection is a list of patterns as commands take them, `!` before what is left out.  A pattern is
a glob over `schema.table`; two of them are walked together, character by character, each as the set
of places that it may have come to.  Where that gets too large, they may have a table in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

EXCLUDED = "!"
EVERY = "*"
_NAMES = "?*.?*"  # what is the name of a table
_MAX_STATES = 2_000

# the characters between two bounds, each bound within; many: any number of any characters
_Ranges = tuple[tuple[int, int], ...]
_ANY: _Ranges = ((0, 0x10FFFF),)


@dataclass(frozen=True)
class _Part:
    ranges: _Ranges
    negated: bool = False
    many: bool = False

    def takes(self, char: int) -> bool:
        return any(low <= char <= high for low, high in self.ranges) != self.negated


@dataclass(frozen=True)
class _Selection:
    """What is in it, by name and by glob, and what is not."""

    names: frozenset[str]
    globs: tuple[str, ...]
    exclude: tuple[str, ...]

    @classmethod
    def of(cls, words: Iterable[str]) -> _Selection:
        words = list(words)
        include = [_whole(word) for word in words if not word.startswith(EXCLUDED)] or [EVERY]
        exclude = [_whole(word[1:]) for word in words if word.startswith(EXCLUDED)]
        names = frozenset(one for one in include if not any(sign in one for sign in "*?["))
        return cls(names, tuple(set(include) - names), tuple(exclude))

    def holds(self, table: str) -> bool:
        within = table in self.names or any(fnmatchcase(table, one) for one in self.globs)
        return within and not any(fnmatchcase(table, one) for one in self.exclude)


def overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether a table may be in both, on a server that tells cases apart or one that does not."""
    folded = [word.casefold() for word in one], [word.casefold() for word in other]
    return _overlap(one, other) or _overlap(*folded)


def holds(selection: Sequence[str], table: str) -> bool:
    """Whether the table `schema.table` may be in it."""
    return _Selection.of(selection).holds(table)


def _whole(word: str) -> str:
    """A pattern over `schema.table`; one without a schema is of any, quotes are literal."""
    text, quoted = "", False
    for piece in word.strip().split("`"):
        text += (
            "".join(f"[{char}]" if char in "*?[" else char for char in piece) if quoted else piece
        )
        quoted = not quoted
    return text if "." in text or any(sign in text for sign in "*?[") else f"*.{text}"


def _overlap(one: Iterable[str], other: Iterable[str]) -> bool:
    first, second = _Selection.of(one), _Selection.of(other)
    if any(first.holds(name) and second.holds(name) for name in first.names | second.names):
        return True
    if not first.globs or not second.globs:
        return False
    groups = (first.globs, second.globs, (_NAMES,), (*first.exclude, *second.exclude))
    machines = [[_parts(glob) for glob in group] for group in groups]
    chars = sorted(set(_bounds(machines)))
    state = tuple(tuple(_closed(parts, 1) for parts in group) for group in machines)
    seen, waiting = {state}, [state]
    while waiting:
        state = waiting.pop()
        if _accepted(machines, state):
            return True
        for char in chars:
            after = tuple(
                tuple(_step(parts, places, char) for parts, places in zip(group, at, strict=True))
                for group, at in zip(machines, state, strict=True)
            )
            if after not in seen and all(any(group) for group in after[:3]):
                seen.add(after)
                waiting.append(after)
        if len(seen) > _MAX_STATES:
            return True
    return False


def _accepted(machines: list[list[list[_Part]]], state: tuple[tuple[int, ...], ...]) -> bool:
    ended = [
        any(places >> len(parts) & 1 for parts, places in zip(group, at, strict=True))
        for group, at in zip(machines, state, strict=True)
    ]
    return all(ended[:3]) and not ended[3]


def _step(parts: list[_Part], places: int, char: int) -> int:
    """The places after one more character; a place is a bit, from the first part on."""
    after = 0
    for number, part in enumerate(parts):
        if places >> number & 1 and part.takes(char):
            after |= 1 << (number if part.many else number + 1)
    return _closed(parts, after)


def _closed(parts: list[_Part], places: int) -> int:
    """The places, and those behind what may be empty."""
    for number, part in enumerate(parts):
        if part.many and places >> number & 1:
            places |= 1 << number + 1
    return places


def _bounds(machines: list[list[list[_Part]]]) -> Iterator[int]:
    """One character of each kind that any of the patterns tells apart."""
    yield 0
    for group in machines:
        for parts in group:
            for part in parts:
                for low, high in part.ranges:
                    yield low
                    yield min(high + 1, 0x10FFFF)


def _parts(glob: str) -> list[_Part]:
    """A glob as fnmatch reads it."""
    parts: list[_Part] = []
    at = 0
    while at < len(glob):
        sign = glob[at]
        end = _set_end(glob, at) if sign == "[" else -1
        if sign == "*":
            parts.append(_Part(_ANY, many=True))
        elif sign == "?":
            parts.append(_Part(_ANY))
        elif end > 0:
            parts.append(_set(glob[at + 1 : end]))
            at = end
        else:
            parts.append(_Part(((ord(sign), ord(sign)),)))
        at += 1
    return parts


def _set_end(glob: str, at: int) -> int:
    """Where the ] is that ends a set; -1 where there is none, and [ is a character."""
    at += 2 if glob[at + 1 : at + 2] == "!" else 1
    return glob.find("]", at + 1)


def _set(text: str) -> _Part:
    negated = text.startswith("!")
    text = text.removeprefix("!")
    ranges = []
    at = 0
    while at < len(text):
        last = text[at + 2] if text[at + 1 : at + 2] == "-" and at + 2 < len(text) else text[at]
        ranges.append((ord(text[at]), ord(last)))
        at += 3 if text[at + 1 : at + 2] == "-" and at + 2 < len(text) else 1
    return _Part(tuple(ranges), negated)

"""Which tables of a snapshot a command means."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from tablevault.errors import UsageError
from tablevault.model import Snapshot, TableEntry
from tablevault.mysql.tables import EXCLUDED

_SIGNS = "*?["  # of globs
_Find = Callable[[str], list[TableEntry]]


def select_entries(snapshot: Snapshot, patterns: Sequence[str]) -> tuple[TableEntry, ...]:
    """The entries that `patterns` name (`schema.table`, `table`, globs); all without patterns.

    What begins with `!` is left out of all others.  Raises UsageError for a pattern that names
    none, with a suggestion, or when nothing is left.
    """
    wanted = [pattern for pattern in patterns if not pattern.startswith(EXCLUDED)]
    excluded = [pattern[1:] for pattern in patterns if pattern.startswith(EXCLUDED)]
    find = _finder(snapshot)
    chosen = _named(snapshot, wanted, find) if wanted else list(snapshot.tables)
    out = {entry.definition.table for pattern in excluded for entry in find(pattern)}
    left = {one.definition.table for one in chosen} - out
    if chosen and not left:
        raise UsageError(
            f"no table of snapshot {snapshot.id} is left of {' '.join(patterns)}",
            hint="exclude less",
        )
    return tuple(entry for entry in snapshot.tables if entry.definition.table in left)


def _named(snapshot: Snapshot, patterns: Sequence[str], find: _Find) -> list[TableEntry]:
    chosen: list[TableEntry] = []
    for pattern in patterns:
        found = find(pattern)
        if not found:
            known = [str(entry.definition.table) for entry in snapshot.tables]
            near = difflib.get_close_matches(pattern, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"it holds {', '.join(known[:10])}"
            raise UsageError(f"snapshot {snapshot.id} has no table {pattern}", hint=hint)
        chosen += found
    return chosen


def _finder(snapshot: Snapshot) -> _Find:
    """What finds the entries that a pattern names; a mere name is not held against all of them."""
    by_name: defaultdict[str, list[TableEntry]] = defaultdict(list)
    for entry in snapshot.tables:
        table = entry.definition.table
        for name in {str(table), table.name}:
            by_name[name].append(entry)

    def find(pattern: str) -> list[TableEntry]:
        if not any(sign in pattern for sign in _SIGNS):
            return by_name.get(pattern, [])
        return [entry for entry in snapshot.tables if _matches(entry, pattern)]

    return find


def _matches(entry: TableEntry, pattern: str) -> bool:
    table = entry.definition.table
    full = str(table)
    # an exact name comes first: names may hold the characters of globs
    return pattern in (full, table.name) or fnmatchcase(full, pattern)

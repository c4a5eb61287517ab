"""Which snapshots a vault keeps: rules counted by table, and what no rule may take.

A snapshot is kept as long as one of its tables needs it: of *every* table the rules count the
snapshots that hold it, so that the nightly one of one schema never pushes out the weekly one of
another.  Partial snapshots, and what repairs have saved, count apart from whole ones.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from tablevault.errors import UsageError
from tablevault.model import SOME_ROWS, Snapshot, TableEntry
from tablevault.vault.proofs import DrillProof

_DAY_S = 86_400


@dataclass(frozen=True)
class Rules:
    """How many to keep of each table; 0 is no rule.  Days, weeks and months are those of UTC."""

    last: int = 0  # the newest N
    days: int = 0  # all of the last N days
    weekly: int = 0  # the newest of each of the last N weeks that have one
    monthly: int = 0

    def require(self) -> None:
        """Raise UsageError when nothing is said, or something impossible."""
        numbers = (self.last, self.days, self.weekly, self.monthly)
        if min(numbers) < 0:
            raise UsageError("what is to be kept cannot be a negative number")
        if not any(numbers):
            raise UsageError(
                "no rule says what to keep",
                hint="give one or more of --keep-last, --keep-days, --keep-weekly, --keep-monthly, "
                "or --retention with a name of the configuration",
            )


def kept_by_rules(
    snapshots: Sequence[Snapshot],
    drills: Sequence[DrillProof],
    rules: Rules,
    now: float,
    verified: Mapping[str, Collection[str]] | None = None,
) -> dict[str, str]:
    """Why each snapshot is kept, by its id: the first reason there is; the others may go.

    Of every table the newest snapshot, the last one proven restorable, and the last one whose files
    were all proven are always kept; `verified` has the tables of which that is so, by snapshot.
    """
    reasons: dict[str, str] = {}
    for series in _series(snapshots).values():
        newest_first = sorted(series, key=lambda one: one.created, reverse=True)
        for snapshot, why in _reasons(newest_first, rules, now):
            reasons.setdefault(snapshot.id, why)
    known = {snapshot.id: snapshot for snapshot in snapshots}
    for proven in _newest_of_tables(known, verified or {}):
        reasons[proven] = "last verified whole"
    rehearsed: dict[str, set[str]] = defaultdict(set)
    for proof in drills:
        if proof.share >= 1.0:
            rehearsed[proof.snapshot].update(proof.tables)
    for proven in _newest_of_tables(known, rehearsed):
        reasons[proven] = "last proven restorable"
    return reasons


def _series(snapshots: Sequence[Snapshot]) -> dict[tuple[object, ...], list[Snapshot]]:
    """The snapshots of each table: of one server, whole ones and each kind of partial apart."""
    series: dict[tuple[object, ...], list[Snapshot]] = defaultdict(list)
    for snapshot in snapshots:
        for entry in snapshot.tables:
            series[_of(snapshot, entry)].append(snapshot)
        if not snapshot.tables:
            series[(snapshot.server.uuid,)].append(snapshot)
    return series


def _of(snapshot: Snapshot, entry: TableEntry) -> tuple[object, ...]:
    saved = SOME_ROWS in snapshot.features
    return (snapshot.server.uuid, entry.definition.table, entry.where, saved)


def _reasons(
    newest_first: Sequence[Snapshot], rules: Rules, now: float
) -> list[tuple[Snapshot, str]]:
    found = [(newest_first[0], "the newest")]
    found += [(one, f"of the last {rules.last}") for one in newest_first[: rules.last]]
    since = now - rules.days * _DAY_S
    days = f"of the last {rules.days} days"
    found += [(one, days) for one in newest_first if rules.days and one.created >= since]
    for number, noun, period in (
        (rules.weekly, "weekly", _week),
        (rules.monthly, "monthly", _month),
    ):
        found += [
            (one, f"{noun}, {name}") for name, one in _newest_of_each(newest_first, period)[:number]
        ]
    return found


def _newest_of_each(
    newest_first: Sequence[Snapshot], period: Callable[[float], str]
) -> list[tuple[str, Snapshot]]:
    newest: dict[str, Snapshot] = {}
    for one in newest_first:
        newest.setdefault(period(one.created), one)
    return list(newest.items())


def _newest_of_tables(
    known: Mapping[str, Snapshot], proven: Mapping[str, Collection[str]]
) -> list[str]:
    """Of every table the newest snapshot of which it was proven; `proven` has the tables of each.

    Tables of one name on two servers are two.
    """
    newest: dict[tuple[str, str], str] = {}
    for snapshot_id, tables in proven.items():
        one = known.get(snapshot_id)
        if one is None:
            continue
        for table in tables:
            best = newest.setdefault((one.server.uuid, table), snapshot_id)
            if one.created > known[best].created:
                newest[(one.server.uuid, table)] = snapshot_id
    return list(dict.fromkeys(newest.values()))


def _week(then: float) -> str:
    return time.strftime("%G-W%V", time.gmtime(then))


def _month(then: float) -> str:
    return time.strftime("%Y-%m", time.gmtime(then))

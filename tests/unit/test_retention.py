"""Which snapshots are kept: counted by table, in days, weeks and months, and never the last."""

from __future__ import annotations

import calendar
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablevault.errors import UsageError
from tablevault.model import SOME_ROWS, Digest, Snapshot, TableEntry, TableName
from tablevault.ops.retention import Rules, kept_by_rules
from tablevault.vault.proofs import DrillProof
from tests.unit.vaults import definition, snapshot_of

DAY = 86_400
NOW = float(calendar.timegm(time.strptime("2026-11-24 12:00", "%Y-%m-%d %H:%M")))


def entry(name: str, where: str | None = None) -> TableEntry:
    table = definition(table=TableName("shop", name))
    return TableEntry(table, name, f"{name}/chunks.jsonl", "0" * 64, 1, Digest(), 1, 1, 1, where)


def taken(days_ago: float, *tables: str, where: str | None = None) -> Snapshot:
    created = NOW - days_ago * DAY
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(created))
    entries = [entry(name, where) for name in tables or ("orders",)]
    return replace(snapshot_of(entries, f"{stamp}-x"), created=created)


def drilled(snapshot: Snapshot, *tables: str, share: float = 1.0) -> DrillProof:
    return DrillProof(
        run="r",
        snapshot=snapshot.id,
        at=NOW,
        family="mariadb",
        version="10.11",
        address="db:3306",
        server_uuid="u",
        tables=tables,
        all_tables=True,
        share=share,
        rows=1,
        size_bytes=1,
        seconds=1.0,
        restore_s=1.0,
        rate_bytes_s=1.0,
        cost=1.0,
        threads=2,
    )


def kept(
    snapshots: list[Snapshot], drills: tuple[DrillProof, ...] = (), **rules: int
) -> list[float]:
    """How many days ago those were taken that are kept."""
    ids = kept_by_rules(snapshots, drills, Rules(**rules), NOW)
    return [(NOW - one.created) / DAY for one in snapshots if one.id in ids]


def test_the_last_ones_of_each_table() -> None:
    orders = [taken(day) for day in range(5)]
    assert kept(orders, last=2) == [0, 1]
    # the nightly orders do not push out the items of last month
    items = [taken(30, "items"), taken(60, "items"), taken(90, "items")]
    assert kept([*orders, *items], last=2) == [0, 1, 30, 60]
    both = taken(40, "orders", "items")
    assert kept([*orders, items[0], both, items[1]], last=2) == [0, 1, 30, 40]


def test_all_of_some_days() -> None:
    snapshots = [taken(day / 2) for day in range(8)]
    assert kept(snapshots, days=2) == [0, 0.5, 1, 1.5, 2]


def test_the_newest_is_kept_however_old_it_is() -> None:
    assert kept([taken(400), taken(500)], days=7) == [400]


def test_one_of_each_week_and_month() -> None:
    snapshots = [taken(day) for day in range(70)]
    weekly = kept(snapshots, weekly=3)
    assert weekly == [0, 2, 9]  # the 24th is a Tuesday: then the Sundays before
    monthly = kept(snapshots, monthly=3)
    assert monthly == [0, 24, 55]  # then the last days of October and September
    assert kept(snapshots, last=2, weekly=2, monthly=2) == [0, 1, 2, 24]
    assert kept([taken(0), taken(300), taken(301)], weekly=2) == [0, 300]  # weeks that have one


def test_the_last_proven_of_a_table_is_kept() -> None:
    snapshots = [taken(day, "orders", "items") for day in range(5)]
    proofs = (
        drilled(snapshots[4], "shop.orders", "shop.items"),
        drilled(snapshots[3], "shop.orders"),
        drilled(snapshots[2], "shop.orders", "shop.items", share=0.1),  # a sample proves no whole
    )
    assert kept(snapshots, proofs, last=1) == [0, 3, 4]
    assert kept(snapshots, proofs[1:], last=1) == [0, 3]


def test_partial_ones_and_other_servers_count_apart() -> None:
    whole, part = [taken(day) for day in (1, 2)], [taken(day, where="id < 9") for day in (0, 3)]
    assert kept([*whole, *part], last=1) == [1, 0]
    saved = replace(taken(0.5), features=(SOME_ROWS,))
    assert kept([*whole, saved], last=1) == [1, 0.5]
    other = replace(taken(9), server=replace(whole[0].server, uuid="u-2"))
    assert kept([*whole, other], last=1) == [1, 9]


@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["a", "b", "ab"])), max_size=40),
    st.tuples(*[st.integers(0, 5)] * 4),
)
def test_a_rule_more_never_keeps_less(
    found: list[tuple[int, str]], numbers: tuple[int, int, int, int]
) -> None:
    snapshots = list({one.id: one for one in (taken(day, *names) for day, names in found)}.values())
    rules = dict(zip(("last", "days", "weekly", "monthly"), numbers, strict=True))
    all_rules = set(kept(snapshots, **rules))
    for name, number in rules.items():
        assert set(kept(snapshots, **{name: number})) <= all_rules
    for table in "ab":
        holding = [
            (NOW - s.created) / DAY
            for s in snapshots
            if any(e.definition.table.name == table for e in s.tables)
        ]
        assert not holding or min(holding) in all_rules


def test_rules_that_say_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="no rule"):
        Rules().require()
    with pytest.raises(UsageError, match="negative"):
        Rules(last=1, days=-1).require()

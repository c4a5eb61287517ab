"""Names that are derived: what they promise of their order."""

from __future__ import annotations

from tablevault.names import new_run_id, new_snapshot_id

NOON = 1_796_126_400.0


def test_runs_of_one_second_sort_by_time() -> None:
    moments = [NOON + step / 1000 for step in range(0, 2000, 7)]
    ids = [new_run_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert len({len(one) for one in ids}) == 1


def test_two_of_one_moment_differ() -> None:
    assert len({new_run_id(NOON) for _ in range(10)}) > 5


def test_a_snapshot_has_its_name_or_a_tail() -> None:
    assert new_snapshot_id("before", NOON).endswith("Z-before")
    assert new_snapshot_id(None, NOON)[:17] == new_run_id(NOON)[:17]

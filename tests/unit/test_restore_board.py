"""The board: every step in its order, every row group once, a percentage that only grows."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablevault.model import (
    Chunk,
    Column,
    Digest,
    Key,
    KeyColumn,
    KeyRange,
    RowGroup,
    ServerInfo,
    TableDef,
    TableEntry,
    TableName,
)
from tablevault.mysql.keysets import KeyDigest, LiveKeys, SeenKeys
from tablevault.ops import restore_tasks
from tablevault.ops.restore_board import Board
from tablevault.ops.restore_tasks import (
    BuildIndex,
    CreateStaging,
    Lane,
    LaneLost,
    LoadGroup,
    LookAtLive,
    MakeRoom,
    PlaceTable,
    ProveGroup,
    ProveRows,
    ProveTable,
    TableJob,
    Task,
    Written,
)
from tablevault.vault.placing import Placement


def job(index: int, chunks: int, groups: int, indexes: int, *, keyed: bool = True) -> TableJob:
    table = TableName("s", f"t{index}")
    group = RowGroup(KeyRange(), Digest(10, 10, 7), 1000, 100)
    files = tuple(
        Chunk(n, f"part-{n}", KeyRange(), (group,) * groups, 500, "00") for n in range(chunks)
    )
    definition = TableDef(
        table,
        "CREATE TABLE t (id INT)",
        (Column("id", "int(11)", "int", False),),
        Key("PRIMARY", (KeyColumn("id"),)) if keyed else None,
    )
    count = chunks * groups
    digest = Digest(10 * count, 10 * count, 7 * count)
    entry = TableEntry(
        definition, "s/t", "s/t/chunks.jsonl", "00", chunks, digest, 1000 * count, 500, 100
    )
    return TableJob(
        index=index,
        entry=entry,
        target=table,
        staging=TableName("s", f"new{index}"),
        specs=(),
        chunks=files,
        staging_sql="CREATE TABLE new (id INT)",
        indexes=tuple(f"ADD KEY k{n} (id)" for n in range(indexes)),
    )


shapes = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 3), st.booleans()),
    min_size=1,
    max_size=4,
)


def looking(one: TableJob, looks: bool) -> TableJob:
    """Looked at before a swap, however small it is."""
    return dataclasses.replace(one, looks=looks)


@pytest.fixture(autouse=True, scope="module")
def every_size_is_looked_at() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restore_tasks, "LOOK_FROM_BYTES", 0)
        yield


def followers_of(board: Board, task: Task) -> list[Task]:
    """What can begin after a task; one that places a tablespace may write it more than once."""
    written = [Written(task.job)] * 2 if isinstance(task, PlaceTable) else []
    return [one for outcome in (*written, task) for one, _ in board.after(outcome)]


def steps_of(done: list[Task], one: TableJob) -> list[Task]:
    """All but the looks, for which nothing waits."""
    return [t for t in done if t.job.index == one.index and not isinstance(t, LookAtLive)]


def looks_of(done: list[Task], one: TableJob) -> list[Task]:
    return [t for t in done if t.job.index == one.index and isinstance(t, LookAtLive)]


def late(one: TableJob, number: int) -> TableJob:
    may = one.keyed and one.indexes
    return dataclasses.replace(one, late=min(number, len(one.parts)) if may else 0)


@given(shapes, st.randoms(use_true_random=False), st.booleans())
def test_whatever_the_order_every_step_happens_once_and_in_turn(
    tables: list[tuple[int, int, int, bool]], chance: random.Random, swap: bool
) -> None:
    jobs = tuple(
        late(looking(job(n, *shape, keyed=keyed), swap), chance.randrange(5))
        for n, (*shape, keyed) in enumerate(tables)
    )
    board = Board(jobs, swap=swap)
    open_tasks: list[Task] = [task for task, _ in board.first_tasks()]
    done: list[Task] = []
    shares = [0.0]
    while open_tasks:
        task = open_tasks.pop(chance.randrange(len(open_tasks)))
        if isinstance(task, LoadGroup) and task.late and not chance.randrange(3):
            task = dataclasses.replace(task, late=False)  # found there, and right
        done.append(task)
        open_tasks += followers_of(board, task)
        shown = board.progress({}, {}, {})
        shares.append(board.cost_done(shown, {}) / board.cost_total)
    assert shares == sorted(shares) and shares[-1] <= 1.0
    assert board.cost_done(board.progress({}, {}, {}), {}) + board.swap_cost == board.cost_total
    for one in jobs:
        mine = steps_of(done, one)
        assert isinstance(mine[0], CreateStaging) and isinstance(mine[-1], ProveTable)
        loads = [(t.chunk.index, t.group) for t in mine if isinstance(t, LoadGroup)]
        assert len(loads) == len(set(loads)) == sum(len(c.row_groups) for c in one.chunks)
        behind = [(t.chunk.index, t.group) for t in mine if isinstance(t, LoadGroup) and t.late]
        assert len(behind) <= one.late
        proven = [(t.chunk.index, t.group) for t in mine if isinstance(t, ProveGroup)]
        assert sorted(proven) == sorted(behind)
        for number, group in proven:
            place = (one, one.chunks[number], group)
            assert mine.index(ProveGroup(*place)) > mine.index(LoadGroup(*place, late=True))
        built = [task.number for task in mine if isinstance(task, BuildIndex)]
        assert built == list(range(len(one.indexes)))
        proofs = [(mine.index(t), t.number) for t in mine if isinstance(t, ProveRows)]
        wanted = {*range(len(one.indexes)), *([] if one.keyed else [None])}
        assert {number for _, number in proofs} == wanted and len(proofs) == len(wanted)
        for at, number in proofs:
            if number is not None:
                assert at > mine.index(BuildIndex(one, number))
        assert len(looks_of(done, one)) == (1 if swap and one.keyed and one.indexes else 0)
        kinds = [type(task) for task in mine]
        last_load = max((n for n, k in enumerate(kinds) if k is LoadGroup), default=0)
        first_index = min((n for n, k in enumerate(kinds) if k is BuildIndex), default=len(kinds))
        assert last_load < first_index


def laned(one: TableJob) -> TableJob:
    """The job as a tablespace, with its indexes in it."""
    placement = Placement(Path("/data/s"), f"_tv_new_{one.index}")
    return dataclasses.replace(
        one,
        indexes=(),
        index_names=tuple(f"k{n}" for n in range(len(one.indexes))),
        lane=Lane(placement, 10_000, one),
        strewn=(placement,),
    )


@given(shapes, st.randoms(use_true_random=False))
def test_a_tablespace_is_proven_as_loaded_rows_are(
    tables: list[tuple[int, int, int, bool]], chance: random.Random
) -> None:
    jobs = [
        looking(laned(job(n, *shape, keyed=keyed)), bool(chance.randrange(2)))
        for n, (*shape, keyed) in enumerate(tables)
    ]
    board = Board(tuple(jobs))
    open_tasks: list[Task] = [task for task, _ in board.first_tasks()]
    done: list[Task] = []
    shares = [0.0]
    while open_tasks:
        task = open_tasks.pop(chance.randrange(len(open_tasks)))
        done.append(task)
        open_tasks += followers_of(board, task)
        shares.append(board.cost_done(board.progress({}, {}, {}), {}) / board.cost_total)
    assert shares == sorted(shares) and round(shares[-1], 9) == 1.0
    for one in jobs:
        mine = steps_of(done, one)
        assert [type(task) for task in mine[:2]] == [MakeRoom, PlaceTable]
        assert isinstance(mine[-1], ProveTable)
        groups = [(t.chunk.index, t.group) for t in mine if isinstance(t, ProveGroup)]
        assert groups.count((0, 0)) <= 1 and len(groups) == len(set(groups))
        assert len(groups) == (len(one.parts) if one.keyed else 0)
        counted = [task.number for task in mine if isinstance(task, ProveRows)]
        whole = [] if one.keyed else [None]
        assert sorted(counted, key=str) == sorted([*range(len(one.index_names)), *whole], key=str)
        assert len(mine) == 3 + len(groups) + len(counted)


@given(st.randoms(use_true_random=False), st.integers(0, 8))
def test_a_tablespace_that_fails_anywhere_begins_anew_by_rows(
    chance: random.Random, failing: int
) -> None:
    one = looking(laned(job(0, 2, 2, 2)), bool(chance.randrange(2)))
    board = Board((one,))
    open_tasks: list[Task] = [task for task, _ in board.first_tasks()]
    done: list[Task] = []
    lost = False
    while open_tasks:
        task = open_tasks.pop(chance.randrange(len(open_tasks)))
        of_the_lane = task.job.lane is not None and not isinstance(task, LookAtLive)
        if len(done) >= failing and of_the_lane and not lost:
            lost = True
            task = LaneLost(task.job, "why")
        done.append(task)
        open_tasks += followers_of(board, task)
    done = steps_of(done, one)
    [lost_at] = [n for n, task in enumerate(done) if isinstance(task, LaneLost)]
    [create] = [n for n, task in enumerate(done) if isinstance(task, CreateStaging)]
    assert lost_at < create and not any(task.job.lane is not None for task in done[create:])
    anew = done[create].job
    assert anew.replace_staging and anew.strewn == one.strewn  # nothing stays of the tablespace
    loads = [(t.chunk.index, t.group) for t in done if isinstance(t, LoadGroup)]
    assert sorted(loads) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert isinstance(done[-1], ProveTable)
    assert board.jobs == (anew,) and board.cost_total == anew.cost


def test_the_largest_table_begins_first() -> None:
    board = Board((job(0, 1, 1, 0), job(1, 3, 3, 0), job(2, 2, 2, 0)))
    assert [task.job.index for task, _ in board.first_tasks()] == [1, 2, 0]


def test_of_all_that_can_be_done_the_largest_table_comes_first() -> None:
    """Whatever order the tables were created in: rows before rows, builds before builds."""
    board = Board((job(0, 1, 1, 1), job(1, 3, 3, 1), job(2, 2, 2, 1)))
    creates = {task.job.index: task for task, _ in board.first_tasks()}
    rows = [step for number in (0, 2, 1) for step in board.after(creates[number])]
    assert [task.job.index for task, _ in sorted(rows, key=lambda step: step[1])] == [
        *(1,) * 9,
        *(2,) * 4,
        0,
    ]
    builds = [step for task, _ in rows for step in board.after(task)]
    assert [task.job.index for task, _ in sorted(builds, key=lambda step: step[1])] == [1, 2, 0]


def test_the_proof_runs_beside_the_index_builds() -> None:
    board = Board((job(0, 1, 1, 2, keyed=False),))
    ((create, _),) = board.first_tasks()
    ((load, _),) = board.after(create)
    first, digest = (task for task, _ in board.after(load))
    assert isinstance(first, BuildIndex) and digest == ProveRows(first.job)
    second, counted = (task for task, _ in board.after(first))
    assert isinstance(second, BuildIndex) and counted == ProveRows(first.job, 0)
    (last,) = (task for task, _ in board.after(second))
    assert board.after(digest) == [] and board.after(counted) == []
    assert isinstance(board.after(last)[0][0], ProveTable)


def test_what_a_dead_run_began_is_looked_at_and_the_rest_is_loaded() -> None:
    board = Board((job(0, 2, 2, 1),), {0: frozenset({(0, 1)})}, frozenset({0}))
    tasks = [task for task, _ in board.first_tasks()]
    assert all(isinstance(task, LoadGroup) for task in tasks)
    found = [(t.chunk.index, t.group) for t in tasks if isinstance(t, LoadGroup) and t.found]
    assert found == [(0, 1)] and len(tasks) == 4


def test_an_index_that_takes_long_comes_before_rows_of_other_tables() -> None:
    board = Board((job(0, 1, 1, 1), job(1, 2, 1, 0)))
    creates = {task.job.index: task for task, _ in board.first_tasks()}
    ((load, _),) = board.after(creates[0])
    rows_of_the_other = [priority for _, priority in board.after(creates[1])]
    ((index, priority),) = board.after(load)
    assert isinstance(index, BuildIndex)
    assert priority < min(rows_of_the_other)
    assert board.phase() == "loading"


def test_live_figures_never_pass_the_total() -> None:
    board = Board((dataclasses.replace(job(0, 1, 1, 0)),))
    (shown,) = board.progress({0: 10**9}, {0: 10**9}, {})
    assert shown.rows_done == shown.rows_total and shown.bytes_done == 1000


SERVER = ServerInfo("mariadb", (10, 11, 14), "10.11.14-MariaDB", "db1:3306", 1_700_000_000)


def test_a_live_table_is_looked_at_where_a_core_is_idle_and_once() -> None:
    digest = KeyDigest("`id`", 10, 77)
    live = LiveKeys(digest, "innodb:5", 1_700_000_000, 0.0, SERVER)
    keyless, alone = job(0, 1, 1, 1, keyed=False), job(1, 1, 1, 0)  # no index is built of it
    rows, placed = job(2, 1, 1, 2), laned(job(3, 1, 1, 2))
    for swap in (False, True):
        jobs = tuple(dataclasses.replace(one, looks=swap) for one in (keyless, alone, rows, placed))
        board = Board(jobs, swap=swap)
        looks: list[tuple[type[Task], int]] = []
        open_tasks: list[Task] = [task for task, _ in board.first_tasks()]
        while open_tasks:
            task = open_tasks.pop(0)
            for one in followers_of(board, task):
                if isinstance(one, LookAtLive):
                    looks.append((type(task), one.job.index))
                    one = dataclasses.replace(one, keys=live)
                elif isinstance(one, ProveRows) and one.digests_keys:
                    one = dataclasses.replace(one, keys=digest)
                open_tasks.append(one)
        assert sorted(looks, key=str) == ([(LoadGroup, 2), (PlaceTable, 3)] if swap else [])
        both = SeenKeys(live, digest) if swap else SeenKeys()
        assert board.seen_keys == {
            keyless.target: SeenKeys(),
            alone.target: SeenKeys(),
            rows.target: both,
            placed.target: both,
        }


def test_a_tablespace_that_was_given_up_leaves_nothing_that_was_seen_of_it() -> None:
    board = Board((dataclasses.replace(laned((job(0, 1, 1, 1))), looks=True),), swap=True)
    ((room, _),) = board.first_tasks()
    ((place, _),) = board.after(room)
    counts = next(t for t, _ in board.after(place) if isinstance(t, ProveRows))
    board.after(dataclasses.replace(counts, keys=KeyDigest("`id`", 10, 77)))
    groups = LaneLost(room.job, "why")
    while not any(isinstance(t, CreateStaging) for t, _ in board.after(groups)):
        pass
    assert board.seen_keys == {room.job.target: SeenKeys()}


def test_while_a_tablespace_is_written_and_taken_in_the_share_only_grows() -> None:
    one = laned(job(0, 1, 1, 1))
    board = Board((one,))
    ((room, _),) = board.first_tasks()
    ((place, _),) = board.after(room)
    seen = []

    def look(fraction: float) -> None:
        shown = board.progress({}, {}, {0: fraction} if fraction else {})
        seen.append((shown[0].state, board.cost_done(shown, {0: fraction})))

    for fraction in (0.0, 0.5, 1.0):
        look(fraction)
    assert board.after(Written(one)) == []
    look(0.0)  # nobody tells how far the server is
    board.after(place)
    look(0.0)
    states, shares = zip(*seen, strict=True)
    assert states == ("placing 0%", "placing 50%", "placing 100%", "taking in", "proving")
    assert shares[0] < shares[1] < shares[2] == shares[3] < shares[4] == one.placing_cost


@pytest.mark.parametrize(
    ("megabytes", "rows", "looked"), [(63, 9, False), (64, 9, True), (64, 10**9, False)]
)
def test_of_what_size_a_live_table_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, megabytes: int, rows: int, looked: bool
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(restore_tasks, "LOOK_FROM_BYTES", 64 << 20)
    one = looking(job(0, 1, 1, 1), True)
    entry = dataclasses.replace(one.entry, wire_bytes=megabytes << 20, digest=Digest(rows, rows, 7))
    one = dataclasses.replace(one, entry=entry)
    assert one.looked_at is looked
    assert not dataclasses.replace(one, looks=False).looked_at

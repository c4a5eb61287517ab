"""When secondary indexes come, and what is said about it."""

from __future__ import annotations

import dataclasses

import pytest

from tablevault.model import (
    Chunk,
    Digest,
    Key,
    KeyColumn,
    KeyRange,
    RowGroup,
    TableDef,
    TableEntry,
    TableName,
)
from tablevault.ops.index_choice import INLINE_MAX_BYTES, Builders, choose, read_builders
from tablevault.ops.restore_plan import index_policy, settle_indexes
from tablevault.ops.restore_tasks import TableJob

LARGE = 100 * INLINE_MAX_BYTES
SQL = (
    "CREATE TABLE `t` (\n  `id` int NOT NULL,\n  `a` int,\n  PRIMARY KEY (`id`),\n"
    "  KEY `a` (`a`),\n  KEY `b` (`a`,`id`)\n) ENGINE={engine} DEFAULT CHARSET=utf8mb4"
)


def entry(size_bytes: int, engine: str = "InnoDB") -> TableEntry:
    key = Key("PRIMARY", (KeyColumn("id"),))
    definition = TableDef(TableName("s", "t"), SQL.format(engine=engine), (), key, engine=engine)
    return TableEntry(definition, "p", "c", "", 1, Digest(1000), size_bytes, 0, 0)


def job(index: int, size_bytes: int, engine: str = "InnoDB") -> TableJob:
    return TableJob(
        index=index,
        entry=entry(size_bytes, engine),
        target=TableName("s", f"t{index}"),
        staging=TableName("s", f"new{index}"),
        specs=(),
        chunks=(),
        staging_sql="CREATE TABLE `s`.`new` (`id` int)",
        indexes=("ADD KEY `a` (`a`)", "ADD KEY `b` (`a`,`id`)"),
        index_names=("a", "b"),
    )


@pytest.mark.parametrize(
    ("wish", "size_bytes", "engine", "builders", "inline", "said"),
    [
        ("auto", LARGE, "InnoDB", Builders(), False, "after the rows, one ALTER each"),
        ("auto", LARGE, "InnoDB", Builders(4), False, "4 threads of the server build one"),
        ("auto", INLINE_MAX_BYTES - 1, "InnoDB", Builders(), True, "below 2 MiB"),
        ("auto", INLINE_MAX_BYTES, "InnoDB", Builders(), False, "after the rows"),
        ("auto", LARGE, "MyISAM", Builders(), True, "MyISAM"),
        ("after", LARGE, "MyISAM", Builders(), False, "--indexes after"),
        ("auto", LARGE, "InnoDB", Builders(1, True), True, "whole Galera cluster"),
        ("after", LARGE, "InnoDB", Builders(1, True), False, "--indexes after"),
        ("after", 1, "InnoDB", Builders(), False, "--indexes after"),
        ("inline", LARGE, "InnoDB", Builders(8), True, "--indexes inline"),
    ],
)
def test_what_is_chosen_and_why(
    wish: str, size_bytes: int, engine: str, builders: Builders, inline: bool, said: str
) -> None:
    chosen = choose(wish, entry(size_bytes, engine), 2, builders)
    assert chosen.inline is inline
    assert said in chosen.why


def test_what_the_settings_say() -> None:
    assert read_builders({}) == Builders(1, False)
    threads = {"innodb_ddl_threads": "8", "innodb_parallel_read_threads": "4"}
    assert read_builders(threads) == Builders(4, False)
    assert read_builders({"wsrep_on": "ON"}) == Builders(1, True)
    assert read_builders({"wsrep_on": "0"}) == Builders(1, False)


def test_the_jobs_are_made_accordingly() -> None:
    small, large = settle_indexes((job(0, 1000), job(1, LARGE)), "mysql", "auto", Builders(4))
    assert small.inline is True and small.indexes == () and small.index_names == ()
    assert "KEY `a` (`a`)" in small.staging_sql and "KEY `b`" in small.staging_sql
    assert large.inline is False and large.index_names == ("a", "b")
    assert "KEY `a`" not in large.staging_sql
    assert index_policy((small, large)) == (
        "2 secondary indexes of 1 table after the rows, one ALTER each, 4 threads of the server "
        "build one; 1 table with the rows: below 2 MiB a pass each costs more"
    )


@pytest.mark.parametrize("begun", [True, False])
def test_a_resumed_run_keeps_to_what_it_began_with(begun: bool) -> None:
    [kept] = settle_indexes((job(0, LARGE),), "mysql", "auto", Builders(), {0: begun})
    [other] = settle_indexes((job(0, 1000),), "mysql", "auto", Builders(), {0: begun})
    assert (kept.inline, other.inline) == (begun, begun)
    assert bool(kept.indexes) is not begun and bool(other.indexes) is not begun
    [old] = settle_indexes((job(0, LARGE),), "mysql", "auto", Builders(), {0: None})
    assert old.inline is False  # a journal that does not say


def test_without_secondary_indexes_nothing_is_chosen() -> None:
    none = dataclasses.replace(job(0, LARGE), indexes=(), index_names=())
    [settled] = settle_indexes((none,), "mysql", "after", Builders())
    assert settled.indexes_why == "without secondary indexes"


def chunked(index: int, chunks: int, *, engine: str = "InnoDB") -> TableJob:
    """Chunks of three row groups of a third of LARGE each."""
    groups = (RowGroup(KeyRange(), Digest(10), LARGE // 3, 1),) * 3
    parts = tuple(Chunk(n, f"part-{n}", KeyRange(), groups, 1, "") for n in range(chunks))
    return dataclasses.replace(job(index, LARGE * chunks, engine), chunks=parts)


@pytest.mark.parametrize(
    ("pool", "sizes", "late"),
    [
        (0, (4,), (0,)),  # not told
        (2 * LARGE, (4,), (3,)),  # half of it, a chunk's worth
        (100 * LARGE, (4, 1), (9, 0)),  # all but the first chunk
        (6 * LARGE, (2, 4), (0, 9)),  # the largest first
        (8 * LARGE, (2, 4), (3, 9)),
    ],
)
def test_what_is_proven_late_fits_into_memory(
    pool: int, sizes: tuple[int, ...], late: tuple[int, ...]
) -> None:
    jobs = tuple(chunked(n, chunks) for n, chunks in enumerate(sizes))
    settled = settle_indexes(jobs, "mariadb", "auto", Builders(pool_bytes=pool))
    assert tuple(one.late for one in settled) == late


def test_what_is_built_beside_nothing_is_proven_at_once() -> None:
    builders = Builders(pool_bytes=100 * LARGE)
    for wish, engine in (("inline", "InnoDB"), ("after", "MyISAM")):
        [settled] = settle_indexes((chunked(0, 4, engine=engine),), "mysql", wish, builders)
        assert settled.late == 0

"""No lonely tail: tables load, build and are proven beside each other, the largest first."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tablevault.mysql.source import RowSource
from tablevault.ops import reading
from tablevault.ops.options import RestoreOptions, SnapshotOptions
from tablevault.ops.restore import restore
from tablevault.ops.restore_tasks import BuildIndex, LoadGroup, ProveRows, Task
from tablevault.ops.restore_worker import Loader
from tablevault.ops.snapshot import snapshot
from tablevault.vault.store import open_store
from tests.servers import Server
from tests.support.facts import checksum

SIZES = {"large": 60, "middle": 30, "small": 10}  # thousands of rows


@dataclass(frozen=True)
class Step:
    """One task as it was worked on, in monotonic seconds."""

    task: Task
    began_s: float
    ended_s: float

    @property
    def table(self) -> str:
        return self.task.job.target.name

    def overlaps(self, other: Step) -> bool:
        return self.began_s < other.ended_s and other.began_s < self.ended_s


@pytest.fixture(autouse=True)
def small_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "RowSource", functools.partial(RowSource, limit_bytes=128 << 10))


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Step]]:
    """What the loaders do, as they do it."""
    found: list[Step] = []
    work = Loader.work

    def noted(self: Loader, task: Any) -> Any:
        began_s = time.monotonic()
        done = work(self, task)
        found.append(Step(task, began_s, time.monotonic()))
        return done

    monkeypatch.setattr(Loader, "work", noted)
    yield found


def fill(server: Server, database: str, table: str, thousands: int, keys: str) -> None:
    server.sql(
        "CREATE TABLE IF NOT EXISTS n (s INT PRIMARY KEY);"
        "INSERT IGNORE INTO n WITH RECURSIVE r (s) AS"
        " (SELECT 0 UNION ALL SELECT s + 1 FROM r WHERE s < 999) SELECT s FROM r;"
        f"CREATE TABLE {table} (id INT NOT NULL, a INT, b VARCHAR(80){keys});"
        f"INSERT INTO {table} SELECT x.s * 1000 + y.s, CRC32(x.s * 1000 + y.s) & 0xFFFF,"
        f" CONCAT(y.s, REPEAT('b', 60)) FROM n x, n y WHERE x.s < {thousands};",
        database,
    )


def restored(
    server: Server, database: str, vault: Path, tables: list[str], threads: int = 2
) -> None:
    """Snapshot and restore these tables; they are what they were."""
    before = {table: checksum(server, database, table) for table in tables}
    store = open_store(str(vault), create=True)
    patterns = tuple(f"{database}.{table}" for table in tables)
    snapshot(server.options(), store, SnapshotOptions(patterns=patterns))
    options = RestoreOptions(swap=True, indexes="after", threads=threads)
    restore(server.options(), store, "latest", options, vault / ".runs")
    assert {table: checksum(server, database, table) for table in tables} == before


def test_one_table_builds_its_indexes_while_another_loads(
    server: Server, database: str, vault: Path, steps: list[Step]
) -> None:
    for table, thousands in SIZES.items():
        fill(server, database, table, thousands, ", PRIMARY KEY (id), KEY (a), KEY (b)")
    restored(server, database, vault, sorted(SIZES))
    loads = [step for step in steps if isinstance(step.task, LoadGroup)]
    builds = [step for step in steps if isinstance(step.task, BuildIndex)]
    began = {table: [step.began_s for step in loads if step.table == table] for table in SIZES}
    assert len(began["large"]) > 10
    assert max(began["large"]) < min(began["small"])  # though all were created before
    assert any(
        build.overlaps(load)
        for build in builds
        if build.table == "large"
        for load in loads
        if load.table != "large"
    )


def test_a_table_is_proven_beside_its_index_builds(
    server: Server, database: str, vault: Path, steps: list[Step]
) -> None:
    """The digest of one without a key, and the count by an index that is built."""
    fill(server, database, "nokey", 100, ", KEY (a), KEY (b)")
    restored(server, database, vault, ["nokey"], threads=4)
    builds = {s.task.number: s for s in steps if isinstance(s.task, BuildIndex)}
    proofs = {s.task.number: s for s in steps if isinstance(s.task, ProveRows)}
    assert sorted(builds) == [0, 1] and set(proofs) == {None, 0, 1}
    assert proofs[None].overlaps(builds[0])
    assert proofs[0].overlaps(builds[1])

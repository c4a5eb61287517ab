"""Work in any order, one chunk that is nearly all, chunks that are bad."""

from __future__ import annotations

import dataclasses
import functools
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tablevault.events import ChunkDone
from tablevault.mysql.source import RowSource
from tablevault.ops import reading
from tablevault.ops import restore as restoring_module
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.restore_board import Board
from tablevault.ops.restore_tasks import LoadGroup
from tablevault.ops.restore_worker import Loader
from tablevault.ops.snapshot import snapshot
from tablevault.vault.store import open_store
from tests.faults.place import Place
from tests.servers import Server
from tests.support.facts import checksum, numbers


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_work(place: Place, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chance = random.Random(seed)
    first, after = Board.first_tasks, Board.after

    def shuffled(tasks: list[Any]) -> list[Any]:
        mixed = [(task, chance.random()) for task, _ in tasks]
        chance.shuffle(mixed)
        return mixed

    monkeypatch.setattr(Board, "first_tasks", lambda self: shuffled(first(self)))
    monkeypatch.setattr(Board, "after", lambda self, task: shuffled(after(self, task)))
    restoring = place.restore(threads=4)
    assert restoring.succeeded().status == "swapped"
    place.assert_restored()


def test_a_chunk_that_is_nearly_all_is_shared(
    server: Server, database: str, vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row groups are loaded by all loaders at once, not by one that others wait for."""
    monkeypatch.setattr(reading, "RowSource", functools.partial(RowSource, limit_bytes=65536))
    server.sql(
        f"""CREATE TABLE skewed (id INT PRIMARY KEY, pad MEDIUMTEXT);
           INSERT INTO skewed SELECT seq, REPEAT('x', IF(seq <= 200, 9000, 10))
           FROM {numbers(10_000)};""",
        database,
    )
    store = open_store(str(vault), create=True)
    options = SnapshotOptions(patterns=(f"{database}.skewed",), chunk_bytes=200_000)
    taken = snapshot(server.options(), store, options)
    place = Place(server, database, vault, store, taken.id)
    place.before = {"skewed": checksum(server, database, "skewed")}
    loaded: list[tuple[int, int]] = []  # chunk, loader
    work = Loader.work

    def noted(self: Loader, task: Any) -> Any:
        done = work(self, task)
        if isinstance(task, LoadGroup):
            loaded.append((task.chunk.index, id(self)))
            time.sleep(0.02)  # so that no loader can take them all before others have begun
        return done

    monkeypatch.setattr(Loader, "work", noted)
    assert place.restore(threads=4).succeeded().status == "swapped"
    place.assert_restored()
    [(largest, groups)] = Counter(chunk for chunk, _ in loaded).most_common(1)
    shares = Counter(loader for chunk, loader in loaded if chunk == largest)
    assert groups > 10
    assert len(shares) == 4 and max(shares.values()) <= groups / 2, shares


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(40, 80):  # in the first page of the first column
        data[at] ^= 0xFF
    path.write_bytes(data)


def test_a_file_that_is_damaged_after_the_check(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said as soon as it is read, while the others load; the live tables are whole."""
    check = restoring_module.check_files
    orders = place.vault / place.snapshot / place.schema / "orders"
    parts = sorted(orders.glob("part-*.parquet"))
    assert len(parts) > 2

    def check_then_damage(*arguments: Any) -> None:
        check(*arguments)
        damage(parts[1])

    monkeypatch.setattr(restoring_module, "check_files", check_then_damage)
    began_s = time.monotonic()
    restoring = place.restore()
    restoring.ended()
    assert restoring.failure is not None and restoring.failure.exit_code in (4, 6), restoring.told
    assert time.monotonic() - began_s < 10
    assert "part-00001" in restoring.told or "chunk 1" in restoring.told
    place.assert_live()
    damage(parts[1])  # twice is undone
    monkeypatch.undo()
    assert place.resume(restoring.run).succeeded().status == "swapped"
    place.assert_restored()


def test_rows_that_are_not_what_the_digest_says(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A digest that is wrong in the plan: the server's proof finds it at that row group."""
    plan = restoring_module.plan_jobs

    def forged(*arguments: Any) -> Any:
        jobs = list(plan(*arguments))
        number = next(n for n, job in enumerate(jobs) if job.target.name == "orders")
        job = jobs[number]
        chunk = job.chunks[1]
        group = chunk.row_groups[0]
        digest = dataclasses.replace(group.digest, total=group.digest.total + 1)
        groups = (dataclasses.replace(group, digest=digest), *chunk.row_groups[1:])
        chunks = list(job.chunks)
        chunks[1] = dataclasses.replace(chunk, row_groups=groups)
        jobs[number] = dataclasses.replace(job, chunks=tuple(chunks))
        return tuple(jobs)

    monkeypatch.setattr(restoring_module, "plan_jobs", forged)
    # It would refuse such a plan before the server is touched: this is about the proof after it.
    monkeypatch.setattr(restoring_module, "check_files", lambda *_: None)
    restoring = place.restore()
    failure = restoring.failed(4)
    assert f"chunk 1, row group 0 of {place.schema}.orders" in failure.message
    assert "the live tables are untouched" in (failure.hint or "")
    assert len(restoring.of(ChunkDone)) < 200
    place.assert_live()
    monkeypatch.undo()
    assert place.resume(restoring.run).succeeded().status == "swapped"
    place.assert_restored()

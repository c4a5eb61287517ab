"""Ten times the chunks, tables or snapshots take ten times the steps to plan, list and verify.

What is counted are bytecodes and bytes read, which no machine changes; `bench/bench_many.py` has
the seconds.  A step over all that there is for each one of them shows as a factor of up to ten.
"""

from __future__ import annotations

import itertools
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import pytest

from tablevault import names
from tablevault.model import Chunk, KeyRange, TableEntry, TableName
from tablevault.ops.check_crew import CheckCrew
from tablevault.ops.options import RestoreOptions
from tablevault.ops.restore_plan import plan_jobs
from tablevault.ops.verify import verify, verify_vault
from tablevault.ops.verify_terms import Extent
from tablevault.vault.catalog import begin_snapshot, list_snapshots
from tablevault.vault.chunklist import write_chunk_list
from tablevault.vault.manifest import load_manifest, write_manifest
from tablevault.vault.store import LocalStore
from tests.unit.vaults import ID, definition, rows_of, snapshot_of, write_chunk

FEW, MANY = 30, 300
LIMIT = 1.1 * MANY / FEW
SQL = "CREATE TABLE `orders` (`id` int(11) NOT NULL, PRIMARY KEY (`id`), KEY `i` (`name`)) "
TABLE = replace(definition(), create_sql=SQL + "ENGINE=InnoDB")
RUN = "20261124T043012Z-1f0c9a"
FILES = Extent("files", threads=1)
ROWS = Extent("rows", threads=1)


class CountingStore(LocalStore):
    """Counts the bytes that are read of it."""

    bytes_read = 0

    def open(self, name: str) -> BinaryIO:
        self.bytes_read += self.size(name)  # each is read to its end once
        return super().open(name)

    def read(self, name: str) -> bytes:
        content = super().read(name)
        self.bytes_read += len(content)
        return content


def counted(work: Callable[[], Any]) -> int:
    """How many bytecodes `work` runs, in this thread and in those that it starts."""
    numbers = itertools.count()

    def step(frame: FrameType, event: str, argument: object) -> Any:
        if event == "opcode":
            next(numbers)  # one call into C: nothing is lost between threads
        return step

    def begin(frame: FrameType, event: str, argument: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return step

    before = sys.gettrace(), threading.gettrace()
    threading.settrace(begin)
    sys.settrace(begin)
    try:
        work()
    finally:
        sys.settrace(before[0])
        threading.settrace(before[1])  # type: ignore[arg-type]
    return next(numbers)


def vault(folder: Path, *, snapshots: int = 1, tables: int = 1, chunks: int = 1) -> CountingStore:
    """That many snapshots of that many tables of that many chunks, all of the same rows."""
    store = CountingStore(folder, create=True)
    first = write_chunk(store, TABLE, rows_of(range(1, 4)), snapshot="pattern")
    content = store.read(f"pattern/{first.path}")
    store.remove_tree("pattern")
    for night in range(snapshots):
        snapshot = ID if not night else f"20261125T{night:06d}Z-night"
        with begin_snapshot(store, snapshot) as begun:
            entries = [
                _table(store, snapshot, number, [first] * chunks, content)
                for number in range(tables)
            ]
            begun.commit(snapshot_of(entries, snapshot))
    return store


def _table(
    store: LocalStore, snapshot: str, number: int, chunks: Sequence[Chunk], content: bytes
) -> TableEntry:
    table = replace(TABLE, table=TableName("shop", f"orders{number}"))
    folder = names.table_folder(table.table)
    (store.root / snapshot / folder).mkdir(parents=True)
    written = []
    for index, chunk in enumerate(chunks):
        path = f"{folder}/{names.chunk_file(index)}"
        (store.root / snapshot / path).write_bytes(content)
        lo = (b"%d" % index,) if index else None
        hi = (b"%d" % (index + 1),) if index + 1 < len(chunks) else None
        groups = tuple(replace(group, range=KeyRange(lo, hi)) for group in chunk.row_groups)
        chunk = replace(chunk, index=index, path=path, range=KeyRange(lo, hi), row_groups=groups)
        written.append(chunk)
    return write_chunk_list(store, snapshot, table, written)


@pytest.fixture(scope="module")
def vaults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[CountingStore]]:
    """A vault of one, one of few and one of many, of each kind."""
    top = tmp_path_factory.mktemp("many")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        return {
            kind: [vault(top / f"{kind}{count}", **{kind: count}) for count in (1, FEW, MANY)]
            for kind in WORKS
        }


@pytest.fixture(autouse=True)
def no_clock_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """How often progress is sampled is the clock's: not counted.  Nothing here need last."""
    monkeypatch.setattr(CheckCrew, "_on_tick", lambda crew: None)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def proven(store: LocalStore, extent: Extent) -> None:
    result = verify(store, ID, extent)
    assert (result.chunks_checked, result.findings) == (result.chunks, ())


def all_proven(store: LocalStore) -> None:
    result = verify_vault(store, FILES)
    assert result.findings == ()
    assert all(one.chunks_checked == one.chunks > 0 for one in result.snapshots)


def planned(store: LocalStore, *patterns: str) -> None:
    assert plan_jobs(store, load_manifest(store, ID), RestoreOptions(patterns), RUN)


def all_named(store: LocalStore) -> list[str]:
    return [str(entry.definition.table) for entry in load_manifest(store, ID).tables]


def rewritten(store: LocalStore) -> None:
    again = "20261124T050000Z-again"
    write_manifest(store, replace(load_manifest(store, ID), id=again))
    store.remove_tree(again)


WORKS: dict[str, dict[str, Callable[[CountingStore], object]]] = {
    "chunks": {
        "plan": planned,
        "verify files": lambda store: proven(store, FILES),
        "verify rows": lambda store: proven(store, ROWS),
    },
    "tables": {
        "plan": planned,
        "plan by patterns": lambda store: planned(store, "shop.*", "!*9"),
        "plan by names": lambda store: planned(store, *all_named(store)),
        "plan without names": lambda store: planned(
            store, *(f"!{one}" for one in all_named(store)[1:])
        ),
        "verify files": lambda store: proven(store, FILES),
        "verify rows": lambda store: proven(store, ROWS),
        "manifest": rewritten,
        "list": list_snapshots,
    },
    "snapshots": {"verify all": all_proven, "list": list_snapshots},
}


@pytest.mark.parametrize(
    ("kind", "work"), [(kind, name) for kind, works in WORKS.items() for name in works]
)
def test_ten_times_as_many_take_ten_times_the_steps(
    vaults: dict[str, list[CountingStore]], kind: str, work: str
) -> None:
    run = WORKS[kind][work]
    one, *stores = vaults[kind]
    run(one)  # whatever is imported or kept for the next time
    steps, sizes = [], []
    for store in stores:
        before = store.bytes_read
        steps.append(counted(lambda store=store: run(store)))  # type: ignore[misc]
        sizes.append(store.bytes_read - before)
    assert steps[1] <= LIMIT * steps[0], steps
    assert sizes[1] <= LIMIT * sizes[0], sizes


@contextmanager
def few_open_files(spare: int) -> Iterator[None]:
    """As a process that may open `spare` files more, and ask for no more than it could before."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(used := os.dup(0))  # the lowest number that is free
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + spare, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (now, most))


def test_more_snapshots_are_verified_than_files_may_be_open(
    vaults: dict[str, list[CountingStore]],
) -> None:
    """Each is held by a lock, and 1,024 open files is what most systems begin with."""
    with few_open_files(spare=FEW):
        all_proven(vaults["snapshots"][-1])


def test_steps_over_all_of_them_for_each_are_seen() -> None:
    """The measure itself: what is quadratic goes beyond the limit."""

    def quadratic(count: int) -> int:
        return counted(lambda: [one for one in range(count) if any(x > one for x in range(one))])

    def linear(count: int) -> int:
        return counted(lambda: [str(one) for one in range(count)])

    assert quadratic(MANY) > LIMIT * quadratic(FEW)
    assert linear(MANY) <= LIMIT * linear(FEW)

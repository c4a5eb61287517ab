"""Incremental snapshots: what is unchanged is taken over, everything else is as of a full one."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tablevault.errors import SnapshotUnusable
from tablevault.events import ChunkDone, Event, Hint, RunEnded
from tablevault.model import Chunk, Snapshot, TableName
from tablevault.ops.diff_snapshots import diff_snapshots
from tablevault.ops.diff_terms import DiffOptions
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.prune import prune
from tablevault.ops.retention import Rules
from tablevault.ops.snapshot import snapshot
from tablevault.ops.verify import verify
from tablevault.vault.catalog import list_snapshots, remove_snapshot
from tablevault.vault.chunklist import read_chunks
from tablevault.vault.memory import Memory
from tablevault.vault.store import LocalStore, open_store
from tests.server.test_kill import end, wait_for_phase
from tests.servers import Server
from tests.support.facts import facts, numbers
from tests.support.roundtrip import put_back, take
from tests.support.shell import Shell

pytestmark = pytest.mark.usefixtures("small_units")
ROWS = 400
CHUNK_BYTES = 2000


@pytest.fixture
def orders(server: Server, database: str) -> str:
    """A table of about a dozen chunks; its schema."""
    server.sql(
        "CREATE TABLE orders (id INT PRIMARY KEY, v VARCHAR(40), n INT NOT NULL, note TEXT,"
        " KEY (n));"
        "INSERT INTO orders SELECT seq * 10, CONCAT('value ', seq), seq % 7, "
        f"REPEAT('n', seq % 30) FROM {numbers(ROWS)}",
        database,
    )
    return database


def nightly(server: Server, vault: Path, schema: str, **options: object) -> Snapshot:
    """An incremental snapshot, proven; `take` has done that."""
    options = {"incremental": True, "chunk_bytes": CHUNK_BYTES, **options}
    return take(server, vault, [f"`{schema}`.*"], **options)


def chunks_of(vault: Path, taken: Snapshot, name: str = "orders") -> list[Chunk]:
    [entry] = [one for one in taken.tables if one.definition.table.name == name]
    return list(read_chunks(open_store(str(vault)), taken.id, entry))


def files_of(vault: Path, taken: Snapshot, name: str = "orders") -> list[int]:
    """The inodes of a table's chunks, in key order."""
    return [os.stat(vault / taken.id / one.path).st_ino for one in chunks_of(vault, taken, name)]


def reused(taken: Snapshot, name: str = "orders") -> tuple[int, int]:
    """How many chunks were taken over, and of how many."""
    [entry] = [one for one in taken.tables if one.definition.table.name == name]
    assert entry.reused is not None
    return entry.reused.chunks, entry.chunk_count


def same_as_full(server: Server, vault: Path, schema: str, taken: Snapshot) -> None:
    """It says of every table what a full snapshot says, which is taken now."""
    full = take(server, vault, [f"`{schema}`.*"], chunk_bytes=CHUNK_BYTES)
    found = {one.definition.table: (one.digest, one.largest_row) for one in taken.tables}
    assert found == {one.definition.table: (one.digest, one.largest_row) for one in full.tables}
    result = diff_snapshots(open_store(str(vault)), taken.id, full.id, DiffOptions())
    assert not [one for one in result.tables if one.missing or one.extra or one.changed]
    remove_snapshot(open_store(str(vault)), full.id)


def test_of_an_unchanged_table_nothing_is_written(server: Server, orders: str, vault: Path) -> None:
    first = nightly(server, vault, orders)
    assert first.tables[0].reused is None and "for want of an earlier" in "".join(first.hints)
    second = nightly(server, vault, orders)
    assert reused(second) == (first.tables[0].chunk_count, second.tables[0].chunk_count)
    assert second.tables[0].chunk_count > 5 and second.hints == ()
    assert files_of(vault, second) == files_of(vault, first)
    assert second.tables[0].reused == dataclasses.replace(
        second.tables[0].reused,  # type: ignore[type-var]
        base=first.id,
        file_bytes=first.tables[0].file_bytes,
    )
    assert dataclasses.replace(second.tables[0], reused=None) == first.tables[0]
    third = nightly(server, vault, orders)
    assert third.tables[0].reused is not None and third.tables[0].reused.base == second.id


def test_it_restores_alone(server: Server, orders: str, vault: Path) -> None:
    """Every file is its own: that of the base may go, be it by `prune` or by hand."""
    first = nightly(server, vault, orders)
    second = nightly(server, vault, orders)
    before = facts(server, orders, "orders")
    result = prune(open_store(str(vault)), Rules(last=1), vault / ".runs", execute=True)
    assert [one.snapshot for one in result.of("removed")] == [first.id]
    assert verify(open_store(str(vault)), second.id).findings == ()
    # copied by a tool that knows no hard links, without what is not the snapshot's
    shutil.copytree(vault / second.id, vault.parent / "copy" / second.id)
    shutil.rmtree(vault)
    server.sql("TRUNCATE orders", orders)
    put_back(server, vault.parent / "copy", second.id)
    assert facts(server, orders, "orders") == before


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ("UPDATE orders SET v = 'other' WHERE id = 2000", 1),
        ("UPDATE orders SET note = NULL WHERE id = 2000", 1),
        ("UPDATE orders SET v = 'b' WHERE id IN (10, 4000)", 2),
        ("INSERT INTO orders VALUES (2005, 'new', 1, NULL)", 1),
        ("INSERT INTO orders VALUES (-1, 'new', 1, NULL), (9999, 'new', 1, NULL)", 2),
        ("DELETE FROM orders WHERE id = 2000", 1),
        ("UPDATE orders SET id = 15 WHERE id = 3000", 2),  # a row that moves to another chunk
        ("UPDATE orders SET id = id + 1 WHERE id = 2000", 1),
        # rows that swap what they hold, which a sum of values would not see
        ("UPDATE orders a, orders b SET a.v = b.v, b.v = a.v WHERE a.id = 2000 AND b.id = 2010", 1),
        ("ALTER TABLE orders ADD KEY (v), DROP KEY n, COMMENT = 'x'", 0),
        ("ALTER TABLE orders ADD g INT AS (n + 1) VIRTUAL", 0),
        ("ALTER TABLE orders FORCE", 0),  # other files of the server, the same rows
        ("CREATE TABLE o2 LIKE orders; INSERT INTO o2 SELECT * FROM orders; DROP TABLE orders;"
         "RENAME TABLE o2 TO orders", 0),
    ],
)  # fmt: skip
def test_what_changed_is_read_and_nothing_else(
    server: Server, orders: str, vault: Path, change: str, read: int
) -> None:
    first = nightly(server, vault, orders)
    server.sql(change, orders)
    second = nightly(server, vault, orders)
    kept, count = reused(second)
    assert count - kept == read
    before, after = files_of(vault, first), files_of(vault, second)
    assert len(set(after) - set(before)) == read and count == first.tables[0].chunk_count
    same_as_full(server, vault, orders, second)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("ALTER TABLE orders ADD extra INT", "columns"),
        ("ALTER TABLE orders DROP note", "columns"),
        ("ALTER TABLE orders MODIFY v VARCHAR(41)", "columns"),
        ("ALTER TABLE orders MODIFY n BIGINT", "columns"),
        ("ALTER TABLE orders CONVERT TO CHARACTER SET latin1", "columns"),
        ("ALTER TABLE orders MODIFY v VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
         "columns"),
        ("ALTER TABLE orders DROP PRIMARY KEY, ADD PRIMARY KEY (n, id)", "key"),
        ("ALTER TABLE orders DROP PRIMARY KEY", "key"),
    ],
)  # fmt: skip
def test_after_a_change_of_what_files_mean_all_is_read(
    server: Server, orders: str, vault: Path, change: str, why: str
) -> None:
    nightly(server, vault, orders)
    server.sql(change, orders)
    second = nightly(server, vault, orders)
    assert second.tables[0].reused is None
    assert any(f"as its {why}" in hint for hint in second.hints)
    same_as_full(server, vault, orders, second)
    third = nightly(server, vault, orders)
    assert reused(third) == (third.tables[0].chunk_count,) * 2


def test_chunks_grow_no_larger_and_shrink_no_smaller(
    server: Server, orders: str, vault: Path
) -> None:
    """A table that grows at its end and is purged from its front keeps chunks of the size asked."""
    nightly(server, vault, orders)
    for night in range(1, 9):
        server.sql(
            f"INSERT INTO orders SELECT {10 * ROWS * night} + seq * 10, CONCAT('value ', seq), 1,"
            f" REPEAT('n', seq % 30) FROM {numbers(ROWS)};"
            f"DELETE FROM orders WHERE id <= {10 * ROWS * night - 5}",
            orders,
        )
        taken = nightly(server, vault, orders)
        sizes = [one.wire_bytes for one in chunks_of(vault, taken)]
        assert max(sizes) < 2 * CHUNK_BYTES and sum(sizes) > len(sizes) * CHUNK_BYTES / 2
    same_as_full(server, vault, orders, taken)


def test_a_table_without_a_key_is_one_part(server: Server, database: str, vault: Path) -> None:
    server.sql(
        "CREATE TABLE bag (v VARCHAR(40), n INT); CREATE TABLE nothing (v INT);"
        f"INSERT INTO bag SELECT CONCAT('v', seq), seq % 3 FROM {numbers(900)}",
        database,
    )
    first = nightly(server, vault, database)
    second = nightly(server, vault, database)
    assert first.tables[0].chunk_count > 2
    assert reused(second, "bag") == (first.tables[0].chunk_count,) * 2
    assert reused(second, "nothing")[0] == 0
    server.sql("UPDATE bag SET n = 9 WHERE v = 'v7'", database)
    third = nightly(server, vault, database)
    assert reused(third, "bag")[0] == 0
    same_as_full(server, vault, database, third)


def test_rows_with_a_null_in_their_key(server: Server, database: str, vault: Path) -> None:
    server.sql(
        "CREATE TABLE orders (id INT NULL, v VARCHAR(40), UNIQUE KEY (id));"
        f"INSERT INTO orders SELECT IF(seq > 290, NULL, seq), CONCAT('v', seq) FROM {numbers(300)}",
        database,
    )
    nightly(server, vault, database)
    server.sql("UPDATE orders SET v = 'x' WHERE id = 5", database)
    second = nightly(server, vault, database)
    assert reused(second)[1] - reused(second)[0] == 1
    server.sql("INSERT INTO orders VALUES (NULL, 'one more')", database)
    third = nightly(server, vault, database)
    assert reused(third)[1] - reused(third)[0] == 1
    assert chunks_of(vault, third)[0].digest.rows == 11
    same_as_full(server, vault, database, third)


def test_partitions_come_and_go(server: Server, database: str, vault: Path) -> None:
    server.sql(
        "CREATE TABLE orders (id INT PRIMARY KEY, v VARCHAR(40)) PARTITION BY RANGE (id) ("
        "PARTITION p0 VALUES LESS THAN (101), PARTITION p1 VALUES LESS THAN (201),"
        "PARTITION p2 VALUES LESS THAN MAXVALUE);"
        f"INSERT INTO orders SELECT seq, REPEAT('v', 30) FROM {numbers(300)}",
        database,
    )
    nightly(server, vault, database)
    server.sql("ALTER TABLE orders DROP PARTITION p1", database)
    second = nightly(server, vault, database)
    kept, count = reused(second)
    assert 0 < kept < count
    same_as_full(server, vault, database, second)


def test_tables_without_transactions_are_compared_under_their_lock(
    server: Server, orders: str, vault: Path
) -> None:
    server.sql("ALTER TABLE orders ENGINE=MyISAM; CREATE TABLE t (id INT PRIMARY KEY)", orders)
    nightly(server, vault, orders)
    server.sql("UPDATE orders SET v = 'x' WHERE id = 10", orders)
    second = nightly(server, vault, orders)
    assert reused(second)[1] - reused(second)[0] == 1
    same_as_full(server, vault, orders, second)


def test_a_partial_snapshot_is_no_base_of_a_whole_one(
    server: Server, orders: str, vault: Path
) -> None:
    partial = nightly(server, vault, orders, where="n < 3")
    whole = nightly(server, vault, orders)
    assert whole.tables[0].reused is None
    again = nightly(server, vault, orders, where="n < 3")
    assert again.tables[0].reused is not None and again.tables[0].reused.base == partial.id
    assert reused(again) == (again.tables[0].chunk_count,) * 2


def test_a_base_that_is_named(server: Server, orders: str, vault: Path) -> None:
    first = nightly(server, vault, orders, name="first")
    server.sql("UPDATE orders SET v = 'x'", orders)
    nightly(server, vault, orders)
    server.sql("UPDATE orders SET v = CONCAT('value ', id DIV 10)", orders)
    third = nightly(server, vault, orders, base="first")
    assert third.tables[0].reused is not None
    assert (third.tables[0].reused.base, reused(third)[0]) == (first.id, reused(third)[1])
    with pytest.raises(SnapshotUnusable, match="no snapshot 'nothing'"):
        nightly(server, vault, orders, base="nothing")


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "list"])
def test_damage_is_not_taken_over(server: Server, orders: str, vault: Path, damage: str) -> None:
    first = nightly(server, vault, orders)
    victim = vault / first.id / chunks_of(vault, first)[3].path
    if damage == "flip":
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 4
        victim.write_bytes(data)
    elif damage == "truncate":
        os.truncate(victim, victim.stat().st_size - 1)
    elif damage == "remove":
        victim.unlink()
    else:
        (vault / first.id / first.tables[0].chunks_path).write_bytes(b"{}\n")
    second = nightly(server, vault, orders)  # proven by `take`
    if damage == "list":
        assert second.tables[0].reused is None
    else:
        kept, count = reused(second)
        assert count - kept == 1
        [hint] = second.hints
        assert "read anew" in hint and "part-00003.parquet" in hint
    same_as_full(server, vault, orders, second)


def test_of_a_vault_that_cannot_link_chunks_are_copied(
    server: Server, orders: str, vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = nightly(server, vault, orders)
    monkeypatch.setattr(LocalStore, "link", lambda *_: False)
    second = nightly(server, vault, orders)
    assert reused(second) == (first.tables[0].chunk_count,) * 2
    assert set(files_of(vault, second)).isdisjoint(files_of(vault, first))
    assert second.hints == ("the vault's file system makes no hard links: chunks are copied",)


def test_the_base_cannot_be_removed_meanwhile(server: Server, orders: str, vault: Path) -> None:
    first = nightly(server, vault, orders)
    nightly(server, vault, orders)
    verdicts: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, ChunkDone) and not verdicts:
            store = open_store(str(vault))
            result = prune(store, Rules(last=1), vault / ".runs", execute=True)
            verdicts.extend(one.action for one in result.verdicts if one.snapshot == first.id)

    options = SnapshotOptions(patterns=(f"`{orders}`.*",), base=first.id, chunk_bytes=CHUNK_BYTES)
    store = open_store(str(vault))
    taken = snapshot(server.options(), store, options, watch)
    assert verdicts == ["busy"]
    assert verify(store, taken.id).findings == ()


def test_what_it_says_and_remembers(server: Server, orders: str, vault: Path) -> None:
    nightly(server, vault, orders)
    server.sql("UPDATE orders SET v = 'x' WHERE id = 10", orders)
    events: list[Event] = []
    options = SnapshotOptions(
        patterns=(f"`{orders}`.*",), incremental=True, chunk_bytes=CHUNK_BYTES
    )
    store = open_store(str(vault))
    taken = snapshot(server.options(), store, options, events.append)
    done = [one for one in events if isinstance(one, ChunkDone)]
    assert sorted(one.chunk for one in done) == list(range(taken.tables[0].chunk_count))
    assert [one.chunk for one in done if not one.taken] == [0]
    assert not [one for one in events if isinstance(one, Hint)]
    assert isinstance(events[-1], RunEnded) and events[-1].status == "ok"
    # what was taken over was proven row by row: only the new chunk never was
    [entry] = taken.tables
    times = Memory(store, taken, taken.finished).all_of(entry)
    assert times[0] == 0 and min(times[1:]) >= int(taken.created)


def test_another_table_of_the_name_is_harmless(server: Server, orders: str, vault: Path) -> None:
    """Nothing depends on its being the same table: rows are compared."""
    nightly(server, vault, orders)
    server.sql(
        "CREATE TABLE o2 LIKE orders; INSERT INTO o2 SELECT id + 1, v, n, note FROM orders;"
        "DROP TABLE orders; RENAME TABLE o2 TO orders",
        orders,
    )
    second = nightly(server, vault, orders)
    assert reused(second)[0] == 0
    assert second.tables[0].definition.table == TableName(orders, "orders")
    same_as_full(server, vault, orders, second)


def test_killed_at_any_moment_it_leaves_the_base_whole(
    server: Server, orders: str, tool: Shell, tmp_path: Path
) -> None:
    vault = tool.vault
    first = nightly(server, vault, orders)
    server.sql("UPDATE orders SET v = 'x' WHERE id IN (10, 3000)", orders)
    words = tool.words("snapshot", f"{orders}.orders", "--incremental", "--chunk-size", "2000")
    kept = {path.name: path.read_bytes() for path in (vault / first.id).rglob("*.parquet")}
    store = open_store(str(vault))
    for at, phase in enumerate(("planning", "locking", "reading", "reading", "sealing")):
        events = tmp_path / f"events{at}"
        process = subprocess.Popen(
            [*words, "--events", str(events)],
            env=tool.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        wait_for_phase(process, events, phase)
        end(process, signal.SIGKILL)
        assert {p.name: p.read_bytes() for p in (vault / first.id).rglob("*.parquet")} == kept
        for one in list_snapshots(store):
            if one.complete:  # there is none, or it is whole
                assert verify(store, one.id).findings == ()
    last = nightly(server, vault, orders)
    assert not [one.id for one in list_snapshots(store) if not one.complete]
    assert verify(store, first.id).findings == ()
    same_as_full(server, vault, orders, last)

"""What is in a vault, what it is called, and what may be removed from it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tablevault.errors import CannotComplete, LockedByRun, SnapshotUnusable
from tablevault.vault.catalog import (
    MARK,
    begin_snapshot,
    clean_leftovers,
    list_snapshots,
    moment,
    remove_snapshot,
    resolve,
    unused_snapshot_id,
)
from tablevault.vault.chunklist import read_chunks
from tablevault.vault.store import LocalStore
from tests.unit.vaults import snapshot_of, write_snapshot

FIRST = "20261101T000000Z-before"
SECOND = "20261102T000000Z-1f0c9a"
THIRD = "20261103T000000Z-before"
DEAD = "20261104T000000Z-dead"


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "vault", create=True)


def add(store: LocalStore, snapshot: str, name: str | None = None) -> None:
    with begin_snapshot(store, snapshot) as begun:
        begun.commit(snapshot_of([], snapshot, name))


def leave_dead(store: LocalStore, snapshot: str = DEAD, *, files: int = 1) -> None:
    """What a process that was killed in mid-snapshot leaves behind."""
    begun = begin_snapshot(store, snapshot)
    for number in range(files):
        with store.create(f"{snapshot}/shop/orders/part-{number:05d}.parquet") as file:
            file.write(b"rows")
            file.commit()
    begun._lock.release()  # type: ignore[union-attr]
    begun._lock = None


def hint_of(store: LocalStore, text: str) -> str:
    with pytest.raises(SnapshotUnusable) as caught:
        resolve(store, text)
    assert caught.value.exit_code == 6
    return f"{caught.value.message} / {caught.value.hint}"


def test_snapshots_are_found_by_what_people_call_them(store: LocalStore) -> None:
    add(store, FIRST, "before")
    add(store, SECOND)
    add(store, THIRD, "before")
    assert [item.id for item in list_snapshots(store)] == [FIRST, SECOND, THIRD]
    for text, expected in [
        (FIRST, FIRST),
        ("latest", THIRD),
        ("before", THIRD),
        ("20261102", SECOND),
        ("20261101T000000Z-b", FIRST),
    ]:
        assert resolve(store, text).id == expected, text


def test_a_name_goes_before_the_beginning_of_an_id(store: LocalStore) -> None:
    add(store, FIRST, "20261102")
    add(store, SECOND)
    assert resolve(store, "20261102").id == FIRST


def test_namesakes_of_one_second_get_ids_of_their_own(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_795_000_000.5)
    first, second = unused_snapshot_id(store, "before"), unused_snapshot_id(store, "before")
    assert first == second
    add(store, first)
    second = unused_snapshot_id(store, "before")
    assert second > first
    assert second.endswith("Z-before")


def test_what_is_not_there_is_said_with_a_suggestion(store: LocalStore) -> None:
    assert "holds none / take one with `tablevault snapshot`" in hint_of(store, "latest")
    add(store, FIRST, "before")
    add(store, SECOND)
    assert "there is no snapshot 'befor3'" in hint_of(store, "befor3")
    assert "did you mean before?" in hint_of(store, "befor3")
    assert f"did you mean {FIRST}?" in hint_of(store, "20261101T000000Z-befoer")
    assert f"the newest is {SECOND}" in hint_of(store, "zzz")
    assert f"may mean several snapshots: {FIRST}, {SECOND}" in hint_of(store, "2026")
    for text in ("", "..", "../vault", "/", ".locks", "a/b", "\0", "\ud800"):
        assert "there is no snapshot" in hint_of(store, text)


def test_an_incomplete_snapshot_is_said_to_be_that(store: LocalStore) -> None:
    add(store, FIRST)
    leave_dead(store)
    for text in (DEAD, "20261104"):
        assert f"snapshot {DEAD} is incomplete: it has no manifest" in hint_of(store, text)
    assert resolve(store, "latest").id == FIRST
    listed = list_snapshots(store)[-1]
    assert (listed.id, listed.complete, listed.snapshot) == (DEAD, False, None)


def test_an_unusable_snapshot_hides_no_other_but_is_not_passed_over(store: LocalStore) -> None:
    add(store, FIRST)
    add(store, SECOND)
    path = store.root / SECOND / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 9}))
    first, second = list_snapshots(store)
    assert first.snapshot is not None
    assert (second.snapshot, second.complete) == (None, True)
    assert second.problem is not None
    assert "format 9" in second.problem.message
    assert "format 9" in hint_of(store, "latest"), "never an older one in its place"


def test_listing_reads_manifests_only(store: LocalStore) -> None:
    written = write_snapshot(store)
    (store.root / written.snapshot.id / written.entry.chunks_path).unlink()
    assert list_snapshots(store)[0].snapshot == written.snapshot


def test_leftovers_of_the_dead_are_removed_and_nothing_else(store: LocalStore) -> None:
    add(store, FIRST)
    leave_dead(store)
    living = begin_snapshot(store, THIRD)
    foreign = store.root / "20261105T000000Z-photos"
    foreign.mkdir()
    (foreign / "family.jpg").write_bytes(b"1")
    (store.root / "documents").mkdir()
    (store.root / "documents" / MARK).write_bytes(b"")
    (store.root / ".runs").mkdir()
    empty = store.root / "20261106T000000Z-empty"
    empty.mkdir()
    (empty / ".writing-0123").write_bytes(b"")
    assert clean_leftovers(store) == [DEAD, empty.name]
    assert sorted(path.name for path in store.root.iterdir()) == [
        ".locks",
        ".runs",
        FIRST,
        THIRD,
        foreign.name,
        "documents",
    ]
    assert (foreign / "family.jpg").exists()
    assert clean_leftovers(store) == []
    living.commit(snapshot_of([], THIRD))
    assert resolve(store, "latest").id == THIRD


def test_a_snapshot_committed_while_its_lock_is_awaited_is_kept(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was unfinished when it was looked at, and complete when its lock came."""
    begun = begin_snapshot(store, FIRST)
    real = LocalStore.lock

    def commit_first(self: LocalStore, name: str, owner: str) -> object:
        monkeypatch.setattr(LocalStore, "lock", real)
        begun.commit(snapshot_of([], FIRST))
        return real(self, name, owner)

    monkeypatch.setattr(LocalStore, "lock", commit_first)
    assert clean_leftovers(store) == []
    assert resolve(store, "latest").id == FIRST


def test_killed_between_manifest_and_mark_the_snapshot_is_complete(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: LocalStore, name: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, begin_snapshot(store, FIRST) as begun:
        patch.setattr(LocalStore, "remove", die)
        with pytest.raises(KeyboardInterrupt):
            begun.commit(snapshot_of([], FIRST))
    assert store.exists(f"{FIRST}/{MARK}")
    assert clean_leftovers(store) == []
    assert resolve(store, FIRST).id == FIRST


def test_an_abandoned_snapshot_leaves_nothing(store: LocalStore) -> None:
    with pytest.raises(RuntimeError), begin_snapshot(store, FIRST):
        with store.create(f"{FIRST}/shop/orders/part-00000.parquet") as file:
            file.commit()
        raise RuntimeError
    assert [path.name for path in store.root.iterdir()] == [".locks"]
    add(store, FIRST)


def test_two_runs_cannot_write_one_snapshot(store: LocalStore) -> None:
    with begin_snapshot(store, FIRST):
        with pytest.raises(LockedByRun, match="process"):
            begin_snapshot(store, FIRST)
        with pytest.raises(LockedByRun):
            remove_snapshot(store, FIRST)
    add(store, FIRST)
    with (
        pytest.raises(CannotComplete, match="already holds"),
        begin_snapshot(store, FIRST) as again,
    ):
        again.commit(snapshot_of([], FIRST))
    assert resolve(store, FIRST).id == FIRST


def test_a_process_killed_in_mid_snapshot_leaves_no_snapshot(store: LocalStore) -> None:
    code = (
        "import os, signal, sys\n"
        "from tablevault.vault.store import LocalStore\n"
        "from tests.unit import vaults\n"
        "from tablevault.vault.catalog import begin_snapshot\n"
        "store = LocalStore(sys.argv[1])\n"
        "begun = begin_snapshot(store, sys.argv[2])\n"
        "vaults.write_chunk(store, vaults.definition(), vaults.rows_of(range(1, 9)),\n"
        "                   snapshot=sys.argv[2])\n"
        "store.create(sys.argv[2] + '/shop/orders/half').write(b'x')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(store.root), DEAD], check=False, cwd=Path.cwd()
    )
    assert done.returncode == -9
    assert (store.root / DEAD / "shop" / "orders" / "part-00000.parquet").exists()
    assert "is incomplete" in hint_of(store, DEAD)
    assert clean_leftovers(store) == [DEAD]
    assert not (store.root / DEAD).exists()


def test_a_removed_snapshot_is_gone_and_half_removed_a_leftover(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write_snapshot(store)
    assert len(list(read_chunks(store, written.snapshot.id, written.entry))) == 3
    add(store, FIRST)

    def die(self: LocalStore, name: str, last: str | None = None) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LocalStore, "remove_tree", die)
        remove_snapshot(store, written.snapshot.id)
    assert "is incomplete" in hint_of(store, written.snapshot.id)
    assert clean_leftovers(store) == [written.snapshot.id]
    remove_snapshot(store, FIRST)
    assert list_snapshots(store) == []
    with pytest.raises(SnapshotUnusable):
        remove_snapshot(store, "documents")


def test_no_digit_of_a_moment_can_be_another_one_unnoticed() -> None:
    """A manifest's times: a flipped bit in the last digit is another time, too."""
    for _ in range(200):
        text = repr(moment())
        for bit in range(4):
            other = text[:-1] + chr(ord(text[-1]) ^ 1 << bit)
            assert not other[-1].isdigit() or float(other) != float(text)

"""The local store: private, durable, never outside its folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tablevault.errors import CannotComplete, LockedByRun, SnapshotUnusable, UsageError
from tablevault.vault.store import LocalStore, MissingFile, check_name, open_store, sha256_of


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "vault", create=True)


def put(store: LocalStore, name: str, data: bytes) -> None:
    with store.create(name) as file:
        file.write(data)
        file.commit()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@contextlib.contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def test_everything_is_private_from_its_first_instant_whatever_the_umask(tmp_path: Path) -> None:
    with umask(0):
        store = LocalStore(tmp_path / "deep" / "vault", create=True)
        file = store.create("snap/shop/orders/part-00000.parquet")
        file.write(b"rows")
        (writing,) = (store.root / "snap/shop/orders").iterdir()
        assert mode(writing) == 0o600, "before the commit"
        file.commit()
        with store.lock("run", "me"):
            for path in (tmp_path / "deep").rglob("*"):
                assert mode(path) == (0o700 if path.is_dir() else 0o600), path
    assert mode(tmp_path / "deep") == 0o700


def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir(0o755)
    LocalStore(tmp_path / "vault", create=True)
    assert mode(tmp_path / "vault") == 0o755


def test_a_file_is_hashed_and_counted_as_it_is_written(store: LocalStore) -> None:
    with store.create("a/b") as file:
        file.write(b"one")
        file.write(memoryview(b"-two-"))
        file.commit()
    assert (file.size_bytes, file.sha256) == (8, hashlib.sha256(b"one-two-").hexdigest())
    assert sha256_of(store, "a/b") == (file.sha256, 8)
    assert store.read("a/b") == b"one-two-"
    with store.open("a/b") as reader:
        reader.seek(3)
        assert reader.read() == b"-two-"


def test_a_file_is_invisible_until_committed_and_gone_when_discarded(store: LocalStore) -> None:
    with store.create("a/b") as file:
        file.write(b"x")
        assert not store.exists("a/b")
        assert list(store.list("a")) == []
    assert list((store.root / "a").iterdir()) == []
    with pytest.raises(RuntimeError), store.create("a/b") as file:
        raise RuntimeError
    assert list((store.root / "a").iterdir()) == []


def test_a_file_is_never_replaced(store: LocalStore) -> None:
    put(store, "a", b"1")
    with pytest.raises(CannotComplete, match="already holds a"):
        store.create("a")
    assert store.read("a") == b"1"


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "..", "a/../../b", "a//b", "", "a/", "./a", "a\0b", "a\\b", "a/..", "\ud800"],
)
def test_names_that_leave_the_vault_are_refused(store: LocalStore, name: str) -> None:
    (store.root.parent / "b").write_bytes(b"outside")
    calls = (
        check_name,
        store.open,
        store.read,
        store.size,
        store.exists,
        store.create,
        store.remove,
        store.remove_tree,
        lambda name: list(store.list(name)),
    )
    for call in calls:
        with pytest.raises(SnapshotUnusable, match="manifest names a path outside the vault"):
            call(name)
    assert (store.root.parent / "b").exists()


def test_strange_but_harmless_names_are_files(store: LocalStore) -> None:
    put(store, "a b/%2E%2E/caf\N{LATIN SMALL LETTER E WITH ACUTE}\n...x", b"1")
    assert [name for name, _ in store.list("a b")] == [
        "a b/%2E%2E/caf\N{LATIN SMALL LETTER E WITH ACUTE}\n...x"
    ]


def test_what_is_missing_is_said_so(store: LocalStore) -> None:
    put(store, "file", b"")
    for name in ("none", "file/below", "n" * 300):
        for call in (store.open, store.read, store.size):
            with pytest.raises(MissingFile, match="is missing in vault"):
                call(name)
        assert not store.exists(name)
    (store.root / "folder").mkdir()
    with pytest.raises(MissingFile):
        store.size("folder")


def test_list_gives_names_and_sizes_of_complete_files(store: LocalStore) -> None:
    put(store, "s/manifest.json", b"12")
    put(store, "s/t/b", b"1")
    put(store, "s/t/a", b"")
    put(store, "other/x", b"")
    assert list(store.list("s")) == [("s/manifest.json", 2), ("s/t/a", 0), ("s/t/b", 1)]
    assert list(store.list("absent")) == []
    put(store, ".runs/r/journal.jsonl", b"")
    assert store.folders() == ["other", "s"]


def test_remove_tree_does_not_follow_links(store: LocalStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"1")
    put(store, "s/t/a", b"")
    (store.root / "s" / "link").symlink_to(outside)
    store.remove_tree("s", last="mark")
    assert not (store.root / "s").exists()
    (store.root / "link").symlink_to(outside)
    store.remove_tree("link")
    store.remove_tree("absent")
    assert (outside / "precious").exists()


def test_remove_tree_keeps_the_mark_until_the_rest_is_gone(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, "s/mark", b"")
    put(store, "s/a", b"")
    put(store, "s/t/b", b"")

    def die(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", die)
    with pytest.raises(KeyboardInterrupt):
        store.remove_tree("s", last="mark")
    assert store.exists("s/mark")


def test_a_full_file_system_is_said_so_and_leaves_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = store.create("s/a")
    monkeypatch.setattr(os, "write", full)
    with file, pytest.raises(CannotComplete, match=f"vault {store.root} is full") as caught:
        file.write(b"1")
    assert caught.value.exit_code == 4
    assert caught.value.hint is not None
    assert list((store.root / "s").iterdir()) == []


def test_a_file_size_limit_in_mid_file_leaves_nothing(store: LocalStore) -> None:
    """The real thing: the system cuts a write short, then refuses the next."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with store.create("s/a") as file, pytest.raises(CannotComplete, match="is full"):
            file.write(bytes(1 << 17))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list((store.root / "s").iterdir()) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_vault_that_may_not_be_written_is_a_usage_error(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UsageError, match=r"vault .* is not writable") as caught:
        store.create("new/file")
    assert caught.value.hint is not None


def test_other_failures_keep_their_reason(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    put(store, "a", b"")
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(CannotComplete, match=r"cannot read a in vault .*: Input/output error"):
        store.read("a")


def test_opening_a_vault(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        open_store(str(tmp_path / "none"))
    (tmp_path / "file").write_bytes(b"")
    for create in (False, True):
        with pytest.raises(UsageError, match="is not a folder"):
            open_store(str(tmp_path / "file"), create=create)
    with pytest.raises(UsageError, match="s3 vaults are not supported"):
        open_store("s3://bucket/vault")
    assert open_store(f"file://{tmp_path}/new", create=True).root == tmp_path / "new"
    assert open_store(str(tmp_path / "new")).uri == str(tmp_path / "new")
    assert not (tmp_path / "none").exists()


def test_free_space_is_known(store: LocalStore) -> None:
    free = store.free_bytes()
    assert free is not None
    assert free > 0


def test_a_lock_excludes_and_names_its_holder(store: LocalStore) -> None:
    with store.lock("snapshot-1", "process 7 on db1"):
        with pytest.raises(LockedByRun, match=r"snapshot-1 .*\(process 7 on db1\)") as caught:
            store.lock("snapshot-1", "another")
        assert caught.value.exit_code == 7
        store.lock("snapshot-2", "another").release()
    store.lock("snapshot-1", "another").release()
    assert list((store.root / ".locks").iterdir()) == []


def test_a_lock_ends_with_its_process(store: LocalStore) -> None:
    code = (
        "import os, sys\n"
        "from tablevault.vault.store import LocalStore\n"
        "lock = LocalStore(sys.argv[1]).lock('run', 'the dead')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(LockedByRun, match="the dead"):
            store.lock("run", "me")
        child.kill()
    store.lock("run", "me").release()


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder removes the file as it ends, between another's open and its flock."""
    first = store.lock("run", "first")
    real = os.open

    def open_then_release(path: Path, *rest: int) -> int:
        descriptor = real(path, *rest)
        monkeypatch.setattr(os, "open", real)
        first.release()
        return descriptor

    monkeypatch.setattr(os, "open", open_then_release)
    second = store.lock("run", "second")
    with pytest.raises(LockedByRun, match="second"):
        store.lock("run", "third")
    second.release()

"""`prune`: says before it does, takes nothing that is needed or read, and survives any death."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from tablevault.errors import CannotComplete, LockedByRun, SnapshotUnusable, UsageError
from tablevault.ops import prune as pruning
from tablevault.ops.prune import PruneResult, prune
from tablevault.ops.retention import Rules
from tablevault.ops.runs import header
from tablevault.ops.verify import verify
from tablevault.ops.verify_terms import Extent
from tablevault.vault import proofs
from tablevault.vault.catalog import begin_snapshot, list_snapshots, reading, remove_snapshot
from tablevault.vault.journal import Journal
from tablevault.vault.store import LocalStore, open_store
from tests.servers import ROOT
from tests.unit.test_retention import drilled
from tests.unit.vaults import snapshot_of, write_snapshot

IDS = [f"2026112{day}T000000Z-nightly" for day in range(1, 5)]  # oldest first
LAST = Rules(last=1)


@pytest.fixture
def store(vault: Path) -> LocalStore:
    """Four snapshots of one table, a day apart, of few rows."""
    found = open_store(str(vault), create=True)
    for number, one in enumerate(IDS):
        written = write_snapshot(found, one, rows=30)
        rewrite(found, written.snapshot.id, created=1_790_000_000.0 + number * 86_400)
    return found


def rewrite(store: LocalStore, snapshot_id: str, **changes: float) -> None:
    """The manifest with another time in it."""
    from tablevault.vault.manifest import load_manifest, write_manifest

    changed = replace(load_manifest(store, snapshot_id), **changes)  # type: ignore[arg-type]
    store.remove(f"{snapshot_id}/manifest.json")
    write_manifest(store, changed)


def go(store: LocalStore, rules: Rules = LAST, *, execute: bool = True) -> PruneResult:
    return prune(store, rules, store.root / ".runs", execute=execute)


def left(store: LocalStore) -> list[str]:
    return [item.id for item in list_snapshots(store)]


def of(result: PruneResult, *actions: str) -> list[str]:
    return [one.snapshot for one in result.of(*actions)]


def journal(store: LocalStore, run: str, snapshot: str, kinds: Iterable[str], **more: str) -> None:
    """A run that died after these entries."""
    head = header(snapshot, {}, [], more.get("operation", "restore"))
    with Journal.create(store.root / ".runs" / run, run, head) as one:
        for kind in kinds:
            one.append(kind, **({"snapshot": more["saved"]} if kind == "saved" else {}))


def test_it_says_what_it_would_do_and_does_nothing(store: LocalStore) -> None:
    files = sorted(store.root.rglob("*.parquet"))
    result = go(store, execute=False)
    assert not result.executed
    assert of(result, "remove") == IDS[:3]
    assert of(result, "keep") == IDS[3:]
    assert left(store) == IDS
    assert sorted(store.root.rglob("*.parquet")) == files
    with pytest.raises(UsageError, match="no rule"):
        go(store, Rules())


def test_what_goes_is_gone_with_its_proofs(store: LocalStore) -> None:
    for one in IDS:
        sample = replace(drilled(snapshot_of([], one), "shop.orders", share=0.1), snapshot=one)
        proofs.keep_drill(store, sample)
    result = go(store)
    assert of(result, "removed") == IDS[:3]
    assert left(store) == IDS[3:]
    assert [path.name for path in (store.root / ".proofs").iterdir()] == IDS[3:]
    assert verify(store, IDS[3]).findings == ()
    assert of(go(store), "removed") == []


def test_the_last_proven_stays(store: LocalStore) -> None:
    proofs.keep_drill(store, replace(drilled(snapshot_of([], IDS[1]), "shop.orders")))
    result = go(store)
    assert of(result, "removed") == [IDS[0], IDS[2]]
    assert result.verdicts[1].why == "last proven restorable"


def test_the_last_that_was_verified_whole_stays(store: LocalStore) -> None:
    verify(store, IDS[0])
    verify(store, IDS[1])
    verify(store, IDS[2], Extent(subset=(1, 3)))  # in part, which proves no whole
    verify(store, IDS[2], Extent(depth="files"))
    result = go(store)
    assert of(result, "removed") == [IDS[0], IDS[2]]
    assert result.verdicts[1].why == "last verified whole"


@pytest.mark.parametrize("damaged", ["part-00001.parquet", "chunks.jsonl"])
@pytest.mark.parametrize("depth", ["files", "rows"])
def test_what_was_found_damaged_is_verified_whole_no_more(
    store: LocalStore, damaged: str, depth: str
) -> None:
    """Else a snapshot that cannot be restored would keep, and the sound one before it go."""
    for one in IDS[:3]:
        verify(store, one)
    path = store.root / IDS[2] / "shop/orders" / damaged
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert verify(store, IDS[2], Extent(depth=depth)).findings
    result = go(store, execute=False)
    assert result.verdicts[1].why == "last verified whole"
    path.write_bytes(content)  # somebody has mended it
    verify(store, IDS[2])
    assert of(go(store), "removed") == IDS[:2]


@pytest.mark.parametrize(
    ("kinds", "needs"),
    [
        ([], True),
        (["proven all"], True),
        (["proven all", "swapping"], True),
        (["proven all", "swapping", "swapped"], False),
        (["proven all", "swapping", "swapped", "rolling back"], True),
        (["cleaned"], False),
    ],
)
def test_what_a_restore_needs_stays(store: LocalStore, kinds: list[str], needs: bool) -> None:
    journal(store, "20261124T000000Z-aaaaaa", IDS[0], kinds)
    result = go(store)
    assert (IDS[0] in of(result, "keep")) is needs
    if needs:
        assert "run 20261124T000000Z-aaaaaa is " in result.verdicts[0].why


@pytest.mark.parametrize(
    ("kinds", "needs"),
    [
        ([], True),
        (["saved", "repaired"], True),
        (["saved", "repaired", "undoing", "undone"], True),
        (["saved", "repaired", "cleaned"], False),
    ],
)
def test_what_an_undo_needs_stays(store: LocalStore, kinds: list[str], needs: bool) -> None:
    run = "20261124T000000Z-aaaaaa"
    journal(store, run, IDS[0], kinds, operation="repair", saved=IDS[2])
    kept = of(go(store), "keep")
    assert (IDS[0] in kept) is needs
    assert (IDS[2] in kept) is (needs and "saved" in kinds)


def test_a_journal_that_cannot_be_read_may_need_any(store: LocalStore) -> None:
    journal(store, "20261124T000000Z-aaaaaa", IDS[0], ["cleaned"])
    path = store.root / ".runs" / "20261124T000000Z-aaaaaa" / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"begun", b"begin"))
    with pytest.raises(CannotComplete, match="nobody can tell"):
        go(store)
    assert left(store) == IDS


def test_a_run_that_began_meanwhile_keeps_its_snapshot(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = pruning._decide

    def decide_and_begin(*given: object) -> object:
        verdicts = decide(*given)  # type: ignore[arg-type]
        journal(store, "20261124T000000Z-aaaaaa", IDS[1], [])
        return verdicts

    monkeypatch.setattr(pruning, "_decide", decide_and_begin)
    result = go(store)
    assert of(result, "busy") == [IDS[1]]
    assert left(store) == [IDS[1], IDS[3]]


def test_what_is_read_stays_until_the_next_time(store: LocalStore) -> None:
    with reading(store, IDS[0]), reading(store, IDS[0]):
        result = go(store)
        assert of(result, "busy") == [IDS[0]]
        assert "stays for now" in result.hints[0]
        assert verify(store, IDS[0], Extent(depth="files")).findings == ()
    assert of(go(store), "removed") == [IDS[0]]
    with pytest.raises(SnapshotUnusable, match="was removed"), reading(store, IDS[0]):
        pass
    assert list((store.root / ".locks").iterdir()) == []


def test_readers_do_not_meet_what_is_being_written(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tablevault.vault.catalog._SETTLED_WITHIN_S", 0.1)
    with begin_snapshot(store, "20261125T000000Z-x") as begun:
        with pytest.raises(LockedByRun), reading(store, begun.id):
            pass
        with pytest.raises(LockedByRun):
            remove_snapshot(store, begun.id)


def test_a_vault_that_cannot_be_written_can_be_read(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UsageError("vault is not writable")

    monkeypatch.setattr(LocalStore, "lock", refuse)
    with reading(store, IDS[0]):
        assert verify(store, IDS[0]).findings == ()


def test_two_prunes_do_not_meet(store: LocalStore) -> None:
    with store.lock("prune", "somebody"), pytest.raises(LockedByRun, match="somebody"):
        go(store)
    assert left(store) == IDS


def test_what_cannot_be_used_is_left_alone(store: LocalStore) -> None:
    path = store.root / IDS[0] / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
    result = go(store)
    assert of(result, "unusable") == [IDS[0]]
    assert left(store) == [IDS[0], IDS[3]]


def command(store: LocalStore, fatal: int, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "tests.support.removing"]
    return subprocess.run(
        [*program, str(fatal), *words, "--vault", str(store.root)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_killed_before_every_removal_and_rename(store: LocalStore, tmp_path: Path) -> None:
    proofs.keep_drill(store, drilled(snapshot_of([], IDS[0]), "shop.orders", share=0.1))
    original = tmp_path / "original"
    shutil.copytree(store.root, original)
    words = ("prune", "--keep-last", "2", "--execute", "-q")
    whole = command(store, -1, *words)
    assert whole.returncode == 0, whole.stderr
    steps = int(whole.stderr.split("steps: ")[1])
    assert steps > 12
    seen = set()
    for fatal in range(steps):
        shutil.rmtree(store.root)
        shutil.copytree(original, store.root)
        died = command(store, fatal, *words)
        assert died.returncode == -signal.SIGKILL, f"{fatal}: {died.stderr}"
        usable = [item.id for item in list_snapshots(store) if item.snapshot is not None]
        seen.add(tuple(usable))
        for one in usable:  # what is listed is whole
            assert verify(store, one).findings == (), f"{fatal}: {one}"
        again = command(store, -1, *words)
        assert again.returncode == 0, f"{fatal}: {again.stderr}"
        there = {path.name for path in store.root.iterdir()}
        assert there - {".runs", ".locks", ".proofs"} == set(IDS[2:]), f"{fatal}"
        assert {path.name for path in store.root.glob(".proofs/*")} <= set(IDS[2:]), f"{fatal}"
    assert len(seen) == 3, "the kills came before, between and after the removals"


def test_the_command(store: LocalStore) -> None:
    shown = command(store, -1, "prune", "--keep-last", "3")
    assert shown.returncode == 0
    assert "would be removed; --execute does it" in shown.stdout
    assert left(store) == IDS
    done = command(store, -1, "prune", "--keep-last", "3", "--execute", "--json")
    record = json.loads(done.stdout)
    assert (record["status"], record["executed"]) == ("ok", True)
    assert [one["action"] for one in record["snapshots"]] == ["removed", *["keep"] * 3]
    assert record["freed_bytes"] > 0
    assert left(store) == IDS[1:]
    for wrong in ((), ("--keep-last", "0"), ("--keep-last", "1", "--execute", "--dry-run")):
        assert command(store, -1, "prune", *wrong).returncode == 2
    assert time.time() - record["snapshots"][0]["created"] > 0

"""Nights of verification: in a week all is proven, in turn; no memory is trusted."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tablevault.engine.pace import Pace
from tablevault.errors import Interrupted, UsageError
from tablevault.events import ChunkDone, Event
from tablevault.model import Snapshot
from tablevault.ops.verify import verify, verify_vault
from tablevault.ops.verify_terms import Extent
from tablevault.vault.catalog import list_snapshots, remove_snapshot
from tablevault.vault.manifest import load_manifest, write_manifest
from tablevault.vault.memory import Memory
from tablevault.vault.records import features_of
from tablevault.vault.store import LocalStore, open_store
from tablevault.vault.tablespace import write_tablespace
from tests.servers import ROOT
from tests.unit.test_vault_pagezero import FULL_CRC32, page_of
from tests.unit.vaults import ORDERS, SERVER, Written, write_snapshot

IDS = [f"2026112{day}T000000Z-nightly" for day in range(1, 4)]
CHUNKS = 9
WEEK = range(1, 8)


@pytest.fixture
def store(vault: Path) -> LocalStore:
    """Three snapshots of three chunks each."""
    found = open_store(str(vault), create=True)
    for one in IDS:
        write_snapshot(found, one, rows=90)
    return found


def of_vault(store: LocalStore) -> list[Path]:
    """The files of the snapshots."""
    return sorted(path for one in IDS for path in (store.root / one).rglob("*") if path.is_file())


def flip(path: Path, rng: random.Random) -> bytes:
    """Flip one bit somewhere in a file; returns what was there."""
    content = path.read_bytes()
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    path.write_bytes(changed)
    return content


def memories(store: LocalStore, now: float | None = None) -> dict[str, tuple[int, ...]]:
    found = {}
    for one in IDS:
        snapshot = load_manifest(store, one)
        memory = Memory(store, snapshot, time.time() if now is None else now)
        found[one] = memory.all_of(snapshot.tables[0])
    return found


def test_seven_parts_are_the_whole_and_do_not_overlap(store: LocalStore) -> None:
    checked = sum(
        one.chunks_checked
        for n in WEEK
        for one in verify_vault(store, Extent(subset=(n, 7))).snapshots
    )
    assert checked == CHUNKS
    assert all(at for times in memories(store).values() for at in times)


def test_a_budget_covers_everything_in_turn(store: LocalStore) -> None:
    sizes = [path.stat().st_size for path in of_vault(store) if path.suffix == ".parquet"]
    budget_s = 0.6
    # a night is as long as two chunks are at this rate, and begins a third at most
    extent = Extent(threads=1, budget_s=budget_s, rate_bytes_s=2 * max(sizes) / budget_s)
    seen: list[tuple[str, int]] = []
    for night in range(1, 6):
        events: list[Event] = []
        result = verify_vault(store, extent, observer=events.append)
        done = [event for event in events if isinstance(event, ChunkDone)]
        assert 2 <= len(done) <= 3, night
        assert sum(one.chunks_checked for one in result.snapshots) == len(done)
        seen += [(event.table, event.chunk) for event in done]
        if len(seen) >= CHUNKS:
            break
    assert len(set(seen[:CHUNKS])) == CHUNKS, "none twice before all were once"


def test_damage_is_looked_at_again_each_night(store: LocalStore) -> None:
    verify_vault(store)
    path = of_vault(store)[-1]
    content = flip(path, random.Random(1))
    for _ in range(2):
        # one chunk a night: the damaged one stays the least recently proven
        time.sleep(1.1)
        sound = verify(store, IDS[0])
        assert sound.findings == ()
        assert verify(store, IDS[1]).findings == ()
        first: list[Event] = []
        found = verify_vault(store, Extent(threads=1), observer=first.append)
        assert len(found.findings) == 1
        assert next(e for e in first if isinstance(e, ChunkDone)).table.startswith(IDS[2])
    path.write_bytes(content)
    assert verify_vault(store).findings == ()


def memory_file(store: LocalStore) -> Path:
    [file] = (store.root / ".proofs" / IDS[0]).glob("verify-*.json")
    return file


def edited(change: Any) -> Any:
    """A memory whose content was changed, and whose checksum is right."""
    from tablevault.vault.manifest import content_checksum

    def edit(text: str) -> str:
        record = json.loads(text)
        for tables in record["content"]["tables"].values():
            change(tables)
        record["checksum"] = content_checksum(record)
        return json.dumps(record)

    return edit


@pytest.mark.parametrize(
    "harm",
    [
        lambda text: text.replace('"rows":[1', '"rows":[2'),
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace('"version":1', '"version":2'),
        edited(lambda table: table.update(list="0" * 64)),
        edited(lambda table: table.update(rows=[10**11] * 3, files=[10**11] * 3)),
        edited(lambda table: table.update(rows=[-1, "x", None], files=[-1, 0.5, []])),
        edited(lambda table: table.update(rows=table["rows"][:2], files={})),
    ],
)
def test_a_wrong_memory_is_no_memory(store: LocalStore, harm: Any) -> None:
    verify(store, IDS[0])
    assert all(memories(store)[IDS[0]])
    file = memory_file(store)
    before = file.read_text()
    file.write_text(harm(before))
    assert file.read_text() != before
    assert memories(store)[IDS[0]] == (0, 0, 0)
    flip(store.root / IDS[0] / "shop/orders/part-00001.parquet", random.Random(3))
    assert len(verify(store, IDS[0]).findings) == 1
    assert [bool(at) for at in memories(store)[IDS[0]]] == [True, False, True]


def test_files_prove_less_than_rows(store: LocalStore) -> None:
    verify(store, IDS[0], Extent(depth="files"))
    snapshot = load_manifest(store, IDS[0])
    memory = Memory(store, snapshot, time.time())
    assert all(memory.all_of(snapshot.tables[0], "files"))
    assert not any(memory.all_of(snapshot.tables[0]))
    verify(store, IDS[0])
    assert all(memories(store)[IDS[0]])
    assert memory_file(store)  # one file, in the place of the first


def test_two_at_once_lose_nothing(store: LocalStore) -> None:
    snapshot = load_manifest(store, IDS[0])
    entry = snapshot.tables[0]
    first, second = (Memory(store, snapshot, time.time()) for _ in range(2))
    first.note(entry, 0, "rows", 1000.0)
    second.note(entry, 2, "rows", 2000.0)
    first.save("a")
    second.save("b")
    assert memories(store)[IDS[0]] == (1000, 0, 2000)


def test_what_an_interrupted_check_has_proven_is_remembered(store: LocalStore) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, ChunkDone):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        verify_vault(store, Extent(threads=1), observer=interrupt)
    assert sum(1 for times in memories(store).values() for at in times if at) == 1


def test_a_manifest_that_has_gone_is_found_and_a_removed_snapshot_is_not(
    store: LocalStore,
) -> None:
    remove_snapshot(store, IDS[0])
    assert verify_vault(store).findings == ()
    (store.root / IDS[1] / "manifest.json").unlink()
    [finding] = verify_vault(store).findings
    assert finding.kind == "missing"
    assert IDS[1] in finding.message
    assert [item.id for item in list_snapshots(store)] == [IDS[2]]


def test_what_cannot_be_is_refused(store: LocalStore) -> None:
    for extent in (Extent(subset=(0, 7)), Extent(subset=(8, 7)), Extent(rate_bytes_s=0.0)):
        with pytest.raises(UsageError):
            verify_vault(store, extent)


def test_a_pace_is_kept_on_average() -> None:
    pace = Pace(10.0)
    assert [pace.wait_s(0.0, 5.0), pace.wait_s(0.0, 5.0), pace.wait_s(0.2, 5.0)] == [0, 0.5, 0.8]
    assert pace.wait_s(9.0, 1.0) == 0.0  # what was not used is not saved up
    assert pace.wait_s(9.0, 1.0) == pytest.approx(0.1)
    assert Pace(None).wait_s(0.0, 1e12) == 0.0


def command(store: LocalStore, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tablevault", *words, "--vault", str(store.root)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command(store: LocalStore) -> None:
    assert "never" in command(store, "show", IDS[0]).stdout
    done = command(store, "verify", "--all", "--budget", "20m", "--low-priority")
    assert done.returncode == 0, done.stderr
    assert "sound: 3 snapshots, 9 of 9 chunks checked" in done.stdout
    assert command(store, "verify", "--all", "-q", "--rate-limit", "1G").stdout == ""
    path = next(path for path in of_vault(store) if path.suffix == ".parquet")
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    quiet = command(store, "verify", "--all", "-q")
    assert quiet.stdout.startswith(f"{path.relative_to(store.root).parts[0]}: truncated: ")
    assert quiet.stdout.count("\n") == 1
    assert " 2 of 3, " in command(store, "show", IDS[0]).stdout
    path.write_bytes(content)
    assert command(store, "verify", "--all", "-q").stdout == ""
    shown = command(store, "show", IDS[0]).stdout
    assert "verified    all chunks since" in shown
    record = json.loads(command(store, "show", IDS[0], "--json").stdout)
    [table] = record["verified"]
    assert len(table["rows"]) == 3
    assert abs(table["rows"][0] - time.time()) < 100
    flip(of_vault(store)[-1], random.Random(5))
    found = command(store, "verify", "--all", "--json")
    assert found.returncode == 3
    assert [len(one["findings"]) for one in json.loads(found.stdout)["snapshots"]] == [0, 0, 1]
    for wrong in ((), (IDS[0], "--all"), ("--all", "--subset", "8/7"), ("--all", "--subset", "x")):
        assert command(store, "verify", *wrong).returncode == 2


def test_low_priority_steps_back() -> None:
    code = (
        "import ctypes, os\nfrom tablevault.cli.priority import step_back\nassert step_back()\n"
        "number = {'x86_64': 252, 'aarch64': 31}[os.uname().machine]\n"
        "print(os.nice(0), ctypes.CDLL(None).syscall(number, 1, 0) >> 13)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    nice, disk = done.stdout.split()
    assert int(nice) == min(19, os.nice(0) + 10)
    assert disk == "3"  # idle


def with_tablespace(store: LocalStore, written: Written) -> Snapshot:
    """The same snapshot, with a small tablespace beside its table's chunks."""
    source, one = store.root.parent / "source", written.snapshot.id
    source.write_bytes(page_of(FULL_CRC32, 16384) * 4)
    with source.open("rb") as file:
        files = write_tablespace(store, one, ORDERS, file.fileno(), b"cfg", SERVER, "Dynamic")
    entry = replace(written.entry, tablespace=files)
    store.remove(f"{one}/manifest.json")
    snapshot = replace(written.snapshot, tables=(entry,), features=features_of([entry]))
    write_manifest(store, snapshot)
    return snapshot


def test_a_tablespace_is_found_damaged_and_remembered_as_chunks_are(vault: Path) -> None:
    store = open_store(str(vault), create=True)
    snapshot = with_tablespace(store, write_snapshot(store, IDS[0], rows=90))
    [entry] = snapshot.tables
    files = entry.tablespace
    assert files is not None

    def remembered(depth: str) -> int:
        return Memory(store, snapshot, time.time()).when(entry, None, depth)

    sound = verify(store, IDS[0], Extent("files"))
    assert (sound.findings, sound.chunks_checked) == ((), 3)
    assert (sound.tablespaces, sound.tablespaces_checked) == (1, 1)
    assert remembered("files")
    assert not remembered("rows")
    verify(store, IDS[0])
    assert remembered("rows")
    flip(store.root / IDS[0] / files.data.path, random.Random(3))
    [finding] = verify(store, IDS[0], Extent("files")).findings
    assert (finding.kind, finding.path) == ("damaged", files.data.path)
    assert (remembered("files"), remembered("rows")) == (0, 0)
    assert all(Memory(store, snapshot, time.time()).all_of(entry))

"""A tablespace in the vault: written in blocks, read back proven, damage named.

That a server takes back what was written is proven in tests/server/test_tablespace.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import zstandard

from tablevault.errors import CannotComplete, Interrupted, SnapshotUnusable, TablevaultError
from tablevault.model import Finding, TableEntry, TablespaceFiles
from tablevault.vault import tablespace
from tablevault.vault.store import LocalStore, MissingFile, sha256_of
from tablevault.vault.tablespace import BLOCK_BYTES, Tablespace, open_tablespace, write_tablespace
from tablevault.vault.verify import check_list, foreign_files
from tablevault.vault.verify_tablespace import check_tablespace
from tests.unit.test_vault_pagezero import FULL_CRC32, page_of
from tests.unit.vaults import ID, ORDERS, SERVER, snapshot_of, write_snapshot

CFG = b"as the server wrote it"
FOLDER = "shop/orders"


@dataclass
class Kept:
    """A tablespace of three and a half blocks, the second all zeros, and what was written of it."""

    store: LocalStore
    entry: TableEntry
    raw: bytes
    files: TablespaceFiles

    def open(self) -> Tablespace:
        return open_tablespace(self.store, ID, replace(self.entry, tablespace=self.files))

    def path(self, name: str) -> Path:
        return self.store.root / ID / FOLDER / name

    def rewrite(self, name: str, content: bytes) -> None:
        """Another file in place of one of the three, that the manifest knows the hash of."""
        path = self.path(name)
        path.write_bytes(content)
        sha256, size = sha256_of(self.store, f"{ID}/{FOLDER}/{name}")
        kind = {"tablespace.zst": "data", "tablespace.json": "blocks", "tablespace.cfg": "cfg"}
        kept = replace(getattr(self.files, kind[name]), size_bytes=size, sha256=sha256)
        self.files = replace(self.files, **{kind[name]: kept})

    def edit(self, change: Callable[[dict[str, object]], object]) -> None:
        """Change what is known of the tablespace, and let the manifest agree to it."""
        about = json.loads(self.path("tablespace.json").read_text())
        change(about)
        self.rewrite("tablespace.json", json.dumps(about).encode())


def content() -> bytes:
    noise = random.Random(5).randbytes(4096)
    first = page_of(FULL_CRC32, 16384) + noise * ((BLOCK_BYTES - 16384) // 4096)
    last = b"".join(page[:512] + bytes(512) for page in (noise,) * 2048)
    return first + bytes(BLOCK_BYTES) + noise * 1024 + last


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    store = LocalStore(tmp_path / "vault", create=True)
    entry = write_snapshot(store, rows=30).entry
    raw = content()
    return Kept(store, entry, raw, written(store, raw, tmp_path))


def written(store: LocalStore, raw: bytes, folder: Path, **more: object) -> TablespaceFiles:
    source = folder / "source"
    source.write_bytes(raw)
    descriptor = os.open(source, os.O_RDONLY)
    try:
        return write_tablespace(
            store,
            ID,
            ORDERS,
            descriptor,
            CFG,
            SERVER,
            "Dynamic",
            **more,  # type: ignore[arg-type]
        )
    finally:
        os.close(descriptor)


def given(
    read: Tablespace,
    as_stored: bool,
    threads: int = 2,
    had: list[tuple[int, bytes]] | None = None,
) -> list[tuple[int, bytes]]:
    """The blocks by either way, in order; `had` also has those before a failure."""
    found: list[tuple[int, bytes]] = [] if had is None else had
    if not as_stored:
        found += read.blocks(threads)
        return found
    for at, length in read.put(lambda at, block: found.append((at, block)), threads):
        assert length == len(dict(found)[at])
    return sorted(found)


@pytest.mark.parametrize("as_stored", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_what_was_written_is_read_back(kept: Kept, threads: int, as_stored: bool) -> None:
    read = kept.open()
    found = given(read, as_stored, threads)
    assert [at // BLOCK_BYTES for at, _ in found] == [0, 2, 3]  # nothing is stored of zeros
    assert read.stored_blocks == 3
    whole = bytearray(len(kept.raw))
    for at, block in found:
        whole[at : at + len(block)] = block
    assert bytes(whole) == kept.raw
    assert read.cfg == CFG
    assert read.facts == tablespace.TablespaceFacts(
        16384, FULL_CRC32, len(kept.raw), 5, "mariadb", (10, 11, 14), "dynamic"
    )
    assert kept.files.tablespace_bytes == len(kept.raw) > 10 * kept.files.file_bytes


def test_the_files_are_private_and_what_the_manifest_says(kept: Kept) -> None:
    for file in kept.files.files:
        found = os.stat(kept.store.root / ID / file.path)
        assert found.st_mode & 0o777 == 0o600
        name = f"{ID}/{file.path}"
        assert sha256_of(kept.store, name) == (file.sha256, file.size_bytes)


def test_any_zstd_reads_the_blocks_by_the_description(kept: Kept) -> None:
    """As docs/FORMAT.md has it: no code of the product."""
    about = json.loads(kept.path("tablespace.json").read_text())
    data, whole = kept.path("tablespace.zst").read_bytes(), b""
    for block in about["blocks"]:
        if "stored" in block:
            frame = data[block["offset"] : block["offset"] + block["stored"]]
            whole += zstandard.ZstdDecompressor().decompress(frame)
        else:
            whole += bytes(block["length"])
    assert whole == kept.raw
    assert about["size_bytes"] == len(whole)


def test_it_says_how_far_it_is_and_can_be_stopped(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "vault", create=True)
    done: list[int] = []
    raw = content()
    with pytest.raises(Interrupted, match=r"shop\.orders"):
        written(store, raw, tmp_path, on_bytes=done.append, stopped=lambda: len(done) == 2)
    assert done == [BLOCK_BYTES] * 2
    assert [path for path in store.root.rglob("*") if path.is_file()] == []
    written(store, raw, tmp_path, on_bytes=done.append)
    assert sum(done[2:]) == len(raw)


def test_no_more_than_some_blocks_are_read_ahead(kept: Kept) -> None:
    begun = 0
    lock = threading.Lock()

    def work(item: int) -> int:
        nonlocal begun
        with lock:
            begun += 1
        return item

    results = tablespace._in_order(work, range(1000), 2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert begun <= 5 + 2
    results.close()  # type: ignore[attr-defined]
    assert begun <= 5 + 2


@pytest.mark.parametrize("as_stored", [False, True])
@pytest.mark.parametrize("name", ["tablespace.zst", "tablespace.json", "tablespace.cfg"])
def test_one_flipped_bit_is_refused_before_its_block_is_given(
    kept: Kept, name: str, as_stored: bool
) -> None:
    path = kept.path(name)
    data = path.read_bytes()
    rng = random.Random(20261124)
    for place in [0, len(data) - 1, *(rng.randrange(len(data)) for _ in range(40))]:
        changed = bytearray(data)
        changed[place] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        had: list[tuple[int, bytes]] = []
        with pytest.raises(SnapshotUnusable, match=r"shop\.orders .*is damaged"):
            given(kept.open(), as_stored, had=had)
        assert all(kept.raw[at : at + len(block)] == block for at, block in had)
    path.write_bytes(data)
    assert len(list(kept.open().blocks())) == 3


@pytest.mark.parametrize("name", ["tablespace.zst", "tablespace.json", "tablespace.cfg"])
def test_a_file_that_is_missing_or_cut_off_is_refused(kept: Kept, name: str) -> None:
    path = kept.path(name)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SnapshotUnusable, match="is damaged"):
        kept.open()
    path.unlink()
    with pytest.raises(MissingFile, match=f"{name}.* missing"):
        kept.open()


@pytest.mark.parametrize("as_stored", [False, True])
def test_blocks_in_each_others_place_are_refused(kept: Kept, as_stored: bool) -> None:
    about = json.loads(kept.path("tablespace.json").read_text())
    first, third = about["blocks"][0], about["blocks"][2]
    data = kept.path("tablespace.zst").read_bytes()
    a, b = data[: first["stored"]], data[first["stored"] :][: third["stored"]]
    kept.rewrite("tablespace.zst", b + a + data[len(a) + len(b) :])
    with pytest.raises(SnapshotUnusable, match="block at byte 0 has another SHA-256"):
        given(kept.open(), as_stored)


def test_a_frame_that_is_wrong_is_not_unpacked(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.edit(lambda about: about["blocks"][0].update(stored_sha256="0" * 64))  # type: ignore[index]
    assert len(list(kept.open().blocks())) == 3  # its content is as it was
    monkeypatch.setattr(zstandard, "ZstdDecompressor", None)  # a call would be a TypeError
    with pytest.raises(SnapshotUnusable, match="block at byte 0 has another SHA-256"):
        given(kept.open(), True)


def test_what_comes_out_of_a_right_frame_is_checked_by_its_own_checksum(kept: Kept) -> None:
    data = bytearray(kept.path("tablespace.zst").read_bytes())
    stored = blocks_of(kept)[0]["stored"]
    data[stored - 1] ^= 1  # of the checksum, at the end of the frame
    kept.rewrite("tablespace.zst", bytes(data))
    first = hashlib.sha256(data[:stored]).hexdigest()
    kept.edit(lambda about: about["blocks"][0].update(stored_sha256=first))  # type: ignore[index]
    with pytest.raises(SnapshotUnusable, match="block at byte 0 has another SHA-256"):
        given(kept.open(), True)


def test_without_hashes_of_frames_the_blocks_own_are_gone_by(kept: Kept) -> None:
    """As the first ones that were kept have it (tests/golden)."""

    def older(about: dict[str, list[dict[str, str]]]) -> None:
        for block in about["blocks"]:
            block.pop("stored_sha256", None)

    kept.edit(older)  # type: ignore[arg-type]
    assert len(given(kept.open(), True)) == 3
    kept.edit(lambda about: about["blocks"][2].update(sha256="0" * 64))  # type: ignore[index]
    with pytest.raises(SnapshotUnusable, match="has another SHA-256"):
        given(kept.open(), True)


def blocks_of(kept: Kept) -> list[dict[str, int]]:
    found: list[dict[str, int]] = json.loads(kept.path("tablespace.json").read_text())["blocks"]
    return found


def test_a_block_that_unpacks_to_more_than_it_may_is_not_unpacked(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    about = json.loads(kept.path("tablespace.json").read_text())
    about["blocks"] = [{**about["blocks"][0], "stored": len(bomb), "length": len(kept.raw)}]
    kept.rewrite("tablespace.zst", bomb)
    kept.rewrite("tablespace.json", json.dumps(about).encode())
    monkeypatch.setattr(zstandard, "ZstdDecompressor", None)  # a call would be a TypeError
    with pytest.raises(SnapshotUnusable, match="another SHA-256"):
        list(kept.open().blocks())


def cut(blocks: object) -> Callable[[dict[str, object]], object]:
    return lambda about: about.update(blocks=blocks)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda about: about.update(page_bytes=5000), "page_bytes is no size of a page"),
        (lambda about: about.update(page_bytes=8 << 20), "page_bytes is no size of a page"),
        (lambda about: about.update(size_bytes=16384), "blocks is not all of the tablespace"),
        (lambda about: about["blocks"].pop(), "blocks is not all of the tablespace"),
        (lambda about: about["blocks"][2].update(offset=1), "offset is not where the block"),
        (lambda about: about["blocks"][2].update(length=1 << 40), "length is not an integer"),
        (lambda about: about["blocks"][2].update(stored=5), "offset is not where the block"),
        (lambda about: about["blocks"][-1].update(stored=5), "sums are not the manifest's"),
        (lambda about: about["blocks"][0].pop("sha256"), "sha256 is not a string"),
        (lambda about: about["server"].update(version=[1, 2]), "version is not three integers"),
        (lambda about: about.pop("flags"), "flags is not an integer"),
    ],
)
def test_a_description_that_cannot_be_is_refused(
    kept: Kept, change: Callable[[dict[str, object]], object], words: str
) -> None:
    kept.edit(change)
    with pytest.raises(SnapshotUnusable, match=words):
        kept.open()


@pytest.mark.parametrize(
    ("raw", "error", "words"),
    [
        (page_of(FULL_CRC32, 16384) + bytes(100), CannotComplete, "ends within a page"),
        (bytes(16384), CannotComplete, "damaged"),
        (page_of(FULL_CRC32 | 1 << 5, 16384), TablevaultError, "compressed"),
    ],
)
def test_what_is_no_whole_tablespace_is_not_written(
    tmp_path: Path, raw: bytes, error: type[TablevaultError], words: str
) -> None:
    store = LocalStore(tmp_path / "vault", create=True)
    with pytest.raises(error, match=words):
        written(store, raw, tmp_path)
    assert list(store.root.rglob("*")) == []


def find(kept: Kept, depth: str = "rows") -> list[Finding]:
    entry = replace(kept.entry, tablespace=kept.files)
    return check_tablespace(kept.store, snapshot_of([entry]), entry, depth)


@pytest.mark.parametrize("depth", ["files", "rows"])
def test_a_sound_one_has_no_findings_and_no_foreign_files(kept: Kept, depth: str) -> None:
    assert find(kept, depth) == []
    entry = replace(kept.entry, tablespace=kept.files)
    chunks, _ = check_list(kept.store, snapshot_of([entry]), entry)
    assert foreign_files(kept.store, snapshot_of([entry]), [(entry, chunks)]) == []
    without = snapshot_of([kept.entry])
    assert len(foreign_files(kept.store, without, [(kept.entry, chunks)])) == 3


@pytest.mark.parametrize("name", ["tablespace.zst", "tablespace.json", "tablespace.cfg"])
@pytest.mark.parametrize("depth", ["files", "rows"])
@pytest.mark.parametrize(
    ("edit", "kind", "words"),
    [
        (lambda path: path.unlink(), "missing", "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "truncated", "is truncated"),
        (lambda path: path.write_bytes(path.read_bytes() + b"1"), "damaged", "bytes instead of"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x00"),
            "damaged",
            "its SHA-256 is not the manifest's",
        ),
    ],
)
def test_a_file_that_is_not_what_it_was_is_a_finding(
    kept: Kept, name: str, depth: str, edit: Callable[[Path], object], kind: str, words: str
) -> None:
    edit(kept.path(name))
    (finding,) = find(kept, depth)
    assert (finding.kind, finding.table, finding.chunk) == (kind, ORDERS, None)
    assert finding.path == f"{FOLDER}/{name}"
    assert words in finding.message


def test_a_wrong_block_is_found_by_rows_alone(kept: Kept) -> None:
    """Files as they were written, which are not what they say."""
    kept.edit(lambda about: about["blocks"][2].update(sha256="0" * 64))  # type: ignore[index]
    assert find(kept, "files") == []
    (finding,) = find(kept)
    assert (finding.kind, finding.path) == ("damaged", f"{FOLDER}/tablespace.zst")
    assert f"block at byte {2 * BLOCK_BYTES} has another SHA-256" in finding.message


def test_a_check_that_is_stopped_finds_nothing_sound(kept: Kept) -> None:
    entry = replace(kept.entry, tablespace=kept.files)
    with pytest.raises(Interrupted):
        check_tablespace(kept.store, snapshot_of([entry]), entry, "rows", lambda: True)


def test_a_snapshot_without_one_says_so(kept: Kept) -> None:
    with pytest.raises(SnapshotUnusable, match=r"keeps no tablespace of table shop\.orders"):
        open_tablespace(kept.store, ID, kept.entry)

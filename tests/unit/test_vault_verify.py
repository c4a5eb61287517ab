"""Damage is found wherever it is, and named by table and chunk."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from pathlib import Path

import pytest

from tablevault.cli.records import finding_record
from tablevault.model import Chunk, Digest, Finding
from tablevault.vault.store import LocalStore, open_store
from tablevault.vault.verify import check_chunk, check_list, foreign_files
from tests.unit.vaults import ORDERS, Written, write_snapshot


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return write_snapshot(LocalStore(tmp_path / "vault", create=True), rows=90)


def check(written: Written, chunk: Chunk, depth: str = "rows") -> list[Finding]:
    return check_chunk(written.store, written.snapshot, written.entry, chunk, depth)


def file_of(written: Written, chunk: Chunk) -> Path:
    return written.store.root / written.snapshot.id / chunk.path


def test_a_whole_snapshot_has_no_findings(written: Written) -> None:
    for depth in ("files", "rows"):
        for chunk in written.chunks:
            assert check(written, chunk, depth) == []
    chunks, findings = check_list(written.store, written.snapshot, written.entry)
    assert (chunks, findings) == (written.chunks, [])
    assert foreign_files(written.store, written.snapshot, [(written.entry, chunks)]) == []


def test_one_flipped_bit_anywhere_in_a_chunk_is_found(written: Written) -> None:
    chunk = written.chunks[1]
    path = file_of(written, chunk)
    data = path.read_bytes()
    rng = random.Random(20261124)
    ends = [*range(12), *range(len(data) - 12, len(data))]
    for place in [*ends, *rng.sample(range(len(data)), 300)]:
        changed = bytearray(data)
        changed[place] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        (finding,) = check(written, chunk, rng.choice(["files", "rows"]))
        assert (finding.kind, finding.table, finding.chunk) == ("damaged", ORDERS, 1)
    assert finding.path == "shop/orders/part-00001.parquet"
    assert finding.message == (
        "chunk 1 of table shop.orders (shop/orders/part-00001.parquet) is damaged: "
        "its SHA-256 is not the manifest's"
    )
    path.write_bytes(data)
    assert check(written, chunk) == []


@pytest.mark.parametrize(
    ("edit", "kind", "words"),
    [
        (lambda path: path.unlink(), "missing", "is missing"),
        (lambda path: path.write_bytes(b""), "truncated", "is truncated: 0 bytes of"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "truncated", "is truncated"),
        (lambda path: path.write_bytes(path.read_bytes() + b"1"), "damaged", "bytes instead of"),
        (lambda path: (path.unlink(), path.mkdir()), "missing", "is missing"),
    ],
)
@pytest.mark.parametrize("depth", ["files", "rows"])
def test_files_missing_and_of_another_size(
    written: Written, depth: str, edit: object, kind: str, words: str
) -> None:
    edit(file_of(written, written.chunks[2]))  # type: ignore[operator]
    (finding,) = check(written, written.chunks[2], depth)
    assert (finding.kind, finding.chunk) == (kind, 2)
    assert words in finding.message
    assert check(written, written.chunks[0], depth) == []


def test_a_row_group_with_another_digest_is_found_by_decoding_it(written: Written) -> None:
    """The file is as it was written, but its rows are not those the server sent."""
    chunk = written.chunks[0]
    first, second = chunk.row_groups
    other = replace(second, digest=Digest(second.digest.rows, second.digest.rows, 1))
    lying = replace(chunk, row_groups=(first, other))
    assert check(written, lying, "files") == []
    (finding,) = check(written, lying, "rows")
    assert (finding.kind, finding.chunk) == ("digest", 0)
    assert "row group 1 has another digest than the manifest" in finding.message


def test_a_file_that_is_no_parquet_though_its_hash_is_right(written: Written) -> None:
    chunk = written.chunks[0]
    file_of(written, chunk).write_bytes(b"not Parquet")
    forged = replace(chunk, size_bytes=11, sha256=hashlib.sha256(b"not Parquet").hexdigest())
    (finding,) = check(written, forged)
    assert (finding.kind, finding.table, finding.chunk) == ("damaged", ORDERS, 0)


def test_chunks_in_each_others_place_are_found(written: Written) -> None:
    first, second = (file_of(written, chunk) for chunk in written.chunks[:2])
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    assert [len(check(written, chunk)) for chunk in written.chunks] == [1, 1, 0]


def test_a_chunk_list_that_is_damaged_or_missing_is_a_finding(written: Written) -> None:
    path = written.store.root / written.snapshot.id / written.entry.chunks_path
    path.write_bytes(path.read_bytes().replace(b'"rows":29', b'"rows":28'))
    chunks, (finding,) = check_list(written.store, written.snapshot, written.entry)
    assert (chunks, finding.kind, finding.table) == ([], "damaged", ORDERS)
    assert foreign_files(written.store, written.snapshot, [(written.entry, chunks)]) == []
    path.unlink()
    chunks, (finding,) = check_list(written.store, written.snapshot, written.entry)
    assert (finding.kind, finding.path) == ("missing", "shop/orders/chunks.jsonl")
    assert finding.message == "chunk list of table shop.orders is missing"


def test_foreign_files_are_named(written: Written) -> None:
    folder = written.store.root / written.snapshot.id
    (folder / "shop" / "orders" / "part-00009.parquet").write_bytes(b"")
    (folder / "notes.txt").write_bytes(b"")
    found = foreign_files(written.store, written.snapshot, [(written.entry, written.chunks)])
    assert [(item.kind, item.path) for item in found] == [
        ("foreign", "notes.txt"),
        ("foreign", "shop/orders/part-00009.parquet"),
    ]


def test_a_damaged_file_that_others_share_names_them(vault: Path) -> None:
    """Each snapshot that has it, by a hard link as an incremental one makes; not a copy."""
    store = open_store(str(vault), create=True)
    ids = [f"2026112{day}T000000Z-nightly" for day in range(1, 10)]
    first, *others = [write_snapshot(store, one) for one in ids]
    shared = file_of(first, first.chunks[1])
    for other in others[:-1]:
        linked = file_of(other, other.chunks[1])
        linked.unlink()
        linked.hardlink_to(shared)
    bytes_before = shared.read_bytes()
    shared.write_bytes(bytes_before[:-1] + bytes([bytes_before[-1] ^ 1]))
    (finding,) = check(first, first.chunks[1])
    assert finding.shared_with == tuple(ids[1:-1])
    assert finding.message.endswith(
        f"is not the manifest's; the same file is in {', '.join(ids[1:6])} and 2 more"
    )
    (finding,) = check(others[1], others[1].chunks[1], "files")
    assert finding.shared_with == (ids[0], ids[1], *ids[3:-1])
    assert check(others[-1], others[-1].chunks[1]) == []
    file_of(first, first.chunks[2]).unlink()
    (missing,) = check(first, first.chunks[2])
    assert (missing.kind, missing.shared_with) == ("missing", ())
    assert finding_record(finding)["shared_with"] == finding.shared_with

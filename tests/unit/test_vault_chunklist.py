"""Chunk lists: streamed, hashed, and held to the rules that make them tile the key space."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablevault.errors import SnapshotUnusable
from tablevault.model import Chunk, Digest, Key, KeyColumn, KeyRange, RowGroup, TableEntry
from tablevault.vault.chunklist import encode_key, read_chunks, write_chunk_list
from tablevault.vault.store import LocalStore, MissingFile
from tests.unit.vaults import ID, definition

Line = dict[str, Any]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "vault", create=True)


def chunks(number: int, bounds: list[bytes | None] | None = None) -> list[Chunk]:
    """That many chunks of one row group each, tiling the key space."""
    cuts = bounds or [None, *(b"%d" % (index * 10) for index in range(1, number)), None]
    return [chunk(index, lo, hi) for index, (lo, hi) in enumerate(itertools.pairwise(cuts))]


def chunk(index: int, lo: bytes | None, hi: bytes | None) -> Chunk:
    key_range = KeyRange(None if lo is None else (lo,), None if hi is None else (hi,))
    group = RowGroup(key_range, Digest(10, 10, 2**40 + index), 1000, 120 + index % 7)
    path = f"shop/orders/part-{index:05d}.parquet"
    return Chunk(index, path, key_range, (group,), 500, "ab" * 32)


def edited(
    store: LocalStore, entry: TableEntry, edit: Callable[[list[Line]], object]
) -> TableEntry:
    """The list after `edit`, by somebody who also put the new hash into the manifest."""
    path = store.root / ID / entry.chunks_path
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    edit(lines)
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    path.write_bytes(text)
    return replace(entry, chunks_sha256=hashlib.sha256(text).hexdigest())


def test_chunks_come_back_as_they_were(store: LocalStore) -> None:
    written = chunks(5)
    entry = write_chunk_list(store, ID, definition(), written, where="id > 3")
    assert list(read_chunks(store, ID, entry)) == written
    assert entry.chunk_count == 5
    assert entry.digest == Digest(50, 50, 5 * 2**40 + 10)
    assert (entry.wire_bytes, entry.file_bytes, entry.largest_row) == (5000, 2500, 124)
    assert (entry.path, entry.chunks_path) == ("shop/orders", "shop/orders/chunks.jsonl")
    assert entry.where == "id > 3"


def test_a_hundred_thousand_chunks_are_streamed(store: LocalStore) -> None:
    entry = write_chunk_list(store, ID, definition(), chunks(100_000))
    reading = read_chunks(store, ID, entry)
    assert isinstance(reading, Iterator)
    first = next(reading)
    assert first.index == 0
    assert sum(1 for _ in reading) == 99_999


def test_an_empty_table_may_have_no_chunks_at_all(store: LocalStore) -> None:
    entry = write_chunk_list(store, ID, definition(), [])
    assert list(read_chunks(store, ID, entry)) == []


def test_a_table_without_a_key_has_chunks_without_bounds(store: LocalStore) -> None:
    written = [chunk(index, None, None) for index in range(3)]
    entry = write_chunk_list(store, ID, definition(key=None), written)
    assert list(read_chunks(store, ID, entry)) == written


def test_rows_with_a_null_in_the_key_come_first(store: LocalStore) -> None:
    lax = definition(key=Key("u", (KeyColumn("id"),), nullable=True))
    ordinary = chunk(1, None, None)
    first = replace(chunk(0, None, None), range=KeyRange(nulls=True))
    groups = tuple(replace(group, range=KeyRange(nulls=True)) for group in first.row_groups[:1])
    first = replace(first, row_groups=groups)
    entry = write_chunk_list(store, ID, lax, [first, ordinary])
    assert list(read_chunks(store, ID, entry)) == [first, ordinary]
    cases = (
        [replace(ordinary, index=0)],
        [replace(ordinary, index=0), replace(first, index=1)],
        [replace(first, row_groups=groups * 2)],
        [replace(first, row_groups=(replace(groups[0], range=KeyRange()),))],
        [replace(first, range=KeyRange((b"1",), None, nulls=True))],
    )
    for number, wrong in enumerate(cases):
        with pytest.raises(SnapshotUnusable, match="chunk list of table"):
            write_chunk_list(store, f"{ID}-{number}", lax, wrong)
    with pytest.raises(SnapshotUnusable, match="elsewhere than first"):
        write_chunk_list(store, f"{ID}-9", definition(), [first])


@given(st.lists(st.binary(max_size=12), min_size=1, max_size=3))
def test_key_values_of_any_bytes_come_back(values: list[bytes]) -> None:
    encoded = encode_key(tuple(values))
    assert encoded is not None
    back = tuple(
        value.encode() if isinstance(value, str) else bytes.fromhex(value["hex"])
        for value in json.loads(json.dumps(encoded))
    )
    assert back == tuple(values)


def test_printable_keys_are_readable_and_others_hex(store: LocalStore) -> None:
    assert encode_key((b"42", "caf\u00e9".encode(), b"\xff", b"a\nb", b"")) == [
        "42",
        "caf\u00e9",
        {"hex": "ff"},
        {"hex": "610a62"},
        "",
    ]
    assert encode_key(None) is None
    written = chunks(3, [None, b"caf\xe9", "caf\u00e9\u2028".encode(), None])
    entry = write_chunk_list(store, ID, definition(), written)
    assert list(read_chunks(store, ID, entry)) == written


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (chunks(3)[:2], "ends at a key, after chunk 1"),
        (chunks(3)[1:], "has chunk 1 where chunk 0 should be"),
        ([chunk(0, None, b"5"), chunk(1, b"6", None)], "a gap or an overlap before chunk 1"),
        ([chunk(0, b"1", None)], "a gap or an overlap before chunk 0"),
        ([chunk(0, None, None), chunk(1, None, None)], "goes on after chunk 1 should be the last"),
        ([chunk(0, None, b"5"), chunk(1, b"5", b"5"), chunk(2, b"5", None)], "an empty range"),
        ([replace(chunk(0, None, None), path="shop/other/p")], "in a folder of another table"),
        (
            [replace(chunk(0, None, None), row_groups=chunks(2)[:1][0].row_groups)],
            "row groups that do not cover chunk 0",
        ),
        (
            [replace(chunk(0, None, None), row_groups=chunk(0, None, None).row_groups * 2)],
            "row groups that do not cover chunk 0",
        ),
        (
            [
                replace(chunk(0, None, None), range=KeyRange(None, (b"1", b"2"))),
                chunk(1, None, None),
            ],
            "does not fit the key",
        ),
    ],
)
def test_chunks_that_do_not_tile_are_not_written(
    store: LocalStore, broken: list[Chunk], message: str
) -> None:
    with pytest.raises(SnapshotUnusable, match=message):
        write_chunk_list(store, ID, definition(), broken)
    assert list(store.list(ID)) == []


def test_an_edited_list_is_noticed_by_its_hash(store: LocalStore) -> None:
    entry = write_chunk_list(store, ID, definition(), chunks(3))
    edited(store, entry, lambda lines: lines[1].update(rows=11))
    with pytest.raises(SnapshotUnusable, match=r"chunk list of table shop\.orders .* SHA-256"):
        next(read_chunks(store, ID, entry))


def test_a_missing_list_is_said_so(store: LocalStore) -> None:
    entry = write_chunk_list(store, ID, definition(), chunks(3))
    (store.root / ID / entry.chunks_path).unlink()
    with pytest.raises(MissingFile):
        next(read_chunks(store, ID, entry))


def set_group(**fields: object) -> Callable[[list[Line]], object]:
    return lambda lines: lines[1]["row_groups"][0].update(fields)


def set_line(**fields: object) -> Callable[[list[Line]], object]:
    return lambda lines: lines[1].update(fields)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_line(path="../../etc/passwd"), "path outside the vault"),
        (set_line(path="/etc/passwd"), "path outside the vault"),
        (set_line(path="shop/orders/../../x"), "path outside the vault"),
        (set_line(path="shop/orders\0"), "path outside the vault"),
        (set_line(path=7), "line 2: path is not a string"),
        (set_line(index=True), "index is not an integer"),
        (set_line(size=-1), "size is not an integer"),
        (set_line(size=2**63), "size is not an integer"),
        (set_line(size=1.5), "size is not an integer"),
        (set_line(sha256="AB" * 32), "sha256 is not a SHA-256"),
        (set_line(rows=11), "rows is not the sum"),
        (set_line(row_groups={}), "row_groups is not a list"),
        (set_line(row_groups=[1]), r"row_groups\[0\] is not an object"),
        (set_line(row_groups=[]), "rows is not the sum"),
        (set_line(lo="10"), "lo is not a list"),
        (set_line(lo=[10]), "lo is not a list of key values"),
        (set_line(lo=[{"hex": "0"}]), "lo is not a list of key values"),
        (set_line(lo=["\ud800"]), "lo is not a list of key values"),
        (set_line(lo=[{"hex": "00", "x": 1}]), "lo is not a list of key values"),
        (set_line(lo=None), "gap or an overlap"),
        (set_line(hi=["10"]), "empty range"),
        (set_group(digest=5), "digest is not a string"),
        (set_group(digest="-5"), "digest is not a decimal integer"),
        (set_group(digest="1_0"), "digest is not a decimal integer"),
        (set_group(digest="9" * 5000), "digest is not a decimal integer"),
        (set_group(hashed=9), r"row_groups\[0\]\.hashed is not the number of rows"),
        (set_group(digest="5"), "adds up to other digest than the manifest"),
        (set_group(wire_bytes=999), "adds up to other wire bytes"),
        (set_group(largest_row=999), "adds up to other largest row"),
        (set_line(size=501), "adds up to other file bytes"),
        (set_group(lo=["11"]), "row groups that do not cover"),
        (lambda lines: lines.pop(), "ends at a key"),
        (lambda lines: lines.reverse(), "has chunk 2 where chunk 0 should be"),
        (lambda lines: lines.insert(0, lines[0]), "has chunk 0 where chunk 1 should be"),
    ],
)
def test_every_field_of_a_forged_list_is_checked(
    store: LocalStore, edit: Callable[[list[Line]], object], message: str
) -> None:
    entry = write_chunk_list(store, ID, definition(), chunks(3))
    forged = edited(store, entry, edit)
    with pytest.raises(SnapshotUnusable, match=message) as caught:
        list(read_chunks(store, ID, forged))
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    "text", [b"\n", b"[]\n", b"{\n", b'{"index": NaN}\n', b"\xff\n", b"[" * 9999]
)
def test_a_list_that_is_no_json_is_refused(store: LocalStore, text: bytes) -> None:
    entry = write_chunk_list(store, ID, definition(), chunks(3))
    (store.root / ID / entry.chunks_path).write_bytes(text)
    forged = replace(entry, chunks_sha256=hashlib.sha256(text).hexdigest())
    with pytest.raises(SnapshotUnusable, match="line 1 is not"):
        list(read_chunks(store, ID, forged))

"""The encoder: decoded rows come back byte for byte, hostile buffers are refused."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablevault.rows import ColumnBuffers, ColumnSpec, RowEncoder, Storage, split_text
from tablevault.rows.digest import fingerprint_of
from tablevault.rows.kinds import DigestClass, Kind
from tablevault.rows.reference import Row, build_batch, load_text
from tests.unit.row_cases import make_spec, tables

Table = tuple[list[ColumnSpec], list[Row]]
NO_EXACT = ColumnBuffers(b"\x00", bytes(8), b"", 1)


@given(tables())
def test_decoded_rows_come_back(table: Table) -> None:
    columns, rows = table
    batch = build_batch(columns, rows)
    text, digest = RowEncoder(columns).encode(batch.columns, batch.exact, len(rows))
    assert text is not None and bytes(text) == load_text(rows)
    assert digest == batch.digest
    assert split_text(text) == rows
    assert RowEncoder(columns).encode(batch.columns, batch.exact, len(rows), text=False) == (
        None,
        digest,
    )


@given(tables())
def test_the_fingerprint_is_that_of_the_rows(table: Table) -> None:
    columns, rows = table
    batch = build_batch(columns, rows)
    found = RowEncoder(columns).fingerprint(batch.columns, batch.exact, len(rows))
    assert found == (batch.digest, fingerprint_of(columns, rows))


@pytest.mark.parametrize("digest", [DigestClass.TEXT, DigestClass.LOB])
def test_a_fingerprint_of_values_of_every_length(digest: DigestClass) -> None:
    """Hashing goes by blocks of 64 bytes, and the last one has nine bytes of its own."""
    spec = ColumnSpec("v", Kind.BLOB, Storage.BYTES, digest)
    rows: list[Row] = [[bytes([size & 0xFF]) * size] for size in range(260)]
    batch = build_batch([spec], rows)
    found = RowEncoder([spec]).fingerprint(batch.columns, batch.exact, len(rows))
    assert found == (batch.digest, fingerprint_of([spec], rows))
    assert found[1].total > 1 << 64


@given(tables(), st.integers(1, 200))
def test_blocks_are_whole_lines_and_add_up(table: Table, block_bytes: int) -> None:
    columns, rows = table
    batch = build_batch(columns, rows)
    blocks = RowEncoder(columns).encode_blocks(batch.columns, batch.exact, len(rows), block_bytes)
    texts = [bytes(block) for block in blocks]
    assert b"".join(texts) == load_text(rows)
    assert all(len(text) >= block_bytes for text in texts[:-1])
    longest = max((len(load_text([row])) for row in rows), default=0)
    assert all(text.endswith(b"\n") and len(text) < block_bytes + longest for text in texts)
    assert blocks.digest == batch.digest


@given(tables())
def test_blocks_without_a_digest_have_the_same_text(table: Table) -> None:
    columns, rows = table
    batch = build_batch(columns, rows)
    given = (batch.columns, batch.exact, len(rows))
    blocks = RowEncoder(columns).encode_blocks(*given, digest=False)
    assert b"".join(map(bytes, blocks)) == load_text(rows)
    with pytest.raises(ValueError, match="without a digest"):
        _ = blocks.digest


@given(tables(), st.data())
def test_slices_as_arrow_makes_them(table: Table, data: st.DataObject) -> None:
    columns, rows = table
    batch = build_batch(columns, rows)
    start = data.draw(st.integers(0, len(rows)))
    end = data.draw(st.integers(start, len(rows)))

    def cut(column: ColumnBuffers) -> ColumnBuffers:
        return dataclasses.replace(column, offset=start)

    text, digest = RowEncoder(columns).encode(
        [cut(column) for column in batch.columns], cut(batch.exact), end - start
    )
    assert text is not None and bytes(text) == load_text(rows[start:end])
    assert digest == build_batch(columns, rows[start:end]).digest


@given(tables(max_columns=3, max_rows=4), st.data())
def test_mutated_buffers_are_encoded_or_refused(table: Table, data: st.DataObject) -> None:
    columns, rows = table
    batch = build_batch(columns, rows)
    parts = [batch.exact, *batch.columns]
    which = data.draw(st.integers(0, len(parts) - 1))
    field = data.draw(st.sampled_from(("validity", "offsets", "data")))
    old = getattr(parts[which], field) or b""
    new = bytearray(old)
    for _ in range(data.draw(st.integers(1, 3))):
        if new:
            at = data.draw(st.integers(0, len(new) - 1))
            new[at] = data.draw(st.sampled_from((0, 1, 2, 5, 0x7F, 0x80, 0xFF)))
    if data.draw(st.booleans()):
        del new[data.draw(st.integers(0, len(new))) :]
    changed: dict[str, Any] = {field: bytes(new)}
    parts[which] = dataclasses.replace(parts[which], **changed)
    try:
        text, _ = RowEncoder(columns).encode(parts[1:], parts[0], len(rows))
    except ValueError:
        return
    assert text is not None and len(split_text(text)) == len(rows)


def one(spec: ColumnSpec, data: bytes, exact: ColumnBuffers = NO_EXACT, **more: Any) -> bytes:
    more = {"validity": None, "offsets": None, "null_count": 0, **more}
    text, _ = RowEncoder([spec]).encode([ColumnBuffers(data=data, **more)], exact, 1)
    assert text is not None
    return bytes(text)


def exact_cell(cell: bytes) -> ColumnBuffers:
    return ColumnBuffers(None, struct.pack("<2i", 0, len(cell)), cell, 0)


INT = make_spec(Storage.INT, width=4)


@pytest.mark.parametrize(
    "cell",
    [
        b"",
        b"\x00",
        b"\x00\x00\x01\x00\x00",
        struct.pack("<HI", 0, 2) + b"x",
        struct.pack("<HI", 0, 0xFFFFFFFF) + b"x",
        struct.pack("<HI", 1, 1) + b"x",
        (struct.pack("<HI", 0, 1) + b"x") * 2,
    ],
)
def test_refuses_malformed_exact_cells(cell: bytes) -> None:
    with pytest.raises(ValueError, match="row 0, column 1: the row's cell of exact values"):
        one(INT, bytes(4), exact_cell(cell), validity=b"\x00")


def test_an_exact_value_stands_for_a_null_cell_only() -> None:
    cell = exact_cell(struct.pack("<HI", 0, 3) + b"0\t7")
    assert one(INT, bytes(4), cell, validity=b"\x00") == b"0\\t7\n"
    with pytest.raises(ValueError, match="exact"):
        one(INT, bytes(4), cell)


@pytest.mark.parametrize(
    ("spec", "data"),
    [
        (make_spec(Storage.DATE, width=4), struct.pack("<i", 2932897)),
        (make_spec(Storage.DATE, width=4), struct.pack("<i", -719163)),
        (make_spec(Storage.DATETIME, width=8), struct.pack("<q", -(1 << 63))),
        (make_spec(Storage.DATETIME, width=8, scale=3), struct.pack("<q", 1)),
        (make_spec(Storage.TIME, width=8), struct.pack("<q", -(1 << 63))),
        (make_spec(Storage.TIME, width=8), struct.pack("<q", 3_600_000_000_000)),
        (make_spec(Storage.DOUBLE, width=8), struct.pack("<d", float("nan"))),
        (make_spec(Storage.FLOAT, width=4), struct.pack("<f", float("inf"))),
        (make_spec(Storage.DECIMAL, width=16), b"\xff" * 15 + b"\x7f"),
    ],
)
def test_refuses_cells_that_no_server_value_has(spec: ColumnSpec, data: bytes) -> None:
    with pytest.raises(ValueError, match="row 0, column 0: its value is none"):
        one(spec, data)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"data": bytes(3)}, "data is too short"),
        ({"data": bytes(4), "validity": b""}, "bitmap is too short"),
        ({"data": bytes(4), "offset": 1}, "data is too short"),
        ({"data": bytes(4), "offset": -1}, "out of range"),
        ({"data": bytes(4), "offset": 1 << 62}, "out of range"),
    ],
)
def test_refuses_short_buffers(more: dict[str, Any], message: str) -> None:
    data = more.pop("data")
    assert isinstance(data, bytes)
    with pytest.raises(ValueError, match=message):
        one(INT, data, **more)


@pytest.mark.parametrize("ends", [(0, 5), (-1, 2), (3, 2), (1 << 30, (1 << 30) + 1)])
def test_refuses_offsets_outside_the_data(ends: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="offsets do not lie inside"):
        one(make_spec(Storage.TEXT), b"abcd", offsets=struct.pack("<2i", *ends))


def test_refuses_text_that_the_charset_lacks() -> None:
    table = (*range(128), *[-1] * 128)
    for text in ("é".encode(), b"\xff", "😀".encode()):
        with pytest.raises(ValueError, match="charset lacks"):
            one(
                make_spec(Storage.TABLE, charset_table=table),
                text,
                offsets=struct.pack("<2i", 0, len(text)),
            )


@pytest.mark.parametrize("block", [b"a", b"a\\", b"a\\x\n", b"\\N1\n", b"a\\\n"])
def test_split_text_refuses_what_the_encoder_does_not_write(block: bytes) -> None:
    with pytest.raises(ValueError, match="block"):
        split_text(block)

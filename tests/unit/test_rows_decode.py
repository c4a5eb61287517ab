"""The decoder against its reference, on every storage, split and limit; and on broken wire."""

from __future__ import annotations

import struct
import threading

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tablevault.model import Digest
from tablevault.rows import (
    END,
    ERROR,
    FULL,
    MORE,
    ColumnBuffers,
    ColumnSpec,
    DigestClass,
    MalformedPacket,
    RowBatch,
    RowDecoder,
    RowEncoder,
    Storage,
    split_text,
)
from tablevault.rows.reference import (
    Row,
    build_batch,
    decode_value,
    encode_value,
    row_packet,
    sum_of,
    wire,
)
from tests.unit.row_cases import doubles, make_spec, specs, tables, values

EOF = b"\xfe\x01\x00\x22\x00"
GONE = b"\xff\x15\x04#08S01Shutdown"
ONE_TEXT = [make_spec(Storage.TEXT)]


def plain(column: ColumnBuffers) -> tuple[bytes | None, ...]:
    parts = (column.validity, column.offsets, column.data)
    return tuple(None if part is None else bytes(part) for part in parts)


def same(batch: RowBatch, expected: RowBatch) -> None:
    assert (batch.rows, batch.wire_bytes, batch.largest_row, batch.digest, batch.first_key) == (
        expected.rows,
        expected.wire_bytes,
        expected.largest_row,
        expected.digest,
        expected.first_key,
    )
    pairs = zip([*batch.columns, batch.exact], [*expected.columns, expected.exact], strict=True)
    for number, (got, wanted) in enumerate(pairs):
        assert (plain(got), got.null_count) == (plain(wanted), wanted.null_count), number


def read_all(decoder: RowDecoder, stream: bytes, cuts: list[int]) -> tuple[list[RowBatch], int]:
    """Feed a stream that arrives in pieces; the batches, and the state at its end."""
    batches, consumed, state = [], 0, MORE
    for end in [*sorted(cuts), len(stream)]:
        while True:
            consumed, state = decoder.feed(stream, consumed, end)
            if state != FULL:
                break
            batches.append(decoder.take())
        if state != MORE:
            break
        assert end - consumed < decoder.needed
    batches.append(decoder.take())
    return batches, state


@given(tables(), st.data())
def test_decodes_as_the_reference(
    table: tuple[list[ColumnSpec], list[Row]], data: st.DataObject
) -> None:
    columns, rows = table
    max_payload = data.draw(st.sampled_from((0xFFFFFF, 9, 10, 30)))
    sequence = data.draw(st.integers(0, 255))
    payloads = [row_packet(row) for row in rows]
    assume(all(payloads))
    stream = wire([*payloads, EOF], sequence, max_payload)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    decoder = RowDecoder(columns, max_payload=max_payload, sequence=sequence)
    [batch], state = read_all(decoder, stream, cuts)
    assert state == END and (decoder.status_flags, decoder.warning_count) == (0x22, 1)
    same(batch, build_batch(columns, rows))


@given(tables(), st.integers(1, 2000), st.integers(1, 5))
def test_closes_groups_at_their_limits(
    table: tuple[list[ColumnSpec], list[Row]], limit: int, max_rows: int
) -> None:
    columns, rows = table
    stream = wire([*map(row_packet, rows), EOF])
    batches, state = read_all(RowDecoder(columns, (), limit, max_rows=max_rows), stream, [])
    assert state == END
    start = 0
    for batch in batches:
        same(batch, build_batch(columns, rows[start : start + batch.rows]))
        start += batch.rows
        assert batch.rows <= max_rows
        assert batch.rows <= 1 or buffer_bytes(batch) <= limit
    assert start == len(rows)
    assert all(batch.rows for batch in batches) or not rows
    assert sum_of(batches) == build_batch(columns, rows).digest


def buffer_bytes(batch: RowBatch) -> int:
    parts = [part for column in [*batch.columns, batch.exact] for part in plain(column)]
    return sum(len(part) for part in parts if part is not None)


def test_a_group_fills_up_to_its_limit() -> None:
    stream = wire([row_packet([b"x" * 100])] * 1000)
    decoder = RowDecoder(ONE_TEXT, (), 50_000)
    assert decoder.feed(stream, 0, len(stream))[1] == FULL
    batch = decoder.take()
    assert 49_000 < buffer_bytes(batch) <= 50_000


@settings(max_examples=500)
@given(specs().flatmap(lambda spec: st.tuples(st.just(spec), values(spec))))
def test_every_value_comes_back_or_is_exact(case: tuple[ColumnSpec, bytes | None]) -> None:
    spec, value = case
    decoder = RowDecoder([spec])
    stream = wire([row_packet([value])])
    assert decoder.feed(stream, 0, len(stream)) == (len(stream), MORE)
    batch = decoder.take()
    typed = value is not None and decode_value(spec, value) is not None
    assert (batch.columns[0].null_count, batch.exact.null_count) == (
        int(not typed),
        int(value is None or typed),
    )
    text, digest = RowEncoder([spec]).encode(batch.columns, batch.exact, 1)
    assert text is not None and split_text(text) == [[value]]
    assert digest == batch.digest


@pytest.mark.parametrize("pad", [1, 5, 19, 20, 21, 255])
def test_zerofill(pad: int) -> None:
    spec = make_spec(Storage.UINT, width=8, pad=pad)
    numbers = [0, 7, 10**19, 2**64 - 1, *(10**n - 1 for n in range(1, 20))]
    texts = [str(number).zfill(pad).encode() for number in numbers]
    stream = wire([row_packet([text]) for text in texts])
    decoder = RowDecoder([spec])
    decoder.feed(stream, 0, len(stream))
    batch = decoder.take()
    assert bytes(batch.columns[0].data) == struct.pack(f"<{len(numbers)}Q", *numbers)
    assert batch.columns[0].null_count == 0
    text, _ = RowEncoder([spec]).encode(batch.columns, batch.exact, batch.rows)
    assert text is not None and split_text(text) == [[value] for value in texts]


@pytest.mark.parametrize("family_width", [0, 24])
@given(st.lists(doubles(64), min_size=10, max_size=50))
@example([2.0**k for k in range(-1074, 1024)])
@example([float(f"{m}e{k}") for k in range(-323, 308) for m in ("1", "9", "9.999999999999999")])
@example([0.0, -0.0, 5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 2.0**53 + 2])
def test_doubles_stay_typed(family_width: int, numbers: list[float]) -> None:
    spec = make_spec(Storage.DOUBLE, width=8, text_width=family_width)
    expected = build_batch([spec], [[text] for text in texts_of(spec, numbers)])
    decoder = RowDecoder([spec])
    stream = wire([row_packet([text]) for text in texts_of(spec, numbers)])
    decoder.feed(stream, 0, len(stream))
    batch = decoder.take()
    assert batch.columns[0].null_count == 0
    same(batch, expected)


def texts_of(spec: ColumnSpec, numbers: list[float]) -> list[bytes]:
    return [encode_value(spec, number) for number in numbers]


def test_keys_of_the_first_row() -> None:
    columns = [make_spec(Storage.INT, width=4), *ONE_TEXT]
    stream = wire([row_packet([b"7", b"a\0b"]), row_packet([b"8", b"c"])])
    decoder = RowDecoder(columns, [1, 0], max_rows=1)
    consumed, _ = decoder.feed(stream, 0, len(stream))
    assert decoder.take().first_key == (b"a\0b", b"7")
    decoder.feed(stream, consumed, len(stream))
    assert decoder.take().first_key == (b"c", b"8")
    assert decoder.take().first_key == ()


def test_rows_of_sixteen_mebibytes_and_more() -> None:
    sizes = [0xFFFFFF - 4, 0xFFFFFF - 5, (17 << 20) + 3, 2]
    columns = [make_spec(Storage.BYTES, digest=DigestClass.LOB)]
    rows: list[Row] = [[bytes([65 + n]) * size] for n, size in enumerate(sizes)]
    # lenenc headers of 4 and 9 bytes: the first row fills a packet to the byte
    assert len(row_packet(rows[0])) == 0xFFFFFF
    stream = wire([*map(row_packet, rows), EOF])
    decoder = RowDecoder(columns, (), 1 << 26)
    consumed, state, end, turns = 0, MORE, 10, 0
    while state == MORE:
        consumed, state = decoder.feed(stream, consumed, end)
        end = min(consumed + decoder.needed, len(stream))
        turns += 1
    assert state == END and turns < 20
    batch = decoder.take()
    assert bytes(batch.columns[0].data) == b"".join(row[0] or b"" for row in rows)
    assert batch.largest_row == (17 << 20) + 3 + 9
    same(batch, build_batch(columns, rows))


def test_a_row_that_begins_like_an_eof_packet() -> None:
    value = b"v" * (1 << 24)
    payload = row_packet([value])
    assert payload[0] == 0xFE
    stream = wire([payload])
    decoder = RowDecoder(ONE_TEXT, (), 1 << 26)
    assert decoder.feed(stream, 0, len(stream))[1] == MORE
    assert decoder.rows == 1


def test_an_error_packet_in_mid_stream() -> None:
    stream = wire([row_packet([b"1"]), row_packet([b"2"]), GONE]) + b"behind"
    decoder = RowDecoder(ONE_TEXT)
    consumed, state = decoder.feed(bytearray(stream), 0, len(stream))
    assert (consumed, state) == (len(stream) - 6, ERROR)
    assert decoder.error_packet == GONE and decoder.rows == 2
    assert decoder.take().rows == 2
    with pytest.raises(ValueError, match="has ended"):
        decoder.feed(stream, 0, len(stream))


def test_takes_the_first_sequence_number_as_given_and_counts_on() -> None:
    decoder = RowDecoder(ONE_TEXT)
    assert decoder.sequence is None
    stream = wire([row_packet([b"a"])] * 3, 254)
    decoder.feed(stream, 0, len(stream))
    assert decoder.sequence == 1
    with pytest.raises(MalformedPacket, match="packet 4: its sequence number"):
        decoder.feed(wire([row_packet([b"a"])], 2), 0, 6)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "empty"),
        (b"\x03ab", "past the end"),
        (b"\x01ab", "left behind"),
        (b"\xfc\x01", "past the end"),
        (b"\xfd\x01\x00", "past the end"),
        (b"\xfe" + b"\xff" * 8, "past the end"),
        (b"\xfe\x00\x00", "classic EOF"),
        (b"\xfe\x00\x00\x02\x00\x00\x00", "classic EOF"),
    ],
)
def test_refuses_malformed_packets(payload: bytes, message: str) -> None:
    decoder = RowDecoder(ONE_TEXT)
    stream = wire([row_packet([b"fine"]), payload])
    with pytest.raises(MalformedPacket, match=message):
        decoder.feed(stream, 0, len(stream))
    with pytest.raises(MalformedPacket, match="packet 2"):
        decoder.feed(stream, 0, len(stream))
    assert decoder.take().rows == 1


def test_refuses_a_null_in_the_key_and_a_length_of_ff() -> None:
    for payload, key in ((b"\xfb\x01a", [0]), (b"\x01a\xff", [])):
        with pytest.raises(MalformedPacket):
            RowDecoder(ONE_TEXT * 2, key).feed(wire([payload]), 0, len(payload) + 4)


@given(tables(max_columns=4, max_rows=6), st.data())
def test_mutated_wire_is_parsed_or_refused(
    table: tuple[list[ColumnSpec], list[Row]], data: st.DataObject
) -> None:
    columns, rows = table
    max_payload = data.draw(st.sampled_from((0xFFFFFF, 9, 12)))
    stream = bytearray(wire([*map(row_packet, rows), EOF], 0, max_payload))
    for at, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(stream) - 1), st.integers(0, 255)), max_size=4)
    ):
        stream[at] = byte
    survives(RowDecoder(columns, max_payload=max_payload), bytes(stream))


@given(st.lists(specs(), min_size=1, max_size=3), st.lists(st.binary(max_size=40), max_size=5))
def test_random_payloads_are_parsed_or_refused(
    columns: list[ColumnSpec], payloads: list[bytes]
) -> None:
    survives(RowDecoder(columns), wire(payloads))


def survives(decoder: RowDecoder, stream: bytes) -> None:
    consumed, state = 0, FULL
    try:
        while state == FULL:
            consumed, state = decoder.feed(stream, consumed, len(stream))
    except MalformedPacket:
        pass
    assert 0 <= consumed <= len(stream)
    batch = decoder.take()
    assert len(plain(batch.exact)[1] or b"") == 4 * (batch.rows + 1)


def test_refuses_what_it_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match="between 1 and 65535"):
        RowDecoder([])
    with pytest.raises(ValueError, match="key column"):
        RowDecoder(ONE_TEXT, [1])
    with pytest.raises(ValueError, match="does not know"):
        RowDecoder([make_spec(Storage.INT, width=3)])
    with pytest.raises(ValueError, match="charset table"):
        RowDecoder([make_spec(Storage.TABLE)])
    with pytest.raises(ValueError, match="inside the buffer"):
        RowDecoder(ONE_TEXT).feed(b"abc", 0, 4)


def test_the_gil_is_free_while_it_parses() -> None:
    stream = wire([row_packet([b"%d" % n]) for n in range(300_000)])
    decoder = RowDecoder([make_spec(Storage.INT, width=4)], (), 1 << 29)
    seen = set()
    thread = threading.Thread(target=decoder.feed, args=(stream, 0, len(stream)))
    thread.start()
    while thread.is_alive():
        seen.add(decoder.rows)
    # with the GIL held over the call nobody could see a count in between
    assert any(0 < rows < 300_000 for rows in seen)
    assert decoder.take().digest.rows == 300_000


def test_an_empty_group_is_a_group() -> None:
    batch = RowDecoder(ONE_TEXT).take()
    assert (batch.rows, batch.digest) == (0, Digest())
    assert plain(batch.columns[0]) == (None, bytes(4), b"")

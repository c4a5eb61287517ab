"""Hypothesis strategies for columns and wire values: usual ones, near misses, rubbish."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import strategies as st

from tablevault.rows.charsets import Form, MultiByte, multi_byte, single_byte
from tablevault.rows.kinds import ColumnSpec, DigestClass, Kind, Storage
from tablevault.rows.reference import Row, encode_value

LATIN1_TABLE = single_byte("latin1")
WIDE = ("ucs2", "utf16", "utf16le", "utf32", "gbk", "sjis", "cp932", "big5", "euckr", "ujis")

# one byte undefined, two bytes with one meaning: what a charset may do to us
ODD_TABLE = (*range(128), *(0x2500 + byte for byte in range(126)), -1, 65)

_MICROS = 86_400_000_000


def make_spec(storage: Storage, **details: Any) -> ColumnSpec:
    """A spec with the given storage; the rest as a table would have it."""
    digest = DigestClass.FIXED if storage < Storage.BYTES else DigestClass.TEXT
    details = {"name": "c", "kind": Kind.INT, "digest": digest, **details}
    return ColumnSpec(storage=storage, **details)


def _characters(charset: MultiByte) -> list[int]:
    """The code points that it has, a sample of them."""
    known = [at for at in range(0x10000) if charset.from_point[4 * at + 3]]
    return known[:128] + known[128::97]


@st.composite
def specs(draw: st.DrawFn) -> ColumnSpec:
    """Any column the codec knows."""
    storage = draw(st.sampled_from(Storage))
    details: dict[str, Any] = {}
    match storage:
        case Storage.INT:
            details["width"] = draw(st.sampled_from((1, 2, 4, 8)))
        case Storage.UINT:
            details["width"] = draw(st.sampled_from((1, 2, 4, 8)))
            details["pad"] = draw(st.sampled_from((0, 0, 1, 4, 10, 20, 255)))
        case Storage.DECIMAL:
            width = draw(st.sampled_from((8, 16)))
            precision = draw(st.integers(1, 18 if width == 8 else 38))
            scale = draw(st.integers(0, precision))
            pad = draw(st.sampled_from((0, 0, precision + (scale > 0))))
            details |= {"width": width, "precision": precision, "scale": scale, "pad": pad}
        case Storage.FLOAT:
            details |= {"width": 4, "text_width": draw(st.sampled_from((0, 22)))}
        case Storage.DOUBLE:
            details |= {"width": 8, "text_width": draw(st.sampled_from((0, 24)))}
            if draw(st.booleans()):
                details |= {"precision": 12, "scale": draw(st.integers(0, 4))}
            details["pad"] = draw(st.sampled_from((0, 0, 12)))
        case Storage.DATE:
            details["width"] = 4
        case Storage.DATETIME | Storage.TIME:
            details |= {"width": 8, "scale": draw(st.integers(0, 6))}
        case Storage.TABLE:
            details["charset_table"] = draw(st.sampled_from((LATIN1_TABLE, ODD_TABLE)))
        case Storage.WIDE:
            details["wide_charset"] = draw(st.sampled_from(WIDE))
    if storage >= Storage.BYTES:
        details["digest"] = draw(st.sampled_from(DigestClass))
    return make_spec(storage, **details)


def good_values(spec: ColumnSpec) -> st.SearchStrategy[bytes]:
    """Texts that the column's own cell can hold."""
    match spec.storage:
        case Storage.INT:
            cells = st.integers(-(1 << 8 * spec.width - 1), (1 << 8 * spec.width - 1) - 1)
        case Storage.UINT:
            cells = st.integers(0, (1 << 8 * spec.width) - 1)
        case Storage.DECIMAL:
            most = 10**spec.precision - 1
            cells = st.integers(0 if spec.pad else -most, most)
        case Storage.DATE:
            cells = st.integers(-719162, 2932896)
        case Storage.DATETIME:
            step = 10 ** (6 - spec.scale)
            cells = st.integers(-719162 * _MICROS // step, (2932897 * _MICROS - 1) // step).map(
                lambda n: n * step
            )
        case Storage.TIME:
            step = 10 ** (6 - spec.scale)
            most = (839 * 3600 * 1_000_000 - 1) // step
            cells = st.integers(-most, most).map(lambda n: n * step)
        case Storage.FLOAT:
            return doubles(32).map(lambda x: encode_value(spec, x))
        case Storage.DOUBLE:
            return doubles(64).map(lambda x: encode_value(spec, x))
        case Storage.TEXT:
            return st.text().map(str.encode)
        case Storage.WIDE:
            charset = multi_byte(spec.wide_charset)
            assert charset is not None
            if charset.form is not Form.TABLE:
                largest = 0xFFFF if charset.form is Form.UCS2 else 0x10FFFF
                text = st.text(st.characters(codec="utf-8", max_codepoint=largest))
                return text.map(lambda t: encode_value(spec, t.encode()))
            points = st.lists(st.sampled_from(_characters(charset)))
            return points.map(lambda p: encode_value(spec, "".join(map(chr, p)).encode()))
        case _:
            return st.binary()
    return cells.map(lambda cell: encode_value(spec, cell))


def doubles(width: int) -> st.SearchStrategy[float]:
    """Finite floats: any bits, and the short ones people store."""
    form, bits = ("<d", "<Q") if width == 64 else ("<f", "<I")
    any_bits = st.integers(0, (1 << width) - 1).map(
        lambda n: float(struct.unpack(form, struct.pack(bits, n))[0])
    )
    if width == 32:
        return any_bits.filter(lambda x: abs(x) < float("inf"))
    short = st.builds(
        lambda n, e: float(f"{n}e{e}"), st.integers(-99999, 99999), st.integers(-20, 20)
    )
    return st.one_of(any_bits.filter(lambda x: abs(x) < float("inf")), short)


ODD_VALUES = (
    b"", b"0", b"-0", b"00", b"-", b"+1", b"1e5", b".5", b"5.", b"-0.00", b"0000", b"nan", b"inf",
    b"255", b"256", b"-128", b"-129", b"65536", b"18446744073709551615", b"18446744073709551616",
    b"-9223372036854775808", b"-9223372036854775809", b"99999999999999999999999999999999999999",
    b"0000-00-00", b"0000-00-00 00:00:00", b"2023-00-01", b"2023-02-29", b"2024-02-29",
    b"1900-02-29", b"0001-01-01", b"9999-12-31", b"2020-13-01", b"2020-01-01 24:00:00",
    b"2020-01-01T00:00:00", b"2020-01-01 00:00:60", b"-00:00:00", b"-00:00:01.50", b"838:59:59",
    b"-838:59:59.000000", b"01:02:03", b"1:02:03", b"099:00:00", b"00:60:00", b"1e308", b"1e309",
    b"1.7976931348623157e308", b"5e-324", b"2e-324", b"0.1", b"0.10", b"1e15", b"1e-15",
    b"123456789012345678", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82",
    "é€😀".encode(), b"\\N", b"\t\n\\\0\r", b"a\\", b"x" * 250, b"y" * 251, b"z" * 300,
)  # fmt: skip


@st.composite
def near_misses(draw: st.DrawFn, spec: ColumnSpec) -> bytes:
    """A good value with a byte changed, added or taken away."""
    value = bytearray(draw(good_values(spec)))
    at = draw(st.integers(0, len(value)))
    new = draw(st.sampled_from(b"0123456789-.: e+\\\t\n\x00\x80\xff"))
    match draw(st.sampled_from(("insert", "change", "drop"))):
        case "insert":
            value.insert(at, new)
        case "change":
            value[at : at + 1] = bytes([new])
        case _:
            del value[at : at + 1]
    return bytes(value)


def values(spec: ColumnSpec) -> st.SearchStrategy[bytes | None]:
    """Any wire value of a column, NULL too."""
    return st.one_of(
        good_values(spec), good_values(spec), near_misses(spec), st.sampled_from(ODD_VALUES),
        st.binary(max_size=20), st.none(),
    )  # fmt: skip


@st.composite
def tables(
    draw: st.DrawFn, max_columns: int = 6, max_rows: int = 20
) -> tuple[list[ColumnSpec], list[Row]]:
    """Columns, and rows of wire values for them."""
    columns = draw(st.lists(specs(), min_size=1, max_size=max_columns))
    row = st.tuples(*map(values, columns)).map(list)
    return columns, draw(st.lists(row, max_size=max_rows))

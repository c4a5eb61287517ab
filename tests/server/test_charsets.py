"""The charset tables say of every byte what the server says."""

from __future__ import annotations

import struct

import pytest

from tablevault.rows.charsets import HOLE, Form, multi_byte, single_byte
from tests.servers import Server

SINGLE = [
    "armscii8",
    "cp1250",
    "cp1251",
    "cp1256",
    "cp1257",
    "cp850",
    "cp852",
    "cp866",
    "dec8",
    "geostd8",
    "greek",
    "hebrew",
    "hp8",
    "keybcs2",
    "koi8r",
    "koi8u",
    "latin1",
    "latin2",
    "latin5",
    "latin7",
    "macce",
    "macroman",
    "swe7",
    "tis620",
]
TABLES = ["big5", "cp932", "eucjpms", "euckr", "gb2312", "gbk", "sjis", "ujis"]
KEPT_AS_BYTES = {"gb18030", "binary"}
OWN_FORM = {"ucs2", "utf16", "utf16le", "utf32", "utf8mb3", "utf8mb4", "ascii"}


def test_no_charset_is_forgotten(server: Server) -> None:
    rows = server.query("SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS")
    known = {*SINGLE, *TABLES, *OWN_FORM, *KEPT_AS_BYTES}
    assert {name for (name,) in rows} <= known
    assert all(single_byte(name) for name in SINGLE)
    assert all(multi_byte(name) for name in TABLES)
    for name in OWN_FORM & {"ucs2", "utf16", "utf16le", "utf32"}:
        charset = multi_byte(name)
        assert charset is not None
        assert charset.form is not Form.TABLE


@pytest.mark.parametrize("charset", SINGLE)
def test_every_byte_of_a_single_byte_charset(server: Server, charset: str) -> None:
    shown = ", ".join(f"HEX(CONVERT(_{charset} X'{byte:02X}' USING utf32))" for byte in range(256))
    [row] = server.query(f"SET sql_mode = ''; SELECT {shown}")
    points = [int(text or "", 16) for text in row]
    table = single_byte(charset)
    assert table is not None
    for byte, point in enumerate(points):
        undefined = point in (0xFFFD, 0x3F) and byte != 0x3F
        assert table[byte] == (HOLE if undefined else point), hex(byte)


@pytest.mark.parametrize("charset", TABLES)
def test_every_sequence_of_a_table(server: Server, charset: str) -> None:
    """As many as the table has; what only the server knows is kept as bytes."""
    known = multi_byte(charset)
    assert known is not None
    points = struct.unpack("<131072H", known.to_point)
    sequences = {}
    for at, point in enumerate(points):
        if point:
            high = 0x8F0000 if at > 0xFFFF else 0
            sequences[f"{high | (at & 0xFFFF):02X}" if at < 256 or high else f"{at:04X}"] = point
    assert len(sequences) > 7000
    texts = list(sequences)
    for start in range(0, len(texts), 4000):
        some = texts[start : start + 4000]
        literals = "".join(some)
        found = server.value(
            f"SELECT HEX(CONVERT(CONVERT(X'{literals}' USING {charset}) USING utf16))"
        )
        assert found == "".join(f"{sequences[text]:04X}" for text in some)

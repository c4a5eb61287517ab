"""The servers' charsets other than UTF-8, as the codec needs them: tables and forms.

The tables are Python's, with what the servers map otherwise: tests/server/test_charsets.py asks
them for every byte.  Nothing depends on a table being right but how natural the text in Parquet
is: bytes that a table does not give back again are kept as bytes, and the same tables read them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

HOLE = -1  # no code point


class Form(IntEnum):
    """How a multi-byte charset writes a character; the numbers are repeated in the codec."""

    TABLE = 1  # one byte, two, or three after 0x8F: by table
    UCS2 = 2  # two bytes, big-endian, no surrogates
    UTF16 = 3  # big-endian
    UTF16LE = 4
    UTF32 = 5  # big-endian


@dataclass(frozen=True)
class MultiByte:
    """A multi-byte charset.

    `to_point`: uint16 code points, 0 where there is none: at b for a single byte, at b1 << 8 | b2
    for two, at 0x10000 + (b2 << 8 | b3) for three.  `from_point`: uint32 for each code point below
    0x10000, the number of bytes in the highest byte, the bytes below.
    """

    name: str
    form: Form
    to_point: bytes = b""
    from_point: bytes = b""


# name: Python's codec, and the bytes that the servers map otherwise
_LATIN1_HOLES = {byte: byte for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}
_CODECS: dict[str, tuple[str, dict[int, int]]] = {
    "cp1250": ("cp1250", {}),
    "cp1251": ("cp1251", {}),
    "cp1256": (
        "cp1256",
        dict.fromkeys((0x8A, 0x8F, 0x98, 0x9A, 0x9F, 0xAA, 0xC0, 0xFF), HOLE),
    ),
    "cp1257": ("cp1257", {}),
    "cp850": ("cp850", {}),
    "cp852": ("cp852", {}),
    "cp866": ("cp866", {0xFC: 0x207F, 0xFD: 0xB2}),
    "greek": (
        "iso8859-7",
        {0xA1: 0x2BD, 0xA2: 0x2BC, 0xA4: HOLE, 0xA5: HOLE, 0xAA: HOLE},
    ),
    "hebrew": ("iso8859-8", {0xAF: 0x203E}),
    "hp8": ("hp-roman8", {}),
    "koi8r": ("koi8-r", {}),
    "koi8u": ("koi8-u", {0x95: 0x2022}),
    "latin1": ("cp1252", _LATIN1_HOLES),
    "latin2": ("iso8859-2", {}),
    "latin5": ("iso8859-9", {}),
    "latin7": ("iso8859-13", {}),
    "macce": ("mac-latin2", {}),
    "macroman": ("mac-roman", {}),
    "tis620": ("tis-620", {}),
}
# what Python has no codec for: the code points of 0x80 to 0xFF, U+FFFD where there is none
_UPPER_HALVES = {
    "armscii8": (
        "\u0080\u0081\u0082\u0083\u0084\u0085\u0086\u0087\u0088\u0089\u008a\u008b\u008c\u008d"
        "\u008e\u008f\u0090\u0091\u0092\u0093\u0094\u0095\u0096\u0097\u0098\u0099\u009a\u009b"
        "\u009c\u009d\u009e\u009f\u00a0\u2741\u00a7\u0589\u0029\u0028\u00bb\u00ab\u2014\u002e"
        "\u055d\u002c\u002d\u055f\u2026\u055c\u055b\u055e\u0531\u0561\u0532\u0562\u0533\u0563"
        "\u0534\u0564\u0535\u0565\u0536\u0566\u0537\u0567\u0538\u0568\u0539\u0569\u053a\u056a"
        "\u053b\u056b\u053c\u056c\u053d\u056d\u053e\u056e\u053f\u056f\u0540\u0570\u0541\u0571"
        "\u0542\u0572\u0543\u0573\u0544\u0574\u0545\u0575\u0546\u0576\u0547\u0577\u0548\u0578"
        "\u0549\u0579\u054a\u057a\u054b\u057b\u054c\u057c\u054d\u057d\u054e\u057e\u054f\u057f"
        "\u0550\u0580\u0551\u0581\u0552\u0582\u0553\u0583\u0554\u0584\u0555\u0585\u0556\u0586"
        "\u2019\u0027"
    ),
    "dec8": (
        "\u0080\u0081\u0082\u0083\u0084\u0085\u0086\u0087\u0088\u0089\u008a\u008b\u008c\u008d"
        "\u008e\u008f\u0090\u0091\u0092\u0093\u0094\u0095\u0096\u0097\u0098\u0099\u009a\u009b"
        "\u009c\u009d\u009e\u009f\u00a0\u00a1\u00a2\u00a3\ufffd\u00a5\ufffd\u00a7\u00a4\u00a9"
        "\u00aa\u00ab\ufffd\ufffd\ufffd\ufffd\u00b0\u00b1\u00b2\u00b3\ufffd\u00b5\u00b6\u00b7"
        "\ufffd\u00b9\u00ba\u00bb\u00bc\u00bd\ufffd\u00bf\u00c0\u00c1\u00c2\u00c3\u00c4\u00c5"
        "\u00c6\u00c7\u00c8\u00c9\u00ca\u00cb\u00cc\u00cd\u00ce\u00cf\ufffd\u00d1\u00d2\u00d3"
        "\u00d4\u00d5\u00d6\u0152\u00d8\u00d9\u00da\u00db\u00dc\u0178\ufffd\u00df\u00e0\u00e1"
        "\u00e2\u00e3\u00e4\u00e5\u00e6\u00e7\u00e8\u00e9\u00ea\u00eb\u00ec\u00ed\u00ee\u00ef"
        "\ufffd\u00f1\u00f2\u00f3\u00f4\u00f5\u00f6\u0153\u00f8\u00f9\u00fa\u00fb\u00fc\u00ff"
        "\ufffd\ufffd"
    ),
    "geostd8": (
        "\u20ac\ufffd\u201a\ufffd\u201e\u2026\u2020\u2021\ufffd\u2030\ufffd\u2039\ufffd\ufffd"
        "\ufffd\ufffd\ufffd\u2018\u2019\u201c\u201d\u2022\u2013\u2014\ufffd\ufffd\ufffd\u203a"
        "\ufffd\ufffd\ufffd\ufffd\u00a0\u00a1\u00a2\u00a3\u00a4\u00a5\u00a6\u00a7\u00a8\u00a9"
        "\u00aa\u00ab\u00ac\u00ad\u00ae\u00af\u00b0\u00b1\u00b2\u00b3\u00b4\u00b5\u00b6\u00b7"
        "\u00b8\u00b9\u00ba\u00bb\u00bc\u00bd\u00be\u00bf\u10d0\u10d1\u10d2\u10d3\u10d4\u10d5"
        "\u10d6\u10f1\u10d7\u10d8\u10d9\u10da\u10db\u10dc\u10f2\u10dd\u10de\u10df\u10e0\u10e1"
        "\u10e2\u10f3\u10e3\u10e4\u10e5\u10e6\u10e7\u10e8\u10e9\u10ea\u10eb\u10ec\u10ed\u10ee"
        "\u10f4\u10ef\u10f0\u10f5\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd"
        "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\u2116"
        "\ufffd\ufffd"
    ),
    "keybcs2": (
        "\u010c\u00fc\u00e9\u010f\u00e4\u010e\u0164\u010d\u011b\u011a\u0139\u00cd\u013e\u013a"
        "\u00c4\u00c1\u00c9\u017e\u017d\u00f4\u00f6\u00d3\u016f\u00da\u00fd\u00d6\u00dc\u0160"
        "\u013d\u00dd\u0158\u0165\u00e1\u00ed\u00f3\u00fa\u0148\u0147\u016e\u00d4\u0161\u0159"
        "\u0155\u0154\u00bc\u00a1\u00ab\u00bb\u2591\u2592\u2593\u2502\u2524\u2561\u2562\u2556"
        "\u2555\u2563\u2551\u2557\u255d\u255c\u255b\u2510\u2514\u2534\u252c\u251c\u2500\u253c"
        "\u255e\u255f\u255a\u2554\u2569\u2566\u2560\u2550\u256c\u2567\u2568\u2564\u2565\u2559"
        "\u2558\u2552\u2553\u256b\u256a\u2518\u250c\u2588\u2584\u258c\u2590\u2580\u03b1\u00df"
        "\u0393\u03c0\u03a3\u03c3\u00b5\u03c4\u03a6\u0398\u03a9\u03b4\u221e\u03c6\u03b5\u2229"
        "\u2261\u00b1\u2265\u2264\u2320\u2321\u00f7\u2248\u00b0\u2219\u00b7\u221a\u207f\u00b2"
        "\u25a0\u00a0"
    ),
}
_SWE7 = {
    0x40: 0xC9, 0x5B: 0xC4, 0x5C: 0xD6, 0x5D: 0xC5, 0x5E: 0xDC, 0x60: 0xE9,
    0x7B: 0xE4, 0x7C: 0xF6, 0x7D: 0xE5, 0x7E: 0xFC, 0x7F: HOLE,
}  # fmt: skip

# name: Python's codec, and sequences that the servers map otherwise, or both ways
_WIDE: dict[str, tuple[str, frozenset[str]]] = {
    "big5": ("big5", frozenset(("a15a", "a1c3", "a1c5", "a1fe", "a240", "a2cc", "a2ce"))),
    "cp932": ("cp932", frozenset(("80", "a0", "fd", "fe", "ff"))),
    "eucjpms": (
        "euc_jp",
        frozenset(("8fa2b7", "8fa2c3", "a1c1", "a1c2", "a1dd", "a1f1", "a1f2", "a2cc")),
    ),
    "euckr": ("cp949", frozenset()),
    "gb2312": ("gb2312", frozenset()),
    "gbk": ("gbk", frozenset()),
    "sjis": ("shift_jis", frozenset(("815f",))),
    "ujis": ("euc_jp", frozenset(("a1c0",))),
}
_UNITS = {
    "ucs2": Form.UCS2,
    "utf16": Form.UTF16,
    "utf16le": Form.UTF16LE,
    "utf32": Form.UTF32,
}


@cache
def single_byte(charset: str) -> tuple[int, ...] | None:
    """The 256 code points of a single-byte charset, HOLE where undefined; None: it is none."""
    if charset in _CODECS:
        codec, changes = _CODECS[charset]
        return tuple(changes.get(byte, _point(bytes([byte]), codec)) for byte in range(256))
    if charset in _UPPER_HALVES:
        upper = (HOLE if sign == "\ufffd" else ord(sign) for sign in _UPPER_HALVES[charset])
        return (*range(128), *upper)
    if charset == "swe7":
        return tuple(_SWE7.get(byte, byte if byte < 128 else HOLE) for byte in range(256))
    return None


@cache
def multi_byte(charset: str) -> MultiByte | None:
    """A multi-byte charset other than UTF-8; None: it is none, or kept as bytes (gb18030)."""
    if charset in _UNITS:
        return MultiByte(charset, _UNITS[charset])
    if charset not in _WIDE:
        return None
    to_point, from_point = [0] * 0x20000, [0] * 0x10000
    for sequence, point in _sequences(charset):
        if from_point[point]:
            continue  # of two sequences with one code point only the first can come back
        at = int.from_bytes(sequence[-2:]) + (0x10000 if len(sequence) == 3 else 0)
        to_point[at] = point
        from_point[point] = len(sequence) << 24 | int.from_bytes(sequence)
    return MultiByte(
        charset,
        Form.TABLE,
        struct.pack(f"<{len(to_point)}H", *to_point),
        struct.pack(f"<{len(from_point)}I", *from_point),
    )


def _sequences(charset: str) -> Iterator[tuple[bytes, int]]:
    codec, left_out = _WIDE[charset]
    lead = range(0x80, 0x100)
    candidates = [bytes([byte]) for byte in range(256)]
    singles = {one[0] for one in candidates if _point(one, codec) != HOLE}
    candidates += [bytes([a, b]) for a in lead if a not in singles for b in range(0x40, 0x100)]
    if codec == "euc_jp":
        candidates += [bytes([0x8F, a, b]) for a in lead for b in lead]
    for sequence in candidates:
        point = _point(sequence, codec)
        if 0 <= point < 0x10000 and sequence.hex() not in left_out:
            yield sequence, point


def _point(sequence: bytes, codec: str) -> int:
    try:
        text = sequence.decode(codec)
    except UnicodeDecodeError:
        return HOLE
    return ord(text) if len(text) == 1 else HOLE

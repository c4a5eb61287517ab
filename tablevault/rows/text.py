"""LOAD DATA text back to values, for servers that take no LOAD DATA LOCAL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

Row = list[bytes | None]

_ESCAPE = re.compile(rb"\\(.?)", re.DOTALL)
_MEANING = {b"\\": b"\\", b"t": b"\t", b"n": b"\n", b"0": b"\0"}


def split_text(block: Buffer) -> list[Row]:
    """The rows of a block of whole lines, as the row encoder writes them.

    Raises ValueError for text that the encoder does not write.
    """
    text = bytes(block)
    if not text:
        return []
    if not text.endswith(b"\n"):
        raise ValueError("the block does not end with a whole line")
    return [[_value(field) for field in line.split(b"\t")] for line in text[:-1].split(b"\n")]


def _value(field: bytes) -> bytes | None:
    if b"\\" not in field:
        return field
    if field == b"\\N":
        return None
    return _ESCAPE.sub(_unescape, field)


def _unescape(match: re.Match[bytes]) -> bytes:
    try:
        return _MEANING[match[1]]
    except KeyError:
        raise ValueError(f"the block has the unknown escape {match[0]!r}") from None

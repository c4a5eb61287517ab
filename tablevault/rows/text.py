"""LOAD DATA text back to values, for servers that take no LOAD DATA LOCAL."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

Row = list[bytes | None]

_ESCAPE = re.compile(rb"\\(.?)", re.DOTALL)
_SPECIAL = re.compile(rb"[\\\t\n\0]")
_MEANING = {b"\\": b"\\", b"t": b"\t", b"n": b"\n", b"0": b"\0"}
_ESCAPES = {raw: b"\\" + name for name, raw in _MEANING.items()}


def split_text(block: Buffer) -> list[Row]:
    """The rows of a block of whole lines, as the row encoder writes them.

    Raises ValueError for text that the encoder does not write.
    """
    text = bytes(block)
    if not text:
        return []
    if not text.endswith(b"\n"):
        raise ValueError("the block does not end with a whole line")
    return [[field_value(field) for field in line.split(b"\t")] for line in text[:-1].split(b"\n")]


def field_value(field: bytes) -> bytes | None:
    """The wire value that a field of a line stands for; raises ValueError as `split_text`."""
    if b"\\" not in field:
        return field
    if field == b"\\N":
        return None
    return _ESCAPE.sub(_unescape, field)


def value_field(value: bytes | None) -> bytes:
    """The field that stands for a wire value: the reverse of `field_value`."""
    if value is None:
        return rb"\N"
    return _SPECIAL.sub(_escape, value) if _SPECIAL.search(value) else value


def _escape(match: re.Match[bytes]) -> bytes:
    return _ESCAPES[match[0]]


def _unescape(match: re.Match[bytes]) -> bytes:
    try:
        return _MEANING[match[1]]
    except KeyError:
        raise ValueError(f"the block has the unknown escape {match[0]!r}") from None

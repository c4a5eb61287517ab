"""What option values mean: sizes, durations, table names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tablevault.model import TableName

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])(?:i?b)?|b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d)?\s*", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NAME_PART = r"`(?:[^`]|``)+`|{plain}"
_TABLE = re.compile(
    rf"({_NAME_PART.format(plain='[^.`]+')})\.({_NAME_PART.format(plain='[^`]+')})", re.DOTALL
)


def parse_size(text: str) -> int:
    """Bytes in `text`: a number and K, M, G or T, in powers of 1024.  Raises ValueError.

    >>> parse_size("64M"), parse_size("1.5GiB"), parse_size("4096")
    (67108864, 1610612736, 4096)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size")
    return int(float(match[1]) * 1024 ** _POWERS[(match[2] or "").lower()])


def parse_duration(text: str) -> float:
    """Seconds in `text`: "90", "30s", "10m", "1h30m", "500ms".  Raises ValueError.

    >>> parse_duration("90"), parse_duration("1h30m"), parse_duration("500ms")
    (90.0, 5400.0, 0.5)
    """
    stripped = text.strip()
    parts = list(_DURATION_PART.finditer(stripped))
    if not parts or "".join(part[0] for part in parts) != stripped:
        raise ValueError(f"{text!r} is not a duration")
    if len(parts) > 1 and not all(part[2] for part in parts):
        raise ValueError(f"{text!r} has a number without a unit")
    return sum(float(part[1]) * _SECONDS[(part[2] or "s").lower()] for part in parts)


def parse_table(text: str) -> TableName:
    """`schema.table`, each part plain or in backticks; the first plain dot separates.

    >>> parse_table("shop.orders"), parse_table("`a.b`.c").schema
    (TableName(schema='shop', name='orders'), 'a.b')
    """
    from tablevault.model import TableName

    match = _TABLE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not SCHEMA.TABLE")
    return TableName(_unquoted(match[1]), _unquoted(match[2]))


def _unquoted(part: str) -> str:
    return part[1:-1].replace("``", "`") if part.startswith("`") else part


def size(text: str | int) -> int:
    """Option type: bytes above zero."""
    try:
        size_bytes = parse_size(str(text))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a size: write 64M, 512K or 1G") from None
    if size_bytes <= 0:
        raise click.BadParameter(f"{text!r} must be above zero")
    return size_bytes


def duration(text: str | float) -> float:
    """Option type: seconds."""
    try:
        return parse_duration(str(text))
    except ValueError:
        message = f"{text!r} is not a duration: write 30s, 10m or 1h30m"
        raise click.BadParameter(message) from None


def share(text: str | float) -> float:
    """Option type: a part of the whole, above 0 and below 1."""
    written = str(text).strip()
    try:
        part = float(written.removesuffix("%")) / (100.0 if written.endswith("%") else 1.0)
    except ValueError:
        part = 0.0
    if not 0.0 < part < 1.0:
        raise click.BadParameter(f"{text!r} is no part of the whole: write 5% or 0.05")
    return part


def table(text: str) -> TableName:
    """Option type: SCHEMA.TABLE."""
    try:
        return parse_table(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not of the form SCHEMA.TABLE") from None


def names(text: str | tuple[str, ...]) -> tuple[str, ...]:
    """Option type: names, separated by commas; one in backticks may hold a comma."""
    if isinstance(text, tuple):
        return text
    found = re.findall(r"\s*(`(?:[^`]|``)+`|[^,`]+)\s*(?:,|$)", text)
    if not found or "".join(text.split()).count(",") + 1 < len(found):
        raise click.BadParameter(f"{text!r} is not a list of names")
    return tuple(_unquoted(name.strip()) for name in found)

"""Values of rows as text: for a table on the terminal, for CSV, for JSON.  Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tablevault.cli import render
from tablevault.cli.units import printable

_NUMERIC = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL\(.*|DOUBLE|FLOAT")
_SAFE_INTEGER = 1 << 53  # beyond it JSON readers round


def text(value: Any) -> str:
    r"""A value as one reads it: ISO dates, TIME as MySQL writes it, bytes in hexadecimal.

    >>> text(None), text(True), text(b"\x00\xff"), text(dt.timedelta(days=-1, hours=23))
    ('NULL', 'true', '0x00ff', '-01:00:00')
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case bytes():
            return f"0x{value.hex()}"
        case dt.datetime():
            return value.isoformat(" ")
        case dt.timedelta():
            return _time(value)
        case list():
            return f"[{', '.join(map(text, value))}]"
        case dict():
            return f"{{{', '.join(f'{name}: {text(one)}' for name, one in value.items())}}}"
    return str(value)


def for_json(value: Any) -> Any:
    """A value as JSON: numbers that JSON readers would round are strings, and so is the rest.

    >>> for_json(1), for_json(1 << 60), for_json(dt.date(2026, 11, 24)), for_json(b"a")
    (1, '1152921504606846976', '2026-11-24', '0x61')
    """
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if abs(value) <= _SAFE_INTEGER else str(value)
        case float():
            return value if value - value == 0 else str(value)
        case list():
            return [for_json(one) for one in value]
        case dict():
            return {str(name): for_json(one) for name, one in value.items()}
    return text(value)


def csv_line(values: Iterable[Any]) -> str:
    """A line of CSV without its end: NULL is an empty field, an empty text a quoted one.

    >>> csv_line([None, "", 'say "hi", twice', 1, b"a"])
    ',"","say ""hi"", twice",1,0x61'
    """
    return ",".join("" if value is None else _csv_field(text(value)) for value in values)


def table(names: Sequence[str], types: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows under their columns' names, numbers flush right."""
    shown = [[printable(name) for name in names]]
    shown += [[printable(text(value)) for value in row] for row in rows]
    numeric = [i for i, kind in enumerate(types) if _NUMERIC.fullmatch(kind)]
    return render.columns(shown, right=numeric)


def _csv_field(shown: str) -> str:
    if shown == "" or any(sign in shown for sign in ',"\r\n'):
        return '"' + shown.replace('"', '""') + '"'
    return shown


def _time(value: dt.timedelta) -> str:
    sign = "-" if value < dt.timedelta(0) else ""
    value = abs(value)
    seconds = value.days * 86400 + value.seconds
    fraction = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"

"""Numbers for people: sizes, rates, durations, ages, counts.  Pure; nothing here prints."""

from __future__ import annotations

import time

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def count(number: int, noun: str = "", plural: str | None = None) -> str:
    """`number` with thousands separated, and its noun in the right form.

    >>> count(1234567), count(1, "row"), count(2, "row"), count(0, "index", "indexes")
    ('1,234,567', '1 row', '2 rows', '0 indexes')
    """
    text = f"{number:,}"
    if not noun:
        return text
    return f"{text} {noun if number == 1 else plural or noun + 's'}"


def size(size_bytes: float) -> str:
    """Three significant digits in powers of 1000.

    >>> size(0), size(999), size(1_240_000), size(83_400_000)
    ('0 B', '999 B', '1.24 MB', '83.4 MB')
    """
    value = max(0.0, float(size_bytes))
    unit = 0
    # 999.5 would be shown as 1000: the next unit takes over where rounding does.
    while value >= 999.5 and unit < len(_SIZES) - 1:
        value /= 1000
        unit += 1
    if unit == 0:
        return f"{value:.0f} B"
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{decimals}f} {_SIZES[unit]}"


def rate(bytes_s: float) -> str:
    """A rate of bytes a second.

    >>> rate(83_400_000)
    '83.4 MB/s'
    """
    return f"{size(bytes_s)}/s"


def duration(seconds: float) -> str:
    """A duration in its two largest units; a tenth of a second below ten.

    >>> duration(0.04), duration(9.44), duration(12), duration(65), duration(7800), duration(90061)
    ('0.0 s', '9.4 s', '12 s', '1 min 05 s', '2 h 10 min', '1 d 1 h')
    """
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return whole_duration(seconds)


def whole_duration(seconds: float) -> str:
    """Like `duration` in whole seconds: what is guessed is not shown to a tenth.

    >>> whole_duration(0.4), whole_duration(59.6)
    ('0 s', '1 min 00 s')
    """
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def age(then: float, now: float | None = None) -> str:
    """How long ago `then` (Unix seconds) was, in its largest unit.

    >>> age(0, 30), age(0, 150), age(0, 7300), age(0, 200_000)
    ('30 s ago', '2 min ago', '2 h ago', '2 d ago')
    """
    seconds = (time.time() if now is None else now) - then
    if seconds < 0:
        return "in the future"
    for unit_s, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit_s:
            return f"{int(seconds // unit_s)} {name} ago"
    return f"{int(seconds)} s ago"


def moment(then: float) -> str:
    """A point in time as local time with its offset from UTC: `2026-11-24 04:30:12 +0000`."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(then))


def clock(then: float) -> str:
    """The local time of day, `HH:MM:SS`."""
    return time.strftime("%H:%M:%S", time.localtime(then))


def printable(text: str) -> str:
    r"""`text` on one line, control characters shown as escapes.

    Table names and server messages come from elsewhere; none may move the cursor or
    recolour the terminal.

    >>> printable("a\x1b[31m\nb")
    'a\\x1b[31m\\nb'
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")

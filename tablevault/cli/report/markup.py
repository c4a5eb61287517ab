"""HTML and SVG by construction: what is not markup already is escaped, so nothing can break out.

>>> tag("p", "a < b & ", tag("b", "c"), class_="x")
'<p class="x">a &lt; b &amp; <b>c</b></p>'
"""

from __future__ import annotations

from html import escape
from typing import Final

from tablevault.cli.units import printable

_VOID: Final = frozenset({"br", "meta", "hr"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


NOTHING = Markup("")
Child = str | None
Value = str | float | bool | None


def text(value: str) -> Markup:
    """Any text, as a page may hold it: no control characters, no half characters, one line."""
    return Markup(escape(printable(value)))


def tag(name: str, /, *children: Child, **attributes: Value) -> Markup:
    """An element; `class_` is class, `stroke_width` stroke-width; None and False are left out."""
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        shown = key.rstrip("_").replace("_", "-")
        words.append(shown if value is True else f'{shown}="{text(_plain(value))}"')
    head = f"<{' '.join(words)}>"
    return Markup(head if name in _VOID else f"{head}{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Several pieces, one after the other; None is nothing."""
    return Markup(
        "".join(
            one if isinstance(one, Markup) else text(one) for one in children if one is not None
        )
    )


def _plain(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)

"""The page around the drawings: one file, no network, for dark and light, wide and narrow.

Each drawing is made twice, for a phone and for a screen, and the style sheet shows one of them: a
picture that is merely scaled down has letters that nobody can read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import tablevault
from tablevault.cli import units
from tablevault.cli.report.markup import Child, Markup, join, tag

NARROW, WIDE = 340, 920  # units a drawing is wide: CSS pixels, where there is room for them

# Nothing is loaded from anywhere, and no script runs, whatever a name on the page may hold.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root{color-scheme:light dark;--paper:#fbfaf7;--card:#fff;--ink:#1d1f21;--soft:#5f6670;
--line:#dcd9d2;--good:#1f7a46;--bad:#b3261e;--warn:#9a5b00;
--c0:#2f6fb2;--c1:#c8702a;--c2:#3d8f5f;--c3:#8a5bb5;--c4:#b0527c;--c5:#6b7a2f;--c6:#2d8c94;
--c7:#7a6552;--l1:#cfe3d6;--l2:#9fcbb0;--l3:#5fa67c}
@media(prefers-color-scheme:dark){:root{--paper:#14161a;--card:#1c1f25;--ink:#e4e3df;
--soft:#9aa1ab;--line:#343943;--good:#63c48d;--bad:#ff8a80;--warn:#e6ab4e;
--c0:#6ea8e0;--c1:#e39a5c;--c2:#6fc493;--c3:#b996de;--c4:#de8db2;--c5:#b3c26b;--c6:#66c3cb;
--c7:#b8a08a;--l1:#22402f;--l2:#316347;--l3:#4c946b}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:976px;margin:0 auto;padding:16px 12px 40px}
h1{font-size:1.4rem;line-height:1.25;margin:.2em 0 .4em;overflow-wrap:anywhere}
h2{font-size:1.05rem;margin:0 0 .5em}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px;
margin:14px 0}
p{margin:.4em 0}.soft,footer{color:var(--soft);font-size:.85rem}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
.mark{font-weight:600}
.entry{border-bottom:1px solid var(--line);padding:4px 0;overflow-wrap:anywhere}
.entry:last-child{border:0}.entry p{margin:.1em 0}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:10px 16px;margin:0}
dt{color:var(--soft);font-size:.8rem}dd{margin:0;overflow-wrap:anywhere}
.long{grid-column:span 2}
svg{display:block;width:100%;height:auto;font:12px system-ui,sans-serif;fill:var(--ink)}
svg .soft{fill:var(--soft);font-size:11px;paint-order:stroke;stroke:var(--card);stroke-width:3px}
svg .grid{stroke:var(--line)}
svg .label{font-size:11px}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th{text-align:left;color:var(--soft);font-weight:500;font-size:.8rem}
th,td{padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}td{overflow-wrap:anywhere}
td.figure,th.figure{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
td.name{min-width:7em}
@media(max-width:719px){table{font-size:.82rem}th,td{padding-right:7px}}
ul{list-style:none;padding:0;margin:.6em 0 0;display:flex;flex-wrap:wrap;gap:4px 14px;
font-size:.85rem}
.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em;
vertical-align:-.05em}
.dot{border-radius:50%}.dash{height:.25em;vertical-align:.2em}.hollow{border:1px solid var(--line)}
.wide{display:none}@media(min-width:720px){.wide{display:block}.narrow{display:none}}
""" + "".join(
    f".c{n}{{fill:var(--c{n});background:var(--c{n});stroke:var(--c{n})}}" for n in range(8)
)
_STYLE += """svg .c0,svg .c1,svg .c2,svg .c3,svg .c4,svg .c5,svg .c6,svg .c7{stroke:none}
svg .stroke{fill:none!important;stroke:var(--c0)!important;stroke-width:1.8}
svg .stroke.c1{stroke:var(--c1)!important}svg .stroke.c2{stroke:var(--c2)!important}
svg .stroke.c3{stroke:var(--c3)!important}svg .area{opacity:.25}
svg .trouble,.key.trouble{fill:var(--bad);background:var(--bad)}
svg .wait,.key.wait{fill:var(--warn);background:var(--warn)}
svg .none{fill:var(--line);opacity:.55}.key.none{background:var(--line)}
svg .l1,.key.l1{fill:var(--l1);background:var(--l1)}
svg .l2,.key.l2{fill:var(--l2);background:var(--l2)}
svg .l3,.key.l3{fill:var(--l3);background:var(--l3)}
@media print{section{break-inside:avoid}}
"""


def page(title: str, *sections: Child) -> str:
    """The whole document."""
    made = f"tablevault {tablevault.__version__}, {units.moment(time.time())}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(_STYLE)),
    )
    body = tag("body", tag("main", *sections, tag("footer", f"made by {made}")))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def section(title: str, *children: Child) -> Markup:
    """A card with a heading; nothing where there is nothing in it."""
    inside = join(*children)
    return tag("section", tag("h2", title), inside) if inside else inside


def facts(pairs: Sequence[tuple[str, Child]]) -> Markup:
    """Names and values, as many in a row as there is room for; empty ones are left out."""
    shown = [
        tag("div", tag("dt", name), tag("dd", value), class_="long" if _long(value) else None)
        for name, value in pairs
        if value
    ]
    return tag("section", tag("dl", *shown))


def _long(value: str) -> bool:
    return not isinstance(value, Markup) and len(value) > 17


def drawing(draw: Callable[[int], Markup]) -> Markup:
    """What `draw` makes of a width, for both."""
    return join(
        tag("div", draw(NARROW), class_="narrow"),
        tag("div", draw(WIDE), class_="wide"),
    )


def table(head: Sequence[str], rows: Sequence[Sequence[Child]], figures: int = 0) -> Markup:
    """A table whose last `figures` columns are numbers; nothing without rows."""
    if not rows:
        return join()
    first = len(head) - figures

    def kind(column: int) -> str | None:
        return "figure" if column >= first else "name" if column == 0 else None

    return tag(
        "div",
        tag(
            "table",
            tag(
                "thead",
                tag("tr", *(tag("th", one, class_=kind(n)) for n, one in enumerate(head))),
            ),
            tag(
                "tbody",
                *(
                    tag("tr", *(tag("td", one, class_=kind(n)) for n, one in enumerate(row)))
                    for row in rows
                ),
            ),
        ),
        class_="scroll",
    )


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """What the colours mean: (class, words)."""
    items = [
        tag("li", tag("span", class_=f"key {style}"), words) for style, words in entries if words
    ]
    return tag("ul", *items) if items else join()

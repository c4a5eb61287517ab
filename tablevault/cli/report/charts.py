"""The drawings: plain data and a width in, one SVG out.  Pure.

Nothing is said by colour alone: each mark has its words as a title, lanes and lines their names.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tablevault.cli.report.markup import Child, Markup, join, tag
from tablevault.cli.report.scales import TimeAxis, round_top

Spans = Sequence[tuple[float, float]]
_MARGIN = 4.0
_AXIS_HEIGHT = 18.0
_LETTER = 6.6  # units that one is wide, about
_LEAST = 0.8  # units of a bar that would be too thin to see


@dataclass(frozen=True)
class Bar:
    """Something that lasted; Unix seconds.  `label` is written on it where there is room."""

    begin: float
    end: float
    style: str
    title: str
    label: str = ""


@dataclass(frozen=True)
class Lane:
    """A named line of bars."""

    name: str
    bars: Sequence[Bar]
    height: float = 14.0


@dataclass(frozen=True)
class Series:
    """A line over time; `marks` has (Unix seconds, value, words) of each point."""

    style: str
    marks: Sequence[tuple[float, float, str]]


@dataclass(frozen=True)
class Day:
    """A day of the calendar: how many snapshots, and which proofs."""

    snapshots: int = 0
    verified: bool = False
    drilled: bool = False
    notes: tuple[str, ...] = field(default=())


def timeline(lanes: Sequence[Lane], spans: Spans, width: float) -> Markup:
    """The lanes under each other, over one axis of time."""
    lanes = [lane for lane in lanes if lane.bars]
    narrow = width < 500
    left = _MARGIN if narrow else min(190.0, 12 + _LETTER * max(len(x.name) for x in lanes))
    axis = TimeAxis(tuple(spans), left, width - _MARGIN)
    y, drawn = 2.0, []
    for lane in lanes:
        if narrow:
            drawn.append(tag("text", lane.name, x=left, y=y + 11, class_="soft"))
            y += 15
        else:
            drawn.append(tag("text", lane.name, x=0, y=y + lane.height / 2 + 4, class_="soft"))
        drawn += [_bar(axis, bar, y, lane.height) for bar in _visible(axis, lane.bars)]
        y += lane.height + 5
    return _svg(width, y + _AXIS_HEIGHT, _time_grid(axis, 0, y), *drawn)


def _visible(axis: TimeAxis, bars: Sequence[Bar]) -> Iterator[Bar]:
    """The bars without those that would be drawn within one of the same kind that is narrow too."""
    reach: dict[str, float] = {}
    for bar in sorted(bars, key=lambda one: one.begin):
        if axis.x(bar.end) > reach.get(bar.style, -1.0):
            reach[bar.style] = max(axis.x(bar.end), axis.x(bar.begin) + _LEAST)
            yield bar


def _bar(axis: TimeAxis, bar: Bar, y: float, height: float) -> Markup:
    x = axis.x(bar.begin)
    wide = max(_LEAST, axis.x(bar.end) - x)
    gap = 0.5 if wide > 3 else 0.0  # what follows at once is told apart
    shape = tag(
        "rect",
        tag("title", bar.title),
        x=x,
        y=y,
        width=wide - gap,
        height=height,
        rx=1.5 if wide > 4 else None,
        class_=bar.style,
    )
    if bar.label and len(bar.label) * _LETTER < wide - 6:
        shape = join(shape, tag("text", bar.label, x=x + 4, y=y + height - 4, class_="label"))
    return shape


def area(
    parts: Sequence[Sequence[tuple[float, float]]],
    spans: Spans,
    words: Callable[[float], str],
    width: float,
    height: float = 120.0,
) -> Markup:
    """An amount over time as an area: one of `parts` for each of `spans`, (Unix seconds, value)."""
    top = round_top(max((value for part in parts for _, value in part), default=0.0))
    axis = TimeAxis(tuple(spans), _MARGIN, width - _MARGIN)
    base, head = height + 16, 16.0

    def y(value: float) -> float:
        return base - value / top * (base - head)

    shapes = []
    for part in parts:
        if not part:
            continue
        line = " ".join(f"L{axis.x(at):.1f} {y(value):.1f}" for at, value in part)
        first, last = axis.x(part[0][0]), axis.x(part[-1][0])
        shapes.append(
            tag(
                "path",
                d=f"M{first:.1f} {base:.1f} {line} L{last:.1f} {base:.1f}Z",
                class_="c0 area",
            )
        )
        shapes.append(tag("path", d="M" + line[1:], class_="stroke"))
    return _svg(
        width,
        base + _AXIS_HEIGHT,
        _value_grid(top, words, y, width),
        _time_grid(axis, head, base),
        *shapes,
    )


def lines(
    series: Sequence[Series],
    words: Callable[[float], str],
    width: float,
    top_of: Callable[[float], float] = round_top,
    height: float = 130.0,
) -> Markup:
    """Amounts over days: a line and its points for each of `series`; `top_of` ends the axis."""
    marks = [mark for one in series for mark in one.marks]
    begin, end = min(mark[0] for mark in marks), max(mark[0] for mark in marks)
    spare = max((end - begin) * 0.02, 43200.0 if end == begin else 60.0)
    top = top_of(max(mark[1] for mark in marks))
    axis = TimeAxis(((begin - spare, end + spare),), _MARGIN, width - _MARGIN)
    base, head = height + 16, 16.0

    def y(value: float) -> float:
        return base - value / top * (base - head)

    shapes = []
    for one in series:
        places = [(axis.x(at), y(value), told) for at, value, told in one.marks]
        path = " L".join(f"{x:.1f} {level:.1f}" for x, level, _ in places)
        if len(places) > 1:
            shapes.append(tag("path", d=f"M{path}", class_=f"stroke {one.style}"))
        shapes += [
            tag("circle", tag("title", told), cx=x, cy=level, r=2.6, class_=one.style)
            for x, level, told in places
        ]
    return _svg(
        width,
        base + _AXIS_HEIGHT,
        _value_grid(top, words, y, width),
        _time_grid(axis, head, base),
        *shapes,
    )


def calendar(days: Mapping[datetime.date, Day], last: datetime.date, width: float) -> Markup:
    """The weeks up to `last` with anything in them, as many as fit; Monday is at the top."""
    size, left, head = 13.0, 30.0, 16.0
    first = min(days, default=last)
    weeks = min(int((width - left) / size), max(12, (last - first).days // 7 + 2))
    monday = last - datetime.timedelta(days=last.weekday(), weeks=weeks - 1)
    shapes = [
        tag("text", name, x=0, y=head + row * size + 10, class_="soft")
        for row, name in ((0, "Mon"), (2, "Wed"), (4, "Fri"), (6, "Sun"))
    ]
    named = -10
    for week in range(weeks):
        for row in range(7):
            date = monday + datetime.timedelta(days=row, weeks=week)
            if date.day == 1 and week - named >= 3:
                named = week
                x = left + week * size
                shapes.append(tag("text", f"{date:%b}", x=x, y=10, class_="soft"))
            if date <= last:
                place = left + week * size, head + row * size
                shapes.append(_day(date, days.get(date, Day()), *place, size - 2))
    return _svg(width, head + 7 * size + 2, *shapes)


def _day(date: datetime.date, day: Day, x: float, y: float, size: float) -> Markup:
    told = "; ".join([f"{date:%a %d %b %Y}", *(day.notes or ("nothing",))])
    level = f"l{min(3, day.snapshots)}" if day.snapshots else "none"
    shapes: list[Child] = [
        tag("title", told),
        tag("rect", x=x, y=y, width=size, height=size, rx=2, class_=level),
    ]
    if day.verified:
        shapes.append(tag("rect", x=x + 1.5, y=y + size - 3, width=size - 3, height=2, class_="c0"))
    if day.drilled:
        shapes.append(tag("circle", cx=x + size / 2, cy=y + 4, r=2.4, class_="c1"))
    return tag("g", *shapes)


def _value_grid(
    top: float, words: Callable[[float], str], y: Callable[[float], float], width: float
) -> Markup:
    shapes = []
    for value in (top, top / 2):
        level = y(value)
        shapes.append(tag("line", x1=0, x2=width, y1=level, y2=level, class_="grid"))
        shapes.append(tag("text", words(value), x=2, y=level - 3, class_="soft"))
    return join(*shapes)


def _time_grid(axis: TimeAxis, top: float, base: float) -> Markup:
    shapes = [tag("line", x1=axis.left, x2=axis.right, y1=base, y2=base, class_="grid")]
    for x, words in axis.ticks():
        shapes.append(tag("line", x1=x, x2=x, y1=top, y2=base + 3, class_="grid"))
        half = len(words) * _LETTER / 2
        centre = min(max(x, axis.left + half), axis.right - half)
        shapes.append(
            tag("text", words, x=centre, y=base + 14, text_anchor="middle", class_="soft")
        )
    dots = (
        tag("text", "⋯", x=x, y=base + 4, text_anchor="middle", class_="soft")
        for x in axis.breaks()
    )
    return join(*shapes, *dots)


def _svg(width: float, height: float, *children: Child) -> Markup:
    return tag("svg", *children, viewBox=f"0 0 {width:.0f} {height:.0f}", role="img")

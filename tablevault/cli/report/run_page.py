"""The page of a run: when which worker did what, how fast, and what held it up."""

from __future__ import annotations

from collections.abc import Sequence

from tablevault.cli import units
from tablevault.cli.report import charts
from tablevault.cli.report.charts import Bar, Lane
from tablevault.cli.report.markup import Markup, join, tag
from tablevault.cli.report.page import drawing, facts, legend, page, section, table
from tablevault.cli.report.run_facts import CHUNK, INDEX, RunFacts, Trouble, Work, in_lanes
from tablevault.cli.report.scales import binned
from tablevault.ops.history import SILENT_AFTER_S

_COLOURS = 8
_MOST_ROWS = 60
_GOOD = ("ok", "proven", "drilled", "swapped", "cleaned", "repaired", "undone")
_TROUBLES = {
    "silent": ("trouble", "silence"),
    "stalled": ("trouble", "stall"),
    "held": ("wait", "held back"),
    "slowed": ("wait", "slowed down"),
    "waiting": ("wait", "waiting"),
    "again": ("wait", "tried again"),
}


def run_page(run: RunFacts) -> str:
    """The whole page."""
    tables = ", ".join(run.tables[:3]) + (
        f" and {len(run.tables) - 3} more" if len(run.tables) > 3 else ""
    )
    title = f"{run.operation} {'of ' + tables if tables else run.run}"
    style = "good" if run.outcome in _GOOD else "bad" if run.outcome == "failed" else "warn"
    return page(
        f"tablevault: {title}",
        tag("h1", title),
        tag("p", tag("span", run.outcome, class_=f"mark {style}"), _told(run.message)),
        _figures(run),
        _timeline(run),
        _throughput(run),
        section("What held it up", _troubles(run.troubles)),
        section("Indexes", _indexes(run.work)),
        section("Tables", _tables(run)),
        section("Findings", _findings(run)),
        section("Worth knowing", *(tag("p", hint) for hint in run.hints[:_MOST_ROWS])),
    )


def _told(message: str) -> Markup:
    return join(f": {message}") if message else join()


def _figures(run: RunFacts) -> Markup:
    began, ended = run.spans[0][0], run.spans[-1][1]
    size = sum(one.size_bytes for one in run.work if one.kind == CHUNK)
    if not size and run.samples:
        size = max(done for _, done in run.samples)
    rows = sum(rows for rows, _, _ in run.done.values())
    return facts(
        [
            ("run", run.run),
            ("snapshot", run.snapshot),
            ("began", units.moment(began)),
            ("ended, or last seen", units.moment(ended)),
            ("at work", units.duration(run.seconds)),
            ("processes", units.count(len(run.spans)) if len(run.spans) > 1 else None),
            ("rows", units.count(rows) if rows else None),
            ("bytes", units.size(size) if size else None),
            ("on average", units.rate(size / run.seconds) if size else None),
            ("longest silence", _longest_silence(run) if run.heard else None),
        ]
    )


def _longest_silence(run: RunFacts) -> str:
    gaps = [one.end - one.begin for one in run.troubles if one.kind == "silent"]
    return units.duration(max(gaps)) if gaps else f"below {SILENT_AFTER_S:.0f} s"


def _timeline(run: RunFacts) -> Markup:
    colour = colours(run)
    lanes = [
        Lane("phases", [_phase(n, *one) for n, one in enumerate(run.phases)], 18.0),
        *(
            Lane(f"worker {number}", [_bar(one, colour) for one in lane])
            for number, lane in enumerate(in_lanes(one for one in run.work if one.kind == CHUNK), 1)
        ),
        *(
            Lane(f"indexes {number}" if number > 1 else "indexes", [_bar(w, colour) for w in lane])
            for number, lane in enumerate(in_lanes(one for one in run.work if one.kind == INDEX), 1)
        ),
        *_trouble_lanes(run.troubles),
    ]
    if not any(lane.bars for lane in lanes):
        return section("Timeline", tag("p", "the run left neither events nor steps", class_="soft"))
    return section(
        "Timeline",
        drawing(lambda width: charts.timeline(lanes, run.spans, width)),
        legend([(f"c{n}", name) for name, n in list(colour.items())[:_COLOURS]]),
        _others(len(colour)),
        tag("p", "of the workers' parts the first are drawn", class_="soft")
        if run.drawn_in_part
        else None,
    )


def colours(run: RunFacts) -> dict[str, int]:
    """A colour for each table; the largest have one of their own."""
    sizes: dict[str, int] = {}
    for one in run.work:
        sizes[one.table] = sizes.get(one.table, 0) + one.size_bytes
    largest_first = sorted(sizes, key=lambda name: -sizes[name])
    return {name: min(n, _COLOURS - 1) for n, name in enumerate(largest_first)}


def _others(tables: int) -> Markup:
    more = tables - _COLOURS
    told = f"{units.count(more, 'smaller table')} in the last colour, too"
    return tag("p", told, class_="soft") if more > 0 else join()


def _phase(number: int, name: str, begin: float, end: float) -> Bar:
    title = f"{name}: {units.duration(end - begin)}"
    return Bar(begin, end, f"l{1 + number % 2}", title, name)


def _bar(work: Work, colour: dict[str, int]) -> Bar:
    size = f", {units.size(work.size_bytes)}" if work.size_bytes else ""
    title = f"{work.table}, {work.what}{size}, {units.duration(work.end - work.begin)}"
    return Bar(work.begin, work.end, f"c{colour[work.table]}", title, _label(work))


def _label(work: Work) -> str:
    return work.what.removeprefix("index ") if work.kind == INDEX else ""


def _trouble_lanes(troubles: Sequence[Trouble]) -> list[Lane]:
    lanes = []
    for kinds, name in (
        (("waiting", "again"), "waits"),
        (("slowed", "held"), "pressure"),
        (("stalled",), "stalls"),
        (("silent",), "silence"),
    ):
        bars = [
            Bar(one.begin, one.end, _TROUBLES[one.kind][0], f"{one.what}, {_lasted(one)}")
            for one in troubles
            if one.kind in kinds
        ]
        lanes.append(Lane(name, bars, 10.0))
    return lanes


def _lasted(trouble: Trouble) -> str:
    return units.duration(trouble.end - trouble.begin)


def _throughput(run: RunFacts) -> Markup:
    amounts = _amounts(run)
    if not amounts:
        return join()

    def draw(width: int) -> Markup:
        bins = max(10, width // 8 // len(run.spans))
        parts = []
        for begin, end in run.spans:
            step = (end - begin) / bins
            rates = binned([a for a in amounts if begin <= a[1] and a[0] <= end], begin, end, bins)
            parts.append([(begin + (n + 0.5) * step, rate) for n, rate in enumerate(rates)])
        return charts.area(parts, run.spans, units.rate, width)

    note = None if run.samples else "from the journal: row groups are taken to be of equal size"
    return section("Throughput", drawing(draw), tag("p", note, class_="soft") if note else None)


def _amounts(run: RunFacts) -> list[tuple[float, float, float]]:
    """(from, to, bytes): of the samples, or of the parts where nothing was sampled."""
    if run.samples:
        pairs = zip(run.samples, run.samples[1:], strict=False)
        return [(a, b, float(to - of)) for (a, of), (b, to) in pairs if to > of]
    return [(w.begin, w.end, float(w.size_bytes)) for w in run.work if w.size_bytes]


def _troubles(troubles: Sequence[Trouble]) -> Markup:
    """The longest, alike ones together, in the order in which they began."""
    alike: dict[tuple[str, str], list[Trouble]] = {}
    for one in troubles:
        alike.setdefault((one.kind, one.what), []).append(one)
    longest = sorted(alike.values(), key=lambda several: -sum(x.end - x.begin for x in several))
    shown = sorted(longest[:_MOST_ROWS], key=lambda several: several[0].begin)
    return join(*(_trouble(several) for several in shown))


def _trouble(alike: Sequence[Trouble]) -> Markup:
    first = alike[0]
    style, word = _TROUBLES[first.kind]
    times = f", {len(alike)} times" if len(alike) > 1 else ""
    return tag(
        "div",
        tag(
            "p",
            tag("span", units.clock(first.begin), class_="soft"),
            " ",
            tag("span", word, class_=f"mark {'bad' if style == 'trouble' else 'warn'}"),
            f" {units.duration(sum(one.end - one.begin for one in alike))}{times}",
        ),
        tag("p", first.what),
        *(tag("p", note, class_="soft") for note in alike[-1].notes),
        class_="entry",
    )


def _indexes(work: Sequence[Work]) -> Markup:
    rows = [
        [one.table, one.what.removeprefix("index "), units.duration(one.end - one.begin)]
        for one in sorted(work, key=lambda one: one.begin - one.end)
        if one.kind == INDEX
    ]
    return table(["table", "index", "built in"], rows[:_MOST_ROWS], 1)


def _tables(run: RunFacts) -> Markup:
    rows = [
        [name, units.count(rows), units.size(size), units.clock(at)]
        for name, (rows, size, at) in sorted(run.done.items(), key=lambda one: -one[1][1])
    ]
    return table(["table", "rows", "bytes", "complete at"], rows[:_MOST_ROWS], 3)


def _findings(run: RunFacts) -> Markup:
    rows = [
        [kind, name, "" if chunk is None else units.count(chunk)]
        for kind, name, chunk in run.findings[:_MOST_ROWS]
    ]
    return table(["finding", "table", "chunk"], rows, 1)

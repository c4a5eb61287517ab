"""The page of a vault: which days have a snapshot and a proof, what grows, what a restore takes."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from tablevault.cli import units
from tablevault.cli.report import charts
from tablevault.cli.report.charts import Series
from tablevault.cli.report.markup import Markup, join, tag
from tablevault.cli.report.page import drawing, facts, legend, page, section, table
from tablevault.cli.report.scales import round_time
from tablevault.cli.report.vault_facts import VaultFacts, days_of

_LINES = 4
_MOST_ROWS = 200
_LEGEND = [
    ("l2", "snapshots; darker: more"),
    ("c0 dash", "files last proven"),
    ("c1 dot", "restore rehearsed"),
    ("none", "nothing"),
]


def vault_page(vault: VaultFacts, now: float) -> str:
    """The whole page, as of `now` (Unix seconds)."""
    today = datetime.date.fromtimestamp(now)
    days = days_of(vault)
    return page(
        f"tablevault: {vault.uri}",
        tag("h1", vault.uri),
        _figures(vault, now),
        section(
            "Snapshots and proofs",
            drawing(lambda width: charts.calendar(days, today, width)),
            legend(_LEGEND),
        ),
        section("What was proven when", _proofs(vault, now)),
        section("Time of a restore", *_restores(vault)),
        section("Growth of the largest tables", *_growth(vault)),
        section("Snapshots", _snapshots(vault)),
    )


def _figures(vault: VaultFacts, now: float) -> Markup:
    newest = vault.snapshots[-1] if vault.snapshots else None
    whole = [proof for proof in vault.drills if proof.whole]
    times = [at for chunks in vault.verified.values() for at in chunks]
    never = sum(1 for at in times if not at)
    verified = units.age(min(times), now) if times and not never else None
    return facts(
        [
            ("snapshots", units.count(len(vault.snapshots))),
            ("bytes of files", units.size(vault.size_bytes)),
            ("tables", units.count(len(vault.tables))),
            ("newest snapshot", units.age(newest.created, now) if newest else _warn("none")),
            (
                "last proven restorable",
                units.age(whole[-1].at, now) if whole else _warn("never"),
            ),
            (
                "every file proven since",
                verified
                or _warn(f"{units.count(never)} of {units.count(len(times), 'chunk')} never"),
            ),
            ("a restore takes", units.duration(whole[-1].restore_s) if whole else None),
            ("unusable or incomplete", _bad(vault.unusable) if vault.unusable else None),
        ]
    )


def _warn(words: str) -> Markup:
    return tag("span", words, class_="mark warn")


def _bad(number: int) -> Markup:
    return tag("span", units.count(number), class_="mark bad")


def _proofs(vault: VaultFacts, now: float) -> Markup:
    rows = [
        [
            one.name,
            units.age(one.taken, now),
            units.age(one.verified, now) if one.verified else _warn("not all"),
            units.age(one.drilled, now) if one.drilled else _warn("never"),
        ]
        for one in vault.tables[:_MOST_ROWS]
    ]
    shown = table(["table", "snapshot", "verified", "rehearsed"], rows, 3)
    return join(shown, _left_out(len(vault.tables)))


def _restores(vault: VaultFacts) -> Iterator[Markup]:
    whole = [proof for proof in vault.drills if proof.whole]
    if not whole:
        return
    marks = [
        (p.at, p.restore_s, f"{units.moment(p.at)}: {units.duration(p.restore_s)}") for p in whole
    ]
    yield drawing(
        lambda width: charts.lines([Series("c1", marks)], units.whole_duration, width, round_time)
    )
    yield tag("p", "drills of whole snapshots, without the swap", class_="soft")
    last = whole[-1]
    phases = ", ".join(f"{name} {units.duration(s)}" for name, s in last.phases.items() if s > 0.05)
    server = f"{last.version} at {last.address}, {units.count(last.threads, 'thread')}"
    yield tag("p", f"the last one: {phases}; at {units.rate(last.rate_bytes_s)}, on {server}")


def _growth(vault: VaultFacts) -> Iterator[Markup]:
    largest = sorted(vault.tables, key=lambda one: -one.sizes[-1][1])[:_LINES]
    if not largest:
        return
    series = [
        Series(
            f"c{n}",
            [(at, float(size), f"{one.name}: {units.size(size)}") for at, size in one.sizes],
        )
        for n, one in enumerate(largest)
    ]
    yield drawing(lambda width: charts.lines(series, units.size, width))
    yield legend([(f"c{n}", one.name) for n, one in enumerate(largest)])
    yield tag("p", "bytes of rows, uncompressed, in each snapshot", class_="soft")


def _snapshots(vault: VaultFacts) -> Markup:
    rows = [
        [
            one.id,
            units.count(len(one.tables)),
            units.size(sum(entry.stored_bytes for entry in one.tables)),
            "in part" if one.partial else "",
        ]
        for one in reversed(vault.snapshots)
    ]
    shown = table(["snapshot", "tables", "bytes", ""], rows[:_MOST_ROWS], 3)
    return join(shown, _left_out(len(rows)))


def _left_out(number: int) -> Markup | None:
    more = number - _MOST_ROWS
    return tag("p", f"and {units.count(more)} more", class_="soft") if more > 0 else None

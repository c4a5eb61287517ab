"""Events in words: the lines that plain progress prints and that scroll above the bars."""

from __future__ import annotations

from collections.abc import Callable

from tablevault.cli import units
from tablevault.cli.units import printable
from tablevault.events import (
    ChunkDone,
    Event,
    FindingMade,
    Hint,
    PhaseBegan,
    Progress,
    Retrying,
    RunBegan,
    RunEnded,
    Stalled,
    TableDone,
    TablePlanned,
    TableProgress,
    Throttled,
    Waiting,
)

GAP = "  "
FINISHED = frozenset({"done", "read", "checked", "proven"})  # what operations call a table's end
IDLE = frozenset({"", "waiting"})
_NAMED_TABLES = 2


def phase_line(event: Event) -> str:
    """What a phase is called, with its detail."""
    detail = event.detail if isinstance(event, PhaseBegan) else ""
    return GAP.join(part for part in (event.phase or "starting", printable(detail)) if part)


def progress_figures(event: Progress, *, with_rate: bool = True) -> list[str]:
    """Rows, rate and remaining time; what is not known or does not move is left out."""
    figures = []
    if event.rows_done or event.rows_total:
        figures.append(units.count(event.rows_done, "row"))
    if with_rate and event.rate_bytes_s > 0:
        figures.append(units.rate(event.rate_bytes_s))
    if event.remaining_s is not None:
        figures.append(f"remaining {units.whole_duration(event.remaining_s)}")
    return figures


def progress_line(event: Progress) -> str:
    """One line of plain progress: `reading  42 %  1,234,567 rows  83 MB/s  …  shop.orders`."""
    percent = "" if event.percent is None else f"{percentage(event.percent)} %"
    parts = [event.phase or "working", percent, *progress_figures(event), active_names(event)]
    return GAP.join(part for part in parts if part)


def percentage(percent: float) -> str:
    """Rounded down: what is not finished never reads 100."""
    return f"{int(percent):d}"


def active_tables(event: Progress) -> list[TableProgress]:
    """The tables that are being worked on, in the order given."""
    return [table for table in event.tables if table.state not in FINISHED | IDLE]


def active_names(event: Progress) -> str:
    """The first active tables by name, and how many more there are."""
    active = active_tables(event)
    names = [_with_state(table, event.phase) for table in active[:_NAMED_TABLES]]
    if len(active) > _NAMED_TABLES:
        names.append(f"and {units.count(len(active) - _NAMED_TABLES)} more")
    return ", ".join(names)


def waiting_text(event: Waiting) -> str:
    """What is waited for, and since when."""
    return f"{printable(event.what)}, {units.whole_duration(event.seconds)}"


def event_lines(event: Event, verbose: int = 0) -> list[str]:
    """The lines an event is worth; none for those that only move figures."""
    describe = _LINES.get(type(event))
    # Escaped here, once for all: what events carry comes from servers, files and people.
    return [printable(line) for line in describe(event, verbose)] if describe else []


def _with_state(table: TableProgress, phase: str) -> str:
    name = printable(table.table)
    return f"{name} ({printable(table.state)})" if table.state != phase else name


def _run_began(event: Event, verbose: int) -> list[str]:
    assert isinstance(event, RunBegan)
    parts = [event.operation]
    if event.snapshot:
        parts.append(f"snapshot {event.snapshot}")
    if event.run:
        parts.append(f"run {event.run}")
    return [GAP.join(parts)]


def _run_ended(event: Event, verbose: int) -> list[str]:
    assert isinstance(event, RunEnded)
    words = {"ok": "done", "findings": "done, with findings"}.get(event.status, event.status)
    return [f"{words} after {units.duration(event.seconds)}"]


def _phase_began(event: Event, verbose: int) -> list[str]:
    return [phase_line(event)]


def _table_planned(event: Event, verbose: int) -> list[str]:
    assert isinstance(event, TablePlanned)
    if not verbose:
        return []
    expected = f"about {units.count(event.rows, 'row')}, {units.size(event.size_bytes)}"
    return [f"planned  {event.table}  {expected}"]


def _table_done(event: Event, verbose: int) -> list[str]:
    assert isinstance(event, TableDone)
    if not verbose:
        return []
    figures = (units.count(event.rows, "row"), units.size(event.size_bytes))
    return [GAP.join(("done", event.table, *figures, units.duration(event.seconds)))]


def _chunk_done(event: Event, verbose: int) -> list[str]:
    assert isinstance(event, ChunkDone)
    if verbose < 2:
        return []
    group = "" if event.row_group is None else f".{event.row_group}"
    proven = "proven" if event.proven else "taken over, unchanged" if event.taken else ""
    parts = (
        f"chunk {event.chunk}{group}",
        event.table,
        units.count(event.rows, "row"),
        units.size(event.size_bytes),
        proven,
    )
    return [GAP.join(part for part in parts if part)]


def _waiting(event: Event, verbose: int) -> list[str]:
    assert isinstance(event, Waiting)
    return [waiting_text(event), *(f"  blocked by {one}" for one in event.blockers)]


def _stalled(event: Event, verbose: int) -> list[str]:
    assert isinstance(event, Stalled)
    word = "stalled" if event.severity == 1 else "still stalled"
    return [
        f"{word}: nothing moved for {units.whole_duration(event.seconds)}: {event.cause}",
        f"  remedy: {event.remedy}",
        *(f"  {line}" for line in event.evidence),
    ]


def _throttled(event: Event, verbose: int) -> list[str]:
    assert isinstance(event, Throttled)
    state = f"{event.what}: {event.figure}, the limit is {event.limit}"
    if event.held:
        return [f"waiting: {state}"]
    if event.pause_s:
        return [f"slowing down: {state}"]
    return [f"at full speed again: {state}"]


def _retrying(event: Event, verbose: int) -> list[str]:
    assert isinstance(event, Retrying)
    return [
        f"trying again in {units.duration(event.delay_s)} (attempt {event.attempt}): "
        f"{event.what}: {event.cause}"
    ]


def _hint(event: Event, verbose: int) -> list[str]:
    assert isinstance(event, Hint)
    return [f"hint: {event.message}"]


def _finding(event: Event, verbose: int) -> list[str]:
    assert isinstance(event, FindingMade)
    return [finding_text(event.kind, event.message, event.table, event.chunk)]


def finding_text(kind: str, message: str, table: str | None, chunk: int | None) -> str:
    """A finding on one line: what kind, where, and what was seen."""
    where = [table] if table else []
    if chunk is not None:
        where.append(f"chunk {chunk}")
    place = f" {' '.join(where)}:" if where else ""
    return f"{kind}:{place} {message}"


_LINES: dict[type[Event], Callable[[Event, int], list[str]]] = {
    RunBegan: _run_began,
    RunEnded: _run_ended,
    PhaseBegan: _phase_began,
    TablePlanned: _table_planned,
    TableDone: _table_done,
    ChunkDone: _chunk_done,
    Waiting: _waiting,
    Stalled: _stalled,
    Throttled: _throttled,
    Retrying: _retrying,
    Hint: _hint,
    FindingMade: _finding,
}

"""What a guard found, in words that a tired person reads in five seconds.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tablevault.cli import units
from tablevault.cli.units import printable

if TYPE_CHECKING:
    from tablevault.cli.maintenance import CommandEnd
    from tablevault.ops.guard import GuardedTable, GuardResult

_NAMED = 5


def guard_text(result: GuardResult, end: CommandEnd | None) -> str:
    """The command's end, then the alarm if there is one, then what is as it should be."""
    lines = [] if end is None else [end_line(end)]
    total = units.count(len(result.tables), "table")
    if result.alarming:
        lines.append(f"CHANGED UNEXPECTEDLY: {len(result.alarming)} of {total}")
        lines += [_alarm_line(table) for table in result.alarming]
    lines += _others(result, "expected", "changed as expected")
    lines += _others(result, "unchanged", "unchanged")
    for expectation in result.unmet:
        lines.append(f"hint: {printable(str(expectation))} was expected to change, and did not")
    lines += [f"hint: {printable(hint)}" for hint in result.hints]
    return "\n".join(lines)


def end_line(end: CommandEnd) -> str:
    """How the command ended."""
    how = f"was ended by {end.signal}" if end.signal else f"ended with exit code {end.code}"
    return f"the command {how} after {units.duration(end.seconds)}"


def _alarm_line(table: GuardedTable) -> str:
    return f"  {printable(str(table.diff.table))}: {printable('; '.join(table.unexpected))}"


def _others(result: GuardResult, verdict: str, words: str) -> Iterator[str]:
    names = [str(table.diff.table) for table in result.tables if table.verdict == verdict]
    if names:
        yield f"{words}: {units.count(len(names), 'table')} ({_some(names)})"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown}, ..."

"""`runs`: what there is to go on with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tablevault.cli import parser, units
from tablevault.cli.invocation import invocation
from tablevault.cli.parser import Command
from tablevault.cli.running import finish
from tablevault.cli.target import state_dir
from tablevault.cli.units import printable
from tablevault.cli.ways import follow_up

if TYPE_CHECKING:
    from tablevault.ops.overview import RunLine

_SHOWN_TABLES = 2


@click.command("runs", cls=Command, exits=(4,))
@parser.vault_option
@parser.state_dir_option
@click.pass_context
def runs_command(ctx: click.Context, /, **_: object) -> int:
    """List the runs, oldest first: what each worked on, where it stands, what to do next.

    No server is asked: it is what the journals say. With -q the ids alone of the runs that
    something is left of.
    """
    from tablevault.ops.overview import list_lines

    lines = list_lines(state_dir(ctx))
    ways = {line.run: _commands(ctx, line) for line in lines}
    if invocation(ctx).quiet:
        text = "\n".join(line.run for line in lines if line.ways)
    else:
        text = _text(lines, ways)
    return finish(ctx, {"runs": [_record(line, ways[line.run]) for line in lines]}, text)


def _commands(ctx: click.Context, line: RunLine) -> dict[str, str]:
    return {
        what: follow_up(ctx, command, line.run, reached_by=line.reached_by)
        for what, command in line.ways
    }


def _record(line: RunLine, commands: dict[str, str]) -> dict[str, Any]:
    return {
        "run": line.run,
        "operation": line.operation,
        "snapshot": line.snapshot,
        "tables": list(line.tables),
        "state": line.state,
        "alive": line.alive,
        "began": line.began,
        "last_seen": line.last_seen,
        "commands": commands,
    }


def _text(lines: tuple[RunLine, ...], ways: dict[str, dict[str, str]]) -> str:
    from tablevault.cli.render import columns

    if not lines:
        return "no runs"
    rows = [("RUN", "KIND", "STATE", "BEGAN", "TABLES")]
    rows += [
        (
            printable(line.run),
            printable(line.operation),
            f"{line.state}, at work" if line.alive and line.state != "at work" else line.state,
            units.age(line.began),
            printable(_tables(line.tables)),
        )
        for line in lines
    ]
    shown = []
    for row, line in zip(columns(rows).splitlines(), (None, *lines), strict=True):
        shown.append(row)
        if line is not None:
            shown += [f"  {what}: {command}" for what, command in ways[line.run].items()]
    return "\n".join(shown)


def _tables(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN_TABLES
    listed = ", ".join(names[:_SHOWN_TABLES])
    return f"{listed} and {units.count(more)} more" if more > 0 else listed

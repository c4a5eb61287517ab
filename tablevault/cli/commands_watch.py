"""`watch`: a run seen from another terminal, living or dead."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from tablevault.cli import completing, parser, units
from tablevault.cli.invocation import invocation
from tablevault.cli.output import say, say_json, tell_error
from tablevault.cli.parser import Command
from tablevault.cli.running import observed
from tablevault.cli.target import state_dir
from tablevault.cli.units import printable
from tablevault.cli.ways import completed, follow_up
from tablevault.errors import EXIT_FINDINGS, EXIT_OK, CannotComplete

if TYPE_CHECKING:
    from tablevault.ops.watching import RunEnd


@click.command("watch", cls=Command, exits=(3, 4))
@click.argument("run", metavar="[RUN]", required=False, shell_complete=completing.runs)
@parser.vault_option
@parser.state_dir_option
@click.pass_context
def watch_command(ctx: click.Context, /, run: str | None, **_: object) -> int:
    """Follow a run from another terminal, or tell how it ended.

    RUN is a run's id or the start of it, or a snapshot's id; without one the newest run is meant.
    Ctrl-C ends the watching, not the run. The exit code is 0 when the run ended well, 4 when it
    failed or died; then the commands that go on with it are printed.
    """
    from tablevault.ops.watching import watch

    with observed(ctx) as observer:
        end = watch(state_dir(ctx), run, observer)
    about = invocation(ctx)
    about.run, about.snapshot = end.run, end.snapshot
    commands = {
        what: follow_up(ctx, command, end.run, reached_by=end.reached_by)
        for what, command in end.ways
    }
    if end.hint:
        end = replace(end, hint=completed(ctx, end.hint, end.reached_by))
    if about.json:
        say_json(_record(end, commands))
    else:
        if not end.well:
            tell_error(_summary(end), end.hint)
        text = _text(end, commands, quiet=about.quiet)
        if text:
            say(text)
    if not end.well:
        return CannotComplete.exit_code
    return EXIT_FINDINGS if end.outcome == "findings" else EXIT_OK


def _record(end: RunEnd, commands: dict[str, str]) -> dict[str, Any]:
    return {
        "status": end.outcome if end.outcome != "died" else "failed",
        "run": end.run,
        "snapshot": end.snapshot,
        "operation": end.operation,
        "outcome": end.outcome,
        "state": end.state,
        "phase": end.phase,
        "percent": end.percent,
        "last_seen": end.last_seen,
        "error": None if end.well else _summary(end),
        "hint": end.hint,
        "done": list(end.came_to),
        "commands": commands,
    }


def _summary(end: RunEnd) -> str:
    if end.outcome == "died":
        return end.message
    reason = f": {end.message}" if end.message else ""
    return f"{end.operation} {end.run} {end.outcome}{reason}"


def _text(end: RunEnd, commands: dict[str, str], *, quiet: bool) -> str:
    if quiet:
        return ""
    lines = []
    if end.well:
        state = f": {end.state}" if end.state else ""
        lines.append(f"{end.operation} {end.run} ended well{state}")
    else:
        lines += [printable(line) for line in end.came_to]
    if end.last_seen is not None:
        lines.append(f"last sign of life: {units.moment(end.last_seen)}")
    lines += [f"{what}: {command}" for what, command in commands.items()]
    return "\n".join(lines)

"""How a command runs an operation: who watches it, and how its result leaves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from tablevault.cli.invocation import Invocation, invocation
from tablevault.cli.output import say, say_json
from tablevault.errors import EXIT_FINDINGS, EXIT_OK, UsageError

if TYPE_CHECKING:
    from tablevault.cli.events_file import EventsFile
    from tablevault.events import Observer


@contextmanager
def observed(ctx: click.Context, *, drawn: bool = True) -> Iterator[Observer]:
    """The observer of a run: remembers its ids, writes `--events`, draws; cleared at the end.

    Not `drawn`: the terminal belongs to somebody else meanwhile.

    The events file is opened first, so that one that cannot be written stops the command before
    it did anything.
    """
    from tablevault.cli.progress import choose_progress, fan_out
    from tablevault.cli.ways import completing

    about = invocation(ctx)
    with ExitStack() as stack:
        observers: list[Observer] = [about.note]
        if about.events:
            observers.append(_events_file(about, stack))
        quiet = about.quiet or not drawn
        drawing = choose_progress(sys.stderr, quiet=quiet, verbose=about.verbose)
        stack.callback(drawing.close)
        yield completing(ctx, fan_out([*observers, drawing]))


def finish(ctx: click.Context, record: dict[str, Any], text: str, *, findings: bool = False) -> int:
    """Print a result the way that was asked for, and return the exit code.

    `status` is "ok" or "findings", as in the last event of the run; an empty text is not printed.
    """
    if invocation(ctx).json:
        say_json({"status": "findings" if findings else "ok", **record})
    elif text:
        say(text)
    return EXIT_FINDINGS if findings else EXIT_OK


def _events_file(about: Invocation, stack: ExitStack) -> EventsFile:
    from tablevault.cli.events_file import EventsFile

    assert about.events is not None
    if about.events == "-" and about.json:
        raise UsageError(
            "--events - and --json both write to standard output",
            hint="give --events a file",
        )
    events = EventsFile(about.events)
    stack.callback(events.close)
    return events

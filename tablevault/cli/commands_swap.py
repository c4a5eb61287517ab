"""What follows a proven restore: `swap`, `rollback`, `cleanup`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tablevault.cli import completing, parser, types
from tablevault.cli.invocation import invocation
from tablevault.cli.output import tell
from tablevault.cli.parser import Command, option
from tablevault.cli.running import finish, observed
from tablevault.cli.target import connect_options, state_dir
from tablevault.cli.units import printable
from tablevault.cli.ways import follow_up
from tablevault.errors import ConsentNeeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from tablevault.mysql.options import ConnectOptions
    from tablevault.ops.options import SwapResult

F = TypeVar("F", bound="Callable[..., Any]")

DEFAULT_LOCK_WAIT_S = 60.0
_lock_wait_option = option(
    "--lock-wait",
    type=types.duration,
    metavar="S",
    default=DEFAULT_LOCK_WAIT_S,
    help="Keep trying the cut-over for this time, a second at a time (default 60s).",
)
_kill_option = option(
    "--kill-blockers",
    is_flag=True,
    help="End the sessions that hold a lock on the tables; says which.",
)


def cut_over_options(command: F) -> F:
    """The options of a swap, in the order of the help."""
    for one in reversed(
        (
            _lock_wait_option,
            _kill_option,
            option(
                "--keep-new",
                is_flag=True,
                help="Carry over rows whose keys the snapshot does not have.",
            ),
            option(
                "--allow-orphans",
                is_flag=True,
                help="Swap although rows would be left without their parents.",
            ),
        )
    ):
        command = one(command)
    return command


@click.command("swap", cls=Command, exits=(3, 4, 5, 7))
@click.argument("run", metavar="RUN", shell_complete=completing.runs)
@cut_over_options
@parser.vault_option
@parser.state_dir_option
@parser.connection_options
@click.pass_context
def swap_command(ctx: click.Context, /, run: str, **_: object) -> int:
    """Put a restore's proven tables in place of the live ones.

    One atomic RENAME TABLE, with foreign keys and triggers; the tables that were live are kept
    for `rollback` until `cleanup`.
    """
    from tablevault.ops.swap import swap

    return cut_over(ctx, run, connect_options(ctx), swap, "allow_orphans")


@click.command("rollback", cls=Command, exits=(3, 4, 5, 7))
@click.argument("run", metavar="RUN", shell_complete=completing.runs)
@_lock_wait_option
@_kill_option
@option("--yes", is_flag=True, help="Also when rows written since the swap go out of sight.")
@parser.vault_option
@parser.state_dir_option
@parser.connection_options
@click.pass_context
def rollback_command(ctx: click.Context, /, run: str, **_: object) -> int:
    """Undo a swap: what was live before is live again.

    Says how many rows written since the swap would no longer be live, and then wants --yes.
    """
    from tablevault.ops.swap import rollback

    return cut_over(ctx, run, connect_options(ctx), rollback, "yes")


@click.command("cleanup", cls=Command, exits=(4, 5, 7))
@click.argument("run", metavar="RUN", shell_complete=completing.runs)
@_lock_wait_option
@parser.vault_option
@parser.state_dir_option
@parser.connection_options
@click.pass_context
def cleanup_command(ctx: click.Context, /, run: str, **_: object) -> int:
    """Drop what a restore has kept; no rollback after it."""
    from tablevault.ops.swap import cleanup

    return cut_over(ctx, run, connect_options(ctx), cleanup)


_WISHES = ("keep_new", "kill_blockers", "allow_orphans", "yes")


def cut_over(
    ctx: click.Context,
    run: str,
    target: ConnectOptions,
    operation: Callable[..., SwapResult],
    consent: str = "",
) -> int:
    """Carry out an operation of the cut-over and tell how it went.

    On a terminal it may be asked whether to go on; `consent` is the wish that says yes to that.
    """
    wishes = {name: ctx.params[name] for name in _WISHES if ctx.params.get(name)}
    wishes["lock_wait_s"] = ctx.params["lock_wait"]

    def carry_out(**more: bool) -> SwapResult:
        with observed(ctx) as observer:
            invocation(ctx).run = run
            return operation(target, run, state_dir(ctx), observer, **{**wishes, **more})

    try:
        result = carry_out()
    except ConsentNeeded as error:
        if not (consent and invocation(ctx).interactive):
            raise
        # advice first names the option that says yes, then what becomes of the rows
        fate = (error.hint or "").partition("; ")[2]
        tell(printable("; ".join(part for part in (error.message, fate) if part)))
        what = f"{ctx.info_name} {run} on {target.target}"
        if not ask(f"{printable(what)}: go on all the same? [y/N] "):
            raise
        result = carry_out(**{consent: True})
    return _finish(ctx, result)


def _finish(ctx: click.Context, result: SwapResult) -> int:
    from tablevault.cli import records, render

    text = "" if invocation(ctx).quiet else render.swap_text(result)
    if text and result.status == "swapped":
        text += f"\n{ways_on(ctx, result.run)}"
    return finish(ctx, records.swap_record(result), text, findings=bool(result.findings))


def ways_on(ctx: click.Context, run: str) -> str:
    """The commands that undo a swap, or make it final."""
    undo, clean = (follow_up(ctx, name, run) for name in ("rollback", "cleanup"))
    return f"to undo it:\n  {undo}\nwhen all is well:\n  {clean}"


def ask(question: str) -> bool:
    """Ask on standard error, read from standard input; its end means no."""
    sys.stderr.write(question)
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        tell("")
    return answer.strip().lower() in ("y", "yes")

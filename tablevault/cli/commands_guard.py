"""`guard`: a snapshot, the maintenance, and what it changed beside what it was to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tablevault.cli import completing, parser
from tablevault.cli.invocation import invocation
from tablevault.cli.output import tell
from tablevault.cli.parser import Command, option
from tablevault.cli.running import finish, observed
from tablevault.cli.target import (
    connect_options,
    open_vault,
    setting,
    state_dir,
    table_patterns,
)
from tablevault.cli.units import printable
from tablevault.cli.ways import follow_up
from tablevault.errors import CannotComplete, Interrupted, TablevaultError, UsageError

if TYPE_CHECKING:
    from tablevault.cli.maintenance import CommandEnd
    from tablevault.model import Snapshot
    from tablevault.mysql.options import ConnectOptions
    from tablevault.ops.guard import Guarded, GuardOptions, GuardResult

NAME = "guard"  # of the snapshots it takes, unless told otherwise
_WORDS = "tablevault.guard.words"


class _GuardCommand(Command):
    """What follows `--` is the command to guard, word for word."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_WORDS] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND [WORD]...]"]


@click.command("guard", cls=_GuardCommand, exits=(3, 4, 5, 6, 7))
@click.argument("tables", nargs=-1, metavar="[TABLE]...", shell_complete=completing.tables)
@option(
    "--expect-change",
    "expected",
    multiple=True,
    metavar="TABLE[:COLUMN]",
    shell_complete=completing.tables,
    help="A table, or a column of it, that is meant to change; as often as needed.",
)
@option(
    "--snapshot",
    metavar="SNAPSHOT",
    shell_complete=completing.snapshots,
    help="Go by this one if the tables are still as it has them; with --end: the one of --begin.",
)
@option("--begin", is_flag=True, help="Only take the snapshot: the maintenance is no one command.")
@option("--end", is_flag=True, help="Compare: the maintenance is over.")
@option("--name", metavar="NAME", help=f"Name to end the snapshot's id with (default {NAME}).")
@option(
    "--incremental",
    is_flag=True,
    help="Let the snapshot take over chunks in which nothing has changed since the newest ones.",
)
@option(
    "--base",
    metavar="SNAPSHOT",
    shell_complete=completing.snapshots,
    help="The same, since this snapshot.",
)
@parser.threads_option
@parser.vault_option
@parser.state_dir_option
@parser.connection_options
@click.pass_context
def guard_command(
    ctx: click.Context,
    /,
    tables: tuple[str, ...],
    expected: tuple[str, ...],
    snapshot: str | None,
    begin: bool,
    end: bool,
    name: str | None,
    incremental: bool,
    base: str | None,
    **_: object,
) -> int:
    """Guard tables while a command runs; tell which it changed.

    Takes a snapshot, runs COMMAND with its output passed through, compares: a change that was not
    expected ends with 3 and the command that puts it back. TABLE is schema.table and may hold *
    and ?; without any, all tables of the account are guarded. Whatever becomes of COMMAND, the
    comparison is made.
    """
    from tablevault.cli.guard_text import end_line
    from tablevault.cli.maintenance import assert_there
    from tablevault.ops.diff_terms import DiffOptions
    from tablevault.ops.expectation import parse_expectation
    from tablevault.ops.guard import GuardOptions
    from tablevault.ops.options import DEFAULT_THREADS, SnapshotOptions

    words: list[str] = ctx.meta.get(_WORDS, [])
    if [begin, end, bool(words)].count(True) != 1:
        raise UsageError(
            "name one thing to guard: a command after --, or --begin, or --end",
            hint="tablevault guard 'shop.*' --expect-change shop.orders:status -- ./migrate.sh",
        )
    if end and (incremental or base):
        raise UsageError("--incremental and --base are for the snapshot, and --end takes none")
    threads = setting(ctx, "threads") or DEFAULT_THREADS
    options = GuardOptions(
        patterns=table_patterns(ctx, tables),
        snapshot=SnapshotOptions(
            name=name or NAME, threads=threads, incremental=incremental, base=base
        ),
        expectations=tuple(map(parse_expectation, expected)),
        reuse=snapshot,
        diff=DiffOptions(threads=threads),
    )
    if words:
        assert_there(words)
    target = connect_options(ctx)
    if end:
        found = _compare(ctx, target, snapshot or name or NAME, options, tables)
        return _finish(ctx, found, None)
    before = _begin(ctx, target, options)
    if begin:
        return _begun(ctx, before, expected)
    ended = _maintain(ctx, before.snapshot, words)
    try:
        found = _compare(ctx, target, before.snapshot.id, options, before.patterns)
    except TablevaultError as error:
        tell(end_line(ended))
        again = f"to compare again: {_end_command(ctx, before, expected)}"
        error.hint = f"{error.hint}; {again}" if error.hint else again
        raise
    return _finish(ctx, found, ended)


def _begin(ctx: click.Context, target: ConnectOptions, options: GuardOptions) -> Guarded:
    from tablevault.ops.guard import begin_guard

    with observed(ctx) as observer:
        store = open_vault(ctx, create=True)
        return begin_guard(target, store, options, observer, state_dir=state_dir(ctx))


def _maintain(ctx: click.Context, before: Snapshot, words: list[str]) -> CommandEnd:
    """Run the command.  Only its program is ever named: its words may hold a password."""
    from tablevault.cli.maintenance import run_command
    from tablevault.events import Reporter, Waiting

    about = invocation(ctx)
    if not about.quiet:
        tell(f"guarding since snapshot {before.id}: running {printable(words[0])}")
    with observed(ctx, drawn=False) as observer:
        reporter = Reporter(before.id, observer)
        reporter.begin_phase("maintenance", words[0])

        def waiting(seconds: float) -> None:
            reporter.emit(Waiting(what="the command to end", seconds=seconds))

        return run_command(words, waiting, to_stderr=about.json)


def _compare(
    ctx: click.Context,
    target: ConnectOptions,
    snapshot: str,
    options: GuardOptions,
    patterns: tuple[str, ...],
) -> GuardResult:
    from dataclasses import replace

    from tablevault.ops.guard import end_guard

    with observed(ctx) as observer:
        return end_guard(
            target,
            open_vault(ctx),
            snapshot,
            replace(options, patterns=patterns),
            observer,
            state_dir=state_dir(ctx),
        )


def _begun(ctx: click.Context, before: Guarded, expected: tuple[str, ...]) -> int:
    command = _end_command(ctx, before, expected)
    taken = before.snapshot.id
    record = {"snapshot": taken, "run": taken, "end_command": command}
    text = f"guarding since snapshot {taken}; when the maintenance is over:\n  {command}"
    return finish(ctx, record, command if invocation(ctx).quiet else text)


def _end_command(ctx: click.Context, before: Guarded, expected: tuple[str, ...]) -> str:
    words = [word for one in expected for word in ("--expect-change", one)]
    return follow_up(ctx, "guard --end --snapshot", before.snapshot.id, *before.patterns, *words)


def _finish(ctx: click.Context, result: GuardResult, end: CommandEnd | None) -> int:
    """Say it all, the commands that put things back last; findings win over the command's end."""
    from tablevault.cli.guard_text import guard_text
    from tablevault.cli.records import guard_record

    commands = _put_back(ctx, result)
    record: dict[str, Any] = guard_record(result, end, commands)
    lines = [guard_text(result, end), *(f"to put it back:\n  {one}" for one in commands)]
    code = finish(ctx, record, "\n".join(lines), findings=bool(result.alarming))
    if code or end is None or not end.code:
        return code
    return Interrupted.exit_code if end.interrupted else CannotComplete.exit_code


def _put_back(ctx: click.Context, result: GuardResult) -> list[str]:
    """What puts the tables back that changed in a way nobody expected: rows, or whole tables."""
    rows = [str(table.diff.table) for table in result.alarming if table.repairable]
    whole = [str(table.diff.table) for table in result.alarming if not table.repairable]
    commands = []
    if rows:
        commands.append(follow_up(ctx, "repair", result.snapshot, *rows, "--execute"))
    if whole:
        commands.append(follow_up(ctx, "restore", result.snapshot, *whole, "--swap"))
    return commands

"""`restore`: beside the live tables, proven, and into their place when told so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tablevault.cli import completing, parser, types
from tablevault.cli.commands_swap import ask, cut_over, cut_over_options, ways_on
from tablevault.cli.invocation import invocation
from tablevault.cli.output import say, tell
from tablevault.cli.parser import Command, option
from tablevault.cli.pressure_options import pressure_options
from tablevault.cli.running import finish, observed
from tablevault.cli.target import connect_options, open_vault, setting, state_dir
from tablevault.cli.units import count, printable
from tablevault.cli.ways import connection_words, follow_up
from tablevault.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from tablevault.model import TableName
    from tablevault.mysql.options import ConnectOptions
    from tablevault.ops.options import RestoreOptions, RestoreResult


@click.command("restore", cls=Command, exits=(3, 4, 5, 6, 7))
@click.argument("snapshot", metavar="SNAPSHOT", required=False, shell_complete=completing.snapshots)
@click.argument("tables", nargs=-1, metavar="[TABLE]...", shell_complete=completing.tables)
@option("--swap", is_flag=True, help="Put the tables in place as soon as all is proven.")
@option(
    "--as",
    "as_table",
    type=types.table,
    metavar="SCHEMA.TABLE",
    help="Restore the one table under this name.",
)
@option(
    "--into",
    metavar="SCHEMA",
    shell_complete=completing.schemas,
    help="Restore into this schema.",
)
@option("--partition", metavar="NAME", help="Put only this partition of the table in place.")
@parser.threads_option
@option(
    "--lane",
    type=click.Choice(["auto", "logical", "tablespace"]),
    help="Take the rows from the chunks, or from tablespaces that the snapshot keeps "
    "(default auto).",
)
@parser.indexes_option
@parser.no_binlog_option
@option(
    "--resume",
    metavar="RUN",
    shell_complete=completing.runs,
    help="Go on with a restore that was interrupted.",
)
@option("--new", is_flag=True, help="Begin anew although a run on the tables was not finished.")
@pressure_options
@cut_over_options
@parser.vault_option
@parser.state_dir_option
@parser.connection_options
@click.pass_context
def restore_command(
    ctx: click.Context,
    /,
    snapshot: str | None,
    tables: tuple[str, ...],
    swap: bool,
    as_table: TableName | None,
    into: str | None,
    partition: str | None,
    lane: str | None,
    indexes: str | None,
    no_binlog: bool,
    resume: str | None,
    new: bool,
    emergency: bool,
    replicas: tuple[str, ...],
    max_lag: float | None,
    pressure_wait: float | None,
    stall_action: str | None,
    stall_after: float | None,
    lock_wait: float,
    keep_new: bool,
    kill_blockers: bool,
    allow_orphans: bool,
    **_: object,
) -> int:
    """Restore tables beside the live ones, prove, swap.

    SNAPSHOT is an id, the start of one, a name, or "latest"; TABLE is schema.table and may hold
    * and ?.  With --swap the proven tables are put in place at once; without it you are asked on a
    terminal, and elsewhere the command that does it is printed.
    """
    from tablevault.cli import records, render
    from tablevault.ops.options import RestoreOptions

    options = RestoreOptions(
        patterns=tables,
        as_table=as_table,
        into=into,
        partition=partition,
        log_bin=not no_binlog,
        swap=swap,
        lock_wait_s=lock_wait,
        keep_new=keep_new,
        kill_blockers=kill_blockers,
        allow_orphans=allow_orphans,
        new=new,
        reached_by=connection_words(ctx),
        emergency=emergency,
        replicas=replicas,
        **_given(
            threads=setting(ctx, "threads"),
            indexes=indexes,
            lane=lane,
            stall_action=stall_action,
            stalled_after_s=stall_after,
            max_lag_s=max_lag,
            pressure_wait_s=pressure_wait,
        ),
    )
    _check(ctx, snapshot, options, resume)
    target = connect_options(ctx)
    result = _restore(ctx, target, snapshot, options, resume)
    about = invocation(ctx)
    about.run, about.snapshot = result.run, result.snapshot
    record = records.restore_record(result)
    if result.status != "proven":
        text = f"{render.restore_text(result, target.target)}\n{ways_on(ctx, result.run)}"
        found = bool(result.findings)
        return finish(ctx, record, "" if about.quiet else text, findings=found)
    record["swap_command"] = follow_up(ctx, "swap", result.run)
    if not about.interactive:
        return finish(ctx, record, _stopped_text(ctx, result, target, record["swap_command"]))
    return _offer_swap(ctx, result, target)


def _check(
    ctx: click.Context, snapshot: str | None, options: RestoreOptions, resume: str | None
) -> None:
    if resume is None and snapshot is None:
        raise UsageError(
            "no snapshot is named", hint='tablevault list shows them; "latest" is the last one'
        )
    if options.as_table and options.into:
        raise UsageError("--as and --into cannot be combined")
    if resume is None:
        return
    fixed = {
        "SNAPSHOT": snapshot,
        "--as": options.as_table,
        "--into": options.into,
        "--partition": options.partition,
        "--lane": ctx.params["lane"],
        "--indexes": ctx.params["indexes"],
        "--no-binlog": ctx.params["no_binlog"],
        "--threads": ctx.params["threads"],
        "--new": options.new,
    }
    given = [name for name, value in fixed.items() if value]
    if given:
        raise UsageError(
            f"--resume goes on as the run began, without {', '.join(given)}",
            hint="drop them, or begin a new restore",
        )


def _restore(
    ctx: click.Context,
    target: ConnectOptions,
    snapshot: str | None,
    options: RestoreOptions,
    resume_run: str | None,
) -> RestoreResult:
    from tablevault.ops.restore import restore, resume

    with observed(ctx) as observer:
        store, state = open_vault(ctx), state_dir(ctx)
        if resume_run is not None:
            return resume(target, store, resume_run, state, observer, now=options)
        assert snapshot is not None
        return restore(target, store, snapshot, options, state, observer)


def _stopped_text(
    ctx: click.Context, result: RestoreResult, target: ConnectOptions, command: str
) -> str:
    from tablevault.cli import render

    if invocation(ctx).quiet:
        return command
    return "\n".join(
        (
            render.restore_text(result, target.target),
            "the live tables are untouched; to put the restored ones in place:",
            f"  {command}",
        )
    )


def _offer_swap(ctx: click.Context, result: RestoreResult, target: ConnectOptions) -> int:
    """Ask, with all said that follows from a yes."""
    from tablevault import names
    from tablevault.cli import render
    from tablevault.ops.swap import swap

    command = follow_up(ctx, "swap", result.run)
    say(render.restore_text(result, target.target))
    kept = [str(names.kept_table(table.table, result.run)) for table in result.tables]
    tell(f"the swap, on {printable(target.target)}, in one step:")
    tell(render.swap_plan(result, kept))
    if result.partition:
        name = printable(str(result.tables[0].table))
        what = f"the restored partition {printable(result.partition)} of {name} into place of that"
    elif len(result.tables) == 1:
        what = f"the restored table {printable(str(result.tables[0].table))} into place of the one"
    else:
        what = f"the {count(len(result.tables))} restored tables into place of those"
    try:
        yes = ask(f"swap {what} live on {printable(target.target)}? [y/N] ")
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted before the swap: the proven tables stay beside the live ones",
            hint=f"to put them in place: {command}",
        ) from None
    if not yes:
        return finish(
            ctx, {}, f"nothing was swapped; to put the restored tables in place:\n  {command}"
        )
    return cut_over(ctx, result.run, target, swap, "allow_orphans")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}

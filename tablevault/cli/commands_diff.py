"""`diff`: what differs between a snapshot and the live tables, or another snapshot."""

from __future__ import annotations

import click

from tablevault.cli import completing, parser, types
from tablevault.cli.invocation import invocation
from tablevault.cli.parser import Command, option
from tablevault.cli.running import finish, observed
from tablevault.cli.target import connect_options, open_vault, setting, state_dir


@click.command("diff", cls=Command, exits=(3, 4, 5, 6))
@click.argument("snapshot", metavar="SNAPSHOT", shell_complete=completing.snapshots)
@click.argument(
    "tables", nargs=-1, metavar="[SNAPSHOT2] [TABLE]...", shell_complete=completing.tables_or_second
)
@option(
    "--with",
    "other",
    metavar="SNAPSHOT2",
    shell_complete=completing.snapshots,
    help="Compare with this snapshot, without a server.",
)
@option(
    "--rows",
    type=click.IntRange(0, 10_000),
    default=0,
    metavar="N",
    help="Show up to N rows of each table and kind, before and after.",
)
@parser.threads_option
@option(
    "--ddl-wait",
    type=types.duration,
    metavar="S",
    help="Give way to a DDL that has waited for us this long (default 20s).",
)
@option("--emergency", is_flag=True, help="Do not slow down when the server is under pressure.")
@option(
    "--stall-after",
    type=types.duration,
    metavar="S",
    help="Call it a stall when nothing has moved for this time (default 20s).",
)
@parser.vault_option
@parser.state_dir_option
@parser.connection_options
@click.pass_context
def diff_command(
    ctx: click.Context,
    /,
    snapshot: str,
    tables: tuple[str, ...],
    other: str | None,
    rows: int,
    ddl_wait: float | None,
    emergency: bool,
    stall_after: float | None,
    **_: object,
) -> int:
    """Compare a snapshot with the live tables: definitions, then rows.

    SNAPSHOT is an id, the start of one, a name, or "latest"; TABLE is schema.table and may hold
    * and ?.  Digests are compared by the server; only rows that differ are read. The exit code is
    3 when something differs.

    With a second snapshot the two are compared, without a server: name it by --with, or right
    after the first one by anything without a dot that is no table of the first.
    """
    from tablevault.cli import render_diff
    from tablevault.ops.diff import diff
    from tablevault.ops.diff_snapshots import diff_snapshots, second_snapshot
    from tablevault.ops.diff_terms import DiffOptions

    given = {
        "threads": setting(ctx, "threads"),
        "ddl_wait_s": ddl_wait,
        "stalled_after_s": stall_after,
    }
    store = open_vault(ctx)
    if other is None and (other := second_snapshot(store, snapshot, tables)) is not None:
        tables = tables[1:]
    options = DiffOptions(
        patterns=tables,
        examples=rows,
        emergency=emergency,
        **{name: value for name, value in given.items() if value is not None},
    )
    with observed(ctx) as observer:
        if other is not None:
            result = diff_snapshots(
                store, snapshot, other, options, observer, state_dir=state_dir(ctx)
            )
        else:
            target = connect_options(ctx)
            result = diff(target, store, snapshot, options, observer, state_dir=state_dir(ctx))
    text = render_diff.diff_text(result, brief=invocation(ctx).quiet)
    return finish(ctx, render_diff.diff_record(result), text, findings=not result.equal)

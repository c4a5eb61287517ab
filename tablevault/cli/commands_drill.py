"""`drill`: rehearse a restore, and know how long the real one would take."""

from __future__ import annotations

import click

from tablevault.cli import completing, parser, types
from tablevault.cli.invocation import invocation
from tablevault.cli.parser import Command, option
from tablevault.cli.pressure_options import pressure_options
from tablevault.cli.running import finish, observed
from tablevault.cli.target import connect_options, open_vault, setting, state_dir
from tablevault.cli.ways import connection_words


@click.command("drill", cls=Command, exits=(4, 5, 6, 7))
@click.argument("snapshot", metavar="SNAPSHOT", shell_complete=completing.snapshots)
@click.argument("tables", nargs=-1, metavar="[TABLE]...", shell_complete=completing.tables)
@option(
    "--sample",
    type=types.share,
    metavar="SHARE",
    help="Rehearse with a part of the rows only, e.g. 5%, and extrapolate.",
)
@parser.threads_option
@parser.indexes_option
@parser.no_binlog_option
@pressure_options
@option(
    "--lock-wait",
    type=types.duration,
    default="60s",
    metavar="S",
    help="How long dropping a table may be tried (default 60s).",
)
@parser.vault_option
@parser.state_dir_option
@parser.connection_options
@click.pass_context
def drill_command(
    ctx: click.Context,
    /,
    snapshot: str,
    tables: tuple[str, ...],
    sample: float | None,
    indexes: str | None,
    no_binlog: bool,
    emergency: bool,
    replicas: tuple[str, ...],
    max_lag: float | None,
    pressure_wait: float | None,
    stall_action: str | None,
    stall_after: float | None,
    lock_wait: float,
    **_: object,
) -> int:
    """Rehearse a restore into a scratch schema, prove it, and drop it.

    SNAPSHOT is an id, the start of one, a name, or "latest"; TABLE is schema.table and may hold
    * and ?. No table is touched that the drill did not make. How it went is kept in the vault:
    `show` and `list` tell it, and a restore goes by it for its first estimate.
    """
    from tablevault.cli import records, render_proofs
    from tablevault.ops.drill import drill
    from tablevault.ops.drill_plan import DrillOptions

    given = {
        "threads": setting(ctx, "threads"),
        "indexes": indexes,
        "stall_action": stall_action,
        "stalled_after_s": stall_after,
        "max_lag_s": max_lag,
        "pressure_wait_s": pressure_wait,
    }
    options = DrillOptions(
        patterns=tables,
        sample=sample,
        log_bin=not no_binlog,
        lock_wait_s=lock_wait,
        emergency=emergency,
        replicas=replicas,
        reached_by=connection_words(ctx),
        **{name: value for name, value in given.items() if value is not None},
    )
    target = connect_options(ctx)
    with observed(ctx) as observer:
        result = drill(target, open_vault(ctx), snapshot, options, state_dir(ctx), observer)
    text = "" if invocation(ctx).quiet else render_proofs.drill_text(result)
    return finish(ctx, records.drill_record(result), text)

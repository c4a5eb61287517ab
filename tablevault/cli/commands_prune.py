"""`prune`: remove old snapshots by rules; without `--execute` it only says which."""

from __future__ import annotations

import os

import click

from tablevault.cli import completing, parser, target
from tablevault.cli.invocation import invocation
from tablevault.cli.job_claims import CLAIM_VARIABLE
from tablevault.cli.parser import Command, option
from tablevault.cli.running import finish, observed
from tablevault.cli.target import open_vault, state_dir
from tablevault.errors import UsageError

_NUMBER = click.IntRange(min=1)
_RULES = ("keep_last", "keep_days", "keep_weekly", "keep_monthly")


@click.command("prune", cls=Command, exits=(4, 7))
@option("--keep-last", type=_NUMBER, metavar="N", help="Keep the newest N of each table.")
@option("--keep-days", type=_NUMBER, metavar="D", help="Keep all of the last D days.")
@option("--keep-weekly", type=_NUMBER, metavar="W", help="Keep the newest of each of W weeks.")
@option("--keep-monthly", type=_NUMBER, metavar="M", help="Keep the newest of each of M months.")
@option(
    "--retention",
    metavar="NAME",
    shell_complete=completing.retentions,
    help="Keep what [retention.NAME] of the configuration says.",
)
@option("--dry-run", is_flag=True, help="Only say what would be removed; that is the default.")
@option("--execute", is_flag=True, help="Remove it.")
@parser.vault_option
@parser.state_dir_option
@click.pass_context
def prune_command(
    ctx: click.Context,
    /,
    keep_last: int | None,
    keep_days: int | None,
    keep_weekly: int | None,
    keep_monthly: int | None,
    retention: str | None,
    dry_run: bool,
    execute: bool,
    **_: object,
) -> int:
    """Remove the snapshots that no rule keeps.

    Rules are counted for each table: a snapshot stays while one of its tables needs it. Without
    any, those hold that the configuration's [vault.NAME] names as its retention. Without
    --execute nothing is removed. The newest snapshot of a table, the last one proven restorable,
    and what an unfinished run needs always stay.
    """
    from tablevault.cli import render_prune
    from tablevault.ops.prune import prune
    from tablevault.ops.retention import Rules

    if dry_run and execute:
        raise UsageError("--dry-run and --execute cannot be combined")
    numbers = dict(zip(_RULES, (keep_last, keep_days, keep_weekly, keep_monthly), strict=True))
    if not any(numbers.values()):
        numbers = {**numbers, **target.retention(ctx, retention)}
    elif retention is not None:
        raise UsageError("--retention says all the rules, and goes with no --keep-...")
    rules = Rules(*(numbers[name] or 0 for name in _RULES))
    with observed(ctx) as observer:
        result = prune(
            open_vault(ctx),
            rules,
            state_dir(ctx),
            observer,
            execute=execute,
            claim=os.environ.get(CLAIM_VARIABLE),
        )
    record = render_prune.prune_record(result)
    quiet = invocation(ctx).quiet
    return finish(ctx, record, render_prune.prune_text(result, quiet=quiet))

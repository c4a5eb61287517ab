"""`repair`: the plan, and with --execute just what was lost put back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tablevault.cli import completing, parser, types
from tablevault.cli.invocation import invocation
from tablevault.cli.parser import Command, option
from tablevault.cli.running import finish, observed
from tablevault.cli.target import connect_options, open_vault, setting, state_dir
from tablevault.cli.ways import connection_words, follow_up
from tablevault.errors import UsageError

if TYPE_CHECKING:
    from tablevault.ops.repair_terms import RepairOptions, RepairResult


@click.command("repair", cls=Command, exits=(3, 4, 5, 6, 7))
@click.argument("snapshot", metavar="SNAPSHOT", required=False, shell_complete=completing.snapshots)
@click.argument("tables", nargs=-1, metavar="TABLE...", shell_complete=completing.tables)
@option("--execute", is_flag=True, help="Do it; without this only the plan is shown.")
@option("--dry-run", is_flag=True, help="Show the plan (the default).")
@option(
    "--columns",
    type=types.names,
    metavar="A,B",
    help="Put back only the values of these columns.",
)
@option("--where", metavar="SQL", help="Put back only rows for which this holds.")
@option(
    "--delete-extra",
    is_flag=True,
    help="Delete what the snapshot does not have: rows, columns, indexes.",
)
@option("--rows-only", is_flag=True, help="Leave the table's definition as it is.")
@option("--fire-triggers", is_flag=True, help="Let the table's triggers fire.")
@parser.threads_option
@parser.no_binlog_option
@option(
    "--resume",
    metavar="RUN",
    shell_complete=completing.runs,
    help="Go on with a repair, or an undo, that was interrupted.",
)
@option(
    "--undo", metavar="RUN", shell_complete=completing.runs, help="Take back what a repair did."
)
@option(
    "--from-diff",
    metavar="latest|never|RUN",
    shell_complete=completing.diffs,
    help="Put back what this diff found, without comparing anew (default latest).",
)
@option(
    "--diff-age",
    type=types.duration,
    metavar="T",
    help="Go by the latest diff only if it ended within this time (default 1h).",
)
@option(
    "--prove-all",
    is_flag=True,
    help="Compare the whole tables once more afterwards, not only the rows that were written.",
)
@option("--new", is_flag=True, help="Begin anew although a run on the tables was not finished.")
@option("--emergency", is_flag=True, help="Do not slow down when the server is under pressure.")
@option(
    "--lock-wait",
    type=types.duration,
    metavar="S",
    help="Try for this time to lock a table with triggers (default 60s).",
)
@option(
    "--ddl-wait",
    type=types.duration,
    metavar="S",
    help="Give way to a DDL that has waited for us this long (default 20s).",
)
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
def repair_command(
    ctx: click.Context,
    /,
    snapshot: str | None,
    tables: tuple[str, ...],
    execute: bool,
    dry_run: bool,
    columns: tuple[str, ...] | None,
    where: str | None,
    delete_extra: bool,
    rows_only: bool,
    fire_triggers: bool,
    no_binlog: bool,
    resume: str | None,
    undo: str | None,
    from_diff: str | None,
    diff_age: float | None,
    prove_all: bool,
    new: bool,
    emergency: bool,
    lock_wait: float | None,
    ddl_wait: float | None,
    stall_after: float | None,
    **_: object,
) -> int:
    """Put back just the rows and columns that were lost.

    Shows the plan; --execute carries it out. SNAPSHOT is an id, the start of one, a name, or
    "latest"; TABLE is schema.table and may hold * and ?. A row that changed again is reported
    and not overwritten (exit code 3); rows that the snapshot does not have are kept. What is
    overwritten is saved first: --undo RUN takes the repair back.
    """
    from tablevault.ops.repair_terms import RepairOptions

    given = {
        "threads": setting(ctx, "threads"),
        "from_diff": from_diff,
        "diff_age_s": diff_age,
        "lock_wait_s": lock_wait,
        "ddl_wait_s": ddl_wait,
        "stalled_after_s": stall_after,
    }
    options = RepairOptions(
        patterns=tables,
        columns=columns or (),
        where=where,
        delete_extra=delete_extra,
        rows_only=rows_only,
        fire_triggers=fire_triggers,
        log_bin=not no_binlog,
        prove_all=prove_all,
        new=new,
        emergency=emergency,
        reached_by=connection_words(ctx),
        **{name: value for name, value in given.items() if value is not None},
    )
    _check(ctx, snapshot, options)
    result = _run(ctx, snapshot, options)
    return _finish(ctx, result)


def _check(ctx: click.Context, snapshot: str | None, options: RepairOptions) -> None:
    given: dict[str, Any] = ctx.params
    if given["execute"] and given["dry_run"]:
        raise UsageError("--execute and --dry-run cannot be combined")
    if given["resume"] and given["undo"]:
        raise UsageError("--resume and --undo cannot be combined")
    run = given["resume"] or given["undo"]
    if run is None:
        if snapshot is None or not options.patterns:
            raise UsageError(
                "name a snapshot and the tables to repair",
                hint="`tablevault diff SNAPSHOT` says which tables differ",
            )
        return
    own = (
        *("columns", "where", "delete_extra", "rows_only", "fire_triggers", "no_binlog"),
        *("from_diff", "diff_age", "prove_all", "new"),
    )
    named = [f"--{name.replace('_', '-')}" for name in own if given[name] not in (None, False)]
    if snapshot is not None:
        named.insert(0, "SNAPSHOT")
    if named:
        raise UsageError(f"a run goes on as it began, without {', '.join(named)}")


def _run(ctx: click.Context, snapshot: str | None, options: RepairOptions) -> RepairResult:
    from tablevault.ops.repair import repair, resume, undo
    from tablevault.ops.repair_start import plan_repair

    with observed(ctx) as observer:
        target, store, state = connect_options(ctx), open_vault(ctx), state_dir(ctx)
        if ctx.params["resume"]:
            return resume(target, store, ctx.params["resume"], state, observer)
        if ctx.params["undo"]:
            return undo(target, store, ctx.params["undo"], state, observer)
        assert snapshot is not None
        if ctx.params["execute"]:
            return repair(target, store, snapshot, options, state, observer)
        return plan_repair(target, store, snapshot, options, observer, state_dir=state)


def _finish(ctx: click.Context, result: RepairResult) -> int:
    from tablevault.cli import render_repair

    about = invocation(ctx)
    about.run, about.snapshot = result.run, result.snapshot
    record = render_repair.repair_record(result)
    text = render_repair.repair_text(result, brief=about.quiet)
    if result.status == "repaired" and any(table.rows or table.altered for table in result.tables):
        undo, clean = (
            follow_up(ctx, "repair --undo", result.run),
            follow_up(ctx, "cleanup", result.run),
        )
        record["undo_command"] = undo
        if not about.quiet:
            text += f"\nto undo it:\n  {undo}\nwhen all is well:\n  {clean}"
    found = bool(result.findings) or any(plan.differs for plan in result.plans)
    return finish(ctx, record, text, findings=found)

"""The tree of commands."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import click

import tablevault
from tablevault.cli.commands_contrib import contrib_command
from tablevault.cli.commands_diff import diff_command
from tablevault.cli.commands_doctor import doctor_command
from tablevault.cli.commands_drill import drill_command
from tablevault.cli.commands_guard import guard_command
from tablevault.cli.commands_job import job_command, schedule_command
from tablevault.cli.commands_man import man_command
from tablevault.cli.commands_prune import prune_command
from tablevault.cli.commands_query import query_command
from tablevault.cli.commands_repair import repair_command
from tablevault.cli.commands_report import report_command
from tablevault.cli.commands_restore import restore_command
from tablevault.cli.commands_runs import runs_command
from tablevault.cli.commands_snapshot import (
    list_command,
    show_command,
    snapshot_command,
)
from tablevault.cli.commands_swap import cleanup_command, rollback_command, swap_command
from tablevault.cli.commands_verify import verify_command
from tablevault.cli.commands_watch import watch_command
from tablevault.cli.invocation import invocation
from tablevault.cli.parser import Command, Group, option
from tablevault.cli.running import finish


@click.group("tablevault", cls=Group)
@click.version_option(tablevault.__version__, message="%(prog)s %(version)s")
def app() -> None:
    """Proven snapshots and restores of MySQL and MariaDB tables.

    \b
    Before:  tablevault snapshot 'shop.*' --vault /backup/vault
    After:   tablevault restore latest shop.orders --vault /backup/vault

    A restore builds and proves its tables beside the live ones; the swap is one atomic rename,
    and can be undone.
    """


@click.command("demo", cls=Command, exits=(4,))
@option(
    "--scale",
    type=click.FloatRange(0.01, 10),
    default=0.1,
    show_default=True,
    metavar="N",
    help="TPC-H scale factor: 1 is 6 million rows of lineitem.",
)
@click.pass_context
def demo_command(ctx: click.Context, /, scale: float, **_: object) -> int:
    """Tell the whole story on a private throw-away server.

    Needs the programs of a MariaDB server, its client and tpchgen-cli. With --json the story goes
    to standard error.
    """
    story = importlib.import_module("tablevault.demo.story")
    about = invocation(ctx)
    record = story.main(sys.stderr if about.json else sys.stdout, scale)
    return finish(ctx, record, "")


for _command in (
    snapshot_command,
    guard_command,
    restore_command,
    swap_command,
    rollback_command,
    cleanup_command,
    verify_command,
    diff_command,
    repair_command,
    drill_command,
    list_command,
    show_command,
    prune_command,
    query_command,
    doctor_command,
    watch_command,
    runs_command,
    report_command,
    job_command,
    schedule_command,
    contrib_command,
    man_command,
):
    app.add_command(_command)
if importlib.util.find_spec("tablevault.demo.story") is not None:
    app.add_command(demo_command)

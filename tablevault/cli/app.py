"""The tree of commands."""

from __future__ import annotations

import importlib
import importlib.util

import click

import tablevault
from tablevault.cli.commands_restore import (
    cleanup_command,
    restore_command,
    rollback_command,
    swap_command,
)
from tablevault.cli.commands_snapshot import (
    list_command,
    show_command,
    snapshot_command,
    verify_command,
)
from tablevault.cli.parser import Command, Group


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
def demo_command() -> int:
    """Tell the whole story on a private throw-away server."""
    story = importlib.import_module("tablevault.demo.story")
    return int(story.main() or 0)


for _command in (
    snapshot_command,
    restore_command,
    swap_command,
    rollback_command,
    cleanup_command,
    verify_command,
    list_command,
    show_command,
):
    app.add_command(_command)
if importlib.util.find_spec("tablevault.demo.story") is not None:
    app.add_command(demo_command)

"""`man`: the manual page."""

from __future__ import annotations

import time

import click
from click.shell_completion import CompletionItem

from tablevault.cli.invocation import invocation
from tablevault.cli.output import say, say_json
from tablevault.cli.parser import Command, Group


def _commands(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    root = ctx.find_root().command
    names = root.list_commands(ctx) if isinstance(root, Group) else []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command("man", cls=Command)
@click.argument("name", metavar="[COMMAND]", required=False, shell_complete=_commands)
@click.pass_context
def man_command(ctx: click.Context, /, name: str | None, **_: object) -> int:
    """Print the manual page, of all commands or of one, as man reads it.

    \b
    To read it:     tablevault man | man -l -
    To install it:  tablevault man > ~/.local/share/man/man1/tablevault.1
    """
    from tablevault.cli.manpage import command_page, whole_page

    root = ctx.find_root().command
    assert isinstance(root, Group)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    if name is None:
        text = whole_page(root, day)
    else:
        root.require(ctx, name)
        text = command_page(root, name, day)
    if invocation(ctx).json:
        say_json({"status": "ok", "command": name, "text": text})
    else:
        say(text.rstrip("\n"))
    return 0

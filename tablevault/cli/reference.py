"""The commands and options there are, as values: documentation is checked against them."""

from __future__ import annotations

from dataclasses import dataclass

import click

from tablevault.cli.app import app


@dataclass(frozen=True)
class OptionReference:
    """An option: all its spellings, and its help."""

    names: tuple[str, ...]
    takes_value: bool
    help: str


@dataclass(frozen=True)
class CommandReference:
    """A command: its arguments as in the usage line, options in order, exit codes."""

    name: str
    summary: str
    arguments: tuple[str, ...]
    options: tuple[OptionReference, ...]
    exit_codes: tuple[int, ...]


def commands() -> tuple[CommandReference, ...]:
    """Every command, in the order of `tablevault --help`."""
    with click.Context(app, info_name="tablevault") as ctx:
        return tuple(_reference(ctx, name) for name in app.list_commands(ctx))


def help_text(name: str | None = None, width: int = 100) -> str:
    """What `tablevault [NAME] --help` prints."""
    with click.Context(app, info_name="tablevault", terminal_width=width) as ctx:
        if name is None:
            return app.get_help(ctx)
        command = app.commands[name]
        with click.Context(command, parent=ctx, info_name=name, terminal_width=width) as inner:
            return command.get_help(inner)


def _reference(ctx: click.Context, name: str) -> CommandReference:
    command = app.commands[name]
    options = [param for param in command.get_params(ctx) if isinstance(param, click.Option)]
    return CommandReference(
        name=name,
        summary=command.get_short_help_str(200),
        arguments=tuple(
            param.make_metavar(ctx) if param.metavar is None else param.metavar
            for param in command.params
            if isinstance(param, click.Argument)
        ),
        options=tuple(
            OptionReference(
                names=(*param.opts, *param.secondary_opts),
                takes_value=not param.is_flag and not param.count,
                help=param.help or "",
            )
            for param in options
        ),
        exit_codes=getattr(command, "exit_codes", ()),
    )

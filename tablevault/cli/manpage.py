"""The manual page, from the commands' own declarations: nothing is said in two places.

Options that many commands share stand once on the page of the whole program, and in full on the
page of a command.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

import tablevault
from tablevault.cli import roff
from tablevault.cli.parser import CONNECTION, EXIT_MEANINGS, GLOBAL, OWN, SECTIONS, Option

EXAMPLES = (
    ("Before a maintenance:", "tablevault snapshot 'shop.*' --name before --vault /backup/vault"),
    ("Around one:", "tablevault guard 'shop.*' --vault /backup/vault -- ./migrate.sh"),
    ("What differs now:", "tablevault diff before shop.orders --vault /backup/vault"),
    ("Back, proven:", "tablevault restore before shop.orders --vault /backup/vault"),
    ("Every night:", "tablevault verify --all --budget 20m --vault /backup/vault"),
)
ENVIRONMENT = (  # beside those that options name
    ("MYSQL_PWD", "The password, where it is not asked for."),
    ("MYSQL_UNIX_PORT", "Unix socket of the server on this machine."),
    ("XDG_CONFIG_HOME", "Folder of configurations; default ~/.config."),
)


def whole_page(root: click.Group, day: str) -> str:
    """The page of the program, of section 1; `day`, as YYYY-MM-DD, is its date."""
    with click.Context(root, info_name=root.name) as ctx:
        commands = [
            click.Context(command, parent=ctx, info_name=name)
            for name in root.list_commands(ctx)
            if not (command := root.commands[name]).hidden
        ]
        lines = _head(ctx, day)
        lines += [*roff.section("COMMANDS")]
        for inner in commands:
            lines += [f".SS {_usage(inner)}", *_about(inner)]
            lines += roff.tagged(_options(inner, OWN))
            lines += _shared_names(inner)
        for heading in SECTIONS[1:]:
            shared = dict(entry for one in (ctx, *commands) for entry in _options(one, heading))
            lines += [*roff.section(_heading(heading)), *roff.tagged(shared.items())]
        lines += _exit_status(EXIT_MEANINGS)
        lines += _surroundings([ctx, *commands])
        lines += roff.section("EXAMPLES")
        lines += roff.prose("\n\n".join(f"{words}\n\n\b\n{line}" for words, line in EXAMPLES))
        return "\n".join(lines) + "\n"


def command_page(root: click.Group, name: str, day: str) -> str:
    """The page of one command of the program."""
    with (
        click.Context(root, info_name=root.name) as outer,
        click.Context(root.commands[name], parent=outer, info_name=name) as ctx,
    ):
        lines = _head(ctx, day)
        for heading in SECTIONS:
            entries = _options(ctx, heading)
            if entries:
                lines += [*roff.section(_heading(heading)), *roff.tagged(entries)]
        lines += _exit_status(getattr(ctx.command, "exit_codes", ()))
        lines += _surroundings([ctx])
        return "\n".join(lines) + "\n"


def _head(ctx: click.Context, day: str) -> list[str]:
    name = ctx.command_path.replace(" ", "-")
    summary = ctx.command.get_short_help_str(200).rstrip(".")
    return [
        *roff.title(name, day, f"tablevault {tablevault.__version__}"),
        *roff.section("NAME"),
        rf"{roff.escaped(name)} \- {roff.escaped(summary)}",
        *roff.section("SYNOPSIS"),
        f"{roff.bold(ctx.command_path)} {_arguments(ctx)}",
        *roff.section("DESCRIPTION"),
        *_about(ctx),
    ]


def _usage(ctx: click.Context) -> str:
    return f"{roff.bold(ctx.info_name or '')} {_arguments(ctx)}"


def _arguments(ctx: click.Context) -> str:
    return roff.synopsis(" ".join(ctx.command.collect_usage_pieces(ctx)))


def _about(ctx: click.Context) -> list[str]:
    return roff.prose((ctx.command.help or "").partition("\f")[0])


def _options(ctx: click.Context, heading: str) -> list[tuple[str, str]]:
    """The options under one heading of the help: spellings in roff, and the text."""
    return [
        (roff.synopsis(record[0]), record[1])
        for param in ctx.command.get_params(ctx)
        if isinstance(param, click.Option)
        and getattr(param, "section", GLOBAL) == heading
        and (record := param.get_help_record(ctx)) is not None
    ]


def _shared_names(ctx: click.Context) -> list[str]:
    """Which of the shared options the command takes too."""
    named = [
        max(param.opts, key=len)
        for param in ctx.command.get_params(ctx)
        if isinstance(param, Option) and param.section not in (OWN, CONNECTION, GLOBAL)
    ]
    if _options(ctx, CONNECTION):
        named.append("the connection options")
    return [".PP", *roff.prose(f"Also {', '.join([*named, 'the global options'])}.")]


def _heading(section: str) -> str:
    return section.upper() if "options" in section.lower() else f"{section} options".upper()


def _exit_status(codes: Iterable[int]) -> list[str]:
    entries = [(roff.bold(str(code)), EXIT_MEANINGS[code]) for code in codes]
    return [*roff.section("EXIT STATUS"), *roff.tagged(entries)]


def _surroundings(contexts: Sequence[click.Context]) -> list[str]:
    """Environment and files."""
    from tablevault.mysql.options import DEFAULT_FILES
    from tablevault.names import RUNS_FOLDER

    variables = {
        roff.bold(str(param.envvar)): f"As {max(param.opts, key=len)}."
        for ctx in contexts
        for param in ctx.command.get_params(ctx)
        if param.envvar
    }
    variables |= {roff.bold(name): text for name, text in ENVIRONMENT}
    files = [
        ("./tablevault.toml", "The configuration: profiles and jobs."),
        ("~/.config/tablevault/config.toml", "The same, where there is none in this folder."),
        (", ".join(DEFAULT_FILES), "Option files, read as the mysql client reads them."),
        (f"VAULT/{RUNS_FOLDER}/", "Journals of runs, where no other folder is named."),
    ]
    return [
        *roff.section("ENVIRONMENT"),
        *roff.tagged(variables.items()),
        *roff.section("FILES"),
        *roff.tagged((roff.italic(name), text) for name, text in files),
    ]

"""How commands are declared: option groups, help in sections, suggestions, no password in sight."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from tablevault.cli import completing
from tablevault.cli.invocation import invocation
from tablevault.errors import TablevaultError, UsageError

F = TypeVar("F", bound=Callable[..., Any])

OWN, CONNECTION, VAULT, GLOBAL = "Options", "Connection", "Vault", "Global options"
SECTIONS = (OWN, CONNECTION, VAULT, GLOBAL)
# click would take -pSECRET for the flags -p -S -E …; no such cluster is an option of ours
_PASSWORD = re.compile(r"-[qv]*p.+|--password=.*", re.DOTALL)
EXIT_MEANINGS = {
    0: "done and proven",
    1: "unexpected failure",
    2: "usage",
    3: "differences or damage found",
    4: "could not complete",
    5: "server unreachable or refused",
    6: "snapshot unusable",
    7: "locked by another run",
    130: "interrupted",
}
ANY_COMMAND = (1, 2, 130)


class Option(click.Option):
    """An option that knows under which heading of the help it stands."""

    def __init__(self, *args: Any, section: str = OWN, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What a shell may complete; files for an option whose value is one."""
        found = completing.of_metavar(str(self.metavar), incomplete)
        return super().shell_complete(ctx, incomplete) if found is None else found


class Command(click.Command):
    """A command with global options, help in sections and its exit codes.

    `exits` are the codes it may end with beside 0 and those that every command has.
    """

    def __init__(self, *args: Any, exits: Sequence[int] = (), **kwargs: Any) -> None:
        self.exit_codes = tuple(sorted({0, *exits, *ANY_COMMAND}))
        kwargs.setdefault("epilog", _exit_epilog(self.exit_codes))
        super().__init__(*args, **kwargs)
        self.params.extend(global_options())

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; the commands that an error's advice names are made whole."""
        if "tables" in ctx.params:
            from tablevault.cli.target import table_words

            ctx.params["tables"] = table_words(ctx, ctx.params["tables"])
        try:
            return super().invoke(ctx)
        except TablevaultError as error:
            from tablevault.cli.ways import completed

            error.hint = error.hint and completed(ctx, error.hint)
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_sections(self, ctx, formatter)


class Group(click.Group):
    """The root: global options before the command's name, and a suggestion for a typo."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(global_options())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        refuse_password(args)
        if not args and not ctx.resilient_parsing:  # which a shell's completion asks for
            click.echo(ctx.get_help(), err=True)
            ctx.exit(UsageError.exit_code)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-"):
            self.require(ctx, args[0])
        return super().resolve_command(ctx, args)

    def require(self, ctx: click.Context, name: str) -> None:
        """Raise UsageError when there is no such command."""
        if self.get_command(ctx, name) is None:
            close = difflib.get_close_matches(name, self.list_commands(ctx), n=1, cutoff=0.5)
            hint = f"did you mean {close[0]!r}" if close else "try 'tablevault --help'"
            raise UsageError(f"no such command {name!r}", hint=hint)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of the story, not of the alphabet

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_sections(self, ctx, formatter)
        self.format_commands(ctx, formatter)


def option(*declarations: str, section: str = OWN, **attributes: Any) -> Callable[[F], F]:
    """`click.option` with a section."""
    return click.option(*declarations, cls=Option, section=section, **attributes)


def global_options() -> list[click.Parameter]:
    """Fresh instances of the options that every command has, stored in the invocation."""

    def declare(*names: str, **attributes: Any) -> Option:
        return Option(names, section=GLOBAL, expose_value=False, callback=_remember, **attributes)

    return [
        declare("--config", metavar="FILE", help="Configuration to use instead of the usual."),
        declare(
            "--profile",
            metavar="NAME",
            shell_complete=completing.profiles,
            help="Profile of the configuration to use.",
        ),
        declare("--json", is_flag=True, help="Print the result as one JSON object."),
        declare("--events", metavar="FILE", help="Append events as JSON lines as it runs."),
        declare("-q", "--quiet", is_flag=True, help="Only results, findings and errors."),
        declare("-v", "--verbose", count=True, help="Also each table and chunk as it is done."),
    ]


def connection_options(command: F) -> F:
    """The options of a command that talks to a server, named as the mysql client names them."""
    declared = (
        (
            ("--server",),
            {
                "metavar": "NAME",
                "shell_complete": completing.servers,
                "help": "Server of the configuration, [server.NAME].",
            },
        ),
        (("-h", "--host"), {"metavar": "NAME", "help": "Server to connect to."}),
        (
            ("-P", "--port"),
            {"type": click.IntRange(1, 65535), "metavar": "N", "help": "TCP port."},
        ),
        (("-u", "--user"), {"metavar": "NAME", "help": "Account to connect as."}),
        (
            ("-p", "--password", "ask_password"),
            {"is_flag": True, "help": "Ask for the password (or set MYSQL_PWD)."},
        ),
        (
            ("--password-command",),
            {"metavar": "COMMAND", "help": "Program that prints the password, as its first line."},
        ),
        (
            ("--password-keyring",),
            {"metavar": "SERVICE", "help": "Service whose password the keyring has for the user."},
        ),
        (("-S", "--socket"), {"metavar": "FILE", "help": "Unix socket to connect through."}),
        (("--url",), {"metavar": "URL", "help": "mysql://user@host:port, in place of these."}),
        (
            ("--defaults-file",),
            {"metavar": "FILE", "help": "Option file to read, [client] section."},
        ),
        (("--ssl-ca",), {"metavar": "FILE", "help": "Authority that must have signed."}),
        (
            ("--ssl-mode",),
            {
                "type": click.Choice(
                    ["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"],
                    case_sensitive=False,
                ),
                "help": "How much TLS is demanded.",
            },
        ),
    )
    for names, attributes in reversed(declared):
        command = option(*names, section=CONNECTION, **attributes)(command)
    return command


def vault_option(command: F) -> F:
    """Where the snapshots are."""
    return option(
        "--vault",
        metavar="URI",
        envvar="TABLEVAULT_VAULT",
        show_envvar=True,
        section=VAULT,
        help="Folder that holds the snapshots, or the NAME of [vault.NAME].",
    )(command)


def state_dir_option(command: F) -> F:
    """Where the journals of runs are."""
    return option(
        "--state-dir",
        metavar="DIR",
        section=VAULT,
        help="Journals of runs, on this machine; default <vault>/.runs.",
    )(command)


def threads_option(command: F) -> F:
    """How many workers, each with a connection or a core of its own."""
    return option(
        "--threads",
        type=click.IntRange(1, 64),
        metavar="N",
        help="Workers in parallel (default 2).",
    )(command)


def indexes_option(command: F) -> F:
    """When a table that is built gets its secondary indexes."""
    return option(
        "--indexes",
        type=click.Choice(["auto", "after", "inline"]),
        help="Build secondary indexes after the rows, or with them (default auto).",
    )(command)


def no_binlog_option(command: F) -> F:
    """Whether what is written reaches the replicas."""
    return option(
        "--no-binlog",
        is_flag=True,
        help="Keep it out of the binary log: replicas do not follow.",
    )(command)


def refuse_password(args: Sequence[str]) -> None:
    """Raise UsageError when a password stands on the command line; it is not repeated."""
    for argument in args:
        if argument == "--":
            return
        if _PASSWORD.fullmatch(argument):
            raise UsageError(
                "a password on the command line can be read by every user of the machine",
                hint="use -p alone to be asked, or MYSQL_PWD, --defaults-file, --password-command",
            )


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    # Unset after the name must not undo what was set before it.
    if value and param.name:
        setattr(invocation(ctx), param.name, value)


def _exit_epilog(codes: Sequence[int]) -> str:
    lines = [f"{code:>4}  {EXIT_MEANINGS[code]}" for code in codes]
    return "\b\n" + "\n".join(["Exit codes:", *lines])


def _write_sections(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    for section in SECTIONS:
        records = [
            record
            for param in command.get_params(ctx)
            if getattr(param, "section", GLOBAL) == section
            and isinstance(param, click.Option)
            and (record := param.get_help_record(ctx)) is not None
        ]
        if records:
            with formatter.section(section):
                formatter.write_dl(records)

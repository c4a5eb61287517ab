"""`doctor`: what would stop a snapshot or a restore, before it is begun."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tablevault.cli import completing, parser, units
from tablevault.cli.invocation import invocation
from tablevault.cli.parser import Command, option
from tablevault.cli.running import finish
from tablevault.cli.target import (
    connect_options,
    given_vault,
    open_vault,
    setting,
    state_dir,
    table_patterns,
    vault_uri,
)
from tablevault.cli.units import printable
from tablevault.cli.ways import completed

if TYPE_CHECKING:
    from tablevault.ops.checkup import Advice
    from tablevault.ops.doctor import DoctorResult

_PURPOSES = {
    "all": ("snapshot", "restore", "swap"),
    "snapshot": ("snapshot",),
    "restore": ("restore", "swap"),
}


@click.command("doctor", cls=Command, exits=(3, 4, 5, 6))
@click.argument("tables", nargs=-1, metavar="[TABLE]...", shell_complete=completing.tables)
@option(
    "--for",
    "purpose",
    type=click.Choice(list(_PURPOSES)),
    default="all",
    help="What is to be prepared: all (default), snapshot, or restore with its swap.",
)
@option(
    "--snapshot",
    metavar="SNAPSHOT",
    shell_complete=completing.snapshots,
    help="Look at the tables of this snapshot, for a restore.",
)
@option("--no-binlog", is_flag=True, help="As for a restore with --no-binlog.")
@parser.threads_option
@parser.vault_option
@parser.state_dir_option
@parser.connection_options
@click.pass_context
def doctor_command(
    ctx: click.Context,
    /,
    tables: tuple[str, ...],
    purpose: str,
    snapshot: str | None,
    no_binlog: bool,
    **_: object,
) -> int:
    """Find what would stop a snapshot or a restore, with its remedy.

    Looks at the account's privileges, the server's settings, space, locks, the tables and the
    vault, and changes nothing. With -v also what is as it should be. The exit code is 3 when a
    finding is fatal for what is to be prepared.
    """
    from tablevault.ops.doctor import DoctorOptions, doctor

    options = DoctorOptions(
        patterns=tables if snapshot else table_patterns(ctx, tables),
        commands=frozenset(_PURPOSES[purpose]),
        snapshot=snapshot,
        threads=setting(ctx, "threads") or DoctorOptions.threads,
        log_bin=not no_binlog,
    )
    store = open_vault(ctx) if _vault_is_there(ctx) or snapshot else None
    known = store is not None or setting(ctx, "state_dir") or given_vault(ctx).get("state_dir")
    runs = state_dir(ctx) if known else None
    result = doctor(connect_options(ctx), options, store=store, state_dir=runs)
    about = invocation(ctx)
    result = replace(result, findings=tuple(_whole(ctx, one) for one in result.findings))
    shown = _text(result, verbose=bool(about.verbose), quiet=about.quiet)
    return finish(ctx, _record(result), shown, findings=bool(result.fatal))


def _whole(ctx: click.Context, one: Advice) -> Advice:
    return replace(one, remedy=completed(ctx, one.remedy)) if one.remedy else one


def _vault_is_there(ctx: click.Context) -> bool:
    """The first snapshot makes the vault: until then there is nothing to look at."""
    uri = vault_uri(ctx)
    return bool(uri) and Path(str(uri).removeprefix("file://")).expanduser().is_dir()


def _record(result: DoctorResult) -> dict[str, Any]:
    server = result.server
    return {
        "snapshot": result.snapshot,
        "server": {"family": server.family, "version": server.version_text},
        "tables": len(result.tables),
        "seconds": result.seconds,
        "fatal": len(result.fatal),
        "findings": [
            {
                "severity": one.severity.value,
                "name": one.name,
                "message": one.message,
                "remedy": one.remedy,
                "fatal_for": list(one.fatal_for),
                "table": None if one.table is None else str(one.table),
            }
            for one in result.findings
        ],
    }


def _text(result: DoctorResult, *, verbose: bool, quiet: bool) -> str:
    kept = [one for one in result.findings if verbose or one.severity.value != "ok"]
    if quiet:
        kept = list(result.fatal)
    lines = [line for one in kept for line in _lines(one)]
    if not quiet:
        lines.append(_sum(result))
    return "\n".join(lines)


def _lines(one: Advice) -> list[str]:
    for_what = f" for {', '.join(one.fatal_for)}" if one.fatal_for else ""
    lines = [f"{one.severity.value}{for_what}: {one.name}: {printable(one.message)}"]
    return [*lines, f"  remedy: {printable(one.remedy)}"] if one.remedy else lines


def _sum(result: DoctorResult) -> str:
    counts = {"fatal": 0, "warning": 0, "note": 0, "ok": 0}
    for one in result.findings:
        counts[one.severity.value] += 1
    words = (
        f"{counts['fatal']} fatal",
        units.count(counts["warning"], "warning"),
        units.count(counts["note"], "note"),
        f"{counts['ok']} fine",
    )
    about = f"{units.count(len(result.tables), 'table')} on {result.server.version_text}"
    return f"{printable(about)}: {', '.join(words)} ({units.duration(result.seconds)})"

"""`verify`: prove snapshots without a server, all at once or some each night."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from tablevault.cli import completing, parser, types
from tablevault.cli.invocation import invocation
from tablevault.cli.parser import Command, option
from tablevault.cli.running import finish, observed
from tablevault.cli.target import open_vault, setting, state_dir
from tablevault.errors import UsageError

if TYPE_CHECKING:
    from tablevault.model import Finding
    from tablevault.ops.verify_terms import Extent


def subset(text: str | tuple[int, int]) -> tuple[int, int]:
    """Option type: which of how many equal parts."""
    if isinstance(text, tuple):
        return text
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise click.BadParameter(f"{text!r} is no part of a whole: write 1/7 to 7/7")
    return int(found[1]), int(found[2])


@click.command("verify", cls=Command, exits=(3, 4, 6, 7))
@click.argument(
    "snapshot", metavar="[SNAPSHOT]", required=False, shell_complete=completing.snapshots
)
@click.argument("tables", nargs=-1, metavar="[TABLE]...", shell_complete=completing.tables)
@option("--all", "whole_vault", is_flag=True, help="All snapshots of the vault, instead of one.")
@option(
    "--depth",
    type=click.Choice(["files", "rows"]),
    default="rows",
    help="files: present, sizes, hashes; rows (default): every digest recomputed.",
)
@parser.threads_option
@option(
    "--budget",
    type=types.duration,
    metavar="TIME",
    help="Stop after this time, e.g. 10m; the longest unproven chunks come first.",
)
@option(
    "--subset", type=subset, metavar="N/M", help="One of M equal parts of the chunks, e.g. 1/7."
)
@option(
    "--rate-limit",
    type=types.size,
    metavar="SIZE",
    help="Read at most this much a second, on average, e.g. 50M.",
)
@option("--low-priority", is_flag=True, help="Let others on this machine go first.")
@parser.vault_option
@parser.state_dir_option
@click.pass_context
def verify_command(
    ctx: click.Context,
    /,
    snapshot: str | None,
    tables: tuple[str, ...],
    whole_vault: bool,
    depth: str,
    budget: float | None,
    subset: tuple[int, int] | None,
    rate_limit: int | None,
    low_priority: bool,
    **_: object,
) -> int:
    """Prove that a snapshot is whole, without a server.

    SNAPSHOT is an id, the start of one, a name, or "latest"; --all takes all there are. What was
    proven is remembered: `show` tells when, and a check with a budget begins with the rest.
    """
    from tablevault.ops.options import DEFAULT_THREADS
    from tablevault.ops.verify_terms import Extent

    if whole_vault == (snapshot is not None):
        raise UsageError(
            "name one snapshot, or give --all", hint='"latest" is the last one, --all are all'
        )
    if low_priority:
        from tablevault.cli.priority import step_back

        step_back()
    threads = setting(ctx, "threads") or DEFAULT_THREADS
    extent = Extent(depth, threads, budget, subset, rate_limit)
    if snapshot is not None:
        return _verify_one(ctx, snapshot, tables, extent)
    return _verify_all(ctx, extent)


def _verify_one(ctx: click.Context, snapshot: str, tables: tuple[str, ...], extent: Extent) -> int:
    from tablevault.cli import records, render
    from tablevault.ops.verify import verify

    with observed(ctx) as observer:
        result = verify(
            open_vault(ctx),
            snapshot,
            extent,
            patterns=tables,
            observer=observer,
            state_dir=state_dir(ctx),
        )
    found = result.findings
    text = _findings(found) if invocation(ctx).quiet else render.verify_text(result)
    return finish(ctx, records.verify_record(result), text, findings=bool(found))


def _verify_all(ctx: click.Context, extent: Extent) -> int:
    from tablevault.cli import records, render
    from tablevault.ops.verify import verify_vault

    with observed(ctx) as observer:
        result = verify_vault(open_vault(ctx), extent, observer=observer, state_dir=state_dir(ctx))
    text = render.verify_vault_text(result)
    if invocation(ctx).quiet:
        parts = [_findings(one.findings, f"{one.snapshot}: ") for one in result.snapshots]
        text = "\n".join(filter(None, [_findings(result.own_findings), *parts]))
    found = bool(result.findings)
    return finish(ctx, records.verify_vault_record(result), text, findings=found)


def _findings(findings: tuple[Finding, ...], of: str = "") -> str:
    from tablevault.cli import render

    return "\n".join(of + render.finding_line(finding) for finding in findings)

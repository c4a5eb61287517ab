"""`report`: a page to look at, of a run or of the vault."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tablevault.cli import completing, parser
from tablevault.cli.output import say
from tablevault.cli.parser import Command, option
from tablevault.cli.running import finish
from tablevault.cli.target import open_vault, state_dir
from tablevault.errors import CannotComplete, UsageError

if TYPE_CHECKING:
    from tablevault.cli.report.run_facts import RunFacts


@click.command("report", cls=Command, exits=(4,))
@click.argument("what", metavar="[RUN|VAULT]", required=False, shell_complete=completing.runs)
@option("-o", "--output", metavar="FILE", required=True, help="The page; - is standard output.")
@option("--from", "events_file", metavar="FILE", help="Of a run: its --events, which tell more.")
@parser.vault_option
@parser.state_dir_option
@click.pass_context
def report_command(
    ctx: click.Context, /, what: str | None, output: str, events_file: str | None, **_: object
) -> int:
    """Write one HTML page about the run RUN, or about a vault, for any browser.

    Without RUN it is the vault; a folder names another one. The page needs no network and holds
    no values of rows.
    """
    if what is not None and not _is_vault(what):
        from tablevault.cli.report.run_page import run_page

        run = _run_facts(state_dir(ctx), what, events_file)
        text, about = run_page(run), {"run": run.run}
    else:
        if events_file:
            raise UsageError("--from is about a run", hint="name the run as well")
        from tablevault.cli.report.vault_facts import vault_facts
        from tablevault.cli.report.vault_page import vault_page
        from tablevault.vault.store import open_store

        store = open_store(what) if what else open_vault(ctx)
        now = time.time()
        text, about = vault_page(vault_facts(store, now), now), {"vault": store.uri}
    if output == "-":
        say(text.rstrip("\n"))
        return 0
    from tablevault.cli.output import write_whole

    write_whole(Path(output).expanduser(), text, 0o600)
    return finish(ctx, {**about, "file": output}, f"written: {output}")


def _is_vault(what: str) -> bool:
    return "/" in what or Path(what).is_dir()


def _run_facts(runs: Path, run: str, events_file: str | None) -> RunFacts:
    """Raises UsageError when there is no such run, or it left nothing to tell."""
    from tablevault.cli.report.run_facts import run_facts
    from tablevault.names import HISTORY, JOURNAL
    from tablevault.ops.history import read_history
    from tablevault.ops.runs import replay
    from tablevault.ops.watching import find_run
    from tablevault.vault.journal import read_journal

    folder = find_run(runs, run)
    journal = read_journal(folder) if (folder / JOURNAL).exists() else []
    try:
        if events_file:
            records = read_history(Path(events_file), folder.name)
        else:
            history = folder / HISTORY
            records = read_history(history) if history.exists() else []
    except OSError as error:
        raise CannotComplete(f"cannot read {error.filename}: {error.strerror}") from error
    if events_file and not records:
        raise UsageError(f"{events_file} has no event of run {folder.name}")
    if not journal and not records:
        raise UsageError(f"run {folder.name} left nothing to report")
    state = replay(folder.name, journal) if journal else None
    return run_facts(folder.name, state, journal, records, thinned=not events_file)

"""`job` and `schedule`: what runs every night, and what makes it run."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tablevault.cli import completing, parser, types, units
from tablevault.cli.config import default_paths
from tablevault.cli.invocation import invocation
from tablevault.cli.output import say, say_json, tell
from tablevault.cli.parser import Command, option
from tablevault.cli.target import (
    named_state_dir,
    open_vault,
    section,
    state_dir,
    vault_name,
    vault_uri,
)
from tablevault.errors import Interrupted, LockedByRun, TablevaultError, UsageError
from tablevault.names import RUNS_FOLDER

if TYPE_CHECKING:
    from tablevault.cli.job_run import JobEnd
    from tablevault.cli.jobs_config import Job


@click.command("job", cls=Command, exits=(3, 4, 5, 6, 7))
@click.argument("name", metavar="NAME", shell_complete=completing.jobs)
@option("--max-runtime", type=types.duration, metavar="TIME", help="Stop it after this time.")
@option("--jitter", type=types.duration, metavar="TIME", help="Wait up to this time, at random.")
@option("--metrics", metavar="FILE", help="Write metrics for Prometheus to this file.")
@parser.vault_option
@parser.state_dir_option
@click.pass_context
def job_command(
    ctx: click.Context,
    /,
    name: str,
    max_runtime: float | None,
    jitter: float | None,
    metrics: str | None,
    **_: object,
) -> int:
    """Run the job NAME of the configuration, its steps one after the other.

    The first step that fails ends it, with that step's exit code. One job at a time works on a
    table of a vault.
    """
    from tablevault.cli.job_claims import claim_tables
    from tablevault.cli.job_run import not_begun, run_job

    config, job = _job(ctx, name)
    about = invocation(ctx)
    if about.events == "-":
        raise UsageError("--events - is not for a job", hint="give --events a file")
    about.config, about.profile = str(config), job.profile or about.profile
    ctx.params["vault"] = ctx.params["vault"] or job.vault
    if max_runtime is not None:
        job = replace(job, max_runtime_s=max_runtime)
    if jitter:
        _hold_back(jitter, quiet=about.quiet)
    try:
        # without a snapshot to take, a vault that is not there is a disk that was not mounted
        store = open_vault(ctx, create=any(step[0] == "snapshot" for step in job.steps))
        state, claim = state_dir(ctx), claim_tables(store, job, about, _commands(ctx))
    except LockedByRun:  # whoever is at work tells how that ends
        raise
    except TablevaultError as error:
        if (uri := vault_uri(ctx)) is not None:
            state = (
                named_state_dir(ctx) or Path(uri.removeprefix("file://")).expanduser() / RUNS_FOLDER
            )
            _tell_others(ctx, job, not_begun(job, error, state), uri, state)
        raise
    with claim:
        done = run_job(job, _options(ctx, store.uri, state), state, claim)
        # somebody is told first: nothing that the metrics may run into is to be in the way
        _tell_others(ctx, job, done, store.uri, state)
        if file := metrics or job.metrics:
            _write_metrics(ctx, Path(file).expanduser(), done)
    return _told(ctx, done)


def _tell_others(ctx: click.Context, job: Job, done: JobEnd, vault: str, state: Path) -> None:
    """Call the hook and the webhook, when there is something to tell."""
    from tablevault.cli.job_hook import call_hook

    quiet = invocation(ctx).quiet
    call_hook(job, done, state, quiet=quiet)
    if job.webhook:
        from tablevault.cli.webhook import call_webhook

        call_webhook(job.webhook, done, vault, _server(ctx, job, done), state, quiet=quiet)


def _hold_back(within_s: float, *, quiet: bool) -> None:
    """Wait at random, holding nothing: another job may run meanwhile.  Raises Interrupted."""
    wait_s = random.uniform(0.0, within_s)
    if not quiet:
        tell(f"the job begins in {units.duration(wait_s)} (--jitter {units.duration(within_s)})")
    try:
        time.sleep(wait_s)
    except KeyboardInterrupt:
        raise Interrupted("stopped in the wait of --jitter, before the job had begun") from None


@click.command("schedule", cls=Command, exits=())
@click.argument("name", metavar="NAME", shell_complete=completing.jobs)
@option(
    "--format",
    "kind",
    type=click.Choice(["systemd", "cron", "kubernetes"]),
    default="systemd",
    help="What is to run it (default systemd).",
)
@option("--run-as", metavar="USER", help="The user to run it as (default: you).")
@option("--image", metavar="IMAGE", default="tablevault", help="For kubernetes: the container.")
@click.pass_context
def schedule_command(
    ctx: click.Context, /, name: str, kind: str, run_as: str | None, image: str, **_: object
) -> int:
    """Print what makes the machine's own scheduler run the job NAME."""
    from tablevault.cli import schedules

    config, job = _job(ctx, name)
    program = ["tablevault"] if kind == "kubernetes" else _this_program()
    words = [*program, "job", name, "--config", str(config.absolute())]
    import getpass

    user = run_as or getpass.getuser()
    if kind == "systemd":
        text = schedules.systemd(job, words, user)
    elif kind == "cron":
        text = schedules.cron(job, words, user)
    else:
        text = schedules.kubernetes(job, words, image)
    if invocation(ctx).json:
        say_json({"status": "ok", "job": name, "format": kind, "text": text})
    else:
        say(text.rstrip("\n"))
    return 0


def _this_program() -> list[str]:
    """What runs this very program, whatever the scheduler's PATH is."""
    beside = Path(sys.executable).with_name("tablevault")
    found = str(beside) if beside.exists() else shutil.which("tablevault")
    return [found] if found else [sys.executable, "-m", "tablevault"]


def _commands(ctx: click.Context) -> Mapping[str, click.Command]:
    root = ctx.find_root().command
    assert isinstance(root, click.Group)
    return root.commands


def _job(ctx: click.Context, name: str) -> tuple[Path, Job]:
    """The job of that name, and the file that has it.  Raises UsageError."""
    from tablevault.cli.jobs_config import read_jobs

    given = invocation(ctx).config
    paths = (Path(given).expanduser(),) if given else default_paths()
    known: list[str] = []
    for path in paths:
        if not given and not path.is_file():
            continue
        jobs = read_jobs(path, _commands(ctx))
        if name in jobs:
            return path, jobs[name]
        known += jobs
    where = given or " or ".join(str(path) for path in paths)
    hint = f"jobs there: {', '.join(sorted(known))}" if known else "write [job.NAME] with steps"
    raise UsageError(f"no job {name!r} in {where}", hint=hint)


def _options(ctx: click.Context, vault: str, state: Path) -> list[str]:
    """What every step is given: the same configuration, vault and folder of journals."""
    about = invocation(ctx)
    words = ["--config", os.path.abspath(about.config or "")]
    words += ["--vault", vault_name(ctx) or vault]  # by its name its retention is found
    words += ["--profile", about.profile] if about.profile else []
    words += ["--state-dir", str(state.absolute())]
    words += ["--events", os.path.abspath(about.events)] if about.events else []
    return words + ["-v"] * about.verbose + ["-q"] * about.quiet


def _write_metrics(ctx: click.Context, file: Path, done: JobEnd) -> None:
    try:
        _metrics(ctx, file, done)
    except TablevaultError as error:
        if done.ok:
            raise
        # the exit code is to tell what failed in the job
        tell(f"hint: no metrics were written: {error}")


def _metrics(ctx: click.Context, file: Path, done: JobEnd) -> None:
    from tablevault.cli.metrics import metrics_text
    from tablevault.cli.output import write_whole
    from tablevault.vault.catalog import list_snapshots
    from tablevault.vault.proofs import drills

    store = open_vault(ctx)
    snapshots = [item.snapshot for item in list_snapshots(store) if item.snapshot]
    size_bytes = store.own_bytes([one.id for one in snapshots])
    text = metrics_text(
        done, snapshots, drills(store), store.uri, size_bytes, openmetrics=file.suffix == ".om"
    )
    # another program's user is to read it: it holds names of tables, no data
    write_whole(file, text, 0o644)


def _server(ctx: click.Context, job: Job, done: JobEnd) -> str | None:
    """The server of the job's snapshots, named as in the metrics; else as the profile names it."""
    from tablevault.vault.catalog import list_snapshots

    found = [end.result.get("snapshot") for end in done.steps if end.result]
    ids = [one for one in found if isinstance(one, str)]
    with suppress(TablevaultError, OSError):
        for item in list_snapshots(open_vault(ctx)) if ids else ():
            if item.snapshot and item.snapshot.id in ids:
                return f"{item.snapshot.server.hostname}:{item.snapshot.server.port}"
    settings = section(ctx, "server", job.server) if job.server else invocation(ctx).settings
    host = settings.get("host")
    return f"{host}:{settings.get('port') or 3306}" if host else None


def _told(ctx: click.Context, done: JobEnd) -> int:
    about = invocation(ctx)
    if about.json:
        status = "ok" if done.ok else "findings" if done.exit_code == 3 else "failed"
        say_json({"status": status, **asdict(done)})
        return done.exit_code
    steps = f"{units.count(len(done.steps), 'step')} in {units.duration(done.seconds)}"
    if done.ok:
        if not about.quiet:
            say(f"job {done.job}: ok, {steps}")
        return 0
    left = f"; not run: {', '.join(done.not_run)}" if done.not_run else ""
    tell(f"tablevault: job {done.job} FAILED: {units.printable(done.message)}{left}")
    return done.exit_code

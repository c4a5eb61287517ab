"""A job's command hooks: called once when a failure begins and once when it is over.

What such a program does or fails to do is a hint, never the job's exit code.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tablevault.cli.job_told import FAILED, Told
from tablevault.cli.output import tell
from tablevault.errors import TablevaultError

if TYPE_CHECKING:
    from tablevault.cli.job_run import JobEnd
    from tablevault.cli.jobs_config import Job

_WITHIN_S = 30.0  # each try
_TRIES_S = (0.0, 1.0, 5.0)  # before each


def call_hook(job: Job, done: JobEnd, state_dir: Path, *, quiet: bool = False) -> None:
    """Call the hook for the job's state when that is another one than was told last.

    Where there is no hook for a state, nobody wants to be told of it.  What is waited for is said,
    unless `quiet`.
    """
    if not job.on_failure and not job.on_recovery:
        return
    told = Told(state_dir, done.job, "hook")
    state = told.due(done.ok)
    if state is None:
        return
    hook = job.on_failure if state == FAILED else job.on_recovery
    why = _carried_out(hook, state, done, quiet) if hook else None
    if why is not None:  # not remembered: it is told after the next run
        tell(f"hint: the hook for {state} could not be carried out: {why}")
        return
    try:
        told.keep(state)
    except TablevaultError as error:
        tell(f"hint: the hook for {state} will be called once more: {error}")


def _carried_out(hook: Sequence[str], state: str, done: JobEnd, quiet: bool) -> str | None:
    """Call it, with the report on its standard input; why not, after a few tries."""
    failed = [end for end in done.steps if end.exit_code]
    environment = {
        **os.environ,
        "TABLEVAULT_JOB": done.job,
        "TABLEVAULT_STATUS": state,
        "TABLEVAULT_EXIT_CODE": str(done.exit_code),
        "TABLEVAULT_STEP": failed[-1].command if failed else "",
        "TABLEVAULT_MESSAGE": done.message,
    }
    report = json.dumps({"status": state, **asdict(done)}, default=str).encode()
    why = ""
    for delay_s in _TRIES_S:
        if not quiet:
            again = f"again in {delay_s:.0f} s, as {why}" if why else hook[0]
            tell(f"calling the hook for {state} (up to {_WITHIN_S:.0f} s): {again}")
        time.sleep(delay_s)
        try:
            subprocess.run(
                list(hook),
                input=report,
                env=environment,
                stdout=subprocess.DEVNULL,
                check=True,
                timeout=_WITHIN_S,
            )
            return None
        except (OSError, subprocess.SubprocessError) as error:
            why = _why(hook[0], error)
    return why


def _why(program: str, error: OSError | subprocess.SubprocessError) -> str:
    """In words of ours: those of the library repeat all arguments, which may hold a secret."""
    if isinstance(error, subprocess.CalledProcessError):
        code = error.returncode
        ended = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
        return f"{program} {ended}"
    if isinstance(error, OSError):
        return f"{program} cannot be started: {error.strerror}"
    return f"{program} had not ended after {_WITHIN_S:.0f} s"

"""Running a job: its steps, each a process of its own, and what came of it.

A step that fails ends the job: nothing is pruned after a snapshot that failed or damage that was
found.  When the last run succeeded is remembered for the metrics.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tablevault.cli.job_claims import CLAIM_VARIABLE
from tablevault.cli.job_findings import findings_of
from tablevault.cli.jobs_config import ASK_A_SERVER, Job
from tablevault.cli.output import write_whole
from tablevault.errors import CannotComplete, Interrupted, TablevaultError
from tablevault.names import JOBS_FOLDER
from tablevault.vault.claims import Taken

_GRACE_S = 60.0  # a step that is stopped cleans up first
_PR_SET_PDEATHSIG = 1  # of Linux


@dataclass(frozen=True)
class StepEnd:
    """How one step ended; `result` is its own JSON object, where it gave one."""

    command: str
    exit_code: int
    seconds: float
    result: dict[str, Any] | None = None


@dataclass(frozen=True)
class JobEnd:
    """How a job ended: `exit_code` is that of the step that failed, else 0."""

    job: str
    began: float  # Unix seconds
    seconds: float
    exit_code: int
    steps: tuple[StepEnd, ...]
    not_run: tuple[str, ...] = ()
    message: str = ""
    last_success: float | None = None  # Unix seconds, of the last run that succeeded, this or one

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


def run_job(job: Job, options: Sequence[str], state_dir: Path, claim: Taken) -> JobEnd:
    """Run the steps of a job with `options` added to each; they hold its `claim` with us.

    Raises Interrupted, after the step at hand has ended, when it is stopped from outside.
    """
    began, began_s = time.time(), time.monotonic()
    deadline_s = began_s + job.max_runtime_s if job.max_runtime_s is not None else None
    before = _remembered(state_dir, job.name)
    ends: list[StepEnd] = []
    message = ""
    for step in job.steps:
        server = ["--server", job.server] if job.server and step[0] in ASK_A_SERVER else []
        end = _step(step, [*options, *server], deadline_s, claim)
        ends.append(end)
        if end.exit_code != 0:
            late = deadline_s is not None and time.monotonic() >= deadline_s
            message = _why(len(ends), end, job.max_runtime_s if late else None)
            break
    code = ends[-1].exit_code
    done = JobEnd(
        job=job.name,
        began=began,
        seconds=time.monotonic() - began_s,
        exit_code=code,
        steps=tuple(ends),
        not_run=tuple(step[0] for step in job.steps[len(ends) :]),
        message=message,
        last_success=began if code == 0 else before.get("last_success"),
    )
    _remember(state_dir, done)
    return done


def not_begun(job: Job, error: TablevaultError, state_dir: Path) -> JobEnd:
    """The end of a job whose vault cannot be used: none of its steps ran."""
    return JobEnd(
        job=job.name,
        began=time.time(),
        seconds=0.0,
        exit_code=error.exit_code,
        steps=(),
        not_run=tuple(step[0] for step in job.steps),
        message=error.message,
        last_success=_remembered(state_dir, job.name).get("last_success"),
    )


def _why(number: int, end: StepEnd, stopped_after_s: float | None) -> str:
    """Why a job failed, on one line: the step, and what it said first."""
    parts = [f"step {number}, {end.command}: exit code {end.exit_code}"]
    if stopped_after_s is not None:
        parts.append(f"stopped after its max_runtime of {stopped_after_s:.0f} s")
    if end.result and end.result.get("error"):
        parts.append(str(end.result["error"]))
    found = findings_of(end.result)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        parts.append(found[0] + more)
    return "; ".join(parts)


def _step(
    step: Sequence[str], options: Sequence[str], deadline_s: float | None, claim: Taken
) -> StepEnd:
    """One step, with its progress on our standard error; stopped at the deadline, cleanly first."""
    began_s = time.monotonic()
    words = [sys.executable, "-m", "tablevault", *step, "--json", *options]
    held = claim.lock.descriptor
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        preexec_fn=_end_with_parent,
        # a step that outlives us while it cleans up keeps the next job away from its tables
        pass_fds=() if held is None else (held,),
        env={**os.environ, CLAIM_VARIABLE: claim.name},
    ) as process:
        try:
            left_s = None if deadline_s is None else max(0.0, deadline_s - began_s)
            told, _ = process.communicate(timeout=left_s)
        except subprocess.TimeoutExpired:
            told = _stop(process)
        except KeyboardInterrupt:
            _stop(process)
            raise Interrupted(f"stopped in its step {step[0]}") from None
    result = None
    with suppress(ValueError):
        found = json.loads(told)
        result = found if isinstance(found, dict) else None
    # killed by a signal: no code of its own
    code = process.returncode if process.returncode >= 0 else CannotComplete.exit_code
    return StepEnd(step[0], code, time.monotonic() - began_s, result)


def _end_with_parent() -> None:
    """In the step's process: let it be stopped, as by a person, when the job's one is killed."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(process: subprocess.Popen[bytes]) -> bytes:
    process.terminate()
    try:
        return process.communicate(timeout=_GRACE_S)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


def _remembered(state_dir: Path, job: str) -> dict[str, Any]:
    """What is known of the last run; nothing when that cannot be read."""
    with suppress(OSError, ValueError):
        found = json.loads((state_dir / JOBS_FOLDER / f"{job}.json").read_text())
        if isinstance(found, dict):
            return found
    return {}


def _remember(state_dir: Path, done: JobEnd) -> None:
    folder = state_dir / JOBS_FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = {
        "began": done.began,
        "exit_code": done.exit_code,
        "last_success": done.last_success,
    }
    write_whole(folder / f"{done.job}.json", json.dumps(known), 0o600)

"""Running a job: its steps, each a process of its own; what came of it; who is told.

A step that fails ends the job: nothing is pruned after a snapshot that failed or damage that was
found.  What came of the last run is remembered, so that a recovery is told once.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tablevault.cli.jobs_config import Job
from tablevault.cli.output import write_whole
from tablevault.errors import CannotComplete, Interrupted

_GRACE_S = 60.0  # a step that is stopped cleans up first
_HOOK_S = 30.0
_HOOK_TRIES_S = (0.0, 1.0, 5.0)  # before each try
_PR_SET_PDEATHSIG = 1  # of Linux
JOBS_FOLDER = ".jobs"


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


def run_job(job: Job, options: Sequence[str], state_dir: Path) -> JobEnd:
    """Run the steps of a job with `options` added to each, and tell of failure and recovery.

    Raises Interrupted, after the step at hand has ended, when it is stopped from outside.
    """
    began, began_s = time.time(), time.monotonic()
    deadline_s = began_s + job.max_runtime_s if job.max_runtime_s is not None else None
    before = _remembered(state_dir, job.name)
    ends: list[StepEnd] = []
    message = ""
    for step in job.steps:
        end = _step(step, options, deadline_s)
        ends.append(end)
        if end.exit_code != 0:
            message = f"step {len(ends)}, {end.command}: exit code {end.exit_code}"
            if deadline_s is not None and time.monotonic() >= deadline_s:
                message += f"; stopped after its max_runtime of {job.max_runtime_s:.0f} s"
            if end.result and end.result.get("error"):
                message += f"; {end.result['error']}"
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
    if not done.ok:
        _tell(job.on_failure, "failed", done)
    elif before.get("exit_code", 0) != 0:
        _tell(job.on_recovery, "recovered", done)
    return done


def _step(step: Sequence[str], options: Sequence[str], deadline_s: float | None) -> StepEnd:
    """One step, with its progress on our standard error; stopped at the deadline, cleanly first."""
    began_s = time.monotonic()
    words = [sys.executable, "-m", "tablevault", *step, "--json", *options]
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, preexec_fn=_end_with_parent
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
    """In the step's process: let it be stopped, as by a person, when the job's one is killed.

    Else it would work on without the lock that keeps the next job away.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(process: subprocess.Popen[bytes]) -> bytes:
    process.terminate()
    try:
        return process.communicate(timeout=_GRACE_S)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


def _tell(hook: Sequence[str], status: str, done: JobEnd) -> None:
    """Call a hook, with the report on its standard input; a few tries, each bounded."""
    if not hook:
        return
    failed = [end for end in done.steps if end.exit_code]
    environment = {
        **os.environ,
        "TABLEVAULT_JOB": done.job,
        "TABLEVAULT_STATUS": status,
        "TABLEVAULT_EXIT_CODE": str(done.exit_code),
        "TABLEVAULT_STEP": failed[-1].command if failed else "",
        "TABLEVAULT_MESSAGE": done.message,
    }
    report = json.dumps({"status": status, **asdict(done)}, default=str).encode()
    why = ""
    for delay_s in _HOOK_TRIES_S:
        time.sleep(delay_s)
        try:
            subprocess.run(
                list(hook),
                input=report,
                env=environment,
                stdout=subprocess.DEVNULL,
                check=True,
                timeout=_HOOK_S,
            )
            return
        except (OSError, subprocess.SubprocessError) as error:
            why = str(error)
    sys.stderr.write(f"hint: the hook for {status} could not be carried out: {why}\n")


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

"""Units for the machine's own scheduler, ready to be put in place.  Pure: nothing here prints."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from tablevault.cli.jobs_config import WEEKDAYS, Job

_CATCH_UP_S = 6 * 3600  # a night that was missed is made up for, up to so late
# Beyond a job's own limit: a step that cleans up (60 s), a hook tried three times (96 s), the
# webhook (30 s); who is killed before has told nobody.
_AFTERWARDS_S = 300


def systemd(job: Job, command: Sequence[str], user: str) -> str:
    """A service and its timer, as two files; a missed night is caught up with."""
    days = ",".join(day.capitalize() for day in job.weekdays)
    when = f"{days} *-*-* {job.at[0]:02d}:{job.at[1]:02d}:00".strip()
    words = " ".join(_systemd_word(word) for word in command)
    limit = f"RuntimeMaxSec={job.max_runtime_s + _AFTERWARDS_S:.0f}\n" if job.max_runtime_s else ""
    return f"""\
# /etc/systemd/system/tablevault-{job.name}.service
[Unit]
Description=tablevault job {job.name}
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
User={user}
UMask=0077
ExecStart={words}
TimeoutStopSec=90
{limit}Nice=10
IOSchedulingClass=idle

# /etc/systemd/system/tablevault-{job.name}.timer
[Unit]
Description=When tablevault job {job.name} runs

[Timer]
OnCalendar={when}
Persistent=true
RandomizedDelaySec={job.jitter_s:.0f}

[Install]
WantedBy=timers.target
"""


def cron(job: Job, command: Sequence[str], user: str) -> str:
    """A line of /etc/cron.d; cron neither catches up nor stops, so the job bounds itself."""
    days = ",".join(str((WEEKDAYS.index(day) + 1) % 7) for day in job.weekdays) or "*"
    jitter = ["--jitter", f"{job.jitter_s:.0f}s"] if job.jitter_s else []
    words = shlex.join([*command, *jitter, "-q"]).replace("%", "\\%")
    return (
        f"# /etc/cron.d/tablevault-{job.name}; cron mails what is printed: nothing, when all is "
        f"well\n{job.at[1]} {job.at[0]} * * {days} {user} {words}\n"
    )


def kubernetes(job: Job, command: Sequence[str], image: str) -> str:
    """A CronJob; YAML takes JSON's strings, so words are written as those."""
    days = ",".join(str((WEEKDAYS.index(day) + 1) % 7) for day in job.weekdays) or "*"
    jitter = ["--jitter", f"{job.jitter_s:.0f}s"] if job.jitter_s else []
    words = json.dumps([*command, *jitter])
    limit = ""
    if job.max_runtime_s:  # unlike systemd's, this clock runs while the job waits at random
        limit_s = job.jitter_s + job.max_runtime_s + _AFTERWARDS_S
        limit = f"      activeDeadlineSeconds: {limit_s:.0f}\n"
    return f"""\
# for kubectl apply -f -, once you have given the container volumes with the configuration,
# what it refers to, and the vault
apiVersion: batch/v1
kind: CronJob
metadata:
  name: tablevault-{job.name.replace("_", "-")}
spec:
  schedule: "{job.at[1]} {job.at[0]} * * {days}"
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: {_CATCH_UP_S}
  jobTemplate:
    spec:
      backoffLimit: 0
{limit}      template:
        spec:
          restartPolicy: Never
          containers:
            - name: tablevault
              image: {json.dumps(image)}
              command: {words}
"""


def _systemd_word(word: str) -> str:
    """A word of ExecStart: % and $ stand for themselves."""
    plain = word.replace("%", "%%").replace("$", "$$").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"' if any(char in plain for char in " \t;'\"") or not plain else plain

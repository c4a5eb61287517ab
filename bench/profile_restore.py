"""Where does the time of a restore go, phase by phase, and who is busy in each?

    python bench/profile_restore.py --scale 0.1 [--table lineitem] [--lane tablespace] [--binlog]

One restore over the live table, with `--swap`.  Wall time is cut where the events say that a phase
or a named wait begins; CPU of the client and of the server is sampled beside it.  Two cores that
are busy all the time show as CPU of twice the wall time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import data
from harness import cpu_s, environment, ours, parser, run
from server import private_server, settle

from tablevault.demo.server import PrivateServer

_SAMPLE_S = 0.02


@dataclass
class Spent:
    """Seconds of one phase."""

    wall_s: float = 0.0
    client_s: float = 0.0
    server_s: float = 0.0
    waits: dict[str, float] = field(default_factory=dict)


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--table", choices=data.TABLES, default="lineitem")
    made.add_argument("--lane", choices=("logical", "tablespace"), default="logical")
    made.add_argument("--emergency", action="store_true", help="as of restore")
    options = made.parse_args()
    with private_server(options) as server:
        rows = data.load(server, options.table, options.scale)
        spent = profile(server, options)
    print(f"restore of {options.table}, {rows:,} rows, {options.threads} threads")
    print(f"{'phase':<52}{'wall s':>8}{'client':>8}{'server':>8}")
    total = Spent()
    for phase, one in spent.items():
        print(f"{phase:<52}{one.wall_s:>8.2f}{one.client_s:>8.2f}{one.server_s:>8.2f}")
        for what, seconds in sorted(one.waits.items(), key=lambda item: -item[1])[:3]:
            print(f"    {what[:46]:<48}{seconds:>8.2f}")
        total.wall_s += one.wall_s
        total.client_s += one.client_s
        total.server_s += one.server_s
    print(f"{'all':<52}{total.wall_s:>8.2f}{total.client_s:>8.2f}{total.server_s:>8.2f}")


def profile(server: PrivateServer, options: argparse.Namespace) -> dict[str, Spent]:
    """Snapshot, then restore; seconds by phase, in order."""
    table = f"{data.SCHEMA}.{options.table}"
    where = ["--vault", str(server.directory / "vault"), "--threads", str(options.threads)]
    kept = ["--tablespace"] if options.lane == "tablespace" else []
    run(ours("snapshot", table, *kept, *where, server=server), server)
    events = server.directory / "events.jsonl"
    settle(server)
    told = ["--lane", options.lane, "--events", str(events)]
    if options.emergency:
        told.append("--emergency")
    command = ours("restore", "latest", table, "--swap", *told, *where, server=server)
    samples: list[tuple[float, float, float]] = []
    process = subprocess.Popen(command, env=environment(server), stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            samples.append((time.time(), cpu_s(process.pid), cpu_s(server.pid)))
        except (OSError, IndexError):  # it ended in between
            break
        time.sleep(_SAMPLE_S)
    if process.wait():
        raise SystemExit(f"restore ended with {process.returncode}")
    return _by_phase(samples, list(_phases(events)), _waits(events))


def _phases(events: Path) -> Iterator[tuple[float, str]]:
    yield 0.0, "start"
    for line in events.read_text().splitlines():
        event = json.loads(line)
        if event["type"] == "PhaseBegan":
            yield event["time"], event["phase"]
        elif event["type"] == "RunEnded":
            yield event["time"], "end"


def _waits(events: Path) -> dict[str, dict[str, float]]:
    """By phase: what it said to wait for, and for how long at most."""
    waits: dict[str, dict[str, float]] = defaultdict(dict)
    for line in events.read_text().splitlines():
        event = json.loads(line)
        if event["type"] == "Waiting":
            found = waits[event["phase"]]
            found[event["what"]] = max(found.get(event["what"], 0.0), event["seconds"])
    return waits


def _by_phase(
    samples: list[tuple[float, float, float]],
    phases: list[tuple[float, str]],
    waits: dict[str, dict[str, float]],
) -> dict[str, Spent]:
    spent: dict[str, Spent] = {}
    for before, after in pairwise(samples):
        phase = next(name for began, name in reversed(phases) if began <= before[0])
        one = spent.setdefault(phase, Spent(waits=waits.get(phase, {})))
        one.wall_s += after[0] - before[0]
        one.client_s += after[1] - before[1]
        one.server_s += after[2] - before[2]
    return spent


if __name__ == "__main__":
    main()

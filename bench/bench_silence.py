"""How long does a restore leave the person without a sign, and is its remaining time to be trusted?

    python bench/bench_silence.py --scale 1 [--rounds 2] [--table lineitem] [--disk FOLDER]

Each restores the same table on a terminal of its own; whatever it writes there counts as a sign of
progress.  The largest gap is the longest time without one, from its start to its end.  myloader is
asked for all that it can tell (`--verbose 3`); `mariadb < dump.sql` is run as everybody runs it.

Ours also tells the time that is left: what it said when 25, 50 and 75 % of the time had passed,
over what was really left then.  `--disk` puts the server's data on a disk instead of tmpfs.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import statistics
import subprocess
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import data
from harness import (
    OURS,
    Contender,
    RunFailed,
    chosen,
    environment,
    keep,
    name_of,
    ours,
    parser,
    run,
    say,
)
from rivals import Rivals
from server import private_server, server_version, settle

from tablevault.demo.server import PrivateServer

GAP_S, ESTIMATE = 1.0, 0.25  # what is promised: no silent second; at half time within a quarter
PARTS = (0.25, 0.5, 0.75)


@dataclass
class Heard:
    """One run: when it began, when it wrote anything, when it had ended (monotonic seconds)."""

    times: list[float] = field(default_factory=list)

    @property
    def gap_s(self) -> float:
        return max(late - early for early, late in pairwise(self.times))

    @property
    def wall_s(self) -> float:
        return self.times[-1] - self.times[0]


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--table", choices=data.TABLES, default="lineitem")
    made.add_argument("--disk", type=Path, metavar="FOLDER", help="where the data go, not tmpfs")
    options = made.parse_args()
    with _server(options) as server:
        rows = data.load(server, options.table, options.scale)
        place = server.directory / "out"
        place.mkdir()
        rivals = Rivals(server, options.table, rows, options.threads, place, options.binlog)
        contenders = [_ours(server, options, place), *_loud(rivals.loaders(quick=True))]
        contenders = chosen(contenders, options.only)
        heard: dict[str, list[Heard]] = {one.name: [] for one in contenders}
        estimates: list[dict[float, float]] = []
        for number in range(1, options.rounds + 1):
            for one in contenders:
                one.before()
                settle(server)
                found = listen(one.command(), server, stdin=one.stdin)
                heard[one.name].append(found)
                if one.name == OURS:
                    estimates.append(told_left(place / "events.jsonl"))
                one.after()
                say(f"round {number}/{options.rounds}  {one.name:<34} gap {found.gap_s:7.2f} s")
        keep(
            options,
            name_of("silence" + ("-disk" if options.disk else ""), options.table, options),
            f"Largest gap without a sign, restore of {options.table}, {rows:,} rows"
            + (", on a disk" if options.disk else ""),
            {
                "rows": rows,
                "figures": [_figure(one, heard[one.name], estimates) for one in contenders],
                "goals": _goals(heard, estimates),
            },
            server=server_version(server),
        )


@contextlib.contextmanager
def _server(options: Namespace) -> Iterator[PrivateServer]:
    if options.disk is None:
        with private_server(options) as server:
            yield server
        return
    with PrivateServer(
        base=options.disk,
        buffer_pool=options.buffer_pool,
        redo_log=options.redo_log,
        binlog=options.binlog,
    ) as server:
        yield server


def listen(command: Sequence[str], server: PrivateServer, *, stdin: Path | None = None) -> Heard:
    """Run a command on a terminal and note when it wrote.  Raises RunFailed when it fails."""
    master, terminal = pty.openpty()
    heard, said = Heard([time.monotonic()]), b""
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, master)
        source = stack.enter_context(stdin.open("rb")) if stdin else terminal
        process = subprocess.Popen(
            command,
            stdin=source,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            env={**environment(server), "TERM": "xterm", "COLUMNS": "100", "LINES": "24"},
        )
        os.close(terminal)
        while True:
            select.select([master], [], [])
            try:
                text = os.read(master, 65536)
            except OSError:  # its last writer has gone
                break
            heard.times.append(time.monotonic())
            said = (said + text)[-2000:]
        process.wait()
    heard.times.append(time.monotonic())
    if process.returncode:
        raise RunFailed(f"{command[0]} ended with {process.returncode}:\n{said.decode()}")
    return heard


def told_left(events: Path) -> dict[float, float]:
    """By part of the time that had passed: the remaining time that was told over the true one."""
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    events.unlink()
    began, ended = lines[0]["time"], lines[-1]["time"]
    samples = [line for line in lines if line.get("remaining_s") is not None]
    found = {}
    for part in PARTS:
        at = began + part * (ended - began)
        sample = next((line for line in samples if line["time"] >= at), None)
        if sample is not None:
            found[part] = sample["remaining_s"] / (ended - sample["time"])
    return found


def _ours(server: PrivateServer, options: Namespace, place: Path) -> Contender:
    table = f"{data.SCHEMA}.{options.table}"
    common = ["--vault", str(place / "vault"), "--threads", str(options.threads)]
    run(ours("snapshot", table, *common, server=server), server)
    before = server.sql(f"CHECKSUM TABLE {table}")
    events = place / "events.jsonl"

    def check_and_clean() -> None:
        if server.sql(f"CHECKSUM TABLE {table}") != before:
            raise RunFailed(f"{table} is not what it was")
        runs = sorted(path.parent.name for path in (place / "vault").glob(".runs/*/journal.jsonl"))
        run(ours("cleanup", runs[-1], *common[:2], server=server), server)

    words = ["latest", table, "--swap", "--events", str(events), *common]
    command = [word for word in ours("restore", *words, server=server) if word != "-q"]
    return Contender(OURS, lambda: command, after=check_and_clean)


def _loud(loaders: Sequence[Contender]) -> list[Contender]:
    """The rivals that a person runs, as talkative as they can be."""
    found = []
    for one in loaders:
        if one.name.startswith("myloader"):
            command = [*one.command(), "--verbose=3"]
            one.command = lambda command=command: command  # type: ignore[misc]
        if one.name.startswith(("myloader", "mariadb <")):
            found.append(one)
    return found


def _figure(
    one: Contender, heard: Sequence[Heard], estimates: Sequence[dict[float, float]]
) -> dict[str, Any]:
    figure: dict[str, Any] = {
        "name": one.name,
        "min_s": min(run.wall_s for run in heard),
        "median_s": statistics.median(run.wall_s for run in heard),
        "gap_s": max(run.gap_s for run in heard),
        "note": one.note,
    }
    if one.name == OURS:
        said = [
            f"{part:.0%}: " + ", ".join(f"{one[part]:.0%}" for one in estimates if part in one)
            for part in PARTS
        ]
        figure["note"] = f"told time left over true one, at {'; at '.join(said)}"
        figure["estimates"] = [{str(part): one[part] for part in one} for one in estimates]
    return figure


def _goals(
    heard: dict[str, list[Heard]], estimates: Sequence[dict[float, float]]
) -> list[dict[str, Any]]:
    if OURS not in heard:
        return []
    gap_s = max(run.gap_s for run in heard[OURS])
    goals: list[dict[str, Any]] = [
        {"goal": f"no silence above {GAP_S:g} s", "found": gap_s, "met": gap_s <= GAP_S}
    ]
    halves = [one[0.5] for one in estimates if 0.5 in one]
    if halves:
        worst = max(abs(half - 1) for half in halves)
        name = f"at half time the remaining time is told within {ESTIMATE:.0%}"
        goals.append({"goal": name, "found": worst, "met": worst <= ESTIMATE})
    return goals


if __name__ == "__main__":
    main()

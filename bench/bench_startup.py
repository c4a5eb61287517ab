"""How long until the command line answers: `--help`, and `list` of a vault of 1,000 snapshots?

    python bench/bench_startup.py [--rounds 20]

A server is up only to take the snapshot that the vault is filled with.  The bare interpreter
stands beside it: what is below that cannot be had.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import HERE, environment, keep, ours, parser

from tablevault.demo.server import PrivateServer
from tablevault.names import new_snapshot_id
from tablevault.vault.manifest import decode_manifest, encode_manifest

SNAPSHOTS = 1_000
LIMITS_S = {"tablevault --help": 0.15, f"tablevault list, {SNAPSHOTS:,} snapshots": 0.5}


def main() -> None:
    made = parser(__doc__ or "")
    made.set_defaults(rounds=20)
    options = made.parse_args()
    options.rounds = max(options.rounds, 10)  # they are short
    with tempfile.TemporaryDirectory(prefix="tablevault-bench-") as folder:
        vault = Path(folder)
        fill(vault, SNAPSHOTS)
        program = _program()
        help_name, list_name = LIMITS_S
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            help_name: [*program, "--help"],
            list_name: [*program, "list", "--vault", folder],
        }
        runs: dict[str, list[float]] = {name: [] for name in commands}
        cpu: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                wall_s, cpu_s = _seconds(command)
                runs[name].append(wall_s)
                cpu[name].append(cpu_s)
    rows = []
    for name, walls in runs.items():
        limit = LIMITS_S.get(name)
        row: dict[str, Any] = {
            "name": name,
            "min_s": min(walls),
            "median_s": walls[len(walls) // 2],
        }
        row["cpu_s"] = statistics.median(cpu[name])
        if limit is not None:
            row |= {"limit_s": limit, "met": row["median_s"] <= limit}
        rows.append(row)
    keep(options, "startup", "Start-up", {"figures": rows})


def fill(vault: Path, snapshots: int) -> None:
    """A vault of that many snapshots, each with a table of one row."""
    first = _one_snapshot(vault)
    text = (vault / first / "manifest.json").read_bytes()
    for number in range(1, snapshots):
        snapshot_id = new_snapshot_id(f"copy{number}")
        shutil.copytree(vault / first, vault / snapshot_id)
        snapshot = replace(decode_manifest(text, first), id=snapshot_id, name=f"copy{number}")
        (vault / snapshot_id / "manifest.json").write_bytes(encode_manifest(snapshot))


def _one_snapshot(vault: Path) -> str:
    with PrivateServer(buffer_pool="64M", binlog=False, room_bytes=1 << 29) as server:
        server.sql("CREATE DATABASE bench; CREATE TABLE bench.t SELECT 1 AS id")
        taken = subprocess.run(
            ours("snapshot", "bench.t", "--vault", str(vault), server=server),
            env=environment(server),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return taken.stdout.split()[-1]


def _program() -> list[str]:
    beside = Path(sys.executable).with_name("tablevault")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "tablevault"]


def _seconds(command: list[str]) -> tuple[float, float]:
    """Wall and CPU time of the command."""
    variables = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, env=variables, check=True)
    wall_s = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

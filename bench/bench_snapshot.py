"""How fast is a snapshot beside the dumpers, how large what it leaves, and what does it cost?

    python bench/bench_snapshot.py --scale 0.2 --rounds 2 [--table lineitem] [--binlog]

The whole command line counts, from its start to its end: connect, lock, plan, read, write, fsync.
`tablevault verify` of the same snapshot is shown beside it; it has no rival.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import data
from contest import contest
from harness import (
    OURS,
    Contender,
    folder_bytes,
    ours,
    remove,
)
from judge import Goal
from rivals import Rivals

from tablevault.demo.server import PrivateServer

# Beside the rival with compression on; only that leaves a snapshot one would keep.
GOALS = tuple(
    goal
    for rival in ("mydumper * gzip", "mydumper * zstd")
    for goal in (Goal(rival, "time_ratio", least=1.5), Goal(rival, "size_ratio", most=0.65))
)


def main() -> None:
    contest(__doc__ or "", "snapshot", _contenders, GOALS)


def _contenders(
    server: PrivateServer, options: argparse.Namespace, place: Path, rivals: Rivals
) -> list[Contender]:
    return [*_ours(server, options, place), *rivals.dumpers()]


def _ours(server: PrivateServer, options: argparse.Namespace, place: Path) -> list[Contender]:
    vault = place / "vault"
    table = f"{data.SCHEMA}.{options.table}"
    common = ["--vault", str(vault)]
    threads = ["--threads", str(options.threads)]
    # The snapshot stays for `verify`, which comes next, and is removed before the next round.
    return [
        Contender(
            OURS,
            lambda: ours("snapshot", table, *common, *threads, server=server),
            note="zstd 3",
            before=lambda: remove(vault),
            after=lambda: folder_bytes(vault),
        ),
        Contender(
            "tablevault verify --depth rows",
            lambda: ours("verify", "latest", *common, *threads),
            note="decode all, recompute digests",
            rival=False,
        ),
    ]


if __name__ == "__main__":
    main()

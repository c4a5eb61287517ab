"""How fast is a restore, proven and swapped in, beside loaders that prove nothing?

    python bench/bench_restore.py --scale 0.2 --rounds 2 [--table lineitem] [--binlog]

Ours restores over the live table and swaps; each rival loads what it dumped itself into an empty
schema, its indexes included, and only its rows are counted afterwards, untimed.  The floor is what
the server needs when nothing is decoded or proven: parallel LOAD DATA of prepared text, then one
ALTER for all indexes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import data
from contest import contest
from harness import OURS, Contender, RunFailed, ours, put_away, run
from judge import Goal
from rivals import Rivals

from tablevault.demo.server import PrivateServer

GOALS = (
    Goal("myloader *", "time_ratio", least=1.4),
    Goal("mariadb < *", "time_ratio", least=2.0),
    Goal("bare *", "time_ratio", least=round(1 / 1.15, 2)),
)


def main() -> None:
    contest(__doc__ or "", "restore", _contenders, GOALS)


def _contenders(
    server: PrivateServer, options: argparse.Namespace, place: Path, rivals: Rivals
) -> list[Contender]:
    return [_ours(server, options, place), *rivals.loaders(options.quick)]


def _ours(server: PrivateServer, options: argparse.Namespace, place: Path) -> Contender:
    table = f"{data.SCHEMA}.{options.table}"
    common = ["--vault", str(place / "vault")]
    threads = ["--threads", str(options.threads)]
    run(ours("snapshot", table, *common, *threads, server=server), server)
    before = server.sql(f"CHECKSUM TABLE {table}")
    result = place / "restore.json"

    def check_and_clean() -> None:
        done = json.loads(result.read_text())
        if server.sql(f"CHECKSUM TABLE {table}") != before:
            raise RunFailed(f"{table} is not what it was")
        put_away(done["run"], common, server)

    arguments = ["latest", table, "--swap", "--json", *common, *threads]
    return Contender(
        OURS,
        lambda: ours("restore", *arguments, server=server),
        note="every chunk proven, swapped over the live table",
        after=check_and_clean,
        stdout=result,
    )


if __name__ == "__main__":
    main()

"""How fast is a restore by the tablespace, proven and swapped, beside loaders that prove nothing?

    python bench/bench_lane.py --scale 0.2 --rounds 2 [--table lineitem]

The same contest as bench_restore.py, on a server without a binary log: ours puts the table's own
file back, once more by its rows, and each rival loads what it dumped itself.
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

GOALS = (Goal("myloader *", "time_ratio", least=8.0),)


def main() -> None:
    contest(__doc__ or "", "lane", _contenders, GOALS)


def _contenders(
    server: PrivateServer, options: argparse.Namespace, place: Path, rivals: Rivals
) -> list[Contender]:
    table = f"{data.SCHEMA}.{options.table}"
    common = ["--vault", str(place / "vault")]
    threads = ["--threads", str(options.threads)]
    run(ours("snapshot", table, "--tablespace", *common, *threads, server=server), server)
    before = server.sql(f"CHECKSUM TABLE {table}")

    def by(lane: str, name: str) -> Contender:
        result = place / f"{lane}.json"

        def check_and_clean() -> None:
            done = json.loads(result.read_text())
            if [one["lane"] for one in done["tables"]] != [lane]:
                raise RunFailed(f"{table} did not come by lane {lane}")
            if server.sql(f"CHECKSUM TABLE {table}") != before:
                raise RunFailed(f"{table} is not what it was")
            put_away(done["run"], common, server)

        arguments = ["latest", table, "--swap", "--lane", lane, "--json", *common, *threads]
        return Contender(
            name,
            lambda: ours("restore", *arguments, server=server),
            note=f"{lane}: every row group proven, swapped over the live table",
            after=check_and_clean,
            stdout=result,
        )

    by_rows = by("logical", f"{OURS} by rows")
    return [by("tablespace", OURS), by_rows, *rivals.loaders(options.quick)]


if __name__ == "__main__":
    main()

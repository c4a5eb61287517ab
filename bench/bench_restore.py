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
from harness import (
    OURS,
    Contender,
    RunFailed,
    keep,
    name_of,
    ours,
    parser,
    private_server,
    race,
    run,
    server_version,
)
from judge import Goal, figures, judged
from rivals import Rivals

from tablevault.demo.server import PrivateServer

GOALS = (
    Goal("myloader *", "time_ratio", least=1.4),
    Goal("mariadb < *", "time_ratio", least=2.0),
    Goal("bare *", "time_ratio", least=round(1 / 1.15, 2)),
)


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--table", choices=data.TABLES, default="lineitem")
    options = made.parse_args()
    with private_server(options) as server:
        rows = data.load(server, options.table, options.scale)
        place = server.directory / "out"
        place.mkdir()
        rivals = Rivals(server, options.table, rows, options.threads, place, options.binlog)
        contenders = [_ours(server, options, place), *rivals.loaders(options.quick)]
        contenders = [one for one in contenders if options.only in one.name]
        race(contenders, server, options.rounds)
        found = figures(contenders)
        # The goals are of the table with a name, the other shapes show where they do not hold.
        goals = judged(found, GOALS) if options.table == "lineitem" else []
        keep(
            options,
            name_of("restore", options.table, options),
            f"Restore of {options.table}, {rows:,} rows",
            {"rows": rows, "figures": found, "goals": goals},
            server=server_version(server),
        )


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
        run(ours("cleanup", done["run"], *common, server=server), server)

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

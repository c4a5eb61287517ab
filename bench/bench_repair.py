"""What does it cost to put back just what was lost, beside a restore of the whole table?

    python bench/bench_repair.py --scale 1 --rounds 2

Each damage is done anew before every run, untimed: one row in a hundred in scattered places, as
many in one place, one column of every row.  `repair --execute` goes from the command to the proof,
its own comparison included; `restore --swap` puts the same damaged table back whole.  After each
run CHECKSUM TABLE must be what it was.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import data
from harness import OURS, Contender, RunFailed, keep, name_of, ours, parser, race, run
from judge import Goal, figures, judged
from server import private_server, server_version

from tablevault.demo.server import PrivateServer

TABLE = f"{data.SCHEMA}.lineitem"
RESTORE = "restore --swap"
ANEW = "repair, comparing itself"
DIFF = "diff"
DAMAGES = {
    "one row in a hundred, scattered": "CRC32(CONCAT_WS('-', l_orderkey, l_linenumber)) % 100 = 0",
    "one row in a hundred, in one place": "l_orderkey BETWEEN {top} * 0.4 AND {top} * 0.41",
    "one column of every row": "TRUE",
}


def main() -> None:
    options = parser(__doc__ or "").parse_args()
    options.table = "lineitem"
    results = []
    with private_server(options) as server:
        rows = data.load(server, "lineitem", options.scale)
        vault = server.directory / "vault"
        run(ours("snapshot", TABLE, "--vault", str(vault), server=server), server)
        top = int(server.sql(f"SELECT MAX(l_orderkey) FROM {TABLE}"))
        for name, where in DAMAGES.items():
            update = f"UPDATE {TABLE} SET l_quantity = l_quantity + 1 WHERE {where.format(top=top)}"
            contenders = _contenders(server, options, vault, name, update)
            race(contenders, server, options.rounds)
            results += figures(contenders)
            goal = Goal(RESTORE, "time_ratio", least=10 if "hundred" in name else 1)
            results[-1]["goals"] = judged(figures(contenders), [goal])
        keep(
            options,
            name_of("repair", "lineitem", options),
            f"Repair of lineitem, {rows:,} rows",
            {"rows": rows, "figures": results, "goals": []},
            server=server_version(server),
        )


def _contenders(
    server: PrivateServer, options: argparse.Namespace, vault: Path, damage: str, update: str
) -> list[Contender]:
    checksum = server.sql(f"CHECKSUM TABLE {TABLE}")
    common = ["--vault", str(vault), "--threads", str(options.threads), "--json"]

    find = ours("diff", "latest", TABLE, *common, server=server)
    find = ["bash", "-c", f"{shlex.join(find)}; test $? = 3"]

    def one(name: str, *words: str, prepare: Callable[[], None] = lambda: None) -> Contender:
        result = server.directory / f"{words[0]}.json"
        line = ours(words[0], "latest", TABLE, *words[1:], *common, server=server)

        def before() -> None:
            server.sql(update)
            prepare()

        return Contender(
            name,
            lambda: line,
            note=damage,
            before=before,
            after=_check(server, result, vault, checksum),
            stdout=result,
            rival=name == RESTORE,
        )

    return [
        Contender(
            DIFF, lambda: find, note=damage, before=lambda: _sql(server, update), rival=False
        ),
        one(OURS, "repair", "--execute", prepare=lambda: _run(find, server)),
        one(ANEW, "repair", "--execute", "--from-diff", "never"),
        one(RESTORE, "restore", "--swap"),
    ]


def _sql(server: PrivateServer, statement: str) -> None:
    server.sql(statement)


def _run(command: list[str], server: PrivateServer) -> None:
    run(command, server)


def _check(server: PrivateServer, result: Path, vault: Path, before: str) -> Callable[[], None]:
    def check() -> None:
        done = json.loads(result.read_text())
        if server.sql(f"CHECKSUM TABLE {TABLE}") != before:
            raise RunFailed(f"{TABLE} is not what it was")
        run(ours("cleanup", done["run"], "--vault", str(vault), server=server), server)

    return check


if __name__ == "__main__":
    main()

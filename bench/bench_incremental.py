"""What does an incremental snapshot write and cost, beside a full one of the same table?

    python bench/bench_incremental.py --scale 1 --rounds 3 [--table lineitem]

The table as the base has it, then with one row in a hundred changed in one place, then with one row
in ten thousand changed all over, which touches every chunk.  The size is what the vault grew by,
manifest and chunk lists included; every snapshot is removed again before the next one.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import data
from harness import OURS, Contender, keep, name_of, ours, parser, race, run
from judge import figures
from server import private_server, server_version

from tablevault.demo.server import PrivateServer

MOST_BYTES = 1_000_000  # of an unchanged table


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--table", choices=("lineitem", "orders"), default="lineitem")
    options = made.parse_args()
    key = {"lineitem": "l_orderkey", "orders": "o_orderkey"}[options.table]
    comment = {"lineitem": "l_comment", "orders": "o_comment"}[options.table]
    table = f"{data.SCHEMA}.{options.table}"
    with private_server(options) as server:
        rows = data.load(server, options.table, options.scale)
        vault = server.directory / "vault"
        run(ours("snapshot", table, "--vault", str(vault), server=server), server)
        racing = [
            _contender(OURS, "unchanged: compared, nothing read", server, options, vault),
            _contender("full snapshot", "everything read", server, options, vault, full=True),
        ]
        race(racing, server, options.rounds)
        last = int(server.sql(f"SELECT MAX({key}) FROM {table}"))
        for note, where in (
            ("1 % changed, in one place", f"{key} BETWEEN {last // 2} AND {last * 51 // 100}"),
            ("0.01 % changed, all over", f"{key} % 10000 = 1"),
        ):
            server.sql(f"UPDATE {table} SET {comment} = REVERSE({comment}) WHERE {where}")
            again = _contender(f"{OURS} again", note, server, options, vault)
            race([again], server, options.rounds)
            racing.append(again)
        found = figures(racing)
        size = racing[0].size_bytes or 0
        keep(
            options,
            name_of("incremental", options.table, options),
            f"Incremental snapshot of {options.table}, {rows:,} rows",
            {
                "rows": rows,
                "figures": found,
                "goals": [
                    {
                        "goal": f"unchanged: at most {MOST_BYTES:,} bytes written",
                        "found": size,
                        "met": size <= MOST_BYTES,
                    }
                ],
            },
            server=server_version(server),
        )


def _contender(
    name: str,
    note: str,
    server: PrivateServer,
    options: argparse.Namespace,
    vault: Path,
    *,
    full: bool = False,
) -> Contender:
    known: set[Path] = set()
    inodes: set[int] = set()

    def before() -> None:
        known.update(vault.iterdir())
        inodes.update(one.stat().st_ino for one in vault.rglob("*"))

    def after() -> int:
        [made] = (one for one in set(vault.iterdir()) - known if not one.name.startswith("."))
        files = [one.stat() for one in made.rglob("*") if one.is_file()]
        grown = sum(one.st_size for one in files if one.st_ino not in inodes)
        shutil.rmtree(made)
        shutil.rmtree(vault / ".proofs", ignore_errors=True)
        return grown

    words = ["--vault", str(vault), "--threads", str(options.threads)]
    words += [] if full else ["--incremental"]
    table = f"{data.SCHEMA}.{options.table}"
    return Contender(
        name,
        lambda: ours("snapshot", table, *words, server=server),
        note=note,
        before=before,
        after=after,
        rival=full,
    )


if __name__ == "__main__":
    main()

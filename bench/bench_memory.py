"""Does memory stay flat: the peak of the process for some rows, and for ten times as many?

    python bench/bench_memory.py --scale 0.2 [--wide]

The stated limit is 400 MB plus, for each thread, five times the largest row (10^6 bytes each).
`--wide` adds the table of long texts and blobs.  The server is a means here: only the peaks count.
"""

from __future__ import annotations

import argparse
from typing import Any

import data
from harness import keep, parser, say, three_steps
from server import private_server, server_version

from tablevault.demo.server import PrivateServer

BASE_MB, LARGEST_ROWS_A_THREAD = 400, 5


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--wide", action="store_true", help="the table of long texts, too")
    options = made.parse_args()
    options.rounds = 1
    rows: list[dict[str, Any]] = []
    with private_server(options) as server:
        for table in ["lineitem", *(["wide"] if options.wide else [])]:
            for scale in (options.scale / 10, options.scale):
                rows += _peaks(server, table, scale, options)
        keep(
            options,
            f"memory-sf{options.scale:g}",
            "Peak memory of the process",
            {"figures": rows},
            server=server_version(server),
        )


def _peaks(
    server: PrivateServer, table: str, scale: float, options: argparse.Namespace
) -> list[dict[str, Any]]:
    count = data.load(server, table, scale)
    name = f"{data.SCHEMA}.{table}"
    limit_mb = limit(_largest_row(server, table), options.threads)
    rows = []
    for step, measure in three_steps(server, name, options.threads):
        say(f"{step} of {count:,} rows of {table}: {measure.peak_mb:.0f} MB")
        row = {"name": f"{step}, {table}, {count:,} rows", "median_s": measure.wall_s}
        row |= {"peak_mb": measure.peak_mb, "limit_mb": limit_mb}
        rows.append(row | {"met": measure.peak_mb <= limit_mb})
    server.sql(f"DROP TABLE {name}")
    return rows


def limit(largest_row_bytes: int, threads: int) -> float:
    """The peak that is promised, in MB of 10^6 bytes."""
    return BASE_MB + threads * LARGEST_ROWS_A_THREAD * largest_row_bytes / 1e6


def _largest_row(server: PrivateServer, table: str) -> int:
    columns = server.sql(
        "SELECT column_name FROM information_schema.columns "
        f"WHERE table_schema = '{data.SCHEMA}' AND table_name = '{table}'"
    ).split()
    lengths = " + ".join(f"COALESCE(LENGTH({column}), 0)" for column in columns)
    return int(server.sql(f"SELECT MAX({lengths}) FROM {data.SCHEMA}.{table}"))


if __name__ == "__main__":
    main()

"""Does a row cost the same among sixty million as among one, and where does the server saturate?

    python bench/bench_scaling.py --scale 6 [--table narrow]

Three sizes of one table, up to `--scale` (6: 60 million narrow rows), with `--threads`; then 1, 2,
4 and 8 threads on the middle one.  Snapshot, verification and a restore that is swapped in, each
once: what counts is the figure beside its neighbours.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import data
from harness import keep, name_of, parser, say, three_steps
from server import private_server, server_version

from tablevault.demo.server import PrivateServer

THREADS = (1, 2, 4, 8)
_PARTS = (60, 10, 1)  # of the scale
_ROOM_BYTES = 2 << 30  # of a unit of scale: two tables of narrow rows, and the sort of an index


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--table", choices=data.TABLES, default="narrow")
    options = made.parse_args()
    options.rounds = 1
    rows: list[dict[str, Any]] = []
    with private_server(options, _ROOM_BYTES) as server:
        for part in _PARTS:
            counts = [options.threads]
            if part == _PARTS[1]:
                counts += [count for count in THREADS if count != options.threads]
            rows += _measured(server, options, options.scale / part, counts)
        keep(
            options,
            name_of("scaling", options.table, options),
            f"Scaling of {options.table}",
            {"figures": rows},
            server=server_version(server),
        )


def _measured(
    server: PrivateServer, options: argparse.Namespace, scale: float, threads: list[int]
) -> Iterator[dict[str, Any]]:
    """The table made, measured with each number of threads, and removed."""
    rows = data.load(server, options.table, scale)
    table = f"{data.SCHEMA}.{options.table}"
    for count in threads:
        for step, one in three_steps(server, table, count):
            name = f"{step}, {rows:,} rows, {count} thread{'' if count == 1 else 's'}"
            say(f"{name}: {one.wall_s:.2f} s")
            yield {
                "name": name,
                "median_s": one.wall_s,
                "row_us": one.wall_s * 1e6 / rows,
                "cpu_s": one.cpu_s,
                "server_cpu_s": one.server_cpu_s,
                "peak_mb": one.peak_mb,
            }
    server.sql(f"DROP TABLE {table}")


if __name__ == "__main__":
    main()

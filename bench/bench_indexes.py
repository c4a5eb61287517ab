"""From which size on do secondary indexes come cheaper after the rows than with them?

    python bench/bench_indexes.py [--server mysql] [--megabytes 1 4 16] [--indexes 1 3 6]

For each size and number of indexes one table of plain rows, restored both ways in turn, everything
proven.  `after / inline` below 1 means that building them afterwards is faster.  What
`--indexes auto` goes by (ops/restore_plan.py) was read off this table.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from harness import say

from tablevault.demo.programs import Programs
from tablevault.demo.server import PrivateServer
from tablevault.mysql.options import ConnectOptions
from tablevault.ops.options import RestoreOptions, SnapshotOptions
from tablevault.ops.restore import restore
from tablevault.ops.snapshot import snapshot
from tablevault.vault.store import open_store

_ROW_BYTES = 75  # about, as text
_COLUMNS = "a INT, b INT, c VARCHAR(40), d DATE, e DECIMAL(12,2), f BIGINT"
_KEYS = ("KEY (a)", "KEY (c)", "KEY (d, a)", "KEY (e)", "KEY (f)", "KEY (b, c)")


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--server", default="mariadb", help="mariadb, mysql, mariadb-new")
    made.add_argument("--megabytes", type=float, nargs="+", default=[0.5, 2, 8, 32, 96])
    made.add_argument("--indexes", type=int, nargs="+", default=[1, 3, 6])
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--buffer-pool", default="1G")
    made.add_argument("--build-threads", type=int, help="MySQL: how many build one index")
    options = made.parse_args()
    with PrivateServer(
        buffer_pool=options.buffer_pool, redo_log="512M", programs=_programs(options.server)
    ) as server:
        if options.build_threads:
            for name in ("innodb_ddl_threads", "innodb_parallel_read_threads"):
                server.sql(f"SET GLOBAL {name} = {options.build_threads}")
        print(f"{options.server}: megabytes, indexes: inline s, after s, after / inline")
        for megabytes in options.megabytes:
            for indexes in options.indexes:
                _measure(server, megabytes, indexes, options)


def _programs(kind: str) -> Programs:
    if kind == "mariadb":
        return Programs()
    import sys

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from tests.servers import programs

    return programs(kind)


def _measure(
    server: PrivateServer, megabytes: float, indexes: int, options: argparse.Namespace
) -> None:
    count = int(megabytes * 1e6 / _ROW_BYTES)
    numbers = "WITH RECURSIVE n (s) AS (SELECT 1 UNION ALL SELECT s + 1 FROM n WHERE s < 1000)"
    server.sql("DROP DATABASE IF EXISTS bench; DROP DATABASE IF EXISTS again")
    server.sql("CREATE DATABASE bench; CREATE DATABASE again")
    server.sql(
        f"CREATE TABLE t (id INT PRIMARY KEY, {_COLUMNS}, {', '.join(_KEYS[:indexes])});"
        f"CREATE TABLE numbers (s INT PRIMARY KEY) {numbers} SELECT s FROM n;"
        "INSERT INTO t SELECT k, CRC32(k) & 0xFFFFFF, k % 1000, CONCAT(CRC32(k * 5), ' ', k),"
        " '2001-01-01' + INTERVAL (CRC32(k * 7) % 5000) DAY, (CRC32(k * 3) % 10000000) / 100,"
        " CRC32(k * 11) * 4096 FROM"
        f" (SELECT (x.s - 1) * 1000 + y.s AS k FROM numbers x, numbers y) n WHERE k <= {count}",
        "bench",
    )
    target = ConnectOptions(
        host=server.host, port=server.port, user=server.user, password=server.password
    )
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        store = open_store(f"{folder}/vault", create=True)
        snapshot(target, store, SnapshotOptions(patterns=("bench.t",)))
        seconds: dict[str, list[float]] = {"inline": [], "after": []}
        for _ in range(options.rounds):
            for way in seconds:
                chosen = RestoreOptions(
                    into="again", indexes=way, threads=options.threads, swap=True, new=True
                )
                done = restore(target, store, "latest", chosen, Path(folder) / "runs")
                seconds[way].append(done.seconds)
                server.sql("DROP TABLE again.t")
    inline, after = (statistics.median(seconds[way]) for way in ("inline", "after"))
    say(f"{count} rows done")
    print(
        f"{megabytes:8g} {indexes:3d}: {inline:7.2f} {after:7.2f} {after / inline:6.2f}", flush=True
    )


if __name__ == "__main__":
    main()

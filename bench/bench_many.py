"""Do 10,000 tables and 100,000 chunks cost ten times as much as a tenth of them, or more?

    python bench/bench_many.py [--tables 10000] [--caches] [--part vault|nights|server]
    python bench/bench_many.py --quick               # 1,000 tables, within a minute, no ratios

Three parts.  *vault*: one snapshot of that many tables of ten chunks each, no server asked.
*nights*: as many chunks in many small snapshots of ten tables, for what looks at a whole vault.
*server*: that many tables of two rows and an index, taken, compared, restored and swapped; by the
server's own settings, or with `--caches` that hold every table.

The chunks of the synthetic vaults are those of one real table, copied; names, lists and manifests
are made by the product.  Each step is measured with one table too, and what is above that is what
a table costs: starting the program is not shared out.  Goals go by CPU time of client and server,
as others may be at work on the machine; the ratio of the seconds stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import Measure, RunFailed, keep, ours, parser, remove, run, say
from server import programs, server_version

from tablevault import names
from tablevault.demo.server import PrivateServer
from tablevault.model import Chunk, Snapshot, TableName
from tablevault.vault.catalog import begin_snapshot, resolve
from tablevault.vault.chunklist import read_chunks, write_chunk_list
from tablevault.vault.store import LocalStore, open_store

SCHEMA = "many"
CHUNKS = 10  # of a table
TABLES_A_NIGHT = 10
LIMIT = 1.3  # cost of a table among ten times as many : cost of a table
_TELLING_S = 0.04  # CPU time below this says nothing beside that of starting the program
_SHORT_S = 1.5  # of a step that is measured `--rounds` times
_ROOM_BYTES = 6 << 30  # 10,000 tables three times on the server, and a vault of 100,000 files
_BATCH = 200  # tables a statement
_PLAN = """
import sys
from tablevault.names import new_run_id
from tablevault.ops.options import RestoreOptions
from tablevault.ops.restore_plan import plan_jobs
from tablevault.vault.catalog import resolve
from tablevault.vault.store import open_store
store = open_store(sys.argv[1])
assert plan_jobs(store, resolve(store, "latest"), RestoreOptions(), new_run_id())
"""


@dataclass
class Step:
    """One thing that is done to vaults or servers of several sizes."""

    name: str
    what: str  # of how many: tables, or snapshots
    chunks: int = 0  # of each of these
    found: dict[int, Measure] = field(default_factory=dict)  # by how many

    def each_s(self, count: int) -> tuple[float, float]:
        """Seconds and CPU seconds of each beyond the first."""
        first, all_ = self.found[1], self.found[count]
        cpu_s = all_.cpu_s + all_.server_cpu_s - first.cpu_s - first.server_cpu_s
        return (all_.wall_s - first.wall_s) / (count - 1), cpu_s / (count - 1)

    def tells(self, count: int) -> bool:
        """Whether what so many cost can be told from the start of the program."""
        return count > 1 and self.each_s(count)[1] * count >= _TELLING_S

    def ratios(self) -> tuple[float, float] | None:
        """What each costs at the largest size : at the one before, in seconds and CPU seconds.

        None where that one is too short to tell anything.
        """
        few, many = sorted(self.found)[-2:] if len(self.found) > 2 else (1, 1)
        if not self.tells(few):
            return None
        (wall_s, cpu_s), (most_wall_s, most_cpu_s) = self.each_s(few), self.each_s(many)
        return most_wall_s / wall_s, most_cpu_s / cpu_s


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--tables", type=int, default=10_000, help="the most (default 10,000)")
    made.add_argument("--caches", action="store_true", help="the server's caches hold all tables")
    made.add_argument("--part", choices=("vault", "nights", "server"), help="only this one")
    made.set_defaults(buffer_pool="1G", rounds=5)
    options = made.parse_args()
    if options.quick:
        options.tables, options.rounds = min(options.tables, 1_000), 1
    steps: list[Step] = []
    with private_server(options) as server:
        for part, measured in (("vault", of_vault), ("nights", of_nights), ("server", of_server)):
            if options.part in (None, part):
                steps += measured(server, options)
        version = server_version(server)
    what = [options.part or "", str(options.tables), "caches" if options.caches else ""]
    what += [options.server] if options.server != "mariadb" else []
    keep(
        options,
        "-".join(["many", *filter(None, what)]),
        f"Up to {options.tables:,} tables"
        + (", caches that hold them all" if options.caches else ""),
        {"figures": list(figures(steps)), "goals": list(goals(steps))},
        server=version,
    )


@contextmanager
def private_server(options: argparse.Namespace) -> Iterator[PrivateServer]:
    """A server with its own settings, or with caches for each table of each connection."""
    held = 6 * options.tables + 2_000
    kinds = ("table-open-cache", "table-definition-cache", "innodb-open-files")
    caches = [*(f"--{kind}={held}" for kind in kinds), f"--open-files-limit={3 * held}"]
    with PrivateServer(
        buffer_pool=options.buffer_pool,
        redo_log=options.redo_log,
        binlog=options.binlog,
        room_bytes=_ROOM_BYTES,
        extra_args=caches if options.caches else (),
        programs=programs(options.server),
    ) as server:
        yield server


def sizes(options: argparse.Namespace) -> list[int]:
    """How many tables, the fewest first."""
    return [1, *([] if options.quick else [options.tables // 10]), options.tables]


# ---------------------------------------------------------------- without a server


def of_vault(server: PrivateServer, options: argparse.Namespace) -> list[Step]:
    """What one snapshot of many tables costs to look at, to prove, to plan a restore of."""
    commands = {
        "list": ["list"],
        "show": ["show", "latest"],
        "verify --depth files": ["verify", "latest", "--depth", "files"],
        "verify": ["verify", "latest"],
        "verify one table": ["verify", "latest", f"{SCHEMA}.t00000"],
        "prune --dry-run": ["prune", "--keep-last", "1", "--dry-run"],
        "plan of a restore": None,
    }
    steps = [Step(name, "tables", CHUNKS) for name in commands]
    for count in sizes(options):
        with synthetic(server, 1, count) as vault:
            for step, arguments in zip(steps, commands.values(), strict=True):
                command = [sys.executable, "-c", _PLAN, str(vault)]
                if arguments is not None:
                    command = _ours(vault, arguments, options)
                measure(step, count, command, server, rounds=options.rounds)
    return steps


def of_nights(server: PrivateServer, options: argparse.Namespace) -> list[Step]:
    """What as many chunks cost in many snapshots of few tables."""
    commands = {
        "list": ["list"],
        "verify --all --depth files": ["verify", "--all", "--depth", "files"],
        "prune --dry-run": ["prune", "--keep-last", "1", "--dry-run"],
    }
    steps = [Step(name, "snapshots", CHUNKS * TABLES_A_NIGHT) for name in commands]
    for count in dict.fromkeys(max(1, size // TABLES_A_NIGHT) for size in sizes(options)):
        with synthetic(server, count, TABLES_A_NIGHT) as vault:
            for step, arguments in zip(steps, commands.values(), strict=True):
                command = _ours(vault, arguments, options)
                measure(step, count, command, server, rounds=options.rounds)
    return steps


def _ours(vault: Path, arguments: Sequence[str], options: argparse.Namespace) -> list[str]:
    workers = ["--threads", str(options.threads)] if arguments[0] == "verify" else []
    return ours(*arguments, "--vault", str(vault), *workers)


@contextmanager
def synthetic(server: PrivateServer, snapshots: int, tables: int) -> Iterator[Path]:
    """A vault of that many snapshots of that many tables, each of them the same ten chunks."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=server.directory) as folder:
        source = open_store(f"{folder}/source", create=True)
        pattern = _pattern(server, source)
        parts = {
            chunk: source.read(f"{pattern.id}/{chunk.path}")
            for chunk in read_chunks(source, pattern.id, pattern.tables[0])
        }
        if len(parts) != CHUNKS:
            raise RunFailed(f"{len(parts)} chunks in the place of {CHUNKS}")
        vault = open_store(f"{folder}/vault", create=True)
        first = None
        for number in range(snapshots):
            created = pattern.created - 3600.0 * (snapshots - number)
            night = replace(pattern, name=f"night{number:05d}", created=created)
            written = _write(vault, night, tables, parts, first)
            first = first or written
        say(f"snapshots of {tables:,} tables of {CHUNKS} chunks: {snapshots:,}")
        yield vault.root


def _pattern(server: PrivateServer, store: LocalStore) -> Snapshot:
    """A real snapshot of a table whose rows make ten chunks: 100 rows are the least of one."""
    rows = ", ".join(f"({key}, {10**9 + key})" for key in range(CHUNKS * 100))
    server.sql(
        f"CREATE DATABASE one; USE one; CREATE TABLE t (id INT PRIMARY KEY, v INT, KEY (v));"
        f"INSERT INTO t VALUES {rows}; ANALYZE TABLE t"
    )
    where = ["--vault", store.uri, "--chunk-size", "1k"]
    run(ours("snapshot", "one.t", *where, server=server), server)
    server.sql("DROP DATABASE one")
    return resolve(store, "latest")


def _write(
    store: LocalStore,
    night: Snapshot,
    tables: int,
    parts: Mapping[Chunk, bytes],
    earlier: str | None,
) -> str:
    """One snapshot: its files copied, or those of an earlier one as an incremental one has them.

    The bytes are written aside from the store, which syncs each file.
    """
    snapshot_id = names.new_snapshot_id(night.name, night.created)
    like, entries = night.tables[0].definition, []
    with begin_snapshot(store, snapshot_id) as begun:
        for number in range(tables):
            table = TableName(SCHEMA, _name(number))
            create_sql = like.create_sql.replace("`t`", f"`{table.name}`")
            definition = replace(like, table=table, create_sql=create_sql)
            folder = names.table_folder(definition.table)
            (store.root / snapshot_id / folder).mkdir(parents=True)
            chunks = [
                replace(chunk, path=f"{folder}/{names.chunk_file(chunk.index)}") for chunk in parts
            ]
            for chunk, content in zip(chunks, parts.values(), strict=True):
                file = store.root / snapshot_id / chunk.path
                if earlier is None:
                    file.write_bytes(content)
                else:
                    os.link(store.root / earlier / chunk.path, file)
            entries.append(write_chunk_list(store, snapshot_id, definition, chunks))
        begun.commit(replace(night, id=snapshot_id, tables=tuple(entries)))
    return snapshot_id


# ---------------------------------------------------------------- with a server


def of_server(server: PrivateServer, options: argparse.Namespace) -> list[Step]:
    """A schema of many small tables: taken, compared, restored beside themselves and swapped."""
    commands = {
        "snapshot": ["snapshot", f"{SCHEMA}.*"],
        "verify": ["verify", "latest"],
        "diff": ["diff", "latest"],
        "restore --swap": ["restore", "latest", "--swap", "--json"],
        "cleanup": ["cleanup"],
    }
    steps = [Step(f"server: {name}", "tables") for name in commands]
    vault, result = server.directory / "vault", server.directory / "result.json"
    for count in sizes(options):
        create(server, count)
        before = checksums(server, count)
        for step, (command, *arguments) in zip(steps, commands.values(), strict=True):
            if command == "cleanup":
                arguments = [json.loads(result.read_text())["run"]]
            else:
                arguments += ["--threads", str(options.threads)]
            there = None if command == "verify" else server
            asked = ours(command, *arguments, "--vault", str(vault), server=there)
            measure(step, count, asked, server, stdout=result)
        if checksums(server, count) != before:
            raise RunFailed("the tables are not what they were")
        server.sql(f"DROP DATABASE {SCHEMA}")
        remove(vault)
    return steps


def create(server: PrivateServer, tables: int) -> None:
    """That many tables of two rows and a secondary index."""
    made = (
        f"CREATE TABLE {_name(number)} (id INT PRIMARY KEY, v INT, KEY (v));"
        f"INSERT INTO {_name(number)} VALUES (1, {number}), (2, {number * 7});"
        for number in range(tables)
    )
    server.sql(f"CREATE DATABASE {SCHEMA}; USE {SCHEMA};" + "".join(made))
    say(f"tables made: {tables:,}")


def checksums(server: PrivateServer, tables: int) -> list[str]:
    """What is in all of them."""
    named = [_name(number) for number in range(tables)]
    return [
        server.sql(f"CHECKSUM TABLE {', '.join(named[at : at + _BATCH])}", SCHEMA)
        for at in range(0, tables, _BATCH)
    ]


def _name(number: int) -> str:
    return f"t{number:05d}"


# ---------------------------------------------------------------- figures


def measure(
    step: Step,
    count: int,
    command: Sequence[str],
    server: PrivateServer,
    *,
    stdout: Path | None = None,
    rounds: int = 1,
) -> None:
    """Run it, a short one several times; the medians are kept."""
    runs = [run(command, server, stdout=stdout)]
    while len(runs) < rounds and runs[0].wall_s < _SHORT_S:
        runs.append(run(command, server))
    columns = zip(*map(astuple, runs), strict=True)
    step.found[count] = one = Measure(*map(statistics.median, columns))
    say(f"{step.name}, {count:,} {step.what}: {one.wall_s:.2f} s")


def figures(steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    """A row a step and size; ratios stand at the largest one."""
    for step in steps:
        for count, one in step.found.items():
            row: dict[str, Any] = {
                "name": f"{step.name}, {count:,} {step.what if count > 1 else step.what[:-1]}",
                "median_s": one.wall_s,
                "cpu_s": one.cpu_s,
                "server_cpu_s": one.server_cpu_s,
                "peak_mb": one.peak_mb,
            }
            notes = []
            if step.tells(count):
                row["each_us"] = step.each_s(count)[0] * 1e6
                notes.append(f"{row['each_us']:,.0f} µs a {step.what[:-1]}")
                if step.chunks:
                    row["chunk_us"] = row["each_us"] / step.chunks
                    notes.append(f"{row['chunk_us']:.1f} a chunk")
            if count == max(step.found) and (both := step.ratios()):
                row["ratio"], row["cpu_ratio"] = both
                notes.append(f"each {both[0]:.2f} x as long, {both[1]:.2f} x the CPU")
            yield row | {"note": "; ".join(notes)}


def goals(steps: Sequence[Step]) -> Iterator[dict[str, Any]]:
    """That a table costs the same among ten times as many, in CPU time."""
    for step in steps:
        if both := step.ratios():
            few, many = sorted(step.found)[-2:]
            goal = f"{step.name}: one of {many:,} {step.what} at most {LIMIT} x one of {few:,}"
            yield {"goal": goal, "found": round(both[1], 2), "met": both[1] <= LIMIT}


if __name__ == "__main__":
    main()

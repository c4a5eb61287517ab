"""What every measurement shares: options, timed runs side by side, results.

Contenders run interleaved (A B C A B C), so that whatever else the machine does falls on all of
them; each run is one process tree under `wait4`.  This module stays light on imports: a child's
peak memory as the kernel counts it begins at its parent's size.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from server import SERVERS, settle

import tablevault
from tablevault.demo.server import PrivateServer

HERE = Path(__file__).resolve().parent
OURS = "tablevault"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_TOUCHED_BYTES = 4 << 30


@dataclass(frozen=True)
class Measure:
    """One run.  Memory is the largest process's of the tree, CPU the whole tree's."""

    wall_s: float
    cpu_s: float  # user + system of the client
    server_cpu_s: float
    peak_mb: float  # 10^6 bytes


@dataclass
class Contender:
    """One way of doing the job: a command, what comes before and after it untimed.

    `before` returns nothing; `after` returns the bytes it left (None: none) and cleans up.  It
    raises when the job was not done.
    """

    name: str
    command: Callable[[], Sequence[str]]
    note: str = ""
    before: Callable[[], None] = lambda: None
    after: Callable[[], int | None] = lambda: None
    stdin: Path | None = None
    stdout: Path | None = None
    rival: bool = True  # False: for information, no ratio
    runs: list[Measure] = field(default_factory=list)
    size_bytes: int | None = None


class RunFailed(Exception):
    """A contender's command failed or did not do its job."""


# ---------------------------------------------------------------- options


def parser(text: str) -> argparse.ArgumentParser:
    """The options all measurements have; `text` is the module's docstring."""
    made = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--scale", type=float, default=0.2, help="TPC-H scale factor (default 0.2)")
    made.add_argument("--rounds", type=int, default=2, help="runs of each contender (default 2)")
    made.add_argument("--threads", type=int, default=2, help="workers of each (default 2)")
    made.add_argument(
        "--server", choices=SERVERS, default="mariadb", help="mariadb: as this machine has it"
    )
    made.add_argument("--binlog", action="store_true", help="with the binary log on")
    made.add_argument("--buffer-pool", default="2G", metavar="SIZE")
    made.add_argument("--redo-log", default="512M", metavar="SIZE")
    made.add_argument(
        "--only", default="", metavar="TEXT,...", help="contenders with one in the name"
    )
    made.add_argument("--quick", action="store_true", help="leave the slow contenders out")
    made.add_argument("--results", type=Path, metavar="DIR", help="keep the figures there, as JSON")
    return made


# ---------------------------------------------------------------- running


def ours(command: str, *arguments: str, server: PrivateServer | None = None) -> list[str]:
    """The real command line, for this server; its password goes by MYSQL_PWD."""
    where = [f"--url=mysql://{server.user}@{server.host}:{server.port}"] if server else []
    return [sys.executable, "-m", "tablevault", command, "-q", *where, *arguments]


def environment(server: PrivateServer) -> dict[str, str]:
    """What a client is run with."""
    return {**os.environ, "MYSQL_PWD": server.password, "PYTHONPATH": str(HERE.parent)}


def run(
    command: Sequence[str],
    server: PrivateServer,
    *,
    stdin: Path | None = None,
    stdout: Path | None = None,
) -> Measure:
    """Run a command to its end.  Raises RunFailed with what it said when it fails."""
    log = server.directory / "command.log"
    with contextlib.ExitStack() as stack:
        source = stack.enter_context((stdin or Path(os.devnull)).open("rb"))
        errors = stack.enter_context(log.open("wb"))
        output = stack.enter_context(stdout.open("wb")) if stdout else errors
        _forget_peak()
        server_before = cpu_s(server.pid)
        began = time.monotonic()
        process = subprocess.Popen(
            command, stdin=source, stdout=output, stderr=errors, env=environment(server)
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = log.read_text(errors="replace")[-2000:].strip()
        raise RunFailed(f"{Path(command[0]).name} ended with {process.returncode}:\n{said}")
    return Measure(
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        server_cpu_s=cpu_s(server.pid) - server_before,
        peak_mb=usage.ru_maxrss * 1024 / 1e6,
    )


def chosen(contenders: Iterable[Contender], only: str) -> list[Contender]:
    """Those that `--only` asks for."""
    return [one for one in contenders if any(text in one.name for text in only.split(","))]


def race(contenders: Sequence[Contender], server: PrivateServer, rounds: int) -> None:
    """Run all of them `rounds` times, interleaved; the figures go into the contenders."""
    for number in range(1, rounds + 1):
        for one in contenders:
            one.before()
            settle(server)
            touch_memory()
            measure = run(one.command(), server, stdin=one.stdin, stdout=one.stdout)
            one.runs.append(measure)
            one.size_bytes = one.after()
            say(f"round {number}/{rounds}  {one.name:<34} {measure.wall_s:7.2f} s")


def touch_memory() -> None:
    """Let a run find memory that is there: a virtual machine may have given back what was free.

    The first write to a page that the host has to find again cost up to ten times any other (2 s
    and 0.2 s a GB), which fell on whoever writes fastest.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    size_bytes = min(_TOUCHED_BYTES, os.sysconf("SC_AVPHYS_PAGES") * page // 2)
    with mmap.mmap(-1, size_bytes) as memory:
        for at in range(0, size_bytes, page):
            memory[at] = 1


def three_steps(server: PrivateServer, table: str, threads: int) -> Iterator[tuple[str, Measure]]:
    """Ours once each: snapshot, verify, and a restore that is swapped in, by its name.

    At its end nothing of them is left.  Raises RunFailed when the table is not what it was.
    """
    before = server.sql(f"CHECKSUM TABLE {table}")
    vault, result = server.directory / "vault", server.directory / "result.json"
    where = ["--vault", str(vault)]
    common = [*where, "--threads", str(threads)]
    commands = (
        ours("snapshot", table, *common, server=server),
        ours("verify", "latest", *common),
        ours("restore", "latest", table, "--swap", "--json", *common, server=server),
    )
    for step, command in zip(("snapshot", "verify", "restore"), commands, strict=True):
        settle(server)
        yield step, run(command, server, stdout=result)
    run(ours("cleanup", json.loads(result.read_text())["run"], *where, server=server), server)
    if server.sql(f"CHECKSUM TABLE {table}") != before:
        raise RunFailed(f"{table} is not what it was")
    remove(vault)


def put_away(run_id: str, where: Sequence[str], server: PrivateServer) -> None:
    """Let the table that was live be live again, as the next run is to find what this one found."""
    for step in ("rollback", "cleanup"):
        run(ours(step, run_id, *where, server=server), server)


def folder_bytes(path: Path) -> int:
    """Bytes of all files below a folder, or of the one file."""
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


def remove(path: Path) -> None:
    """Remove a file or folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _forget_peak() -> None:
    """A child's peak begins at that of the process it was forked from: lower ours to the present.

    What is left of it (about 25 MB) is the least that any child is seen with.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def cpu_s(pid: int) -> float:
    """User and system time of a running process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


# ---------------------------------------------------------------- results


def say(line: str) -> None:
    """Progress, to stderr."""
    print(line, file=sys.stderr, flush=True)


def keep(
    options: argparse.Namespace, name: str, title: str, body: dict[str, Any], **versions: str
) -> None:
    """Print the figures as a table, and write them to `--results` where that was given."""
    from report import as_text  # it reads what is made here

    result = {
        "name": name,
        "title": title + (", binary log on" if options.binlog else ""),
        "date": date.today().isoformat(),
        "machine": machine(),
        "versions": {**our_versions(), **versions},
        "conditions": {
            "scale": options.scale,
            "rounds": options.rounds,
            "threads": options.threads,
            "binlog": options.binlog,
            "buffer_pool": options.buffer_pool,
            "redo_log": options.redo_log,
        },
        **body,
    }
    print(as_text(result), flush=True)
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)
        target = options.results / f"{name}.json"
        target.write_text(json.dumps(_rounded(result), indent=1) + "\n")
        say(f"written: {target}")


def machine() -> dict[str, Any]:
    """Cores, memory, processor and the load it was under when the measurement ended."""
    processor = platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / (1 << 30)),
        "processor": processor,
        "system": platform.system() + " " + platform.release(),
        "load": round(os.getloadavg()[0], 1),
    }


def our_versions() -> dict[str, str]:
    """Of what tablevault is made of."""
    found = {"tablevault": tablevault.__version__, "python": platform.python_version()}
    for package in ("pyarrow", "mysql-connector-python"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def name_of(what: str, table: str, options: argparse.Namespace) -> str:
    """The name of a result: one file for each table, scale, server and binary log."""
    server = "" if options.server == "mariadb" else f"-{options.server}"
    return f"{what}-{table}-sf{options.scale:g}{server}" + ("-binlog" if options.binlog else "")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value

"""The other tools, as Debian ships them and as PATH has them: how each dumps and loads one table.

Every rival gets its own best: split into pieces for its threads, and a restore of what it dumped
itself.  What is not installed is left out and named.  DuckDB is that of duck.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import data
from duck import DuckDB, installed
from harness import Contender, RunFailed, folder_bytes, remove, run, say

from tablevault.demo.server import PrivateServer

TARGET = "rival"  # the schema that rivals restore into
_CHUNK_ROWS = 250_000  # lineitem: about the wire bytes of one of our chunks
_PIECE_BYTES = 16 << 20  # of text a transaction, as ours
_ACCESS = "[client]\nhost={0.host}\nport={0.port}\nuser={0.user}\npassword={0.password}\n"


@dataclass(frozen=True)
class Rivals:
    """The rivals of one table on one server; `place` is where they write."""

    server: PrivateServer
    table: str
    rows: int
    threads: int
    place: Path
    binlog: bool

    # ------------------------------------------------------------ dumping

    def dumpers(self) -> list[Contender]:
        """All ways of dumping that are there; what they wrote is removed after each run."""
        found = []
        for program, version in programs("mydumper"):
            for how, options in _compressions(version):
                folder = self.place / f"{program.name}-{version}-{how}"
                command = self._mydumper(program, folder, options)
                found.append(
                    Contender(
                        f"mydumper {version} {how}",
                        partial(list, command),
                        after=partial(_measured, folder),
                    )
                )
        if dump := self._mariadb_dump():
            file = self.place / "dump.sql"
            found.append(
                Contender(
                    "mariadb-dump, one thread",
                    lambda: dump,
                    stdout=file,
                    after=lambda: _measured(file),
                )
            )
        if duckdb := self._duckdb():
            found.append(duckdb.dumper(self.rows))
        return found

    def _mydumper(self, program: Path, folder: Path, options: list[str]) -> list[str]:
        return [
            str(program),
            f"--defaults-file={self._access()}",
            f"--host={self.server.host}",
            f"--port={self.server.port}",
            f"--threads={self.threads}",
            f"--database={data.SCHEMA}",
            f"--tables-list={self._listed(program)}",
            f"--rows={_CHUNK_ROWS}",
            f"--outputdir={folder}",
            *options,
        ]

    def _listed(self, program: Path) -> str:
        old = _version(program).startswith("0.")
        return self.table if old else f"{data.SCHEMA}.{self.table}"

    def _mariadb_dump(self) -> list[str] | None:
        program = shutil.which("mariadb-dump")
        if program is None:
            left_out("mariadb-dump", "mariadb-client")
            return None
        access = f"--defaults-file={self._access()}"
        return [program, access, "--single-transaction", "--quick", data.SCHEMA, self.table]

    def _duckdb(self) -> DuckDB | None:
        return installed(self.server, self.table, self.threads, self.place)

    # ------------------------------------------------------------ loading

    def loaders(self, quick: bool) -> list[Contender]:
        """All ways of loading that are there, what they load dumped beforehand."""
        found = [self._floor()]
        for program, version in programs("myloader"):
            dumper = program.with_name("mydumper")
            for how, options in _compressions(version):
                if dumper.exists() and not (quick and how == "plain"):
                    found.append(self._myloader(program, dumper, version, how, options))
        client, dump = shutil.which("mariadb"), self._mariadb_dump()
        if client and dump:
            file = self.place / "dump.sql"
            run(dump, self.server, stdout=file)
            found.append(
                self._loader(
                    "mariadb < dump.sql",
                    [client, f"--defaults-file={self._access()}", TARGET],
                    stdin=file,
                )
            )
        if not quick:
            found += filter(None, (self._mariadb_import(), self._duckdb_load()))
        return found

    def _myloader(
        self, program: Path, dumper: Path, version: str, how: str, options: list[str]
    ) -> Contender:
        folder = self.place / f"myloader-{version}-{how}"
        run(self._mydumper(dumper, folder, options), self.server)
        command = [
            str(program),
            f"--defaults-file={self._access()}",
            f"--host={self.server.host}",
            f"--port={self.server.port}",
            f"--threads={self.threads}",
            f"--directory={folder}",
            f"--database={TARGET}",
            *(["--enable-binlog"] if self.binlog else []),
        ]
        return self._loader(f"myloader {version} {how}", command)

    def _mariadb_import(self) -> Contender | None:
        program = shutil.which("mariadb-import")
        if program is None:
            left_out("mariadb-import", "mariadb-client")
            return None
        command = [
            program,
            f"--defaults-file={self._access()}",
            "--local",
            f"--use-threads={self.threads}",
            TARGET,
            *map(str, self._pieces()),
        ]
        return self._in_place("mariadb-import", command)

    def _duckdb_load(self) -> Contender | None:
        duckdb = self._duckdb()
        if duckdb is None:
            return None
        run(duckdb.dump(), self.server)
        loader = self._in_place(duckdb.name, duckdb.load(TARGET))
        loader.note = "from zstd Parquet; one connection, one transaction"
        return loader

    def _in_place(self, name: str, command: list[str]) -> Contender:
        """A loader that wants its table to be there: it gets an empty one with all its indexes."""
        loader = self._loader(f"{name}, all indexes in place", command)
        loader.before = lambda: self._empty_table(indexes=True)
        return loader

    def _floor(self) -> Contender:
        """LOAD DATA in parallel, then the indexes: what the server itself needs."""
        client = f"mariadb --defaults-file={self._access()} --local-infile=1 {TARGET}"
        pieces, script = self._pieces(), self.place / "floor.sh"
        each = -(-len(pieces) // self.threads)
        lines = ["set -e", "pids="]
        for first in range(0, len(pieces), each):
            # Neighbours in key order go to the same loader, each piece is a transaction.
            loads = "".join(
                f"LOAD DATA LOCAL INFILE '{piece}' INTO TABLE {self.table};"
                for piece in pieces[first : first + each]
            )
            lines.append(f'{client} -e "{loads}" & pids="$pids $!"')
        lines.append("for pid in $pids; do wait $pid; done")
        if indexes := data.secondary_indexes(self.server, self.table):
            adds = ", ".join(f"ADD {index}" for index in indexes)
            lines.append(f"{client} -e 'ALTER TABLE {self.table} {adds}'")
        script.write_text("\n".join(lines) + "\n")
        floor = self._loader("bare LOAD DATA + ADD INDEX", ["bash", str(script)])
        floor.note = "the floor: no files to decode, nothing proven"
        floor.before = lambda: self._empty_table(indexes=False)
        return floor

    def _loader(self, name: str, command: list[str], stdin: Path | None = None) -> Contender:
        return Contender(
            name, lambda: command, before=self._no_table, after=self._loaded, stdin=stdin
        )

    def _no_table(self) -> None:
        self.server.sql(f"DROP DATABASE IF EXISTS {TARGET}; CREATE DATABASE {TARGET}")

    def _empty_table(self, *, indexes: bool) -> None:
        self._no_table()
        self.server.sql(f"CREATE TABLE {TARGET}.{self.table} LIKE {data.SCHEMA}.{self.table}")
        found = [] if indexes else data.secondary_indexes(self.server, self.table)
        for line in found:
            name = line.partition("KEY ")[2].partition(" (")[0]
            self.server.sql(f"ALTER TABLE {TARGET}.{self.table} DROP KEY {name}")

    def _loaded(self) -> None:
        """The least that a restore has to do; then make room for the next."""
        found = data.rows(self.server, self.table, TARGET)
        wanted = data.secondary_indexes(self.server, self.table)
        there = self.server.sql(f"SHOW CREATE TABLE {TARGET}.{self.table}")
        if found != self.rows or any(index not in there for index in wanted):
            raise RunFailed(f"{found} of {self.rows} rows came back, or not all indexes")
        self.server.sql(f"DROP DATABASE {TARGET}")

    def _pieces(self) -> list[Path]:
        """The table as LOAD DATA text, in key order, cut into files of at most a transaction.

        All in the names that mariadb-import wants: it loads `lineitem.7` into `lineitem`.
        """
        folder = self.place / "pieces"
        if not folder.exists():
            folder.mkdir()
            folder.chmod(0o777)
            whole = folder / "whole"
            self.server.sql(f"SELECT * FROM {self.table} INTO OUTFILE '{whole}'", data.SCHEMA)
            _cut(whole, folder / self.table)
        return sorted(folder.iterdir())

    def _access(self) -> Path:
        """An option file, so that no password stands in the process list."""
        path = self.place / "access.cnf"
        if not path.exists():
            with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                text = _ACCESS.format(self.server)
                file.write(text + "".join(text.replace("client", n) for n in _OWN_GROUPS))
        return path


_OWN_GROUPS = ("mydumper", "myloader")  # 0.10 reads no [client]


def programs(name: str) -> list[tuple[Path, str]]:
    """Every program of this name on PATH, one of each version, with its version."""
    found: dict[str, Path] = {}
    for folder in os.get_exec_path():
        path = Path(folder) / name
        if os.access(path, os.X_OK) and (version := _version(path)) not in found:
            found[version] = path
    if not found:
        left_out(name, "mydumper")
    return [(path, version) for version, path in found.items()]


def left_out(what: str, package: str) -> None:
    """Say which row is missing, and how it would be there."""
    say(f"left out: {what} is not installed (Debian package {package})")


def _version(program: Path) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "of unknown version"


def _compressions(version: str) -> list[tuple[str, list[str]]]:
    if version.startswith("0.10"):
        return [("gzip", ["--compress"]), ("plain", [])]
    return [("zstd", ["--compress=ZSTD"]), ("plain", [])]


def _measured(path: Path) -> int:
    size = folder_bytes(path)
    remove(path)
    return size


def _cut(whole: Path, stem: Path) -> None:
    """Cut LOAD DATA text at line ends; a newline within a value is escaped by a backslash."""
    with whole.open("rb") as source:
        number, carried = 0, b""
        while block := carried + source.read(_PIECE_BYTES):
            at_end = len(block) - len(carried) < _PIECE_BYTES
            end = len(block) if at_end else _line_end(block)
            stem.with_suffix(f".{number:05}").write_bytes(block[:end])
            number, carried = number + 1, block[end:]
    whole.unlink()


def _line_end(block: bytes) -> int:
    end = block.rfind(b"\n")
    while end > 0 and block[end - 1 : end] == b"\\":
        end = block.rfind(b"\n", 0, end)
    return end + 1

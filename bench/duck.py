"""DuckDB and its mysql extension as a rival: the commands of duckdb_copy.py for one table.

They run in an environment of their own, which `scripts/setup.sh rivals` makes inside ours: the
extension wants the DuckDB of its very version, and the tests want a newer one.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import data
from harness import HERE, Contender, RunFailed, folder_bytes, remove, say

from tablevault.demo.server import PrivateServer

_PYTHON = Path(sys.prefix) / "rivals/bin/python"
_SCRIPT = HERE / "duckdb_copy.py"


@dataclass(frozen=True)
class DuckDB:
    """DuckDB for one table on one server; its file is written in `place`."""

    version: str
    server: PrivateServer
    table: str
    threads: int
    place: Path

    @property
    def name(self) -> str:
        return f"DuckDB {self.version} mysql"

    def dumper(self, rows: int) -> Contender:
        """The dump as a contender; afterwards, untimed, its rows have to be `rows`."""
        file, said = self._file, self.place / "duckdb.rows"

        def measured() -> int:
            if (found := int(said.read_text())) != rows:
                raise RunFailed(f"{found} of {rows} rows were dumped")
            size = folder_bytes(file)
            remove(file)
            return size

        return Contender(
            f"{self.name}, zstd Parquet",
            self.dump,
            note="one connection; rows alone, no table definition",
            after=measured,
            stdout=said,
        )

    def dump(self) -> list[str]:
        """The table into the file."""
        return self._command("dump", data.SCHEMA)

    def load(self, schema: str) -> list[str]:
        """The file into the table of that name in another schema."""
        return self._command("load", schema)

    @property
    def _file(self) -> Path:
        return self.place / "duckdb.parquet"

    def _command(self, action: str, schema: str) -> list[str]:
        return [
            str(_PYTHON),
            str(_SCRIPT),
            action,
            f"--host={self.server.host}",
            f"--port={self.server.port}",
            f"--user={self.server.user}",
            f"--table={schema}.{self.table}",
            f"--threads={self.threads}",
            str(self._file),
        ]


def installed(server: PrivateServer, table: str, threads: int, place: Path) -> DuckDB | None:
    """The DuckDB that is there and loads the extension; None when there is none, which is said."""
    command = [str(_PYTHON), str(_SCRIPT), "version"]
    if _PYTHON.exists():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return DuckDB(done.stdout.strip(), server, table, threads, place)
    say("left out: DuckDB with its mysql extension is not installed (scripts/setup.sh rivals)")
    return None

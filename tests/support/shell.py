"""tablevault as a person calls it: the command line as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import ROOT, Server

TIMEOUT_S = 90


@dataclass
class Done:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The one line that says what went wrong."""
        lines = [line for line in self.stderr.splitlines() if "error:" in line]
        assert len(lines) == 1, f"not one error line:\n{self.stderr}"
        return lines[0]

    @property
    def hint(self) -> str:
        """The advice, or nothing."""
        return " ".join(line for line in self.stderr.splitlines() if "hint:" in line)

    def assert_clean(self) -> None:
        """No traceback, no Python names in what the person reads."""
        for text in (self.stdout, self.stderr):
            assert "Traceback" not in text, text
            assert "Error(" not in text, text


@dataclass
class Shell:
    """Calls against one server and one vault; every output is kept, to be searched for secrets."""

    server: Server
    vault: Path
    password: str | None = None  # another than the server's
    user: str | None = None
    said: list[str] = field(default_factory=list)

    def environment(self, **changes: str) -> dict[str, str]:
        """As a person has it: the password in MYSQL_PWD, the vault in TABLEVAULT_VAULT."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("XDG_")}
        password = self.server.password if self.password is None else self.password
        return {
            **kept,
            "MYSQL_PWD": password,
            "TABLEVAULT_VAULT": str(self.vault),
            "PYTHONPATH": str(ROOT),
            **changes,
        }

    def words(self, command: str, *words: str, connect: bool = True) -> list[str]:
        """The whole command line."""
        server = self.server
        where = ["-h", server.host, "-P", str(server.port), "-u", self.user or server.user]
        return [sys.executable, "-m", "tablevault", command, *words, *(where if connect else [])]

    def __call__(
        self,
        command: str,
        *words: str,
        connect: bool = True,
        prefix: tuple[str, ...] = (),
        **environment: str,
    ) -> Done:
        """Run a command to its end; it must not crash, whatever it is told."""
        done = subprocess.run(
            [*prefix, *self.words(command, *words, connect=connect)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=TIMEOUT_S,
            env=self.environment(**environment),
        )
        result = Done(
            done.returncode,
            done.stdout.decode("utf-8", "surrogateescape"),
            done.stderr.decode("utf-8", "surrogateescape"),
        )
        self.said += [result.stdout, result.stderr]
        result.assert_clean()
        assert result.code != 1, result.stderr
        return result

    def json(self, command: str, *words: str, connect: bool = True) -> dict[str, Any]:
        """The one result object of a command that must succeed, or find something."""
        done = self(command, *words, "--json", connect=connect)
        assert done.code in (0, 3), done.stderr
        record: dict[str, Any] = json.loads(done.stdout)
        return record

    def start(self, command: str, *words: str) -> subprocess.Popen[bytes]:
        """Begin a command and leave it running."""
        return subprocess.Popen(
            self.words(command, *words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(),
        )

"""The servers that tests run against, seen from outside tablevault.

`sql` and `query` go through the server's own command-line client: what tablevault claims is
checked by a route that shares no code with it.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tablevault.demo.programs import Programs, find_program
from tablevault.demo.server import PrivateServer

ROOT = Path(__file__).resolve().parent.parent
PROVISION = ROOT / "scripts" / "provision_server.sh"

_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\0": "\0", "\\\\": "\\"}
_ESCAPE = re.compile(r"\\[nt0\\]")


class ServerMissing(Exception):
    """A server that a test needs, or that was asked for, is not there."""


@dataclass(frozen=True)
class Server:
    """A running server; `user` has all privileges."""

    kind: str  # "mariadb" | "mysql" | "mariadb-new"
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    socket: str
    root_password: str = field(default="", repr=False)

    @classmethod
    def of(cls, kind: str, private: PrivateServer) -> Server:
        """A private server that runs."""
        return cls(
            kind=kind,
            host=private.host,
            port=private.port,
            user=private.user,
            password=private.password,
            socket=private.socket,
            root_password=private.password,
        )

    @property
    def family(self) -> str:
        """`mysql` or `mariadb`."""
        return "mysql" if self.kind == "mysql" else "mariadb"

    def options(self, **changes: Any) -> Any:
        """tablevault's ConnectOptions for this server, with `changes`."""
        from tablevault.mysql.connect import ConnectOptions

        known = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
        }
        return ConnectOptions(**{**known, **changes})

    def arguments(self) -> list[str]:
        """The command line's connection options; the password goes into MYSQL_PWD."""
        return ["-h", self.host, "-P", str(self.port), "-u", self.user]

    def environment(self) -> dict[str, str]:
        """The process environment with the password in it."""
        return {**os.environ, "MYSQL_PWD": self.password}

    def connect(self, **options: Any) -> Any:
        """A bare mysql.connector connection (autocommit), for what needs a session of its own."""
        import mysql.connector

        return mysql.connector.connect(
            **{
                "host": self.host,
                "port": self.port,
                "user": self.user,
                "password": self.password,
                "use_pure": True,
                "autocommit": True,
                "charset": "utf8mb4",
                **options,
            }
        )

    def sql(self, text: str | bytes, database: str = "") -> str:
        """Run statements as root; return what the client prints (tabs, no column names)."""
        command = [
            find_program("mariadb"),
            "--no-defaults",
            "--batch",
            "--skip-column-names",
            "--default-character-set=utf8mb4",
            "--user=root",
            f"--socket={self.socket}",
        ]
        if database:
            command.append(database)
        done = subprocess.run(
            command,
            input=text.encode() if isinstance(text, str) else text,
            env={**os.environ, "MYSQL_PWD": self.root_password},
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"sql failed: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode("utf-8", "surrogateescape")

    def query(self, text: str, database: str = "") -> list[tuple[str | None, ...]]:
        """Rows of one statement as text; NULL is None (the text 'NULL' cannot be told from it)."""
        return [
            tuple(_value(cell) for cell in line.split("\t"))
            for line in self.sql(text, database).split("\n")[:-1]
        ]

    def value(self, text: str, database: str = "") -> str | None:
        """The one value of a statement that gives one row of one column."""
        [[value]] = self.query(text, database)
        return value


def _value(cell: str) -> str | None:
    if cell == "NULL":
        return None
    return _ESCAPE.sub(lambda found: _ESCAPES[found[0]], cell)


def programs(kind: str) -> Programs:
    """The programs of a kind of server, unpacked by scripts/provision_server.sh where need be.

    Raises ServerMissing when they cannot be had.
    """
    if kind == "mariadb":
        return Programs()
    done = subprocess.run(
        ["bash", str(PROVISION), kind],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServerMissing(f"no {kind} server:\n{done.stderr.strip()}")
    family = "mysql" if kind == "mysql" else "mariadb"
    return Programs(family, Path(done.stdout.splitlines()[-1]))

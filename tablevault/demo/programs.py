"""Which programs make a server, where they are, a port for it, and whether it answers."""

from __future__ import annotations

import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from tablevault.errors import CannotComplete

HOST = "127.0.0.1"
# Debian installs server programs where an ordinary account's PATH does not look.
_MORE_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/libexec", "/usr/local/mysql/bin")


def find_program(name: str) -> str:
    """The path of a server or client program, also where only root's PATH looks.

    Raises CannotComplete when it is not installed.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_MORE_PATH])
    found = shutil.which(name, path=path)
    if found is None:
        raise CannotComplete(
            f"`{name}` is not installed",
            hint="install a MariaDB server and client: "
            "apt-get install mariadb-server-core mariadb-client-core",
        )
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def greets(path: str) -> bool:
    """Whether a server answers at the socket with the first packet of its protocol."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(path)
            greeting = probe.recv(5)
        except OSError:
            return False
    return len(greeting) == 5 and greeting[4] == 10


@dataclass(frozen=True)
class Programs:
    """The programs of one server: this machine's MariaDB, or another in a folder of its own."""

    family: str = "mariadb"  # "mariadb" | "mysql"
    tree: Path | None = None  # holds usr/sbin; None: what is installed

    def server(self) -> str:
        """The server program; raises CannotComplete when it is not there."""
        return self._find("sbin", "mysqld" if self.family == "mysql" else "mariadbd")

    def initialize(self, data_directory: Path, redo_log: str) -> list[str]:
        """The command that makes an empty data directory, root without a password in it."""
        if self.family == "mysql":
            return [
                self.server(),
                "--no-defaults",
                "--initialize-insecure",
                f"--datadir={data_directory}",
                f"--innodb-redo-log-capacity={redo_log}",
                "--secure-file-priv=NULL",
            ]
        return [
            self._find("bin", "mariadb-install-db"),
            "--no-defaults",
            *([f"--basedir={self.tree / 'usr'}"] if self.tree else []),
            f"--datadir={data_directory}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            f"--innodb-log-file-size={redo_log}",
        ]

    def options(self, redo_log: str, binlog: bool) -> list[str]:
        """What is said differently to the two families."""
        if self.family == "mysql":
            return [
                f"--innodb-redo-log-capacity={redo_log}",
                "--mysqlx=OFF",
                "--secure-file-priv=NULL",
                "--log-bin=binlog" if binlog else "--skip-log-bin",
            ]
        options = [f"--innodb-log-file-size={redo_log}"]
        return [*options, "--log-bin=binlog", "--binlog-format=ROW"] if binlog else options

    def accounts(self, user: str, password: str) -> str:
        """SQL for --init-file, one statement a line, none of it in the binary log."""
        others = (
            []
            if self.family == "mysql"
            else [
                "DELETE FROM mysql.global_priv "
                "WHERE User = '' OR (User = 'root' AND Host <> 'localhost');",
                "FLUSH PRIVILEGES;",
            ]
        )
        return "\n".join(
            [
                "SET sql_log_bin = 0;",
                *others,
                f"ALTER USER root@localhost IDENTIFIED BY '{password}';",
                f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password}';",
                f"GRANT ALL ON *.* TO '{user}'@'%' WITH GRANT OPTION;",
                "",
            ]
        )

    def _find(self, folder: str, name: str) -> str:
        if self.tree is None:
            return find_program(name)
        program = self.tree / "usr" / folder / name
        if not program.exists():
            raise CannotComplete(f"`{program}` does not exist")
        return str(program)

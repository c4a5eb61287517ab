"""Where a server's programs are, a port for it, and whether it answers."""

from __future__ import annotations

import os
import shutil
import socket

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

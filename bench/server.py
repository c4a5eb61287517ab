"""The private server that measurements run on: which one, how large, made quiet between runs."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tablevault.demo.programs import Programs
from tablevault.demo.server import PrivateServer

ROOT = Path(__file__).resolve().parent.parent
# Bytes of directory: the same for every scale, and for a unit of it (measured: table, replacement
# and the sort files of its indexes; dumps of all contenders; binary log).
_ROOM_BYTES, ROOM_BYTES_PER_SCALE = 2 << 30, 11 << 30
ROOM_OF_FEW = 6 << 30  # of a unit of scale, where `--only` leaves most contenders out
_DIRTY = (
    "SELECT VARIABLE_VALUE FROM performance_schema.global_status "
    "WHERE VARIABLE_NAME = 'Innodb_buffer_pool_pages_dirty'"
)
_CLEAN_PAGES = 200
_FILES_ANYWHERE = ("--secure-file-priv=",)  # tables are filled, and pieces written, by the server
SERVERS = ("mariadb", "mysql", "mariadb-new")


@contextlib.contextmanager
def private_server(
    options: argparse.Namespace, bytes_per_scale: int = ROOM_BYTES_PER_SCALE
) -> Iterator[PrivateServer]:
    """A server of the stated size, on tmpfs where there is room for the scale."""
    room = _ROOM_BYTES + int(options.scale * bytes_per_scale)
    with PrivateServer(
        buffer_pool=options.buffer_pool,
        redo_log=options.redo_log,
        binlog=options.binlog,
        room_bytes=room,
        programs=programs(options.server),
        extra_args=_FILES_ANYWHERE if options.server == "mysql" else (),
    ) as server:
        if not server.directory.is_relative_to("/dev/shm"):
            print(
                f"no {room >> 30} GiB free on tmpfs: the figures will be those of a disk",
                file=sys.stderr,
            )
        yield server


def programs(kind: str) -> Programs:
    """The programs of a server: what is installed, or what provision_server.sh unpacks."""
    if kind == "mariadb":
        return Programs()
    script = ROOT / "scripts/provision_server.sh"
    done = subprocess.run(["bash", script, kind], stdout=subprocess.PIPE, text=True, check=True)
    family = "mysql" if kind == "mysql" else "mariadb"
    return Programs(family, Path(done.stdout.strip()))


def settle(server: PrivateServer) -> None:
    """Let the server write what earlier runs left dirty, so that nobody pays for another."""
    if server.programs.family == "mariadb":
        server.sql("SET GLOBAL innodb_log_checkpoint_now = ON")
        return
    server.sql("SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0, innodb_max_dirty_pages_pct = 0")
    while int(server.sql(_DIRTY)) > _CLEAN_PAGES:
        time.sleep(0.2)
    server.sql(
        "SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT, innodb_max_dirty_pages_pct_lwm = DEFAULT"
    )


def server_version(server: PrivateServer) -> str:
    """As the server says it."""
    return server.sql("SELECT VERSION()").strip()

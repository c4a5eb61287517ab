"""Whether a table may come by its tablespace: what has to hold of the server, and of the table.

Cautious: what cannot be seen is a reason against it.  The reasons are for people to read, and
each names what would have to be otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tablevault.model import TableEntry, TableName
from tablevault.mysql import checkpoint, replication, sql_tablespace, tablespaces
from tablevault.mysql.connect import Connection
from tablevault.mysql.inspect import Inspector
from tablevault.ops import server_disks
from tablevault.vault.placing import Placement
from tablevault.vault.tablespace import TablespaceFacts

_ROOM = 1.05  # of the files: directories and the server's own small files beside them


@dataclass(frozen=True)
class Ground:
    """The server as the lane finds it: where its data lies, or why no table may come that way."""

    folder: Path
    why_not: str = ""
    lowercase: bool = False  # the server spells all names so on disk
    page_bytes: int = 0
    free_bytes: int = 0
    family: str = ""
    version: tuple[int, int, int] = (0, 0, 0)


def survey(connection: Connection, *, log_bin: bool) -> Ground:
    """What the server allows.  `log_bin`: whether the run is to be written to the binary log."""
    seen = Inspector(connection)
    why_not = next(_against(seen, log_bin=log_bin), "")
    if why_not:
        return Ground(Path("/"), why_not)
    folder = Path(server_disks.data_folder(seen.settings))
    try:
        free_bytes = server_disks.measured(str(folder)).free_bytes
    except OSError as error:
        return Ground(folder, f"{folder} cannot be looked at: {error.strerror}")
    return Ground(
        folder,
        lowercase=bool(seen.number("lower_case_table_names")),
        page_bytes=seen.number("innodb_page_size") or 0,
        free_bytes=free_bytes,
        family=connection.server.family,
        version=connection.server.version,
    )


def _against(seen: Inspector, *, log_bin: bool) -> Iterator[str]:
    """What the server itself has against it."""
    if not seen.settings:
        yield "the server's settings cannot be seen"
    if not server_disks.is_local(seen.settings, seen.server.hostname):
        yield "the server's data directory is not on this machine, or cannot be seen from here"
    if seen.is_on("wsrep_on"):
        yield "the server is a node of a Galera cluster: the other nodes would not get the rows"
    if seen.settings.get("group_replication_group_name"):
        yield "the server is of a replication group: the others would not get the rows"
    if seen.is_on("innodb_encrypt_tables"):
        yield "the server encrypts its tables"
    if seen.is_on("log_bin"):
        if log_bin:
            yield (
                "the binary log is on, and rows that come so cannot be written to it: with "
                "--no-binlog nothing of the restore is"
            )
        readers = replication.readers(seen.connection)
        if readers:
            yield f"{', '.join(readers)} replicate from the server and would not get the rows"
    held = seen.privileges
    if held is None or not held.has("PROCESS"):
        yield "the account lacks PROCESS, by which the server's files are told apart"
    elif not (held.has("RELOAD") or held.has("FLUSH_TABLES")):
        yield "the account lacks RELOAD, which FLUSH TABLES ... FOR EXPORT needs"
    elif seen.mariadb and not held.has("SUPER"):
        yield "the account lacks SUPER, by which MariaDB is told to flush what it would repeat"
    if seen.mariadb and checkpoint.NOW not in seen.settings:
        yield f"the server has no {checkpoint.NOW}: MariaDB has it from 10.10"
    if not {"innodb_lsn_last_checkpoint", "innodb_redo_log_checkpoint_lsn"} & set(seen.status):
        yield "the server does not tell where its redo log stands"
    if not seen.is_on("innodb_file_per_table"):
        yield "innodb_file_per_table is off on the server"


def placement(ground: Ground, staging: TableName) -> Placement | None:
    """Where the staging table's file will be; None where only the server knows."""
    path = sql_tablespace.file_path(staging)
    if path is None:
        return None
    folder, _, stem = (path.lower() if ground.lowercase else path).rpartition("/")
    return Placement(ground.folder / folder, stem)


def against_table(ground: Ground, entry: TableEntry, staging: TableName) -> str:
    """What the table has against it, as far as that is known without its copy; else empty."""
    if entry.where is not None:
        return "the snapshot holds some of its rows only"
    unfit = tablespaces.unfit(entry.definition)
    if unfit is not None:
        return unfit
    at = placement(ground, staging)
    if at is None:
        return "its name has letters beyond ASCII, whose spelling on disk only the server knows"
    return _unwritable(at.folder)


def against_copy(ground: Ground, copy: TablespaceFacts) -> str:
    """What the snapshot's copy has against it; else empty."""
    if (copy.family, copy.version[:2]) != (ground.family, ground.version[:2]):
        there, here = (".".join(map(str, one[:2])) for one in (copy.version, ground.version))
        return f"its tablespace is of {copy.family} {there}, the server is {ground.family} {here}"
    if copy.page_bytes != ground.page_bytes:
        return f"its pages have {copy.page_bytes} bytes, the server's {ground.page_bytes}"
    return ""


def against_room(ground: Ground, size_bytes: int) -> str:
    """Whether files of so many bytes have no room; else empty."""
    if size_bytes * _ROOM <= ground.free_bytes:
        return ""
    return (
        f"{ground.folder} has {ground.free_bytes / 1e9:.2f} GB free, the tablespaces take "
        f"{size_bytes / 1e9:.2f} GB"
    )


def _unwritable(folder: Path) -> str:
    """Why no file of the server's can be made in its folder; else empty."""
    try:
        owner = os.stat(folder).st_uid
    except OSError as error:
        return f"{folder} cannot be looked at: {error.strerror}"
    if os.geteuid() not in (0, owner):
        return f"{folder} is of another account: run as root, or as the server's own account"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} is not writable"
    return ""

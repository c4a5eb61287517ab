"""What strains the servers of a restore: from what was seen to figures with limits.

Pure.  The limits are where waiting helps: below them an ordinary restore is none the slower.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tablevault.engine.throttle import Strain
from tablevault.mysql.pressure import Pressure
from tablevault.ops.server_disks import Disk

# InnoDB flushes ahead from about 7/8 of its redo log and, while it keeps up, hovers there by
# design; at the full mark it stops every writer, the application's too, and flushes as fast as the
# disk takes it.  Below, it flushes at innodb_io_capacity_max: 32 MB/s by default.  A mark of 0.8
# made a restore on a small redo log five times slower for nothing; and where nobody else writes
# any mark does: 6 M rows were loaded in 29 to 49 s instead of 19 s.
REDO_LIMIT, REDO_RELIEF = 0.94, 0.90
# Threads_running counts our own; beyond this many the server is busy with others' work.
BUSY_THREADS = 32
# What others on the server must find free, on a disk however large; of a small one a share.
_FREE_BYTES, _FREE_SHARE = 1 << 30, 0.05
# What is still to be written never needs more than this, so that less is no reason to wait.
_ROOM_PER_BYTE, _ROOM_AT_LEAST = 2.0, 16 << 20


def of_server(pressure: Pressure, *, writers: bool | None = None) -> Iterator[Strain]:
    """Of the server that is worked on: its redo log, and other work.

    `writers`: whether others write there, None where nobody looked; without them a full redo log
    strains nobody.

    Dirty pages are no strain of their own: they are flushed in the background, and whoever writes
    is stopped by the redo log that they fill (docs/DESIGN.md).
    """
    if pressure.redo is not None and writers is not False:
        yield Strain(
            "the redo log",
            f"{pressure.redo:.0%} full of unflushed changes",
            f"{REDO_LIMIT:.0%} while others write" if writers else f"{REDO_LIMIT:.0%}",
            pressure.redo / REDO_LIMIT,
            REDO_RELIEF / REDO_LIMIT,
        )
    yield Strain(
        "the server's other work",
        f"{pressure.threads_running} threads running",
        str(BUSY_THREADS),
        pressure.threads_running / BUSY_THREADS,
        relief=1.0,
    )


def of_itself(behind_s: float, max_lag_s: float) -> Strain:
    """Of a server that is itself a replica: slower, for others' writes may keep it behind."""
    return _lag("the server, itself a replica,", behind_s, max_lag_s, holds=False)


def of_replica(name: str, behind_s: float, max_lag_s: float) -> Strain:
    """Of a replica of that server: nothing new is begun until it has caught up by half."""
    return _lag(f"the replica {name}", behind_s, max_lag_s, holds=True)


def _lag(what: str, behind_s: float, max_lag_s: float, *, holds: bool) -> Strain:
    return Strain(
        what,
        f"{behind_s:.0f} s behind",
        f"{max_lag_s:.0f} s",
        behind_s / max_lag_s,
        relief=0.5,
        holds=holds,
        remedy="look what it is busy with; it is caught up with later if --max-lag is larger, and "
        "--emergency goes on regardless",
    )


def of_disks(disks: Iterable[Disk], bytes_left: float) -> Iterator[Strain]:
    """Of the server's disks, each once; `bytes_left` is what is still to be loaded and indexed."""
    by_id: Mapping[object, Disk] = {disk.id: disk for disk in disks}
    for disk in by_id.values():
        limit = min(
            _FREE_BYTES,
            disk.size_bytes * _FREE_SHARE,
            _ROOM_AT_LEAST + bytes_left * _ROOM_PER_BYTE,
        )
        yield Strain(
            f"the server's disk under {disk.folder}",
            f"{_mb(disk.free_bytes)} left",
            _mb(limit),
            limit / max(1, disk.free_bytes),
            holds=True,
            remedy="free space there; --emergency goes on regardless, until the disk is full",
        )


def _mb(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"

"""Preflight: is there room for data, indexes, temporary files and the binary log.

Only a server on this machine, or MariaDB's plugin DISKS, lets us see; else a note says what is
needed, so that a person can look.  Fatal is only what cannot possibly fit.
"""

from __future__ import annotations

import os
import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tablevault.ops.checkup import RESTORE, Advice, Patient, fatal, fine, note, warning

INDEX_SHARE = 0.25  # of the data, for each secondary index; lineitem: 0.2 to 0.3
SORT_SHARE = 0.6  # of the data, what sorting its largest index takes in tmpdir: twice the index
_AMPLE = 1.2  # below this times the estimate it is called tight


@dataclass(frozen=True)
class Need:
    """Bytes that one folder of the server has to take."""

    what: str
    folder: str
    least: int  # what cannot be less
    likely: int


def space(patient: Patient) -> Iterator[Advice]:
    """Free space of each file system against what goes there."""
    if not patient.wants(RESTORE) or not patient.volumes:
        return
    needs = list(estimated(patient))
    free = _free(patient, [need.folder for need in needs])
    if free is None:
        listed = ", ".join(f"{need.what} about {_gb(need.likely)}" for need in needs)
        yield note(
            "space",
            f"the server's disks cannot be seen from here; needed are {listed}",
            "look at the free space on the server"
            + (", or INSTALL SONAME 'disks'" if patient.inspect.mariadb else ""),
        )
        return
    yield from _compared(patient, needs, free)


def estimated(patient: Patient) -> Iterator[Need]:
    """What a restore of these tables writes, and where."""
    seen, volumes = patient.inspect, patient.volumes
    datadir = seen.settings.get("datadir", "")
    rows = sum(one.rows_bytes for one in volumes)
    # numbers and dates are shorter than their text; and the old table may be full of holes
    least = 0 if any(one.compressed for one in volumes) else rows // 2
    likely = sum(int(one.data_bytes * (1 + INDEX_SHARE * one.indexes)) for one in volumes)
    yield Need("data and indexes", datadir, least, likely)
    sorting = max((int(one.data_bytes * SORT_SHARE) for one in volumes if one.indexes), default=0)
    if sorting:
        tmpdir = seen.settings.get("innodb_tmpdir") or seen.settings.get("tmpdir", "")
        yield Need("sorting indexes", tmpdir.split(":")[0], 0, sorting)
    if patient.logged:
        base = seen.settings.get("log_bin_basename", "")
        yield Need("the binary log", os.path.dirname(base) or datadir, 0, rows)


def _compared(
    patient: Patient, needs: list[Need], free: Mapping[str, tuple[object, int]]
) -> Iterator[Advice]:
    """What goes to one file system counts together."""
    together: dict[object, list[Need]] = defaultdict(list)
    for need in needs:
        together[free[need.folder][0]].append(need)
    for parts in together.values():
        available = free[parts[0].folder][1]
        least, likely = sum(p.least for p in parts), sum(p.likely for p in parts)
        what = " and ".join(dict.fromkeys(part.what for part in parts))
        shown = f"{parts[0].folder}: {_gb(available)} free, {what} take about {_gb(likely)}"
        remedy = "free space there, or restore fewer tables at a time"
        if available < least:
            yield fatal(patient.for_(RESTORE), "space", shown, remedy)
        elif available < likely * _AMPLE:
            yield warning("space", shown, remedy)
        else:
            yield fine("space", shown)


def _free(patient: Patient, folders: list[str]) -> dict[str, tuple[object, int]] | None:
    """By folder, which file system it is on and its free bytes; None where that cannot be seen."""
    if is_local(patient):
        try:
            return {folder: _measured(folder) for folder in folders}
        except OSError:
            pass
    disks = patient.inspect.disks()
    if not disks:
        return None
    found: dict[str, tuple[object, int]] = {}
    for folder in folders:
        over = [disk for disk in disks if _is_below(folder, disk[0])]
        if not over:
            return None
        found[folder] = max(over, key=lambda disk: len(disk[0]))
    return found


def is_local(patient: Patient) -> bool:
    """Whether the server's paths are paths of this machine.

    The host name alone would also match a server in a container or a changed root, so the
    server's own files must be where it says.
    """
    seen = patient.inspect
    if seen.server.hostname != socket.gethostname():
        return False
    datadir, marks = seen.settings.get("datadir", ""), ("pid_file", "socket")
    there = [path for name in marks if (path := seen.settings.get(name, "")).startswith("/")]
    return os.path.isdir(datadir) and any(os.path.exists(path) for path in there)


def _measured(folder: str) -> tuple[object, int]:
    found = os.statvfs(folder)
    return os.stat(folder).st_dev, found.f_bavail * found.f_frsize


def _is_below(folder: str, mount: str) -> bool:
    return mount == "/" or f"{folder.rstrip('/')}/".startswith(f"{mount.rstrip('/')}/")


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"

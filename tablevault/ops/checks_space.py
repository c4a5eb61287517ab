"""Preflight: is there room for data, indexes, temporary files and the binary log.

Only a server on this machine, or MariaDB's plugin DISKS, lets us see; else a note says what is
needed, so that a person can look.  Fatal is only what cannot possibly fit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tablevault.ops import server_disks
from tablevault.ops.checkup import RESTORE, Advice, Patient, fatal, fine, note, warning
from tablevault.ops.server_disks import Disk

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
    free = server_disks.disks(
        [need.folder for need in needs],
        local=is_local(patient),
        listed=patient.inspect.disks,
    )
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
    rows = sum(one.rows_bytes for one in volumes)
    # numbers and dates are shorter than their text; and the old table may be full of holes
    least = 0 if any(one.compressed for one in volumes) else rows // 2
    likely = sum(int(one.data_bytes * (1 + INDEX_SHARE * one.indexes)) for one in volumes)
    yield Need("data and indexes", server_disks.data_folder(seen.settings), least, likely)
    sorting = max((int(one.data_bytes * SORT_SHARE) for one in volumes if one.indexes), default=0)
    if sorting:
        yield Need("sorting indexes", server_disks.sort_folder(seen.settings), 0, sorting)
    if patient.logged:
        yield Need("the binary log", server_disks.log_folder(seen.settings), 0, rows)


def _compared(patient: Patient, needs: list[Need], free: Mapping[str, Disk]) -> Iterator[Advice]:
    """What goes to one file system counts together."""
    together: dict[object, list[Need]] = defaultdict(list)
    for need in needs:
        together[free[need.folder].id].append(need)
    for parts in together.values():
        available = free[parts[0].folder].free_bytes
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


def is_local(patient: Patient) -> bool:
    """Whether the server's paths are paths of this machine."""
    return server_disks.is_local(patient.inspect.settings, patient.inspect.server.hostname)


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"

"""What a run left in the data directory of a server that is not running.

A server that runs is asked to drop the staging table first (leftovers.py).  Of one that does not,
only what it has certainly never looked at is taken away: once it may have begun to take in a
tablespace its recovery asks for the file, and it would not start without it.
"""

from __future__ import annotations

from pathlib import Path

from tablevault.errors import ServerUnavailable
from tablevault.ops.runs import replay, run_folder
from tablevault.vault.datadir import in_use
from tablevault.vault.journal import Journal


def remove_offline(state_dir: Path, run: str, error: ServerUnavailable) -> None:
    """Remove what can be removed without the server; `error`, that it is not there, then says so.

    Raises what `Journal.open` raises; nothing is removed of a folder that a server has open.
    """
    if error.answered:
        return
    gone: list[Path] = []
    kept: list[Path] = []
    with Journal.open(run_folder(state_dir, run)) as journal:
        state = replay(run, journal.entries)
        for table, placements in state.strewn.items():
            untouched = table not in state.taking_in and table not in state.created
            for placement in placements:
                if in_use(placement.folder.parent):
                    continue
                gone += placement.remove(in_place=untouched)
                kept += placement.found()
    if not gone and not kept:
        return
    said = []
    if gone:
        said.append(f"removed meanwhile: {', '.join(map(str, gone))}")
    if kept:
        listed = ", ".join(map(str, kept))
        said.append(f"{listed} may be the server's own by now and stays until it runs")
    said.append(f"start the server, then `tablevault cleanup {run}` again")
    error.hint = "; ".join(said)

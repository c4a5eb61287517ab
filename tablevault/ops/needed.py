"""What the journals of a state directory say of its runs: which snapshots they still need."""

from __future__ import annotations

from pathlib import Path

from tablevault.errors import CannotComplete, TablevaultError, UsageError
from tablevault.model import Finding
from tablevault.names import JOURNAL
from tablevault.ops.runs import REPAIR, RunState, replay
from tablevault.vault.journal import Entry, is_running, list_runs, read_journal

# A restore that was swapped, rolled back or cleaned needs its snapshot no more; a repair does until
# its cleanup: `--undo` reads it.
_OVER = frozenset({"swapped", "rolled back", "cleaned", "drilled"})


def needed_by_runs(state_dir: Path, *, changed_since: float = 0.0) -> dict[str, str]:
    """Why a run needs a snapshot, by the snapshot's id.

    With `changed_since` (Unix seconds) only journals that were written to since then are read.
    Raises CannotComplete for a journal that cannot be read: it may need any of them.
    """
    needed: dict[str, str] = {}
    for run in list_runs(state_dir):
        folder = state_dir / run
        try:
            if (folder / JOURNAL).stat().st_mtime < changed_since:
                continue
            entries = read_journal(folder)
            state = replay(run, entries)
            alive = is_running(folder)
        except FileNotFoundError:
            continue
        except (TablevaultError, KeyError, TypeError) as error:
            raise CannotComplete(
                f"the journal of run {run} cannot be read: nobody can tell which snapshot it needs",
                hint=f"look at it, and remove {folder} when the run is over",
            ) from error
        if alive or state.status not in _over(state):
            why = f"run {run} is {'at work' if alive else state.status}"
            for snapshot in _snapshots(state, entries):
                needed.setdefault(snapshot, why)
    return needed


def damaged_journals(state_dir: Path | None) -> list[Finding]:
    """The journals that no run could be resumed, undone or cleaned up by any more."""
    found: list[Finding] = []
    if state_dir is None:
        return found
    for run in list_runs(state_dir):
        try:
            read_journal(state_dir / run)
        except CannotComplete as error:
            found.append(Finding("damaged", error.message, path=f"{run}/{JOURNAL}"))
        except UsageError:  # removed a moment ago, or of another user
            continue
    return found


def _over(state: RunState) -> frozenset[str]:
    return frozenset({"cleaned"}) if state.operation == REPAIR else _OVER


def _snapshots(state: RunState, entries: list[Entry]) -> list[str]:
    saved = [str(entry["snapshot"]) for entry in entries if entry["kind"] == "saved"]
    return [state.snapshot, *saved]

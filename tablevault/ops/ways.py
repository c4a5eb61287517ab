"""What can be done with a run, by the state that its journal ends in: one table for all who say it.

Commands are named in their shortest form, `tablevault swap RUN`; the command line adds to them how
the same server and folders are reached.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tablevault.errors import Interrupted, LockedByRun, TablevaultError
from tablevault.ops.runs import replay
from tablevault.vault.journal import Journal

# the live tables are, then
UNTOUCHED = frozenset({"begun", "proven", "comparing", "drilling", "drilled"})


def ways_on(status: str) -> tuple[tuple[str, str], ...]:
    """What for, and the command that the run's id follows; nothing where nothing is left."""
    clean = ("to drop what it made", "cleanup")
    return {
        "begun": (("to go on", "restore --resume"), clean),
        "proven": (("to put the tables in place", "swap"), clean),
        "swapping": (("to find out and go on", "swap"),),
        "swapped": (("to undo it", "rollback"), ("when all is well", "cleanup")),
        "rolling back": (("to find out and go on", "rollback"),),
        "rolled back": (clean,),
        "comparing": (("to go on", "repair --resume"), clean),
        "repairing": (("to go on", "repair --resume"), ("to take it back", "repair --undo")),
        "repaired": (("to undo it", "repair --undo"), ("when all is well", "cleanup")),
        "undoing": (("to go on", "repair --resume"),),
        "undone": (clean,),
        "drilling": (clean,),
        "drilled": (clean,),
    }.get(status, ())


def advice(run: str, status: str) -> str:
    """The same in a sentence."""
    ways = [f"{what}: `tablevault {command} {run}`" for what, command in ways_on(status)]
    if status in ("rolled back", "cleaned"):
        ways.append("to restore again, begin a new run")
    return "; ".join(ways)


@contextmanager
def told(journal: Journal, run: str, operation: str = "restore") -> Iterator[None]:
    """Whatever ends the block early names the ways on from where the run stands then.

    A hint that names a command for this run already is left as it is.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"{operation} interrupted", hint=_with_ways(None, journal, run)) from None
    except LockedByRun:
        raise
    except TablevaultError as error:
        error.hint = _with_ways(error.hint, journal, run)
        raise


def _with_ways(hint: str | None, journal: Journal, run: str) -> str:
    if hint and f" {run}" in hint:
        return hint
    status = replay(run, journal.entries).status
    untouched = "the live tables are untouched" if status in UNTOUCHED else ""
    return "; ".join(part for part in (hint, untouched, advice(run, status)) if part)

"""What a prune has decided and done, for people and for programs.  Pure: nothing here prints."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tablevault.cli import units
from tablevault.cli.render import columns
from tablevault.cli.units import printable

if TYPE_CHECKING:
    from tablevault.ops.prune import PruneResult


def prune_text(result: PruneResult, *, quiet: bool = False) -> str:
    """Each snapshot with what becomes of it and why; quiet: the ids of those that go, or went."""
    going = result.of("remove", "removed")
    if quiet:
        return "\n".join(printable(one.snapshot) for one in going)
    rows = [("SNAPSHOT", "TAKEN", "SIZE", "", "WHY")]
    rows += [
        (
            printable(one.snapshot),
            units.age(one.created) if one.created else "",
            units.size(one.size_bytes) if one.created else "",
            one.action,
            printable(one.why),
        )
        for one in result.verdicts
    ]
    table = columns(rows, right=(2,)) if result.verdicts else "no snapshots"
    remains = [f"removed the remains of {printable(one)}" for one in result.leftovers]
    hints = [f"hint: {printable(hint)}" for hint in result.hints]
    return "\n".join([table, *remains, _sum(result), *hints])


def _sum(result: PruneResult) -> str:
    going = result.of("remove", "removed")
    count = units.count(len(going), "snapshot")
    size = units.size(result.freed_bytes)
    if result.executed:
        return f"removed {count}, {size}"
    if not going:
        return "nothing would be removed"
    return f"{count}, {size} would be removed; --execute does it"


def prune_record(result: PruneResult) -> dict[str, Any]:
    """The same as a JSON object."""
    return {
        "run": result.run,
        "executed": result.executed,
        "snapshots": [asdict(one) for one in result.verdicts],
        "leftovers": list(result.leftovers),
        "freed_bytes": result.freed_bytes if result.executed else 0,
        "seconds": result.seconds,
        "hints": list(result.hints),
    }

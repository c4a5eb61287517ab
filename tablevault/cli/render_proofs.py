"""What was proven of a snapshot, and when, as text for people.  Pure: nothing here prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tablevault.cli import units
from tablevault.cli.units import printable

if TYPE_CHECKING:
    from tablevault.model import Snapshot, TableEntry
    from tablevault.ops.drill import DrillResult
    from tablevault.vault.memory import Memory
    from tablevault.vault.proofs import DrillProof


def drill_text(result: DrillResult) -> str:
    """What a drill has proven, how long its phases took, and what a restore would take."""
    proof = result.proof
    tables = units.count(len(proof.tables), "table")
    rows, size = units.count(proof.rows, "row"), units.size(proof.size_bytes)
    where = f"on {_server(proof)}, with {units.count(proof.threads, 'thread')}"
    phases = ", ".join(
        f"{name} {units.duration(proof.phases[name])}"
        for name in ("checking", "planning", "loading", "indexing", "proving")
        if proof.phases.get(name, 0.0) >= 0.05
    )
    if proof.share < 1.0:
        head = (
            f"a sample of {_percent(proof.share)} of {tables} was restored and proven {where}: "
            f"{rows}, {size} in {units.duration(proof.seconds)}"
        )
        estimate = f"extrapolated, a restore of all rows takes about {_about(proof.restore_s)}"
    else:
        head = f"restored and proven {where}: {tables}, {rows}, {size}"
        estimate = f"a restore takes {units.duration(proof.restore_s)}"
    estimate += f", at {units.rate(proof.rate_bytes_s)}; the swap comes on top"
    lines = [
        head,
        estimate,
        f"phases: {phases}" if phases else "",
        f"all of it was dropped again, after {units.duration(result.seconds)}",
        *(f"hint: {printable(hint)}" for hint in result.hints),
    ]
    return "\n".join(line for line in lines if line)


def drill_facts(drills: Sequence[DrillProof]) -> list[tuple[str, str]]:
    """The lines of `show` about drills: the last that proved all, and a later one of a part."""
    whole = [proof for proof in drills if proof.whole]
    facts = [("restorable", _proven(whole[-1]) if whole else "not proven by a drill of all rows")]
    if drills and not drills[-1].whole:
        facts.append(("drilled", _in_part(drills[-1])))
    return facts


def drill_cell(drills: Sequence[DrillProof]) -> str:
    """The same in a cell of `list`: how long ago, or how much of it, or nothing."""
    whole = [proof for proof in drills if proof.whole]
    if whole:
        return units.age(whole[-1].at)
    return f"in part, {units.age(drills[-1].at)}" if drills else "never"


def verified_facts(snapshot: Snapshot, memory: Memory | None) -> list[tuple[str, str]]:
    """The line of `show` about the files: since when every digest has been recomputed."""
    if memory is None:
        return []
    times = [at for entry in snapshot.tables for at in memory.all_of(entry)]
    proven = sum(1 for at in times if at)
    if not proven:
        return [("verified", "never")]
    since = min(at for at in times if at)
    what = "all" if proven == len(times) else f"{units.count(proven)} of {units.count(len(times))}"
    return [("verified", f"{what} chunks since {units.moment(since)} ({units.age(since)})")]


def verified_cell(entry: TableEntry, memory: Memory) -> str:
    """The same of a table, in a cell."""
    times = memory.all_of(entry)
    proven = [at for at in times if at]
    if not proven:
        return "never" if times else ""
    part = "" if len(proven) == len(times) else f"{len(proven)} of {len(times)}, "
    return f"{part}{units.age(min(proven))}"


def _proven(proof: DrillProof) -> str:
    return (
        f"last proven on {units.moment(proof.at)} ({units.age(proof.at)}), in "
        f"{units.duration(proof.restore_s)}, at {units.rate(proof.rate_bytes_s)}, "
        f"on {_server(proof)}"
    )


def _in_part(proof: DrillProof) -> str:
    what = [] if proof.all_tables else [units.count(len(proof.tables), "table")]
    if proof.share < 1.0:
        what.append(f"a sample of {_percent(proof.share)}")
    return (
        f"{', '.join(what)} on {units.moment(proof.at)} ({units.age(proof.at)}), all rows of "
        f"which would take about {_about(proof.restore_s)}, on {_server(proof)}"
    )


def _server(proof: DrillProof) -> str:
    family = {"mysql": "MySQL", "mariadb": "MariaDB"}.get(proof.family, proof.family)
    return printable(f"{family} {proof.version} at {proof.address}")


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %" if share < 0.995 else "nearly 100 %"


def _about(seconds: float) -> str:
    return units.whole_duration(max(1.0, seconds))

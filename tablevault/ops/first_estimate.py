"""What drills make expect of a restore, before it has moved anything itself."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from tablevault.errors import TablevaultError
from tablevault.vault.proofs import DrillProof, drills
from tablevault.vault.store import Store


@dataclass(frozen=True)
class Estimate:
    """A rate in the board's units of cost, and the drill that has measured it."""

    rate_s: float
    proof: DrillProof


def from_drills(
    store: Store, snapshot_id: str, tables: Collection[str], threads: int
) -> Estimate | None:
    """The rate that the fittest drill had: of this snapshot, of these tables, with these threads.

    Of equals the newest.  None when no drill had any of the tables, or none can be read.
    """
    found: list[DrillProof] = []
    with suppress(TablevaultError):  # a memory that cannot be read is no reason not to restore
        found = [proof for proof in drills(store) if proof.work_s > 0 and proof.cost > 0]
    fit = [proof for proof in found if set(tables) & set(proof.tables)]
    if not fit:
        return None
    best = max(
        fit,
        key=lambda proof: (
            proof.snapshot == snapshot_id,
            proof.threads == threads,
            len(set(tables) & set(proof.tables)),
            proof.at,
        ),
    )
    return Estimate(best.cost / best.work_s, best)

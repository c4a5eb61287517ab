"""What is known of a vault: its snapshots, and what was proven of them and when."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tablevault.cli import units
from tablevault.cli.report.charts import Day

if TYPE_CHECKING:
    from tablevault.model import Snapshot
    from tablevault.vault.proofs import DrillProof
    from tablevault.vault.store import LocalStore


@dataclass(frozen=True)
class TableFacts:
    """A table: its last whole snapshot, and when which proof was last made; 0 is never."""

    name: str
    snapshot: str
    taken: float
    rows: int
    verified: float  # since when every chunk of that snapshot has been proven
    drilled: float
    restore_s: float | None
    sizes: tuple[tuple[float, int], ...]  # of its snapshots: when, and bytes of its rows


@dataclass(frozen=True)
class VaultFacts:
    """A vault; times are Unix seconds."""

    uri: str
    snapshots: tuple[Snapshot, ...]
    unusable: int
    drills: tuple[DrillProof, ...]
    tables: tuple[TableFacts, ...]
    verified: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # by snapshot and chunk

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(entry.stored_bytes for one in self.snapshots for entry in one.tables)


def vault_facts(store: LocalStore, now: float) -> VaultFacts:
    """Read what there is.  Raises CannotComplete when a folder cannot be read."""
    from tablevault.vault.catalog import list_snapshots, missing_manifests
    from tablevault.vault.memory import Memory
    from tablevault.vault.proofs import drills

    listed = list_snapshots(store)
    snapshots = tuple(one.snapshot for one in listed if one.snapshot)
    proven = tuple(drills(store))
    memories = {one.id: Memory(store, one, now) for one in snapshots}
    return VaultFacts(
        uri=store.uri,
        snapshots=snapshots,
        unusable=len(listed) - len(snapshots) + len(missing_manifests(store)),
        drills=proven,
        tables=tuple(_tables(snapshots, proven, memories)),
        verified={
            one.id: tuple(at for entry in one.tables for at in memories[one.id].all_of(entry))
            for one in snapshots
        },
    )


def _tables(
    snapshots: Iterable[Snapshot], drills: Iterable[DrillProof], memories: Mapping[str, object]
) -> Iterable[TableFacts]:
    from tablevault.vault.memory import Memory, oldest

    sizes: dict[str, list[tuple[float, int]]] = {}
    newest = {}
    for one in snapshots:
        for entry in one.tables:
            if not one.partial:
                name = str(entry.definition.table)
                sizes.setdefault(name, []).append((one.created, entry.wire_bytes))
                newest[name] = one, entry
    drilled = {name: proof for proof in drills if proof.share >= 1.0 for name in proof.tables}
    for name, (one, entry) in sorted(newest.items()):
        memory, proof = memories[one.id], drilled.get(name)
        assert isinstance(memory, Memory)
        yield TableFacts(
            name=name,
            snapshot=one.id,
            taken=one.created,
            rows=entry.digest.rows,
            verified=oldest(memory.all_of(entry)),
            drilled=proof.at if proof else 0.0,
            restore_s=proof.restore_s if proof else None,
            sizes=tuple(sizes[name]),
        )


def days_of(vault: VaultFacts) -> dict[datetime.date, Day]:
    """The days on which there was something, in local time."""
    notes: dict[datetime.date, list[str]] = {}
    snapshots: dict[datetime.date, int] = {}
    verified: dict[datetime.date, int] = {}
    drilled: set[datetime.date] = set()
    for one in vault.snapshots:
        day = datetime.date.fromtimestamp(one.created)
        snapshots[day] = snapshots.get(day, 0) + 1
        notes.setdefault(day, []).append(f"snapshot {one.id}")
    for times in vault.verified.values():
        for day in (datetime.date.fromtimestamp(at) for at in times if at):
            verified[day] = verified.get(day, 0) + 1
    for day, chunks in verified.items():
        notes.setdefault(day, []).append(f"{units.count(chunks, 'chunk')} last proven")
    for proof in vault.drills:
        day = datetime.date.fromtimestamp(proof.at)
        drilled.add(day)
        notes.setdefault(day, []).append(f"drill: {units.duration(proof.restore_s)}")
    return {
        day: Day(snapshots.get(day, 0), day in verified, day in drilled, tuple(told[:12]))
        for day, told in notes.items()
    }

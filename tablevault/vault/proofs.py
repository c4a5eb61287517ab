"""What was proven of a snapshot, kept beside it: `.proofs/<snapshot-id>/`, one file a proof.

A snapshot's own files never change, so its proofs lie outside its folder.  They are a memory and
no part of the snapshot: one that is damaged, edited or of another version is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tablevault import names
from tablevault.errors import SnapshotUnusable
from tablevault.vault.manifest import check_snapshot_id, content_checksum
from tablevault.vault.store import Store

_DRILL = "drill-"
_VERSION = 1


@dataclass(frozen=True)
class DrillProof:
    """A restore that was rehearsed and proven, and how long it took.

    `seconds` are those of the whole restore up to its proof, without making and dropping the
    scratch schema; `restore_s` is the same for all rows of the tables: what was measured, or what
    a sample makes expect.
    """

    run: str
    snapshot: str
    at: float  # Unix seconds, when it was proven
    family: str
    version: str  # the server's own words
    address: str  # host:port, as the server knows itself
    server_uuid: str
    tables: tuple[str, ...]  # schema.table, in the snapshot
    all_tables: bool  # of the snapshot
    share: float  # of the bytes of these tables that were loaded and proven; 1.0: all
    rows: int  # loaded and proven
    size_bytes: int  # of these rows
    seconds: float
    restore_s: float
    rate_bytes_s: float  # over loading, indexes and proof
    cost: float  # of the same, in the units of the progress
    threads: int
    phases: Mapping[str, float] = field(default_factory=dict)  # seconds, by the phase's name

    @property
    def whole(self) -> bool:
        """Whether it proves the snapshot restorable: every row of every table."""
        return self.all_tables and self.share >= 1.0

    @property
    def work_s(self) -> float:
        """Seconds of loading, indexes and proof."""
        return sum(self.phases.get(phase, 0.0) for phase in ("loading", "indexing", "proving"))


def keep_drill(store: Store, proof: DrillProof) -> None:
    """Keep a drill's result.  Raises CannotComplete or UsageError when it cannot be written."""
    keep(store, proof.snapshot, f"{_DRILL}{proof.run}", asdict(proof))


def drills(store: Store, snapshot_id: str | None = None) -> list[DrillProof]:
    """The drills of a snapshot, or of all in the vault, oldest first."""
    found = []
    for content in kept(store, snapshot_id, _DRILL):
        try:
            proof = DrillProof(**{**content, "tables": tuple(content["tables"])})
            if proof.seconds >= 0 and proof.work_s >= 0:
                found.append(proof)
        except (TypeError, KeyError, AttributeError):
            continue
    return sorted(found, key=lambda proof: proof.at)


def keep(store: Store, snapshot_id: str, name: str, content: Mapping[str, Any]) -> str:
    """Write one proof under a name that is not there yet; return the name of its file."""
    record = {"version": _VERSION, "content": dict(content)}
    record["checksum"] = content_checksum(record)
    path = f"{_folder(snapshot_id)}/{name}.json"
    with store.create(path) as file:
        file.write(json.dumps(record, separators=(",", ":")).encode("utf-8", "surrogateescape"))
        file.commit()
    return path


def kept(store: Store, snapshot_id: str | None, start: str) -> Iterator[dict[str, Any]]:
    """The contents of the proofs whose names begin so, as they were written; damaged ones are not.

    Nothing in them can be trusted beyond their checksum: types are for the reader to check.
    """
    for path in files(store, snapshot_id, start):
        content = _read(store, path)
        if content is not None:
            yield content


def files(store: Store, snapshot_id: str | None, start: str) -> list[str]:
    """The files of the proofs whose names begin so."""
    folder = names.PROOFS_FOLDER if snapshot_id is None else _folder(snapshot_id)
    return [path for path, _ in store.list(folder) if path.rpartition("/")[2].startswith(start)]


def forget(store: Store, snapshot_id: str) -> None:
    """Remove all proofs of a snapshot that is removed."""
    store.remove_tree(_folder(snapshot_id))


def forget_others(store: Store, snapshots: Collection[str]) -> None:
    """Remove the proofs of snapshots that are none of these: they are gone."""
    for folder in set(store.folders(names.PROOFS_FOLDER)) - set(snapshots):
        store.remove_tree(f"{names.PROOFS_FOLDER}/{folder}")


def _read(store: Store, path: str) -> dict[str, Any] | None:
    try:
        record = json.loads(store.read(path))
        if record["version"] != _VERSION or record["checksum"] != content_checksum(record):
            return None
        content: dict[str, Any] = record["content"]
        of = path.split("/")[1]
        return content if isinstance(content, dict) and content.get("snapshot") == of else None
    except (SnapshotUnusable, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _folder(snapshot_id: str) -> str:
    return f"{names.PROOFS_FOLDER}/{check_snapshot_id(snapshot_id)}"

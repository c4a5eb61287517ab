"""The manifest: the one file that makes a snapshot exist, written last.

It is JSON for people to read, but not to edit: it carries a checksum over its own content.  What
is read here is never trusted: versions and features first, then the checksum, then every field.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tablevault import names
from tablevault.errors import SnapshotUnusable
from tablevault.model import Snapshot
from tablevault.vault.fields import Fields
from tablevault.vault.records import FORMAT, KNOWN_FEATURES, read_snapshot, snapshot_record
from tablevault.vault.store import MissingFile, Store, check_name


def write_manifest(store: Store, snapshot: Snapshot) -> None:
    """Commit the snapshot.  Every file that it names must be in the vault already.

    Raises SnapshotUnusable, and writes nothing, when it would not read back as the same value.
    """
    text = encode_manifest(snapshot)
    if decode_manifest(text, snapshot.id) != snapshot:
        raise SnapshotUnusable(f"manifest of snapshot {snapshot.id} does not read back as written")
    with store.create(f"{snapshot.id}/{names.MANIFEST}") as file:
        file.write(text)
        file.commit()


def load_manifest(store: Store, snapshot_id: str) -> Snapshot:
    """Read and check a snapshot's manifest.

    Raises SnapshotUnusable: absent or incomplete, edited, or of a version or feature unknown here.
    """
    try:
        text = store.read(f"{check_snapshot_id(snapshot_id)}/{names.MANIFEST}")
    except MissingFile:
        raise SnapshotUnusable(
            f"snapshot {snapshot_id} is incomplete: it has no manifest",
            hint="it was interrupted, or is being written; the next snapshot removes remains",
        ) from None
    return decode_manifest(text, snapshot_id)


def encode_manifest(snapshot: Snapshot) -> bytes:
    """The manifest's text: sorted, indented, checksum included."""
    content = snapshot_record(snapshot)
    content["checksum"] = content_checksum(content)
    text = json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False)
    # A lone surrogate (undecodable bytes in a definition) becomes \udcXX: just JSON's escape.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def decode_manifest(text: bytes, snapshot_id: str) -> Snapshot:
    """The snapshot that a manifest describes.  Raises SnapshotUnusable."""
    fields = Fields.parse(text, f"manifest of snapshot {snapshot_id}")
    _check_version(fields, snapshot_id)
    if fields.hex_digest("checksum") != content_checksum(fields.content):
        raise SnapshotUnusable(
            f"manifest of snapshot {snapshot_id} was changed after it was written: "
            "its checksum does not match",
            hint="restore from another snapshot, or put the original manifest.json back",
        )
    snapshot = read_snapshot(fields)
    if snapshot.id != snapshot_id:
        raise SnapshotUnusable(f"manifest of snapshot {snapshot_id} is that of {snapshot.id}")
    return snapshot


def content_checksum(content: dict[str, Any]) -> str:
    """SHA-256 of the content without its checksum: sorted keys, no spaces, ASCII escapes."""
    rest = {name: value for name, value in content.items() if name != "checksum"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _check_version(fields: Fields, snapshot_id: str) -> None:
    version = fields.integer("format", least=1)
    if version > FORMAT:
        raise SnapshotUnusable(
            f"snapshot {snapshot_id} has format {version}; this version reads up to {FORMAT}",
            hint="upgrade tablevault",
        )
    unknown = sorted(set(fields.texts("features")) - KNOWN_FEATURES)
    if unknown:
        raise SnapshotUnusable(
            f"snapshot {snapshot_id} needs a feature unknown to this version: {unknown[0]}",
            hint="upgrade tablevault",
        )


def check_snapshot_id(snapshot_id: str) -> str:
    """`snapshot_id` itself when it can be a folder of the vault.  Raises SnapshotUnusable."""
    if "/" in check_name(snapshot_id) or snapshot_id.startswith("."):
        raise SnapshotUnusable(f"{snapshot_id!r} is not the id of a snapshot")
    return snapshot_id

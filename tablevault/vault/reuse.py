"""Chunks of an earlier snapshot in a new one: proven where they lie, then given a second name.

A chunk that is taken over is a hard link: each snapshot has all of its files in its own folder,
and removing one of them harms no other.  Where there are no hard links it is a copy.
"""

from __future__ import annotations

import dataclasses

from tablevault import names
from tablevault.errors import SnapshotUnusable
from tablevault.model import Chunk, Fingerprint, Snapshot, TableEntry
from tablevault.rows.kinds import specs_of
from tablevault.vault.store import Store
from tablevault.vault.verify import FILES, check_chunk

_BLOCK_BYTES = 1 << 20


def proven_fingerprint(
    store: Store, snapshot: Snapshot, entry: TableEntry, chunk: Chunk
) -> Fingerprint:
    """The fingerprint of a chunk's rows, which are proven to be those that were recorded.

    Raises SnapshotUnusable when size, SHA-256 or a digest is another one.
    """
    # Slow to import, and not needed where nothing is taken over.
    from tablevault.rows.rowcodec import RowEncoder
    from tablevault.vault.chunk import ChunkReader, damaged

    definition = entry.definition
    for finding in check_chunk(store, snapshot, entry, chunk, FILES):
        raise SnapshotUnusable(finding.message)
    specs = specs_of(definition.table, definition.columns, snapshot.server.family)
    encoder = RowEncoder(specs)
    total = Fingerprint()
    with ChunkReader(store, snapshot.id, definition, chunk, specs) as reader:
        for index, group in enumerate(chunk.row_groups):
            try:
                digest, fingerprint = encoder.fingerprint(*reader.row_group(index))
            except ValueError as error:  # a cell that no value of the column can have
                what = f"row group {index}: {error}"
                raise damaged(definition.table, chunk, what) from error
            if digest != group.digest:
                what = f"row group {index} has another digest than the manifest"
                raise damaged(definition.table, chunk, what)
            total += fingerprint
    return total


def take_over(
    store: Store, base: str, chunk: Chunk, snapshot: str, folder: str, index: int
) -> tuple[Chunk, bool]:
    """Put a chunk of snapshot `base` into `snapshot` as its chunk `index`; whether by a link.

    `folder` is the table's.  A copy is hashed on the way: SnapshotUnusable when it is another file.
    """
    taken = dataclasses.replace(chunk, index=index, path=f"{folder}/{names.chunk_file(index)}")
    source, name = f"{base}/{chunk.path}", f"{snapshot}/{taken.path}"
    if store.link(source, name):
        return taken, True
    with store.open(source) as file, store.create(name) as copy:
        while block := file.read(_BLOCK_BYTES):
            copy.write(block)
        if copy.sha256 != chunk.sha256:
            raise SnapshotUnusable(f"{source} was changed while it was copied")
        copy.commit()
    return taken, False

"""A copy of a table's InnoDB tablespace, kept beside its chunks (docs/FORMAT.md, Tablespaces).

Three files: the tablespace itself in blocks that are compressed one by one, what is known of it
with the SHA-256 of every block, and the server's own .cfg.  Nothing here knows a server: where the
bytes come from and whether they may go back is for others to prove.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

import zstandard

from tablevault import names
from tablevault.errors import CannotComplete, Interrupted, SnapshotUnusable
from tablevault.model import KeptFile, ServerInfo, TableEntry, TableName, TablespaceFiles
from tablevault.vault.fields import Fields
from tablevault.vault.pagezero import read_page_zero
from tablevault.vault.store import MissingFile, Store
from tablevault.vault.tablespace_record import Block, description, read_description
from tablevault.vault.tablespace_record import TablespaceFacts as TablespaceFacts

BLOCK_BYTES = 4 << 20

T = TypeVar("T")
R = TypeVar("R")


def write_tablespace(
    store: Store,
    snapshot: str,
    table: TableName,
    source: int,
    cfg: bytes,
    server: ServerInfo,
    row_format: str,
    *,
    level: int = 3,
    threads: int = 2,
    on_bytes: Callable[[int], None] = lambda size: None,
    stopped: Callable[[], bool] = lambda: False,
) -> TablespaceFiles:
    """Write the three files of `table`; they are on disk on return.

    `source` is open on a tablespace that nobody writes to, with `cfg` made by the same export.
    `on_bytes` is told each block's length when it is written, from the calling thread.  Raises
    Interrupted once `stopped` says so, and as `read_page_zero`; nothing then stays of the file
    that was being written.
    """
    first = read_page_zero(source)
    size_bytes = os.fstat(source).st_size
    if size_bytes % first.page_bytes:
        raise CannotComplete(f"the tablespace of table {table} ends within a page")
    facts = TablespaceFacts(
        first.page_bytes,
        first.flags,
        size_bytes,
        first.space_id,
        server.family,
        server.version,
        row_format.lower(),
    )
    folder = names.table_folder(table)
    path, blocks = f"{folder}/{names.TABLESPACE}", []
    with store.create(f"{snapshot}/{path}") as file:
        for one in _packed(source, size_bytes, level, threads):
            if stopped():
                raise Interrupted(f"the tablespace of table {table} was not written to its end")
            blocks.append(dataclasses.replace(one.block, stored_at=file.size_bytes))
            file.write(one.stored)
            on_bytes(one.block.length)
        file.commit()
    about = json.dumps(description(facts, blocks), separators=(",", ":")).encode()
    return TablespaceFiles(
        size_bytes,
        KeptFile(path, file.size_bytes, file.sha256),
        _write_small(store, snapshot, f"{folder}/{names.TABLESPACE_BLOCKS}", about),
        _write_small(store, snapshot, f"{folder}/{names.TABLESPACE_CFG}", cfg),
    )


def remove_tablespace(store: Store, snapshot: str, table: TableName) -> None:
    """Remove what was written of a tablespace that is not kept after all."""
    for name in (names.TABLESPACE, names.TABLESPACE_BLOCKS, names.TABLESPACE_CFG):
        store.remove(f"{snapshot}/{names.table_folder(table)}/{name}")


def open_tablespace(store: Store, snapshot: str, entry: TableEntry) -> Tablespace:
    """The tablespace that a snapshot keeps of a table, `entry.tablespace` being there.

    What is known of it and the .cfg are proven by the manifest; blocks are when they are read.
    Raises SnapshotUnusable, MissingFile among it.
    """
    table, files = entry.definition.table, entry.tablespace
    if files is None:
        raise SnapshotUnusable(f"snapshot {snapshot} keeps no tablespace of table {table}")
    about = _proven(store, snapshot, table, files.blocks)
    cfg = _proven(store, snapshot, table, files.cfg)
    size_bytes = store.size(f"{snapshot}/{files.data.path}")
    if size_bytes != files.data.size_bytes:
        raise _damaged(table, files.data, f"{size_bytes} bytes instead of {files.data.size_bytes}")
    facts, blocks = read_description(Fields.parse(about, f"{files.blocks.path} of table {table}"))
    end = blocks[-1].stored_at + blocks[-1].stored if blocks else 0
    if facts.size_bytes != files.tablespace_bytes or end != size_bytes:
        raise _damaged(table, files.blocks, "its sums are not the manifest's")
    return Tablespace(store, snapshot, table, files, facts, cfg, blocks)


class Tablespace:
    """A tablespace in a snapshot, its facts proven."""

    def __init__(
        self,
        store: Store,
        snapshot: str,
        table: TableName,
        files: TablespaceFiles,
        facts: TablespaceFacts,
        cfg: bytes,
        blocks: tuple[Block, ...],
    ) -> None:
        self.facts = facts
        self.cfg = cfg
        self._store = store
        self._name = f"{snapshot}/{files.data.path}"
        self._table = table
        self._file = files.data
        self._blocks = blocks

    @property
    def stored_blocks(self) -> int:
        """How many `blocks` gives: those that are not all zeros."""
        return sum(1 for block in self._blocks if block.stored)

    def blocks(self, threads: int = 2) -> Generator[tuple[int, bytes]]:
        """Where each block stands and its bytes, in order; those of zeros alone are left out.

        Each is proven by its SHA-256 before it is given.  Raises SnapshotUnusable.
        """
        return self._each(threads, as_stored=False, work=lambda at, block: (at, block))

    def put(
        self, put: Callable[[int, bytes], None], threads: int = 2
    ) -> Generator[tuple[int, int]]:
        """Let `put` have each block and where it stands, from several threads and in any order.

        Gives where it stood and its length once that is done, in order.  A block is proven by the
        SHA-256 of its frame, where the description has it, before it is unpacked: what is hashed
        is a third as long, and a frame has a checksum of what comes out of it.  Raises
        SnapshotUnusable, and what `put` raises.
        """

        def work(at: int, block: bytes) -> tuple[int, int]:
            put(at, block)
            return at, len(block)

        return self._each(threads, as_stored=True, work=work)

    def _each(
        self, threads: int, *, as_stored: bool, work: Callable[[int, bytes], R]
    ) -> Generator[R]:
        turn = threading.Lock()  # one position in the file for all threads
        with self._store.open(self._name) as file:

            def unpack(block: Block) -> R:
                with turn:
                    stored = _read_exactly(file, block.stored_at, block.stored)
                return work(block.at, self._unpacked(block, stored, as_stored))

            yield from _in_order(unpack, (one for one in self._blocks if one.stored), threads)

    def _unpacked(self, block: Block, stored: bytes, as_stored: bool) -> bytes:
        by_frame = as_stored and bool(block.stored_sha256)
        if by_frame and hashlib.sha256(stored).hexdigest() != block.stored_sha256:
            raise self._damaged(block)
        try:
            # said by the frame itself: what would unpack to more is never unpacked
            if zstandard.frame_content_size(stored) == block.length:
                raw = zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False)
                if by_frame or hashlib.sha256(raw).hexdigest() == block.sha256:
                    return raw
        except zstandard.ZstdError:
            pass
        raise self._damaged(block)

    def _damaged(self, block: Block) -> SnapshotUnusable:
        what = f"the block at byte {block.at} has another SHA-256"
        return _damaged(self._table, self._file, what)


_ZEROS = bytes(BLOCK_BYTES)


def _in_order(work: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """What `work` makes of each item, in order, by several threads that are never far ahead."""
    with ThreadPoolExecutor(threads, "tablespace") as pool:
        ahead: deque[Future[R]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(work, item))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


@dataclass(frozen=True)
class _Packed:
    """A block and what is stored of it; where is not known yet."""

    block: Block
    stored: bytes


def _packed(source: int, size_bytes: int, level: int, threads: int) -> Iterator[_Packed]:
    """Each block of the tablespace, in order."""

    def pack(at: int) -> _Packed:
        raw = _read_at(source, at, min(BLOCK_BYTES, size_bytes - at))
        if raw == _ZEROS[: len(raw)]:
            return _Packed(Block(at, len(raw), 0, 0, ""), b"")
        stored = zstandard.ZstdCompressor(level=level, write_checksum=True).compress(raw)
        hashes = (hashlib.sha256(one).hexdigest() for one in (raw, stored))
        return _Packed(Block(at, len(raw), 0, len(stored), *hashes), stored)

    return _in_order(pack, range(0, size_bytes, BLOCK_BYTES), threads)


def _read_at(source: int, at: int, length: int) -> bytes:
    parts = []
    while length:
        part = os.pread(source, length, at)
        if not part:
            raise CannotComplete("the tablespace became shorter while it was read")
        parts.append(part)
        at, length = at + len(part), length - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _read_exactly(file: BinaryIO, at: int, length: int) -> bytes:
    """Fewer bytes only where the file ends."""
    file.seek(at)
    data = bytearray()
    while len(data) < length and (part := file.read(length - len(data))):
        data += part
    return bytes(data)


def _write_small(store: Store, snapshot: str, path: str, content: bytes) -> KeptFile:
    with store.create(f"{snapshot}/{path}") as file:
        file.write(content)
        file.commit()
    return KeptFile(path, file.size_bytes, file.sha256)


def _proven(store: Store, snapshot: str, table: TableName, kept: KeptFile) -> bytes:
    try:
        content = store.read(f"{snapshot}/{kept.path}")
    except MissingFile:
        raise MissingFile(f"{kept.path} of table {table} is missing") from None
    if hashlib.sha256(content).hexdigest() != kept.sha256:
        raise _damaged(table, kept, "its SHA-256 is not the manifest's")
    return content


def _damaged(table: TableName, kept: KeptFile, what: str) -> SnapshotUnusable:
    return SnapshotUnusable(
        f"tablespace of table {table} ({kept.path}) is damaged: {what}",
        hint="the chunks of the table are files of their own: restore from these",
    )

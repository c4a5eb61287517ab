from collections.abc import Iterator, Sequence

from typing_extensions import Buffer

from tablevault.model import Digest, Fingerprint
from tablevault.rows.buffers import ColumnBuffers, RowBatch
from tablevault.rows.kinds import ColumnSpec

MORE: int
FULL: int
END: int
ERROR: int
MAX_PAYLOAD: int
"""Payload bytes of a packet that is continued in the next one."""
LARGEST_GROUP: int
"""Upper bound of `limit_bytes`; int32 offsets cannot overflow below it."""

class MalformedPacket(ValueError):
    """Bytes that are no row packets of the text protocol; the decoder is of no further use."""

class CodecBuffer:
    """Memory of the codec with the buffer protocol: read-only, freed with its last reader."""

    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

class RowDecoder:
    """Parses the row packets of one result into row groups.

    A value that would not come back byte for byte from its typed cell is NULL there and stands
    in the batch's `exact` column.  The digest is over the wire bytes.  `limit_bytes` bounds the
    buffers of a group (a single larger row makes a group of its own); `max_rows` its rows.
    `sequence` is the number that the next packet must carry, None for the first to set it.
    Counters may be read from other threads; everything else belongs to one thread at a time.
    """

    needed: int
    """After MORE: bytes, counted from `consumed`, that must be there to get on."""
    status_flags: int
    """Of the EOF packet, after END."""
    warning_count: int
    """Of the EOF packet, after END."""
    error_packet: bytes
    """Payload of the error packet, 0xFF included, after ERROR."""
    sequence: int | None

    def __init__(
        self,
        specs: Sequence[ColumnSpec],
        key_columns: Sequence[int] = (),
        limit_bytes: int = ...,
        *,
        max_rows: int = ...,
        max_payload: int = ...,
        sequence: int | None = None,
    ) -> None: ...
    @property
    def rows(self) -> int:
        """Rows of the open group."""
    @property
    def wire_bytes(self) -> int:
        """Bytes of its row packets, without their headers."""
    def feed(self, buffer: Buffer, start: int, end: int) -> tuple[int, int]:
        """Parse whole packets in buffer[start:end]; how far, and why it stopped.

        MORE: present buffer[consumed:end] again with more behind it, `needed` bytes at least.
        FULL: the next row would lift the group above its limits; take(), then feed again.
        END, ERROR: the packet that ends the result was consumed.
        Raises MalformedPacket; ValueError when the result has ended already.
        """
    def take(self) -> RowBatch:
        """Close the row group, which may be empty, and begin the next."""

class LoadBlocks(Iterator[CodecBuffer]):
    """The LOAD DATA text of one batch in blocks of whole lines.

    Raises ValueError when a buffer's content is not what a column of its spec can hold.
    """

    @property
    def digest(self) -> Digest:
        """Of the rows written so far."""
    def __iter__(self) -> LoadBlocks: ...
    def __next__(self) -> CodecBuffer: ...

class RowEncoder:
    """Turns column buffers back into LOAD DATA text and digest; may be shared by threads.

    Fields end with a tab, lines with a newline, a backslash escapes, NULL is backslash N.
    Cells of the `exact` column stand in for their NULL cells.  Every size, offset and cell is
    checked before it is used: ValueError.
    """

    def __init__(self, specs: Sequence[ColumnSpec]) -> None: ...
    def encode(
        self,
        columns: Sequence[ColumnBuffers],
        exact: ColumnBuffers,
        rows: int,
        *,
        text: bool = True,
    ) -> tuple[CodecBuffer | None, Digest]:
        """The text of all rows, None without `text`, and the digest of the rebuilt rows."""
    def hashes(
        self, columns: Sequence[ColumnBuffers], exact: ColumnBuffers, rows: int
    ) -> CodecBuffer:
        """The hash of each row, little-endian uint32: the digest is their sum."""
    def fingerprint(
        self, columns: Sequence[ColumnBuffers], exact: ColumnBuffers, rows: int
    ) -> tuple[Digest, Fingerprint]:
        """The digest of the rebuilt rows, and their fingerprint."""
    def encode_blocks(
        self,
        columns: Sequence[ColumnBuffers],
        exact: ColumnBuffers,
        rows: int,
        block_bytes: int = ...,
        *,
        digest: bool = ...,
    ) -> LoadBlocks:
        """The same in blocks that close at the first line end behind `block_bytes`.

        Without `digest` no row is hashed, a third of the work; to ask for one is a ValueError.
        """

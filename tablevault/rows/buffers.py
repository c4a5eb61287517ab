"""Column buffers in Arrow's memory layout, without Arrow.

A buffer is any object with the buffer protocol: the codec's own memory on the way out of the
server, an Arrow buffer on the way back.  Nothing here copies or checks a byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tablevault.model import Digest

if TYPE_CHECKING:
    from typing_extensions import Buffer


@dataclass(frozen=True, slots=True, eq=False)
class ColumnBuffers:
    """The cells of one column.

    `validity` is a bitmap, least significant bit first, None when no cell is NULL; `offsets` are
    int32, one more than there are cells, None for fixed-width storages.  `offset` is Arrow's:
    the number of cells to skip in validity, offsets and fixed-width data.
    """

    validity: Buffer | None
    offsets: Buffer | None
    data: Buffer
    null_count: int
    offset: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class RowBatch:
    """One closed row group.

    `wire_bytes` and `largest_row` count row packets without their headers.  `first_key` is the
    wire text of the key columns of its first row, () when there is no key or no row.  `exact`
    is the one extra column: the bytes of those values that their own column cannot hold.
    """

    rows: int
    wire_bytes: int
    largest_row: int
    digest: Digest
    first_key: tuple[bytes, ...]
    columns: list[ColumnBuffers]
    exact: ColumnBuffers

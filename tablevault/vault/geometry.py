"""Geometry for other readers: the servers' form is an SRID of four bytes, then WKB.

In the files a cell is the WKB alone, and the SRID that most values of a row group have stands in
the file's metadata.  A value with another SRID keeps the rule of all exceptions: its cell is NULL
and its bytes are in the extra column.  Files without that metadata (before the feature
`geometry-wkb`) hold the servers' form, and are read as they are.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tablevault.rows.kinds import ColumnSpec, Kind

METADATA = "tablevault.geometry"
_SRID_BYTES = 4
_LITTLE_ENDIAN = b"\x01"  # the byte order that both servers write, the first byte of the WKB
_ENTRY = struct.Struct("<HI")  # of the extra column: position, size


def geometry_positions(specs: Sequence[ColumnSpec]) -> tuple[int, ...]:
    """Where the geometry columns stand among the stored ones."""
    return tuple(at for at, spec in enumerate(specs) if spec.kind is Kind.GEOMETRY)


def to_wkb(batch: pa.RecordBatch, positions: Sequence[int]) -> tuple[pa.RecordBatch, list[int]]:
    """The batch with WKB in these columns, and the SRID of each; the extra column is the last."""
    arrays = batch.columns
    srids = []
    for position in positions:
        values = arrays[position]
        heads = pc.binary_slice(values, 0, _SRID_BYTES + 1)
        srid = _commonest_srid(heads)
        usual = pc.equal(heads, srid.to_bytes(_SRID_BYTES, "little") + _LITTLE_ENDIAN)
        # not binary_slice: with NULLs and without an end it asks for a negative size
        cells = pc.binary_replace_slice(values, 0, _SRID_BYTES, b"")
        if pc.all(usual).as_py() is False:  # NULLs are neither
            cells = pc.if_else(usual, cells, pa.scalar(None, pa.binary()))
            arrays[-1] = _with_entries(arrays[-1], position, values, pc.invert(usual))
        arrays[position] = cells
        srids.append(srid)
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema), srids


def from_wkb(table: pa.Table, srids: Mapping[int, int]) -> pa.Table:
    """A row group as it was before `to_wkb`; `srids` are its own, by position."""
    for position, srid in srids.items():
        head = pa.scalar(srid.to_bytes(_SRID_BYTES, "little"), pa.binary())
        column = table.column(position).cast(pa.binary())
        whole = pc.binary_join_element_wise(head, column, pa.scalar(b"", pa.binary()))
        table = table.set_column(position, table.field(position), whole)
    return table


def file_metadata(names: Sequence[str], groups: Sequence[Sequence[int]]) -> dict[str, str]:
    """What a file says of its geometry columns: each one's SRIDs by row group; GeoParquet's `geo`.

    The coordinate system is null there, which is "not known": to the servers an SRID is a number.
    """
    srids = {name: [group[at] for group in groups] for at, name in enumerate(names)}
    shape: dict[str, object] = {"encoding": "WKB", "geometry_types": [], "crs": None}
    geo = {
        "version": "1.1.0",
        "primary_column": names[0],
        "columns": dict.fromkeys(names, shape),
    }
    return {METADATA: json.dumps(srids), "geo": json.dumps(geo)}


def srids_of(
    metadata: Mapping[bytes, bytes] | None, names: Mapping[int, str], groups: int
) -> list[dict[int, int]]:
    """For each row group the SRID of each geometry column; empty when they hold the servers' form.

    Raises ValueError when the metadata is not what `file_metadata` writes.
    """
    text = (metadata or {}).get(METADATA.encode())
    if text is None:
        return [{} for _ in range(groups)]
    found = json.loads(text)
    if not isinstance(found, dict) or found.keys() != set(names.values()):
        raise ValueError("its SRIDs are not those of its geometry columns")
    for srids in found.values():
        if not isinstance(srids, list) or len(srids) != groups:
            raise ValueError("it does not have an SRID for each row group")
        if not all(type(srid) is int and 0 <= srid < 1 << 32 for srid in srids):
            raise ValueError("an SRID is no number of 32 bits")
    return [{at: found[name][group] for at, name in names.items()} for group in range(groups)]


def _commonest_srid(heads: pa.Array) -> int:
    """0 when there is no value."""
    counts = heads.drop_null().value_counts()
    if not len(counts):
        return 0
    largest = pc.index(counts.field("counts"), pc.max(counts.field("counts"))).as_py()
    head: bytes = counts.field("values")[largest].as_py()
    return int.from_bytes(head[:_SRID_BYTES], "little")


def _with_entries(exact: pa.Array, position: int, values: pa.Array, mask: pa.Array) -> pa.Array:
    """The extra column with the values that `mask` is true for, among the entries of their rows."""
    cells: list[bytes | None] = exact.to_pylist()
    for row in pc.indices_nonzero(mask.fill_null(False)).to_pylist():
        value = values[row].as_py()
        entry = _ENTRY.pack(position, len(value)) + value
        cells[row] = _inserted(cells[row] or b"", position, entry)
    return pa.array(cells, pa.binary())


def _inserted(cell: bytes, position: int, entry: bytes) -> bytes:
    """The cell with one entry more, positions rising."""
    at = 0
    while at < len(cell):
        found, size = _ENTRY.unpack_from(cell, at)
        if found > position:
            break
        at += _ENTRY.size + size
    return cell[:at] + entry + cell[at:]

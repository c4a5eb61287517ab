"""WKB in the files, and the servers' form again out of them."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablevault.model import Column, KeyRange
from tablevault.rows.kinds import specs_of
from tablevault.rows.rowcodec import RowEncoder
from tablevault.vault.chunk import ChunkReader, ChunkWriter
from tablevault.vault.geometry import METADATA, file_metadata, from_wkb, srids_of, to_wkb
from tablevault.vault.store import LocalStore
from tests.unit.vaults import batches_of, definition

POINT = b"\x01" + struct.pack("<Idd", 1, 10.0, 20.0)
SCHEMA = pa.schema([("id", pa.int32()), ("g", pa.binary()), ("x", pa.binary())])


def value(srid: int, wkb: bytes = POINT) -> bytes:
    return struct.pack("<I", srid) + wkb


def batch(values: Sequence[bytes | None], exact: Sequence[bytes | None] = ()) -> pa.RecordBatch:
    exact = exact or [None] * len(values)
    arrays = [range(len(values)), values, exact]
    return pa.RecordBatch.from_arrays(
        [pa.array(list(one), field.type) for one, field in zip(arrays, SCHEMA, strict=True)],
        schema=SCHEMA,
    )


def entries(cell: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(cell):
        position, size = struct.unpack_from("<HI", cell, at)
        assert not found or position > max(found)
        found[position] = cell[at + 6 : at + 6 + size]
        at += 6 + size
    return found


def back(written: pa.RecordBatch, srids: list[int]) -> list[bytes | None]:
    """What the codec makes of it: the cell, or the entry in the extra column."""
    table = from_wkb(pa.Table.from_batches([written]), {1: srids[0]})
    found = []
    for cell, exact in zip(table["g"].to_pylist(), table["x"].to_pylist(), strict=True):
        named = entries(exact) if exact else {}
        assert cell is None or 1 not in named
        found.append(named.get(1, cell))
    return found


def test_the_usual_srid_leaves_wkb() -> None:
    values = [value(4326), None, value(4326), value(0), value(4326)]
    written, srids = to_wkb(batch(values), [1])
    assert srids == [4326]
    assert written["g"].to_pylist() == [POINT, None, POINT, None, POINT]
    assert written["x"].null_count == 4
    assert back(written, srids) == values


def test_entries_stay_in_order() -> None:
    before = struct.pack("<HI", 0, 2) + b"ab"
    after = struct.pack("<HI", 2, 1) + b"c"
    written, srids = to_wkb(
        batch([value(7), value(1), value(7)], [None, before + after, None]), [1]
    )
    assert srids == [7]
    middle = written["x"][1].as_py()
    assert middle == before + struct.pack("<HI", 1, len(value(1))) + value(1) + after


@given(
    st.lists(
        st.none()
        | st.builds(value, st.sampled_from([0, 1, 4326, 2**32 - 1]))
        | st.binary(max_size=12),
        max_size=12,
    )
)
def test_whatever_it_is_comes_back(values: list[bytes | None]) -> None:
    written, srids = to_wkb(batch(values), [1])
    assert back(written, srids) == values
    assert all(cell is None or cell[:1] == b"\x01" for cell in written["g"].to_pylist())


def test_through_a_file(tmp_path: Path) -> None:
    columns = [
        Column("id", "int(11)", "int", False, precision=10, scale=0),
        Column("g", "geometry", "geometry", True),
        Column("p", "point", "point", True),
    ]
    table = definition(columns)
    rows = [[b"1", value(0), None], [b"2", value(4326), value(5)], [b"3", value(0), None]]
    [batch] = batches_of(table, rows)
    specs = specs_of(table.table, columns, "mysql")
    store = LocalStore(tmp_path / "vault", create=True)
    with ChunkWriter(store, "s", table, specs, index=0) as writer:
        writer.add(batch)
        chunk = writer.close([KeyRange()])
    file = pq.ParquetFile(store.root / "s" / chunk.path)
    assert json.loads(file.metadata.metadata[METADATA.encode()]) == {"g": [0], "p": [5]}
    assert set(json.loads(file.metadata.metadata[b"geo"])["columns"]) == {"g", "p"}
    assert file.read()["g"].to_pylist() == [POINT, None, POINT]
    with ChunkReader(store, "s", table, chunk, specs) as reader:
        assert RowEncoder(specs).encode(*reader.row_group(0), text=False)[1] == batch.digest


def test_metadata_names_the_srid_of_each_row_group() -> None:
    metadata = {
        key.encode(): text.encode() for key, text in file_metadata("gh", [[0, 1], [2, 3]]).items()
    }
    assert srids_of(metadata, {4: "g", 6: "h"}, 2) == [{4: 0, 6: 1}, {4: 2, 6: 3}]
    assert srids_of({}, {4: "g"}, 2) == [{}, {}]  # the servers' form


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"g": [1]}', '{"g": [1, -1]}', '{"g": [1, "2"]}', "x"]
)
def test_metadata_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"SRID|Expecting"):
        srids_of({METADATA.encode(): text.encode()}, {1: "g"}, 2)

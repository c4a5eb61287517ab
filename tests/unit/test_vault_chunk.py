"""Chunk files: what is written comes back, what is broken is named, and other readers agree."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from tablevault.errors import CannotComplete, SnapshotUnusable
from tablevault.model import Chunk, Column, Digest, KeyRange, TableDef, TableName
from tablevault.rows.buffers import ColumnBuffers, RowBatch
from tablevault.rows.kinds import specs_of
from tablevault.rows.rowcodec import RowEncoder
from tablevault.vault.chunk import ChunkReader, ChunkWriter
from tablevault.vault.store import LocalStore
from tests.unit.vaults import (
    COLUMNS,
    ID,
    batches_of,
    definition,
    rows_of,
    write_chunk,
    write_snapshot,
)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "vault", create=True)


def path_of(store: LocalStore, chunk: Chunk) -> Path:
    return store.root / ID / chunk.path


def read_back(store: LocalStore, table: TableDef, chunk: Chunk) -> list[Digest]:
    specs = specs_of(table.table, table.columns, "mariadb")
    encoder = RowEncoder(specs)
    with ChunkReader(store, ID, table, chunk, specs) as reader:
        return [
            encoder.encode(*reader.row_group(index), text=False)[1]
            for index in range(len(chunk.row_groups))
        ]


def test_row_groups_come_back_with_the_digest_of_the_wire(store: LocalStore) -> None:
    table = definition()
    chunk = write_chunk(store, table, rows_of(range(1, 251)), rows_each=100)
    assert [group.digest.rows for group in chunk.row_groups] == [100, 100, 50]
    assert read_back(store, table, chunk) == [group.digest for group in chunk.row_groups]


def test_the_chunk_describes_its_file(store: LocalStore) -> None:
    whole = KeyRange((b"1",), (b"1000",))
    chunk = write_chunk(
        store, definition(), rows_of(range(1, 251)), index=7, key_range=whole, rows_each=100
    )
    data = path_of(store, chunk).read_bytes()
    assert chunk.path == "shop/orders/part-00007.parquet"
    assert (chunk.index, chunk.range) == (7, whole)
    assert (chunk.size_bytes, chunk.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert [group.range for group in chunk.row_groups] == [
        KeyRange((b"1",), (b"101",)),
        KeyRange((b"101",), (b"201",)),
        KeyRange((b"201",), (b"1000",)),
    ]


def test_the_file_carries_table_range_digest_and_types(store: LocalStore) -> None:
    chunk = write_chunk(store, definition(), rows_of(range(1, 251)), rows_each=100)
    found = pq.ParquetFile(path_of(store, chunk)).metadata.metadata
    facts = {
        name.decode(): json.loads(value)
        for name, value in found.items()
        if name.startswith(b"tablevault.")
    }
    assert facts["tablevault.format"] == 1
    assert facts["tablevault.table"] == {"schema": "shop", "name": "orders"}
    assert facts["tablevault.exact_column"] == "__tablevault_exact"
    assert facts["tablevault.columns"][4] == {
        "name": "note",
        "kind": "long_text",
        "mysql_type": "text",
        "charset": "latin1",
    }
    groups = facts["tablevault.chunk"]["row_groups"]
    assert [group["digest"] for group in groups] == [
        str(group.digest.total) for group in chunk.row_groups
    ]
    assert groups[1]["lo"] == ["101"]


def test_the_file_is_zstd_with_page_checksums_and_integers_for_decimals(
    store: LocalStore,
) -> None:
    chunk = write_chunk(store, definition(), rows_of(range(1, 251)))
    meta = pq.ParquetFile(path_of(store, chunk)).metadata
    columns = [meta.row_group(0).column(index) for index in range(meta.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    assert columns[2].physical_type == "INT64"
    assert columns[0].statistics.max == 250
    assert "DELTA_BINARY_PACKED" in columns[0].encodings
    assert "RLE_DICTIONARY" in columns[5].encodings, "a column of one value"


def test_a_flipped_bit_in_a_page_is_found_while_reading(store: LocalStore) -> None:
    """Even without the hash of the file: the page's own checksum is verified."""
    table = definition()
    chunk = write_chunk(store, table, rows_of(range(1, 1001)))
    path = path_of(store, chunk)
    column = pq.ParquetFile(path).metadata.row_group(0).column(4)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        SnapshotUnusable, match=r"chunk 0 of table shop\.orders \(.*\) is damaged: row group 0"
    ):
        read_back(store, table, chunk)


def damaged_copies(data: bytes) -> dict[str, bytes]:
    return {
        "truncated": data[:-1],
        "longer": data + b"\0",
        "footer": data[:-20] + bytes(20),
        "zeros": bytes(len(data)),
    }


@pytest.mark.parametrize("how", ["truncated", "longer", "footer", "zeros"])
def test_a_damaged_file_is_named(store: LocalStore, how: str) -> None:
    table = definition()
    chunk = write_chunk(store, table, rows_of(range(1, 101)))
    path = path_of(store, chunk)
    path.write_bytes(damaged_copies(path.read_bytes())[how])
    with pytest.raises(SnapshotUnusable, match=r"chunk 0 of table shop\.orders .* is damaged"):
        read_back(store, table, chunk)


def test_a_missing_file_is_named(store: LocalStore) -> None:
    chunk = write_chunk(store, definition(), rows_of(range(1, 101)))
    path_of(store, chunk).unlink()
    with pytest.raises(SnapshotUnusable, match="its file is missing"):
        read_back(store, definition(), chunk)


def test_another_tables_file_is_refused(store: LocalStore) -> None:
    chunk = write_chunk(store, definition(), rows_of(range(1, 101)))
    other = definition([replace(COLUMNS[0], name="other"), *COLUMNS[1:]], key=None)
    with pytest.raises(SnapshotUnusable, match="columns are not those of the manifest"):
        read_back(store, other, chunk)
    retyped = definition([COLUMNS[0], Column("name", "date", "date", True), *COLUMNS[2:]])
    with pytest.raises(SnapshotUnusable, match="is damaged: row group 0"):
        read_back(store, retyped, chunk)


def test_other_row_groups_than_the_manifests_are_refused(store: LocalStore) -> None:
    table = definition()
    chunk = write_chunk(store, table, rows_of(range(1, 201)), rows_each=100)
    one = replace(chunk, row_groups=chunk.row_groups[:1])
    with pytest.raises(SnapshotUnusable, match="2 row groups instead of 1"):
        read_back(store, table, one)
    group = replace(chunk.row_groups[0], digest=Digest(99, 99, 1))
    with pytest.raises(SnapshotUnusable, match="row group 0 has 100 rows, not 99"):
        read_back(store, table, replace(chunk, row_groups=(group, chunk.row_groups[1])))


def test_an_empty_chunk_has_a_schema_and_no_row_groups(store: LocalStore) -> None:
    table = definition()
    chunk = write_chunk(store, table, [])
    assert chunk.row_groups == ()
    assert read_back(store, table, chunk) == []
    assert duckdb.sql(f"SELECT count(price) FROM '{path_of(store, chunk)}'").fetchall() == [(0,)]


def test_a_table_without_a_key_has_no_bounds(store: LocalStore) -> None:
    table = definition(key=None)
    chunk = write_chunk(store, table, rows_of(range(1, 201)), rows_each=100)
    assert {group.range for group in chunk.row_groups} == {KeyRange()}
    assert read_back(store, table, chunk) == [group.digest for group in chunk.row_groups]


def test_a_table_of_generated_columns_only(store: LocalStore) -> None:
    """The extra column alone carries the number of rows."""
    table = definition([Column("g", "int(11)", "int", True, generated=True)], key=None)
    exact = ColumnBuffers(bytes(13), bytes(4 * 101), b"", 100)
    batch = RowBatch(100, 0, 0, Digest(100, 100, 0), (), [], exact)
    with ChunkWriter(store, ID, table, (), index=0) as writer:
        writer.add(batch)
        chunk = writer.close()
    with ChunkReader(store, ID, table, chunk, ()) as reader:
        columns, found, rows = reader.row_group(0)
    assert (columns, found.null_count, rows) == ([], 100, 100)


@pytest.mark.parametrize(
    "name", ["a.b", "__tablevault_exact", 'quote"d', "new\nline", "\N{SNOWMAN}", "list.item.x"]
)
def test_columns_of_any_name(store: LocalStore, name: str) -> None:
    columns = [replace(COLUMNS[0], name=name), Column("k", "int(11)", "int", True)]
    table = definition(columns, key=None, table=TableName("s/../x", 'o"r\nders'))
    rows = [(b"%d" % number, b"1") for number in range(100)]
    chunk = write_chunk(store, table, rows)
    assert read_back(store, table, chunk) == [chunk.digest]
    names = pq.read_schema(path_of(store, chunk)).names
    assert names[0] == name
    assert names[2].casefold() not in {name.casefold(), "k"}


def test_nothing_is_left_of_a_chunk_that_was_not_closed(store: LocalStore) -> None:
    table = definition()
    specs = specs_of(table.table, table.columns, "mariadb")
    with ChunkWriter(store, ID, table, specs, index=0) as writer:
        writer.add(batches_of(table, rows_of(range(1, 101)))[0])
    assert list((store.root / ID / "shop" / "orders").iterdir()) == []
    writer.abort()


def test_a_full_vault_ends_the_chunk_and_leaves_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of the file comes through the Parquet writer as itself."""
    table = definition()
    specs = specs_of(table.table, table.columns, "mariadb")
    batch = batches_of(table, rows_of(range(1, 101)))[0]
    writer = ChunkWriter(store, ID, table, specs, index=0)

    def full(descriptor: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    with writer, monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(CannotComplete, match="is full"):
            writer.add(batch)
            writer.close([KeyRange()])
    assert list((store.root / ID / "shop" / "orders").iterdir()) == []


def test_ranges_must_be_those_of_the_row_groups(store: LocalStore) -> None:
    table = definition()
    specs = specs_of(table.table, table.columns, "mariadb")
    with ChunkWriter(store, ID, table, specs, index=0) as writer:
        writer.add(batches_of(table, rows_of(range(1, 101)))[0])
        assert writer.first_keys == [(b"1",)]
        with pytest.raises(CannotComplete, match="1 row groups, but 2 ranges"):
            writer.close([KeyRange(), KeyRange()])


def test_duckdb_reads_a_folder_of_parts_with_natural_types(store: LocalStore) -> None:
    written = write_snapshot(store, rows=600)
    parts = store.root / ID / written.entry.path / "*.parquet"
    found = duckdb.sql(
        f"SELECT count(*), sum(id), sum(price), count(placed), count(__tablevault_exact), "
        f"max(note), typeof(any_value(price)) FROM read_parquet('{parts}')"
    ).fetchall()[0]
    price = sum(number * 300 + number % 100 for number in range(1, 601) if number % 7)
    assert found[:2] == (600, 180300)
    assert int(found[2] * 100) == price
    assert found[3:] == (
        540,
        60,
        "caf\N{LATIN SMALL LETTER E WITH ACUTE} 99",
        "DECIMAL(15,2)",
    )

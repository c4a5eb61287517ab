"""Column specs as Arrow types, and buffers that Arrow and the codec share."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from tablevault.model import Column
from tablevault.rows.kinds import spec_of, specs_of
from tablevault.rows.rowcodec import RowEncoder
from tablevault.vault.columns import from_table, to_record_batch
from tablevault.vault.types import arrow_schema, arrow_type, exact_column_name, stored_columns
from tests.unit.vaults import batches_of, definition, rows_of

TYPES = [
    ("tinyint(4)", {}, pa.int8()),
    ("smallint(5) unsigned", {}, pa.uint16()),
    ("mediumint(8) unsigned zerofill", {}, pa.uint32()),
    ("int(11)", {}, pa.int32()),
    ("bigint(20) unsigned", {}, pa.uint64()),
    ("year(4)", {}, pa.uint16()),
    ("decimal(9,2)", {"precision": 9, "scale": 2}, pa.decimal128(9, 2)),
    ("decimal(38,30)", {"precision": 38, "scale": 30}, pa.decimal128(38, 30)),
    ("decimal(65,30)", {"precision": 65, "scale": 30}, pa.utf8()),
    ("float", {}, pa.float32()),
    ("double", {}, pa.float64()),
    ("date", {}, pa.date32()),
    ("datetime(3)", {"scale": 3}, pa.timestamp("us")),
    ("timestamp", {}, pa.timestamp("us", "UTC")),
    ("time(6)", {"scale": 6}, pa.duration("us")),
    ("varchar(9)", {"charset": "utf8mb4"}, pa.utf8()),
    ("varchar(9)", {"charset": "latin1"}, pa.utf8()),
    ("varchar(9)", {"charset": "koi8r"}, pa.utf8()),
    ("varchar(9)", {"charset": "sjis"}, pa.utf8()),
    ("varchar(9)", {"charset": "utf16"}, pa.utf8()),
    ("varchar(9)", {"charset": "gb18030"}, pa.binary()),
    ("varchar(9)", {"charset": "binary"}, pa.binary()),
    ("enum('a','b')", {"charset": "utf8mb4"}, pa.utf8()),
    ("longtext", {"charset": "utf8mb3"}, pa.utf8()),
    ("json", {}, pa.utf8()),
    ("bit(5)", {}, pa.binary()),
    ("varbinary(3)", {}, pa.binary()),
    ("mediumblob", {}, pa.binary()),
    ("point", {}, pa.binary()),
]


def column(text: str, **facts: object) -> Column:
    base = text.split("(")[0].split(" ")[0]
    return replace(Column("c", text, base, True), **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "facts", "expected"), TYPES, ids=[t[0] for t in TYPES])
def test_every_type_has_its_arrow_type(
    text: str, facts: dict[str, object], expected: pa.DataType
) -> None:
    assert arrow_type(spec_of(column(text, **facts))) == expected


def test_fields_say_what_mysql_calls_them_and_may_all_be_null() -> None:
    table = definition()
    schema = arrow_schema(
        specs_of(table.table, table.columns, "mariadb"), stored_columns(table.columns)
    )
    assert schema.names == ["id", "name", "price", "placed", "note", "__tablevault_exact"]
    assert all(field.nullable for field in schema)
    assert schema.field("id").metadata == {
        b"tablevault.kind": b"int",
        b"tablevault.mysql_type": b"int(11)",
        b"tablevault.not_null": b"true",
    }
    assert schema.field("note").metadata == {
        b"tablevault.kind": b"long_text",
        b"tablevault.mysql_type": b"text",
        b"tablevault.charset": b"latin1",
        b"tablevault.collation": b"latin1_swedish_ci",
    }


def test_the_extra_column_gives_way_to_a_column_of_the_table() -> None:
    assert exact_column_name(["id"]) == "__tablevault_exact"
    assert exact_column_name(["__TableVault_Exact"]) == "__tablevault_exact_"
    assert (
        exact_column_name(["__tablevault_exact", "__tablevault_exact_"]) == "__tablevault_exact__"
    )


def test_buffers_go_to_arrow_and_back_without_a_copy() -> None:
    table = definition()
    specs = specs_of(table.table, table.columns, "mariadb")
    schema = arrow_schema(specs, stored_columns(table.columns))
    (batch,) = batches_of(table, rows_of(range(1, 101)))
    arrow = to_record_batch(batch, schema)
    arrow.validate(full=True)
    assert arrow.column("name")[0].as_py() == "name 1"
    assert arrow.column("note")[0].as_py() == "caf\N{LATIN SMALL LETTER E WITH ACUTE} 1"
    assert arrow.column("placed")[9].as_py() is None
    before = pa.py_buffer(batch.columns[1].data)
    assert arrow.column("name").buffers()[2].address == before.address
    columns, exact = from_table(pa.Table.from_batches([arrow]), schema)
    assert pa.py_buffer(columns[1].data).address == before.address
    assert RowEncoder(specs).encode(columns, exact, 100, text=False)[1] == batch.digest


def test_slices_chunks_and_dictionaries_come_back_as_the_same_rows() -> None:
    """Whatever shape Arrow gives a row group, the codec sees the same cells."""
    table = definition()
    specs = specs_of(table.table, table.columns, "mariadb")
    schema = arrow_schema(specs, stored_columns(table.columns))
    (whole,) = batches_of(table, rows_of(range(1, 101)))
    (middle,) = batches_of(table, rows_of(range(31, 61)))
    arrow = to_record_batch(whole, schema)
    encoder = RowEncoder(specs)
    sliced = pa.Table.from_batches([arrow.slice(30, 30)])
    pieces = pa.Table.from_batches([arrow.slice(30, 13), arrow.slice(43, 0), arrow.slice(43, 17)])
    names = sliced.column("name").dictionary_encode()
    encoded = sliced.set_column(1, "name", names)
    large = sliced.set_column(1, "name", sliced.column("name").cast(pa.large_string()))
    for shape in (sliced, pieces, encoded, large):
        columns, exact = from_table(shape, schema)
        assert encoder.encode(columns, exact, 30, text=False)[1] == middle.digest


def test_a_group_without_rows_has_its_buffers() -> None:
    table = definition()
    specs = specs_of(table.table, table.columns, "mariadb")
    schema = arrow_schema(specs, stored_columns(table.columns))
    columns, exact = from_table(schema.empty_table(), schema)
    assert RowEncoder(specs).encode(columns, exact, 0, text=False)[1].rows == 0


def test_another_type_than_the_columns_is_refused() -> None:
    schema = pa.schema([pa.field("id", pa.int32()), pa.field("x", pa.binary())])
    table = pa.table({"id": ["one"], "x": pa.nulls(1, pa.binary())})
    with pytest.raises(pa.ArrowInvalid):
        from_table(table, schema)

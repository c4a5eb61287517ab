"""docs/FORMAT.md is public API: its worked example and its tables are held to the code."""

from __future__ import annotations

import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from tablevault.model import Column, Digest, TableName
from tablevault.rows.kinds import DigestClass, Kind, specs_of
from tablevault.vault import geometry
from tablevault.vault.manifest import encode_manifest
from tablevault.vault.store import LocalStore
from tablevault.vault.tablespace import BLOCK_BYTES, write_tablespace
from tablevault.vault.types import arrow_schema
from tests.unit.test_vault_pagezero import FULL_CRC32, page_of
from tests.unit.vaults import ID, ORDERS, SERVER, batches_of, definition, write_snapshot

PAGE = (Path(__file__).parents[2] / "docs" / "FORMAT.md").read_text(encoding="utf-8")

EXAMPLE = definition(
    [
        Column("id", "int", "int", False, precision=10, scale=0),
        Column("name", "varchar(20)", "varchar", True, "utf8mb4"),
        Column("note", "text", "text", True, "utf8mb4"),
        Column("price", "decimal(8,2)", "decimal", True, precision=8, scale=2),
    ],
    table=TableName("s", "e"),
)
SPECIAL = {"NULL": None, "(empty)": b""}


def section(title: str) -> str:
    found = re.search(rf"^#+ {title}\n(.*?)(?=^#+ |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found.group(1)


def table_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines[2:]]
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in cells]


def crc(data: bytes) -> int:
    return zlib.crc32(data)


def test_the_worked_example_follows_from_its_own_words() -> None:
    """An independent reading of the page: no code of the product."""
    total = 0
    for row in table_rows(section("Worked example")):
        identity, name, note, price = (SPECIAL.get(cell, cell.encode()) for cell in row[:4])
        pieces = [b"N" if value is None else value for value in (identity, price)]
        pieces.append(b"N" if name is None else b"%d" % len(name))
        pieces.append(b"N" if note is None else b"%d:%d" % (len(note), crc(note)))
        canonical = b"".join(piece + b"|" for piece in pieces) + (name or b"")
        assert row[4] == f"`{canonical.decode()}`"
        assert int(row[5]) == crc(canonical)
        assert int(row[6]) == crc(b"%d" % crc(canonical))
        total += int(row[6])
    assert f"3 rows, 3 hashed, sum {total}" in section("Worked example")


def test_the_codec_computes_the_worked_example() -> None:
    rows = [
        [SPECIAL.get(cell, cell.encode()) for cell in row[:4]]
        for row in table_rows(section("Worked example"))
    ]
    (batch,) = batches_of(EXAMPLE, rows)
    assert batch.digest == Digest(3, 3, 7196271738)


def test_every_kind_and_its_digest_class_is_on_the_page() -> None:
    types, digest = section("Types"), section("Digest")
    for kind in Kind:
        assert f"`{kind.value}`" in types, kind
    samples = {
        "varchar": DigestClass.TEXT,
        "enum": DigestClass.TEXT,
        "bit": DigestClass.TEXT,
        "varbinary": DigestClass.TEXT,
        "json": DigestClass.LOB,
        "text": DigestClass.LOB,
        "blob": DigestClass.LOB,
        "point": DigestClass.LOB,
        "year": DigestClass.FIXED,
        "decimal": DigestClass.FIXED,
    }
    lines = {found.group(1): found.group(0) for found in re.finditer(r"^(\d)\. .*$", digest, re.M)}
    for name, digest_class in samples.items():
        column = Column("c", name, name, True, "utf8mb4")
        (spec,) = specs_of(EXAMPLE.table, [column], "mariadb")
        assert spec.digest is digest_class
        if digest_class is not DigestClass.FIXED:
            assert f"`{spec.kind.value}`" in lines[str(int(digest_class))], name


def column(data_type: str, **facts: Any) -> Column:
    shown = data_type + (" unsigned" if facts.pop("unsigned", False) else "")
    return Column("c", shown, data_type, True, **facts)


COLUMNS_BY_ROW = {
    "TINYINT, SMALLINT, MEDIUMINT, INT, BIGINT": [
        column(name) for name in ("tinyint", "smallint", "mediumint", "int", "bigint")
    ],
    "the same UNSIGNED": [
        column(name, unsigned=True)
        for name in ("tinyint", "smallint", "mediumint", "int", "bigint")
    ],
    "DECIMAL up to 38 digits": [
        column("decimal", precision=digits, scale=2) for digits in (9, 18, 38)
    ],
    "DECIMAL above 38 digits": [column("decimal", precision=39, scale=2)],
    "FLOAT": [column("float")],
    "DOUBLE": [column("double")],
    "DATE": [column("date")],
    "DATETIME": [column("datetime", scale=6)],
    "TIMESTAMP": [column("timestamp", scale=0)],
    "TIME": [column("time", scale=3)],
    "YEAR": [column("year")],
    "CHAR, VARCHAR": [column(name, charset="utf8mb4") for name in ("char", "varchar")],
    "TINYTEXT to LONGTEXT": [
        column(name, charset="latin1") for name in ("tinytext", "text", "mediumtext", "longtext")
    ],
    "ENUM, SET": [column(name, charset="gbk") for name in ("enum", "set")],
    "the four above in the charsets `binary` and gb18030": [
        column("varchar", charset=charset) for charset in ("binary", "gb18030")
    ],
    "JSON (of MySQL; to MariaDB it is LONGTEXT)": [column("json")],
    "BINARY, VARBINARY": [column(name) for name in ("binary", "varbinary")],
    "TINYBLOB to LONGBLOB": [
        column(name) for name in ("tinyblob", "blob", "mediumblob", "longblob")
    ],
    "BIT": [column("bit", precision=5)],
    "geometry types": [
        column(name)
        for name in (
            *("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring"),
            *("multipolygon", "geometrycollection", "geomcollection"),
        )
    ],
    "UUID, INET4, INET6 (MariaDB)": [column(name) for name in ("uuid", "inet4", "inet6")],
    "VECTOR": [column("vector")],
}
"""Columns for each row of the page's table of types."""

ARROW_NAMES = {"float32": "float", "float64": "double", "utf8": "string", "date32": "date32[day]"}
PHYSICAL = {"fixed bytes": "FIXED_LEN_BYTE_ARRAY"}


def arrow_names(cell: str) -> list[str]:
    """`int8, 16, 32, 32, 64` is one type for each of the row's columns."""
    first, *others = cell.replace("binary, WKB", "binary").split(", ")
    if not others or "[" in first:
        return [cell.replace("binary, WKB", "binary")]
    stem = first.rstrip("0123456789")
    return [first, *(stem + other for other in others)]


def test_the_table_of_types_is_complete_and_that_of_the_files(tmp_path: Path) -> None:
    rows = {row[0]: row[1:] for row in table_rows(section("Types").split("A type that is not")[0])}
    assert rows.keys() == COLUMNS_BY_ROW.keys()
    reached = set()
    for name, (kinds, arrow_cell, parquet_cell, *_) in rows.items():
        columns = COLUMNS_BY_ROW[name]
        specs = [specs_of(EXAMPLE.table, [one], "mariadb")[0] for one in columns]
        reached |= {spec.kind for spec in specs}
        if kinds != "the same":
            assert {f"`{spec.kind.value}`" for spec in specs} == set(kinds.split(", "))
        names = arrow_names(arrow_cell)
        wanted = names if len(names) == len(specs) else names * len(specs)
        for spec, one, shown in zip(specs, columns, wanted, strict=True):
            schema = arrow_schema([spec], [one])
            path = tmp_path / "one.parquet"
            pq.write_table(schema.empty_table(), path, store_decimal_as_integer=True)
            found = str(schema.field(0).type)
            assert found.startswith(ARROW_NAMES.get(shown, shown.replace(", UTC", ", tz=UTC")))
            physical = pq.ParquetFile(path).schema.column(0).physical_type
            named = [physical, *(words for words, type in PHYSICAL.items() if type == physical)]
            assert any(word in parquet_cell for word in named), (name, physical)
    assert reached == set(Kind)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written = write_snapshot(LocalStore(tmp_path / "vault", create=True), rows=30)
    return written.store.root / written.snapshot.id


def named_fields(text: str) -> set[str]:
    return {name for row in table_rows(text) for name in re.findall(r"`([a-z0-9_]+)`", row[0])}


def test_the_manifests_fields_are_those_of_the_page(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    fields = named_fields(section("Manifest"))
    assert fields == set(manifest) | set(manifest["tables"][0])


def test_the_chunk_lists_fields_are_those_of_the_page(folder: Path) -> None:
    text = section("Chunk list")
    line = json.loads((folder / "shop/orders/chunks.jsonl").read_text().splitlines()[0])
    assert named_fields(text) == set(line)
    last = table_rows(text)[-1][1]
    assert set(re.findall(r"`(\w+)`", last)) == set(line["row_groups"][0])


def test_the_description_of_a_tablespace_is_that_of_the_page(tmp_path: Path) -> None:
    text = section("Tablespaces")
    (tmp_path / "source").write_bytes(page_of(FULL_CRC32, 16384) + bytes(BLOCK_BYTES))
    store = LocalStore(tmp_path / "vault", create=True)
    with (tmp_path / "source").open("rb") as source:
        write_tablespace(store, ID, ORDERS, source.fileno(), b"", SERVER, "Dynamic")
    about = json.loads((store.root / ID / "shop/orders/tablespace.json").read_text())
    assert named_fields(text) == set(about)
    last = table_rows(text)[-1][1]
    (first, zeros) = about["blocks"]
    assert set(re.findall(r"`(\w+)`", last)) == set(first) > set(zeros) == {"length"}


def test_the_files_metadata_is_that_of_the_page(folder: Path) -> None:
    found = pq.ParquetFile(folder / "shop/orders/part-00000.parquet").metadata.metadata
    keys = {name.decode() for name in found if name.startswith(b"tablevault.")}
    keys |= {geometry.METADATA}  # only where there is a geometry column: test_vault_geometry.py
    assert keys == set(re.findall(r"^\| `(tablevault\.\w+)`", PAGE, re.M))


def test_the_extra_column_is_encoded_as_the_page_says(folder: Path) -> None:
    table = pq.read_table(folder / "shop/orders/part-00001.parquet")
    (cell,) = (value for value in table["__tablevault_exact"].to_pylist() if value)
    position, length = struct.unpack_from("<HI", cell)
    assert table.column_names[position] == "placed"
    assert cell[6:] == b"0000-00-00 00:00:00.000000"
    assert length == len(cell) - 6


def test_the_duckdb_queries_of_the_page_run(folder: Path) -> None:
    (block,) = re.findall(r"```sql\n(-- DuckDB.*?)```", PAGE, re.DOTALL)
    first, second = block.replace("'vault/", f"'{folder.parent}/").split(";\n")[:2]
    first = first.replace("20261124T043012Z-before", folder.name)
    assert len(duckdb.sql(first).fetchall()) == 30
    assert len(duckdb.sql(second).fetchall()) == 3


def test_the_python_of_the_page_runs(folder: Path) -> None:
    (block,) = re.findall(r"```python\n(import pandas.*?)```", PAGE, re.DOTALL)
    block = block.replace("vault/20261124T043012Z-before", str(folder))
    (folder / "shop/orders/tablespace.zst").write_bytes(b"of some tables")
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["a"].shape == names["b"].shape == (30, 2)


def test_the_checksum_is_what_the_page_says(tmp_path: Path) -> None:
    import hashlib

    written = write_snapshot(LocalStore(tmp_path / "v", create=True), rows=30)
    content = json.loads(encode_manifest(written.snapshot))
    checksum = content.pop("checksum")
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(canonical.encode("ascii")).hexdigest() == checksum

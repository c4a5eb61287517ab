"""docs/FORMAT.md is public API: its worked example and its tables are held to the code."""

from __future__ import annotations

import json
import re
import struct
import zlib
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from tablevault.model import Column, Digest, TableName
from tablevault.rows.kinds import DigestClass, Kind, specs_of
from tablevault.vault.manifest import encode_manifest
from tablevault.vault.store import LocalStore
from tests.unit.vaults import batches_of, definition, write_snapshot

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


def test_the_files_metadata_is_that_of_the_page(folder: Path) -> None:
    found = pq.ParquetFile(folder / "shop/orders/part-00000.parquet").metadata.metadata
    keys = {name.decode() for name in found if name.startswith(b"tablevault.")}
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


def test_the_checksum_is_what_the_page_says(tmp_path: Path) -> None:
    import hashlib

    written = write_snapshot(LocalStore(tmp_path / "v", create=True), rows=30)
    content = json.loads(encode_manifest(written.snapshot))
    checksum = content.pop("checksum")
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(canonical.encode("ascii")).hexdigest() == checksum

"""What a row costs on our side, in counts that no machine changes: calls, bytes, memory.

A regression of the hot path shows here as a step, on a slow machine and on a fast one alike: a
Python call for each row, a column that lost its encoding, a copy that was not there.  The limits
are generous; what was counted last stands beside them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tablevault.model import Chunk, Column, Key, KeyColumn, KeyRange, TableDef, TableName
from tablevault.mysql.source import row_packets
from tablevault.rows.buffers import RowBatch
from tablevault.rows.kinds import specs_of
from tablevault.rows.rowcodec import RowDecoder, RowEncoder
from tablevault.vault.chunk import ChunkReader, ChunkWriter
from tablevault.vault.store import LocalStore

ROWS = 20_000
MODES = (b"AIR", b"FOB", b"MAIL", b"RAIL", b"REG AIR", b"SHIP", b"TRUCK")
COLUMNS = (
    Column("l_orderkey", "int(11)", "int", False),
    Column("l_linenumber", "int(11)", "int", False),
    Column("l_partkey", "int(11)", "int", False),
    Column("l_quantity", "decimal(15,2)", "decimal", False, precision=15, scale=2),
    Column("l_price", "decimal(15,2)", "decimal", False, precision=15, scale=2),
    Column("l_shipdate", "date", "date", False),
    Column("l_shipmode", "varchar(10)", "varchar", False, charset="utf8mb4"),
    Column("l_comment", "varchar(44)", "varchar", False, charset="utf8mb4"),
)
TABLE = TableDef(
    TableName("tpch", "lineitem"),
    "CREATE TABLE `lineitem` (...)",
    COLUMNS,
    Key("PRIMARY", (KeyColumn("l_orderkey"), KeyColumn("l_linenumber"))),
)
SPECS = specs_of(TABLE.table, COLUMNS, "mariadb")


def row(number: int) -> list[bytes | None]:
    """A row like those of TPC-H lineitem: ordered keys, few modes, text that hardly repeats."""
    noise = number * 2654435761 % (1 << 32)
    return [
        b"%d" % (number // 4),
        b"%d" % (number % 4),
        b"%d" % (noise % 200_000),
        b"%d.00" % (noise % 50 + 1),
        b"%d.%02d" % (noise % 90_000, noise % 100),
        (date(1992, 1, 2) + timedelta(days=noise % 2500)).isoformat().encode(),
        MODES[noise % 7],
        b"comment %08x about line %d" % (noise, number),
    ]


@pytest.fixture(scope="module")
def wire() -> bytes:
    """The packets of ROWS rows, without an end."""
    sent, sequence = bytearray(), 1
    for number in range(ROWS):
        packets, sequence = row_packets(row(number), sequence)
        sent += packets
    return bytes(sent)


def decoded(wire: bytes) -> RowBatch:
    decoder = RowDecoder(SPECS, (0, 1), 16 << 20)
    consumed, _ = decoder.feed(wire, 0, len(wire))
    assert consumed == len(wire)
    batch = decoder.take()
    assert batch.rows == ROWS
    return batch


def written(store: LocalStore, batch: RowBatch, index: int = 0) -> Chunk:
    with ChunkWriter(store, "s", TABLE, SPECS, index=index) as writer:
        writer.add(batch)
        return writer.close([KeyRange()])


def calls(work: Callable[[], Any]) -> int:
    """How many calls, of Python and from Python into C, `work` makes."""
    made = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return made


def restored(store: LocalStore, chunk: Chunk) -> int:
    """Read the chunk as a restore does; the bytes of its LOAD DATA text."""
    with ChunkReader(store, "s", TABLE, chunk, SPECS) as reader:
        columns, exact, rows = reader.row_group(0)
        return sum(len(block) for block in RowEncoder(SPECS).encode_blocks(columns, exact, rows))


def test_no_python_runs_for_a_row(wire: bytes, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "vault", create=True)
    batch = decoded(wire)
    chunk = written(store, batch)
    made = {
        "decode": calls(lambda: decoded(wire)),  # 16
        "write": calls(lambda: written(store, batch, 1)),  # 747
        "read": calls(lambda: restored(store, chunk)),  # 293
    }
    assert {stage: count for stage, count in made.items() if count > ROWS / 8} == {}, made


def test_bytes_a_row(wire: bytes, tmp_path: Path) -> None:
    """On the wire 81.6, in buffers 92.7, in the file 11.3, in the LOAD DATA text 77.6."""
    store = LocalStore(tmp_path / "vault", create=True)
    batch = decoded(wire)
    chunk = written(store, batch)
    buffers = sum(
        len(memoryview(buffer).cast("B"))
        for column in batch.columns
        for buffer in (column.validity, column.offsets, column.data)
        if buffer is not None
    )
    each = {
        "wire": len(wire) / ROWS,
        "buffers": buffers / ROWS,
        "file": chunk.size_bytes / ROWS,
        "text": restored(store, chunk) / ROWS,
    }
    limits = {"wire": 82, "buffers": 110, "file": 15, "text": 82}
    assert {what: size for what, size in each.items() if size > limits[what]} == {}, each

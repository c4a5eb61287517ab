"""Where does the client's CPU go in a snapshot, stage by stage and column by column?

    python bench/profile_snapshot.py --scale 0.1 [--table lineitem] [--repeat 5]

The wire bytes of the table are recorded once; then each stage runs on them alone, in one thread,
without a server: its CPU is the best of the repeats, per million rows.  Memory is warm here, so a
stage can look cheaper than in the pipeline; what is compared is stage with stage.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import data
import pyarrow as pa
import pyarrow.parquet as pq
from harness import parser
from server import private_server

from tablevault.model import KeyRange, TableDef, TableName
from tablevault.mysql import catalog, sql
from tablevault.mysql.connect import ConnectOptions, Purpose, connect
from tablevault.mysql.source import ROW_GROUP_BYTES, RowSource
from tablevault.rows.buffers import RowBatch
from tablevault.rows.kinds import ColumnSpec, specs_of
from tablevault.rows.rowcodec import END, RowDecoder
from tablevault.vault import chunk
from tablevault.vault.columns import to_record_batch
from tablevault.vault.types import arrow_schema, stored_columns

LEVELS = (1, 3, 6, 9)


class Recorder(RowSource):
    """A row source that keeps every byte the codec took."""

    wire = bytearray()

    def _feed(self, buffer: bytearray, start: int, end: int) -> tuple[int, int]:
        consumed, state = super()._feed(buffer, start, end)
        self.wire += memoryview(buffer)[start:consumed]
        return consumed, state


class Null:
    """A file that takes everything and keeps its size."""

    closed = False
    size = 0

    def write(self, block: Any) -> int:
        self.size += len(block)
        return len(block)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None: ...

    def close(self) -> None: ...


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--table", choices=data.TABLES, default="lineitem")
    made.add_argument("--repeat", type=int, default=5)
    options = made.parse_args()
    definition, specs, wire, recorded_s = record(options)
    groups = decode(wire, specs)
    rows = sum(group.rows for group in groups)
    schema = arrow_schema(specs, stored_columns(definition.columns))
    batches = [to_record_batch(group, schema) for group in groups]
    whole = len(parquet(batches, 3))

    def cost(work: Callable[[], Any]) -> float:
        return _cpu_s(work, options.repeat) * 1e6 / rows

    print(f"{definition.table}: {rows:,} rows, {len(wire) / 1e6:.1f} MB of wire bytes")
    print(f"{'stage':<44}{'CPU s per 1M rows':>18}{'MB':>9}")
    _line("recording: server, socket, decode (wall)", recorded_s * 1e6 / rows)
    _line("decode, exactness and digest", cost(lambda: decode(wire, specs)))
    _line("buffers to Arrow", cost(lambda: [to_record_batch(g, schema) for g in groups]))
    _line("choice of encodings, once a file", cost(lambda: chunk._encodings(schema, batches[0])))
    plain = len(parquet(batches, None))
    _line("Parquet, no compression", cost(partial(_encode, batches, None)), plain)
    for level in LEVELS:
        size = len(parquet(batches, level))
        name = f"Parquet, zstd {level}"
        _line(name, cost(partial(_encode, batches, level)), size)
    file = parquet(batches, 3)
    _line("SHA-256 of the file", cost(lambda: hashlib.sha256(file)), whole)
    _line("write and fsync, in the temporary folder (wall)", _synced_s(file) * 1e6 / rows)
    print(f"\n{'column, zstd 3':<44}{'CPU s per 1M rows':>18}{'MB':>9}  encoding")
    dictionary, encodings = chunk._encodings(schema, batches[0])
    for name in schema.names:
        alone = [batch.select([name]) for batch in batches]
        encoding = "dictionary" if name in dictionary else encodings.get(name, "plain")
        spent = cost(partial(_encode, alone, 3))
        _line(name, spent, len(parquet(alone, 3)), encoding)


def record(options: argparse.Namespace) -> tuple[TableDef, tuple[ColumnSpec, ...], bytes, float]:
    """The table's definition and row packets, and the wall time of receiving them."""
    with private_server(options) as server:
        data.load(server, options.table, options.scale)
        target = ConnectOptions(
            host=server.host, port=server.port, user=server.user, password=server.password
        )
        control = connect(target, Purpose.CONTROL)
        definition = catalog.table_definition(control, TableName(data.SCHEMA, options.table))
        control.close()
        conn = connect(target, Purpose.READ)
        specs = specs_of(definition.table, definition.columns, "mariadb")
        text = sql.select_rows(
            definition.table, specs, definition.columns, definition.key, KeyRange(), None
        )
        source = Recorder(conn, text, specs)
        began = time.monotonic()
        for _ in source:
            pass
        taken_s = time.monotonic() - began
        conn.close()
    return definition, specs, bytes(source.wire), taken_s


def decode(wire: bytes, specs: Iterable[ColumnSpec]) -> list[RowBatch]:
    """All row groups of the recorded packets."""
    decoder = RowDecoder(tuple(specs), (), ROW_GROUP_BYTES)
    groups, start, state = [], 0, -1
    while state != END:
        start, state = decoder.feed(wire, start, len(wire))
        groups.append(decoder.take())
    return [group for group in groups if group.rows]


def parquet(batches: list[pa.RecordBatch], level: int | None, sink: Any = None) -> memoryview:
    """The batches as one file, as `ChunkWriter` writes it; its bytes where no sink is given."""
    output = sink or pa.BufferOutputStream()
    dictionary, encodings = chunk._encodings(batches[0].schema, batches[0])
    with pq.ParquetWriter(
        output,
        batches[0].schema,
        compression="zstd" if level is not None else "none",
        compression_level=level,
        use_dictionary=dictionary,
        column_encoding=encodings or None,
        store_decimal_as_integer=True,
        write_statistics=True,
        write_page_checksum=True,
    ) as writer:
        for batch in batches:
            writer.write_batch(batch, row_group_size=batch.num_rows)
    return memoryview(b"" if sink else output.getvalue())


def _encode(batches: list[pa.RecordBatch], level: int | None) -> None:
    parquet(batches, level, Null())


def _cpu_s(work: Callable[[], Any], repeat: int) -> float:
    spent = []
    for _ in range(repeat):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)


def _synced_s(content: memoryview) -> float:
    with tempfile.TemporaryDirectory(prefix="tablevault-bench-") as folder:
        began = time.monotonic()
        with (Path(folder) / "file").open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return time.monotonic() - began


def _line(stage: str, per_million_s: float, size: int | None = None, more: str = "") -> None:
    shown = f"{size / 1e6:9.2f}" if size is not None else " " * 9
    print(f"{stage:<44}{per_million_s:>18.3f}{shown}  {more}".rstrip(), flush=True)


if __name__ == "__main__":
    main()

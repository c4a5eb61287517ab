"""Small real snapshots for the tests of the vault: rows through the real codec into real files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tablevault import names
from tablevault.model import (
    BinlogPosition,
    Chunk,
    Column,
    Key,
    KeyColumn,
    KeyRange,
    ServerInfo,
    Snapshot,
    TableDef,
    TableEntry,
    TableName,
)
from tablevault.rows.buffers import RowBatch
from tablevault.rows.kinds import specs_of
from tablevault.rows.rowcodec import RowDecoder
from tablevault.vault.catalog import begin_snapshot
from tablevault.vault.chunk import ChunkWriter
from tablevault.vault.chunklist import write_chunk_list
from tablevault.vault.store import LocalStore

Row = Sequence[bytes | None]

SERVER = ServerInfo("mariadb", (10, 11, 14), "10.11.14-MariaDB", "u-1", 1_700_000_000, "db", 3306)
ID = "20261124T043012Z-before"
ORDERS = TableName("shop", "orders")
COLUMNS = (
    Column("id", "int(11)", "int", False, precision=10, scale=0, auto_increment=True),
    Column("name", "varchar(80)", "varchar", True, "utf8mb4", "utf8mb4_general_ci"),
    Column("price", "decimal(15,2)", "decimal", True, precision=15, scale=2),
    Column("placed", "datetime(6)", "datetime", False, scale=6),
    Column("note", "text", "text", True, "latin1", "latin1_swedish_ci"),
    Column("twice", "int(11)", "int", True, precision=10, scale=0, generated=True),
)
KEY = Key("PRIMARY", (KeyColumn("id"),))


@dataclass(frozen=True)
class Written:
    """A committed snapshot and the chunks of its one table."""

    store: LocalStore
    snapshot: Snapshot
    chunks: list[Chunk]

    @property
    def entry(self) -> TableEntry:
        return self.snapshot.tables[0]


def definition(
    columns: Sequence[Column] = COLUMNS, key: Key | None = KEY, table: TableName = ORDERS
) -> TableDef:
    return TableDef(table, f"CREATE TABLE `{table.name}` (...)", tuple(columns), key)


def rows_of(ids: range) -> list[Row]:
    """Rows of the table `orders`: every tenth has a zero date, every seventh NULLs."""
    return [
        (
            b"%d" % number,
            None if number % 7 == 0 else b"name %d" % number,
            None if number % 7 == 0 else b"%d.%02d" % (number * 3, number % 100),
            b"0000-00-00 00:00:00.000000"
            if number % 10 == 0
            else b"2026-11-24 04:%02d:00.000001" % (number % 60),
            b"caf\xe9 %d" % number,
        )
        for number in ids
    ]


def batches_of(
    table: TableDef, rows: Sequence[Row], *, rows_each: int = 1_000_000, keys: Sequence[int] = (0,)
) -> list[RowBatch]:
    """The rows as the server would send them, decoded into row groups."""
    specs = specs_of(table.table, table.columns, "mariadb")
    wire = b"".join(packet(row, number) for number, row in enumerate(rows))
    decoder = RowDecoder(specs, keys if table.key else (), max_rows=rows_each)
    batches, start = [], 0
    while start < len(wire):
        start, _ = decoder.feed(wire, start, len(wire))
        batches.append(decoder.take())
    return batches


def packet(row: Row, number: int) -> bytes:
    """A row packet of the text protocol."""
    payload = b"".join(b"\xfb" if value is None else _length(len(value)) + value for value in row)
    return len(payload).to_bytes(3, "little") + bytes([number % 256]) + payload


def _length(size: int) -> bytes:
    if size < 251:
        return bytes([size])
    return b"\xfd" + size.to_bytes(3, "little")


def write_chunk(
    store: LocalStore,
    table: TableDef,
    rows: Sequence[Row],
    *,
    index: int = 0,
    key_range: KeyRange | None = None,
    rows_each: int = 1_000_000,
    snapshot: str = ID,
) -> Chunk:
    """One chunk, with its row groups ranged by their first keys when there is a key."""
    whole = key_range or KeyRange()
    specs = specs_of(table.table, table.columns, "mariadb")
    with ChunkWriter(store, snapshot, table, specs, index=index, key_range=whole) as writer:
        for batch in batches_of(table, rows, rows_each=rows_each):
            writer.add(batch)
        if table.key is None:
            return writer.close()
        bounds = [whole.lo, *writer.first_keys[1:], whole.hi]
        return writer.close(
            [KeyRange(bounds[i], bounds[i + 1]) for i in range(len(writer.first_keys))]
        )


def snapshot_of(
    entries: Sequence[TableEntry], snapshot: str = ID, name: str | None = "before"
) -> Snapshot:
    return Snapshot(
        id=snapshot,
        name=name,
        created=1_790_000_000.25,
        finished=1_790_000_001.5,
        server=SERVER,
        lock="BACKUP STAGE",
        binlog=BinlogPosition("bin.000001", 1234, "0-1-7"),
        tables=tuple(entries),
        hints=("a hint",),
        tool_version="0.1.0",
        session={"time_zone": "+00:00"},
    )


def write_snapshot(
    store: LocalStore,
    snapshot: str = ID,
    *,
    name: str | None = "before",
    table: TableDef | None = None,
    rows: int = 600,
) -> Written:
    """Three chunks of `orders`, of two row groups each, committed."""
    table = table or definition()
    cuts = [1, rows // 3, 2 * rows // 3, rows + 1]
    with begin_snapshot(store, snapshot) as begun:
        chunks = []
        for index in range(3):
            first, last = cuts[index], cuts[index + 1]
            key_range = KeyRange(
                (b"%d" % first,) if index else None, (b"%d" % last,) if index < 2 else None
            )
            chunk = write_chunk(
                store,
                table,
                rows_of(range(first, last)),
                index=index,
                key_range=key_range,
                rows_each=(last - first + 1) // 2,
                snapshot=snapshot,
            )
            chunks.append(chunk)
        entry = write_chunk_list(store, snapshot, table, chunks)
        written = snapshot_of([entry], snapshot, name)
        begun.commit(written)
    return Written(store, written, chunks)


def folder_of(written: Written) -> str:
    return f"{written.snapshot.id}/{names.table_folder(written.entry.definition.table)}"

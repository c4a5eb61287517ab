"""The chunk list of a table: one JSON line a chunk, written once, read as a stream.

The lists are apart from the manifest so that listing a vault stays fast with 100,000 chunks; the
manifest holds each list's SHA-256.  Writer and reader hold a list to the same rules (`_Rules`):
chunks in order, ranges that tile the key space, sums that are those of the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tablevault import names
from tablevault.errors import SnapshotUnusable
from tablevault.model import (
    Chunk,
    Digest,
    KeyRange,
    KeyValue,
    RowGroup,
    TableDef,
    TableEntry,
)
from tablevault.vault.fields import Fields
from tablevault.vault.store import MissingFile, Store, sha256_of

_BLOCK_BYTES = 1 << 20
_BLOCK_LINES = 1000
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def write_chunk_list(
    store: Store,
    snapshot: str,
    definition: TableDef,
    chunks: Iterable[Chunk],
    *,
    where: str | None = None,
) -> TableEntry:
    """Write a table's chunk list and return the table's entry for the manifest.

    Raises SnapshotUnusable, and writes nothing, when the chunks do not tile the key space.
    """
    folder = names.table_folder(definition.table)
    path = f"{folder}/{names.CHUNK_LIST}"
    rules = _Rules(definition, folder)
    with store.create(f"{snapshot}/{path}") as file:
        lines: list[str] = []
        for chunk in rules.checked(chunks):
            lines.append(_ENCODER.encode(chunk_record(chunk)) + "\n")
            if len(lines) == _BLOCK_LINES:
                file.write("".join(lines).encode("utf-8"))
                lines.clear()
        file.write("".join(lines).encode("utf-8"))
        file.commit()
    return TableEntry(
        definition=definition,
        path=folder,
        chunks_path=path,
        chunks_sha256=file.sha256,
        chunk_count=rules.count,
        digest=rules.digest,
        wire_bytes=rules.wire_bytes,
        file_bytes=rules.file_bytes,
        largest_row=rules.largest_row,
        where=where,
    )


def read_chunks(store: Store, snapshot: str, entry: TableEntry) -> Iterator[Chunk]:
    """The chunks of a table, in key order, streamed.

    The list's hash is checked before the first chunk is given, the sums after the last.  Raises
    SnapshotUnusable, MissingFile among it.
    """
    table = entry.definition.table
    name = f"{snapshot}/{entry.chunks_path}"
    try:
        found, _ = sha256_of(store, name)
    except MissingFile:
        raise MissingFile(
            f"chunk list of table {table} ({entry.chunks_path}) is missing",
            hint="the file was removed: restore from another snapshot",
        ) from None
    if found != entry.chunks_sha256:
        raise SnapshotUnusable(
            f"chunk list of table {table} ({entry.chunks_path}) is damaged: "
            "its SHA-256 is not the manifest's",
            hint="the file was edited or is damaged: restore from another snapshot",
        )
    rules = _Rules(entry.definition, entry.path)
    yield from rules.checked(_parsed(store, name, table))
    rules.check_sums(entry)


def chunk_record(chunk: Chunk) -> dict[str, Any]:
    """The chunk as a JSON object (docs/FORMAT.md, Chunk list)."""
    return {
        "index": chunk.index,
        "path": chunk.path,
        **_range_record(chunk.range),
        "rows": chunk.digest.rows,
        "size": chunk.size_bytes,
        "sha256": chunk.sha256,
        "row_groups": [
            {
                **_range_record(group.range),
                **digest_record(group.digest),
                "wire_bytes": group.wire_bytes,
                "largest_row": group.largest_row,
            }
            for group in chunk.row_groups
        ],
    }


def _range_record(range: KeyRange) -> dict[str, Any]:
    bounds = {"lo": encode_key(range.lo), "hi": encode_key(range.hi)}
    return bounds | ({"nulls": True} if range.nulls else {})


def digest_record(digest: Digest) -> dict[str, Any]:
    """A digest as JSON fields; the sum is a string, since it may exceed 64 bits."""
    return {"rows": digest.rows, "hashed": digest.hashed, "digest": str(digest.total)}


def read_digest(fields: Fields) -> Digest:
    """The reverse of `digest_record`; every row must have been hashed."""
    digest = Digest(fields.integer("rows"), fields.integer("hashed"), fields.big_integer("digest"))
    if digest.hashed != digest.rows:
        fields.refuse("hashed", f"not the number of rows, {digest.rows}")
    return digest


def encode_key(key: KeyValue | None) -> list[str | dict[str, str]] | None:
    """A key as JSON: each value a string where it is printable UTF-8, else {"hex": ...}."""
    return None if key is None else [_encode_value(value) for value in key]


def _encode_value(value: bytes) -> str | dict[str, str]:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": value.hex()}
    return text if text.isprintable() else {"hex": value.hex()}


def _read_key(fields: Fields, name: str) -> KeyValue | None:
    if not fields.has(name):
        return None
    return tuple(_decode_value(fields, name, value) for value in fields.items(name))


def _decode_value(fields: Fields, name: str, value: object) -> bytes:
    try:
        if isinstance(value, str):
            return value.encode("utf-8")
        if isinstance(value, Mapping) and set(value) == {"hex"}:
            return bytes.fromhex(value["hex"])
    except (ValueError, TypeError):
        pass
    fields.refuse(name, "not a list of key values")


def _read_range(fields: Fields) -> KeyRange:
    return KeyRange(_read_key(fields, "lo"), _read_key(fields, "hi"), fields.flag("nulls"))


def _parsed(store: Store, name: str, table: object) -> Iterator[Chunk]:
    with store.open(name) as file:
        for number, line in enumerate(_lines(iter(lambda: file.read(_BLOCK_BYTES), b"")), 1):
            yield _read_chunk(Fields.parse(line, f"chunk list of table {table}, line {number}"))


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _read_chunk(fields: Fields) -> Chunk:
    groups = tuple(
        RowGroup(
            _read_range(group),
            read_digest(group),
            group.integer("wire_bytes"),
            group.integer("largest_row"),
        )
        for group in fields.objects("row_groups")
    )
    chunk = Chunk(
        index=fields.integer("index"),
        path=fields.path("path"),
        range=_read_range(fields),
        row_groups=groups,
        size_bytes=fields.integer("size"),
        sha256=fields.hex_digest("sha256"),
    )
    if fields.integer("rows") != sum(group.digest.rows for group in groups):
        fields.refuse("rows", "not the sum of its row groups")
    return chunk


class _Rules:
    """What holds for every chunk list; sums up as chunks go by."""

    def __init__(self, definition: TableDef, folder: str) -> None:
        self._table = definition.table
        self._folder = folder
        self._key_width = len(definition.key.columns) if definition.key else 0
        self._nullable = bool(definition.key and definition.key.nullable)
        self.count = self.wire_bytes = self.file_bytes = self.largest_row = 0
        self.digest = Digest()

    def checked(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """The same chunks; raises at the first that breaks a rule."""
        boundary: KeyValue | None = None
        for chunk in chunks:
            self._check(chunk, boundary)
            boundary = chunk.range.hi
            self.count += 1
            self.file_bytes += chunk.size_bytes
            for group in chunk.row_groups:
                self.digest += group.digest
                self.wire_bytes += group.wire_bytes
                self.largest_row = max(self.largest_row, group.largest_row)
            yield chunk
        if boundary is not None:
            self._refuse(f"ends at a key, after chunk {self.count - 1}")

    def check_sums(self, entry: TableEntry) -> None:
        """Hold the list to what the manifest says of the table."""
        pairs = (
            ("chunks", self.count, entry.chunk_count),
            ("rows", self.digest.rows, entry.digest.rows),
            ("digest", self.digest.total, entry.digest.total),
            ("wire bytes", self.wire_bytes, entry.wire_bytes),
            ("file bytes", self.file_bytes, entry.file_bytes),
            ("largest row", self.largest_row, entry.largest_row),
        )
        for what, found, expected in pairs:
            if found != expected:
                self._refuse(f"adds up to other {what} than the manifest: {found}, {expected}")

    def _check(self, chunk: Chunk, boundary: KeyValue | None) -> None:
        what = f"chunk {chunk.index}"
        if chunk.index != self.count:
            self._refuse(f"has {what} where chunk {self.count} should be")
        if not chunk.path.startswith(f"{self._folder}/"):
            self._refuse(f"has {what} in a folder of another table: {chunk.path!r}")
        nulls_first = self._nullable and self.count == 0
        if chunk.range.nulls != nulls_first:
            self._refuse(f"has the rows with a NULL in the key elsewhere than first, at {what}")
        after_nulls = self._nullable and self.count == 1
        if self._key_width and self.count and boundary is None and not after_nulls:
            self._refuse(f"goes on after {what} should be the last")
        if chunk.range.lo != boundary:
            self._refuse(f"has a gap or an overlap before {what}")
        self._check_range(chunk.range, what)
        ranges = [group.range for group in chunk.row_groups]
        inner = [key_range.lo for key_range in ranges[1:]]
        if chunk.range.nulls and len(ranges) > 1:
            self._refuse(f"parts the rows of {what}, which no key parts")
        if ranges and not (
            _tile(ranges, chunk.range) and (not self._key_width or None not in inner)
        ):
            self._refuse(f"has row groups that do not cover {what}")
        for key_range in ranges:
            self._check_range(key_range, what)

    def _check_range(self, key_range: KeyRange, what: str) -> None:
        for key in (key_range.lo, key_range.hi):
            if key is not None and key_range.nulls:
                self._refuse(f"has a boundary of {what}, which has none")
            if key is not None and len(key) != self._key_width:
                self._refuse(f"has a boundary of {what} that does not fit the key")
        if key_range.lo is not None and key_range.lo == key_range.hi:
            self._refuse(f"has an empty range in {what}")

    def _refuse(self, what: str) -> None:
        raise SnapshotUnusable(
            f"chunk list of table {self._table} {what}",
            hint="the file was edited or is damaged: do not use this table of the snapshot",
        )


def _tile(ranges: Sequence[KeyRange], whole: KeyRange) -> bool:
    bounds = [whole.lo, *(key_range.lo for key_range in ranges[1:]), whole.hi]
    return all(
        (key_range.lo, key_range.hi, key_range.nulls)
        == (bounds[index], bounds[index + 1], whole.nulls)
        for index, key_range in enumerate(ranges)
    )

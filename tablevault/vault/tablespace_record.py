"""What is known of a kept tablespace, as JSON: in the manifest, and beside its blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tablevault.model import KeptFile, TablespaceFiles
from tablevault.vault.fields import Fields

_FILES = ("data", "blocks", "cfg")
_MOST_BLOCK_BYTES = 64 << 20  # of a file that somebody else wrote
_PAGE_BYTES = frozenset(4096 << shift for shift in range(5))


@dataclass(frozen=True)
class TablespaceFacts:
    """What is known of a tablespace: by its first page, and by the server that it was taken of."""

    page_bytes: int
    flags: int  # of the first page
    size_bytes: int
    space_id: int
    family: str  # of the server
    version: tuple[int, int, int]
    row_format: str  # as information_schema has it, lowercase: "dynamic"


@dataclass(frozen=True)
class Block:
    """A stretch of the tablespace; of zeros alone nothing is stored."""

    at: int  # in the tablespace
    length: int
    stored_at: int  # in the file of blocks
    stored: int  # bytes there; 0: all zeros
    sha256: str  # of the block as it is in the tablespace; "" for zeros
    stored_sha256: str = ""  # of the bytes there; "" where it is not known


def tablespace_record(kept: TablespaceFiles | None) -> dict[str, Any] | None:
    """Their names, sizes and hashes (docs/FORMAT.md, Tablespaces)."""
    if kept is None:
        return None
    return {"tablespace_bytes": kept.tablespace_bytes} | {
        name: {"path": file.path, "size": file.size_bytes, "sha256": file.sha256}
        for name, file in zip(_FILES, kept.files, strict=True)
    }


def read_tablespace(fields: Fields, folder: str) -> TablespaceFiles | None:
    """Those of a table in `folder`, if it has any.  Raises SnapshotUnusable."""
    if not fields.has("tablespace"):
        return None
    found = fields.object("tablespace")
    files = []
    for name in _FILES:
        one = found.object(name)
        files.append(KeptFile(one.path("path"), one.integer("size"), one.hex_digest("sha256")))
        if not files[-1].path.startswith(f"{folder}/"):
            one.refuse("path", "not in the table's folder")
    return TablespaceFiles(found.integer("tablespace_bytes", least=1), *files)


def description(facts: TablespaceFacts, blocks: Iterable[Block]) -> dict[str, Any]:
    """The content of tablespace.json."""
    return {
        "page_bytes": facts.page_bytes,
        "flags": facts.flags,
        "size_bytes": facts.size_bytes,
        "space_id": facts.space_id,
        "server": {"family": facts.family, "version": list(facts.version)},
        "row_format": facts.row_format,
        "blocks": [
            {"length": one.length}
            | (
                {
                    "offset": one.stored_at,
                    "stored": one.stored,
                    "sha256": one.sha256,
                }
                if one.stored
                else {}
            )
            | ({"stored_sha256": one.stored_sha256} if one.stored_sha256 else {})
            for one in blocks
        ],
    }


def read_description(fields: Fields) -> tuple[TablespaceFacts, tuple[Block, ...]]:
    """The same, read.  Raises SnapshotUnusable for what cannot be, whoever wrote it."""
    server = fields.object("server")
    version = server.items("version")
    if len(version) != 3 or not all(isinstance(part, int) for part in version):
        server.refuse("version", "not three integers")
    facts = TablespaceFacts(
        fields.integer("page_bytes"),
        fields.integer("flags", most=2**32 - 1),
        fields.integer("size_bytes", least=1),
        fields.integer("space_id", least=1, most=2**32 - 1),
        server.text("family"),
        (version[0], version[1], version[2]),
        fields.text("row_format"),
    )
    if facts.page_bytes not in _PAGE_BYTES or facts.size_bytes % facts.page_bytes:
        fields.refuse("page_bytes", "no size of a page that parts the tablespace evenly")
    blocks: list[Block] = []
    at = stored_at = 0
    for one in fields.objects("blocks"):
        length = one.integer("length", least=1, most=_MOST_BLOCK_BYTES)
        block = Block(at, length, stored_at, 0, "")
        if one.has("stored"):
            stored = one.integer("stored", least=1, most=2 * _MOST_BLOCK_BYTES)
            of_frame = one.hex_digest("stored_sha256") if one.has("stored_sha256") else ""
            block = Block(at, length, stored_at, stored, one.hex_digest("sha256"), of_frame)
            if one.integer("offset") != stored_at:
                one.refuse("offset", "not where the block before it ends")
        blocks.append(block)
        at, stored_at = at + length, stored_at + block.stored
    if at != facts.size_bytes:
        fields.refuse("blocks", "not all of the tablespace")
    return facts, tuple(blocks)

"""The vocabulary: frozen values that every room may hold, without behaviour beyond arithmetic.

Nothing here knows a driver, a file or a thread.  Key values and digests are defined here because
planning, the manifest and the server-side proof must mean the same thing by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class TableName:
    """A table by schema and name, both as the server spells them, unquoted."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class ServerInfo:
    """What the server said of itself when we connected."""

    family: str  # "mysql" | "mariadb": digests belong to a family
    version: tuple[int, int, int]
    version_text: str
    uuid: str  # server_uuid, or a stand-in built from host and port on MariaDB
    started_at: int  # Unix seconds, from UPTIME: tells a restarted server from the same one
    hostname: str = ""
    port: int = 0


@dataclass(frozen=True)
class Column:
    """One column as information_schema describes it."""

    name: str
    column_type: str  # the full text: "int(10) unsigned zerofill", "enum('a','b')"
    data_type: str  # lowercase base type: "int", "enum"
    nullable: bool
    charset: str | None = None
    collation: str | None = None
    precision: int | None = None  # NUMERIC_PRECISION
    scale: int | None = None  # NUMERIC_SCALE, or DATETIME_PRECISION for temporal types
    generated: bool = False  # virtual or stored: in the schema, never in the data
    auto_increment: bool = False
    system_time: str | None = None  # "start" or "end" of a row's validity; maybe not in the schema


@dataclass(frozen=True)
class KeyColumn:
    """One part of the key that orders a table."""

    name: str
    descending: bool = False


@dataclass(frozen=True)
class Key:
    """A unique key whose order the snapshot walks and the proof scans.

    Rows with a NULL in a `nullable` one are not told apart by it: they are a range of their own.
    """

    name: str
    columns: tuple[KeyColumn, ...]
    nullable: bool = False


KeyValue = tuple[bytes, ...]  # the wire text of each key column, in key order


@dataclass(frozen=True)
class KeyRange:
    """Half-open range of a key: `lo <= key < hi` in key order; None is open to that side.

    `nulls`: instead, all the rows with a NULL in the key, which are in no other range.
    """

    lo: KeyValue | None = None
    hi: KeyValue | None = None
    nulls: bool = False


EVERYWHERE = KeyRange()  # every row, short of those with a NULL in a nullable key


@dataclass(frozen=True)
class Digest:
    """Order-independent digest of a set of rows; adds up over disjoint sets.

    `hashed` counts the rows whose hash is not NULL and must equal `rows`; `total` is the exact
    integer sum of the row hashes (docs/FORMAT.md gives the definition byte by byte).
    """

    rows: int = 0
    hashed: int = 0
    total: int = 0

    def __add__(self, other: Digest) -> Digest:
        return Digest(self.rows + other.rows, self.hashed + other.hashed, self.total + other.total)


@dataclass(frozen=True)
class Fingerprint:
    """What tells two sets of rows apart for sure; order-independent, and never stored.

    `total` is the sum of the first 64 bits of the SHA-256 of each canonical row, in which large
    values stand by their SHA-256: no change hides in it, as it may in 32 bits (docs/DESIGN.md).
    """

    rows: int = 0
    total: int = 0

    def __add__(self, other: Fingerprint) -> Fingerprint:
        return Fingerprint(self.rows + other.rows, self.total + other.total)


@dataclass(frozen=True)
class RowGroup:
    """The unit of loading, of proof and of resume: at most 16 MiB of buffers."""

    range: KeyRange
    digest: Digest
    wire_bytes: int  # bytes of the row packets' values, uncompressed
    largest_row: int  # bytes of the largest row packet in it


@dataclass(frozen=True)
class Chunk:
    """One Parquet file of a table: consecutive row groups of one key range."""

    index: int
    path: str  # relative to the snapshot, forward slashes
    range: KeyRange
    row_groups: tuple[RowGroup, ...]
    size_bytes: int  # of the file
    sha256: str  # of the file, hex

    @property
    def digest(self) -> Digest:
        return sum((group.digest for group in self.row_groups), Digest())

    @property
    def wire_bytes(self) -> int:
        return sum(group.wire_bytes for group in self.row_groups)


@dataclass(frozen=True)
class TriggerSettings:
    """The session in which a trigger was made, which it keeps for life."""

    sql_mode: str
    charset: str  # character_set_client
    collation: str  # collation_connection


@dataclass(frozen=True)
class TableDef:
    """A table's definition, as read under the snapshot's lock."""

    table: TableName
    create_sql: str  # SHOW CREATE TABLE, verbatim
    columns: tuple[Column, ...]  # all of them, in order, generated ones too
    key: Key | None  # None: read through one cursor, proven as a whole
    engine: str = "InnoDB"
    collation: str = ""
    identity: str = ""  # changes when the table is replaced or rebuilt; not comparable over servers
    estimated_rows: int = 0
    estimated_bytes: int = 0
    triggers: tuple[str, ...] = ()  # SHOW CREATE TRIGGER texts, in the order in which they fire
    trigger_settings: tuple[TriggerSettings, ...] = ()  # one for each, or none recorded
    auto_increment: int | None = None
    sequence: bool = False  # MariaDB: one row, which says what comes next

    @property
    def row_key(self) -> Key | None:
        """The key that tells all rows apart, if there is one."""
        return None if self.key is None or self.key.nullable else self.key


@dataclass(frozen=True)
class Reused:
    """What a table of an incremental snapshot has taken over from an earlier one, unchanged."""

    base: str  # the earlier snapshot's id; nothing needs it any more
    chunks: int
    file_bytes: int  # of these chunks


@dataclass(frozen=True)
class KeptFile:
    """A file of a snapshot, and what it must be."""

    path: str  # relative to the snapshot, forward slashes
    size_bytes: int
    sha256: str  # hex


@dataclass(frozen=True)
class TablespaceFiles:
    """The copy of a table's InnoDB tablespace: the same rows, in the server's own form."""

    tablespace_bytes: int  # of the tablespace that they hold
    data: KeptFile  # its blocks, compressed
    blocks: KeptFile  # what is known of it, and of each block
    cfg: KeptFile  # the server's own description

    @property
    def files(self) -> tuple[KeptFile, KeptFile, KeptFile]:
        """All three."""
        return self.data, self.blocks, self.cfg

    @property
    def file_bytes(self) -> int:
        """What they take in the vault."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True)
class TableEntry:
    """A table in a manifest: its definition, and where and what its data is."""

    definition: TableDef
    path: str  # folder, relative to the snapshot
    chunks_path: str  # the chunk list, relative to the snapshot
    chunks_sha256: str
    chunk_count: int
    digest: Digest
    wire_bytes: int
    file_bytes: int  # of all chunks
    largest_row: int
    where: str | None = None  # the filter of a partial snapshot
    reused: Reused | None = None  # None: every chunk was read and written anew
    tablespace: TablespaceFiles | None = None

    @property
    def stored_bytes(self) -> int:
        """Bytes of all its files in the vault."""
        return self.file_bytes + (self.tablespace.file_bytes if self.tablespace else 0)

    @property
    def written_bytes(self) -> int:
        """Of these, what was written anew."""
        return self.stored_bytes - (self.reused.file_bytes if self.reused else 0)


@dataclass(frozen=True)
class BinlogPosition:
    """Where the binary log stood at the instant the snapshot describes."""

    file: str | None = None
    position: int | None = None
    gtid: str | None = None


SOME_ROWS = "some-rows"
"""The feature of a snapshot that holds some rows of each table, those that a repair overwrote."""


@dataclass(frozen=True)
class Snapshot:
    """A manifest: the one thing that makes a snapshot exist."""

    id: str
    name: str | None
    created: float  # Unix seconds, of the consistent read
    finished: float
    server: ServerInfo
    lock: str  # which lock made it consistent
    binlog: BinlogPosition
    tables: tuple[TableEntry, ...]
    features: tuple[str, ...] = ()  # what a reader must know
    hints: tuple[str, ...] = ()
    tool_version: str = ""
    session: Mapping[str, str] = field(default_factory=dict)  # settings that the digest depends on

    @property
    def partial(self) -> bool:
        """Whether rows of a table are left out: it must never be taken for the whole."""
        return SOME_ROWS in self.features or any(e.where is not None for e in self.tables)


@dataclass(frozen=True)
class Finding:
    """Something a check found: data, never raised.

    `kind` is stable ("missing", "truncated", "damaged", "digest", "schema", ...).
    """

    kind: str
    message: str
    table: TableName | None = None
    chunk: int | None = None
    path: str | None = None
    shared_with: tuple[str, ...] = ()  # other snapshots that have the very same file

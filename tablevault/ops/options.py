"""What each operation may be told, and what it answers: values between the caller and the work."""

from __future__ import annotations

from dataclasses import dataclass, field

from tablevault.engine.plan import DEFAULT_CHUNK_BYTES
from tablevault.model import Finding, TableName

DEFAULT_THREADS = 2


@dataclass(frozen=True)
class SnapshotOptions:
    """How to take a snapshot."""

    patterns: tuple[str, ...] = ()  # "schema.table", globs; none: every base table
    name: str | None = None
    threads: int = DEFAULT_THREADS
    chunk_bytes: int = DEFAULT_CHUNK_BYTES  # uncompressed wire bytes a chunk
    compression_level: int = 3  # zstd
    lock: str = "auto"  # auto | ftwrl | tables | none
    lock_wait_s: float = 30.0
    ddl_wait_s: float = 20.0  # how long a DDL may wait for our metadata lock before we yield
    where: str | None = None  # makes the snapshot partial
    incremental: bool = False  # take over what is as the newest snapshot of each table has it
    base: str | None = None  # as that snapshot has it, which makes it incremental too
    tablespace: bool = False  # keep a copy of each table's tablespace, where there can be one
    tablespace_lock_s: float = 30.0  # how long tables may be locked for that


@dataclass(frozen=True)
class RestoreOptions:
    """How to restore."""

    patterns: tuple[str, ...] = ()  # tables of the snapshot; none: all of them
    as_table: TableName | None = None  # restore one table under another name
    into: str | None = None  # restore all tables into another schema
    partition: str | None = None  # put only this partition of the one table in place
    threads: int = DEFAULT_THREADS
    indexes: str = "auto"  # auto | after | inline
    lane: str = "auto"  # auto | logical | tablespace
    log_bin: bool = True  # False: --no-binlog
    swap: bool = False  # cut over at once when all is proven
    lock_wait_s: float = 60.0  # how long the cut-over may try, a second at a time
    keep_new: bool = False  # carry over rows of the live table whose keys the snapshot lacks
    kill_blockers: bool = False  # end the sessions that hold the tables at the cut-over
    allow_orphans: bool = False  # swap although rows would be left without their parents
    new: bool = False  # begin although another run on the same tables was not finished
    emergency: bool = False  # lift every limit but safety: no slowing down under pressure
    replicas: tuple[str, ...] = ()  # HOST or HOST:PORT, whose lag is kept in bounds
    max_lag_s: float = 30.0
    pressure_wait_s: float = 600.0  # how long loaders wait for room or a replica; then it stops
    stall_action: str = "warn"  # warn | cancel | abort, when a stall lasts
    stalled_after_s: float = 20.0  # how long nothing may move before it is called a stall
    reached_by: tuple[str, ...] = ()  # the server, in command-line options; never a password


@dataclass(frozen=True)
class TableResult:
    """One table of a finished operation."""

    table: TableName
    rows: int
    size_bytes: int
    seconds: float = 0.0
    staging: TableName | None = None  # where the proven replacement stands, until the swap
    kept: TableName | None = None  # where the table that was live stands, after the swap
    new_rows: int | None = None  # of the table that went, with keys that the one that came lacks
    carried: int = 0  # of these, how many were carried over
    indexes: str = ""  # of a restore: when the secondary indexes came, and why then
    lane: str = ""  # of a restore: "logical", by its rows, or "tablespace"


@dataclass(frozen=True)
class RestoreResult:
    """How a restore ended: `status` is "proven" (complete beside the live table) or "swapped".

    Of a run with a `partition` only its rows are put in place.
    """

    run: str
    snapshot: str
    status: str
    tables: tuple[TableResult, ...]
    seconds: float
    hints: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()  # of the look after the swap
    partition: str | None = None


@dataclass(frozen=True)
class SwapResult:
    """What `swap`, `rollback` or `cleanup` did: `status` is "swapped", "rolled back", "cleaned".

    `findings` are of what was looked at after the cut-over: rows without parents, say.
    """

    run: str
    status: str
    tables: tuple[TableResult, ...]
    seconds: float
    dropped: tuple[TableName, ...] = ()
    hints: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class VerifyResult:
    """What a verification saw; damage is in `findings`, never raised."""

    run: str
    snapshot: str
    depth: str
    chunks: int
    chunks_checked: int
    rows_checked: int
    bytes_checked: int
    seconds: float
    findings: tuple[Finding, ...] = field(default=())
    tablespaces: int = 0
    tablespaces_checked: int = 0

"""Every derived name: runs, snapshots, staging and kept tables, folders and files.

A name is never parsed back for meaning: manifest and journal hold the truth.  Table names are
limited to 64 characters by the servers, path components to 255 bytes by file systems; both are
kept by cutting and adding a hash, so that different tables never share a name.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time

from tablevault.model import TableName

MAX_IDENTIFIER_CHARS = 64
_MAX_COMPONENT_BYTES = 120
_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-$")
SCRATCH_START = "_tv_drill_"
_SCRATCH = re.compile(rf"{SCRATCH_START}([0-9a-f]{{8}})_")
_SNAPSHOT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")

MANIFEST = "manifest.json"
CHUNK_LIST = "chunks.jsonl"
TABLESPACE = "tablespace.zst"
TABLESPACE_BLOCKS = "tablespace.json"
TABLESPACE_CFG = "tablespace.cfg"
RUNS_FOLDER = ".runs"
JOURNAL = "journal.jsonl"
STATUS = "status.json"
HISTORY = "history.jsonl"
PROOFS_FOLDER = ".proofs"
DIFFS_FOLDER = "diffs"  # in the folder of the runs
JOBS_FOLDER = ".jobs"  # there as well


def new_run_id(now: float | None = None) -> str:
    """A fresh run id that sorts by time: `20261124T043012Z-1f0c9a`."""
    return _fresh(time.time() if now is None else now)


def new_snapshot_id(name: str | None, now: float | None = None) -> str:
    """A fresh snapshot id: time first, then the given name or a tail of its own."""
    now = time.time() if now is None else now
    return f"{_timestamp(now)}-{name}" if name else _fresh(now)


def valid_snapshot_name(name: str) -> bool:
    """Whether `name` may stand in a snapshot id (it becomes a folder's name)."""
    return _SNAPSHOT_NAME.fullmatch(name) is not None and name != "latest"


def staging_table(table: TableName, run: str) -> TableName:
    """Where a restore builds the replacement: beside the live table, so that one RENAME swaps."""
    return TableName(table.schema, _derived(table.name, "new", run))


def kept_table(table: TableName, run: str) -> TableName:
    """Where the swap leaves the table that was live, until `cleanup`."""
    return TableName(table.schema, _derived(table.name, "old", run))


def set_aside_table(table: TableName, run: str) -> TableName:
    """Where a rollback leaves the restored table, until `cleanup`."""
    return TableName(table.schema, _derived(table.name, "undone", run))


def put_table(table: TableName, run: str) -> TableName:
    """Where a repair keeps the values that it puts, until `cleanup`."""
    return TableName(table.schema, _derived(table.name, "put", run))


def was_table(table: TableName, run: str) -> TableName:
    """Where a repair keeps the values that it overwrites, until `cleanup`."""
    return TableName(table.schema, _derived(table.name, "was", run))


def scratch_schema(schema: str, run: str) -> str:
    """Where a drill rehearses the restore of `schema`: lowercase, whatever the server folds.

    >>> scratch_schema("shop", "r")[:9], scratch_schema("shop", "r")[17:]
    ('_tv_drill', '_shop')
    """
    plain = re.sub(r"[^a-z0-9_]", "_", schema.lower())
    return _derived(plain if plain == schema else f"{plain}_{_hash(schema, 8)}", "drill", run)


def scratch_mark(schema: str) -> str | None:
    """The mark of the run that made a scratch schema of this name; None for any other name."""
    found = _SCRATCH.match(schema)
    return found[1] if found else None


def run_mark(run: str) -> str:
    """What every derived table name of a run carries: `_tv_new_<mark>_orders`."""
    return _hash(run, 8)


def trial_table(table: TableName, run: str, *, parent: bool = False) -> TableName:
    """An empty table on which a foreign key or a trigger is tried out before the real one moves."""
    return TableName(table.schema, _derived(table.name, "trp" if parent else "try", run))


def passing_trigger(name: str, run: str) -> str:
    """What a trigger is called while the one that it replaces still has its name."""
    return _derived(name, "trg", run)


def table_folder(table: TableName) -> str:
    """The table's folder inside a snapshot: `<schema>/<table>`, escaped."""
    return f"{path_component(table.schema)}/{path_component(table.name)}"


def chunk_file(index: int) -> str:
    """The file name of chunk `index`."""
    return f"part-{index:05d}.parquet"


def path_component(name: str) -> str:
    """`name` as one harmless path component: percent-escaped, cut and hashed when too long.

    >>> path_component("orders"), path_component("a/b"), path_component("..")
    ('orders', 'a%2Fb', '%2E%2E')
    """
    raw = name.encode("utf-8", "surrogatepass")
    escaped = "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in raw)
    if len(escaped) <= _MAX_COMPONENT_BYTES:
        return escaped
    return f"{escaped[: _MAX_COMPONENT_BYTES - 17]}~{_hash(name, 16)}"


def _derived(name: str, role: str, run: str) -> str:
    prefix = f"_tv_{role}_{run_mark(run)}_"
    room = MAX_IDENTIFIER_CHARS - len(prefix)
    if len(name) > room:
        name = f"{name[: room - 9]}~{_hash(name, 8)}"
    return prefix + name


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def _fresh(now: float) -> str:
    """The second, its 4096th, and a random 4096th: also two of one second sort by time."""
    return f"{_timestamp(now)}-{int(now % 1 * 4096):03x}{secrets.randbelow(4096):03x}"


def _timestamp(now: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))

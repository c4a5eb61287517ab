"""When a restore builds the secondary indexes of a table: after its rows, or with them.

After them by a sort each, which is faster from a small size on and lets each build be seen,
resumed and counted; with them where one more pass costs more than it saves, or where an `ALTER`
would be worse than slow.  How many indexes there are, and how many threads of the server build
one, changes how much is saved and not from which size on (bench/bench_indexes.py, measured on
MySQL 9.7 with one and with four threads, on MariaDB 10.11 and 11.8; docs/DESIGN.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tablevault.model import TableEntry
from tablevault.mysql import engines
from tablevault.mysql import server as servers

INLINE_MAX_BYTES = 2 << 20

BUILD_THREADS = ("innodb_ddl_threads", "innodb_parallel_read_threads")  # of MySQL
_POOL = "innodb_buffer_pool_size"
SETTINGS = ("wsrep_on", _POOL, *BUILD_THREADS)
# Rows as text that are proven late, of the buffer pool: as pages they are a half larger, and what
# was evicted would be read from the disk once more only to be proven.
_LATE_SHARE = 0.5


@dataclass(frozen=True)
class Builders:
    """How the server builds an index over rows that are there already.

    `threads` read and sort for one build; `cluster_wide`: nobody in the whole cluster writes
    until a build has ended (Galera runs it in total order); `pool_bytes` of pages stay in memory.
    """

    threads: int = 1
    cluster_wide: bool = False
    pool_bytes: int = 0


@dataclass(frozen=True)
class IndexChoice:
    """With the rows or after them, and why, as a person would say it."""

    inline: bool
    why: str


def read_builders(found: Mapping[str, str]) -> Builders:
    """From the settings named by SETTINGS, as far as the server has them; MariaDB builds alone."""
    threads = min(int(found.get(name, 1)) for name in BUILD_THREADS)
    return Builders(threads, servers.is_on(found, "wsrep_on"), int(found.get(_POOL, 0)))


def late_bytes(builders: Builders) -> int:
    """Up to how many bytes of rows are proven beside the index builds, which leave cores idle.

    The rows that came last, while they are in memory: lineitem, 6 M rows, took 30.5 s instead of
    32.7 s on two cores.
    """
    return int(builders.pool_bytes * _LATE_SHARE)


def choose(wish: str, entry: TableEntry, indexes: int, builders: Builders) -> IndexChoice:
    """How a table's `indexes` secondary indexes come; `wish` is auto, after or inline."""
    if not indexes:
        return IndexChoice(True, "without secondary indexes")
    if wish == "inline":
        return IndexChoice(True, "with the rows: --indexes inline")
    engine = entry.definition.engine
    if wish == "auto" and not engines.transactional(engine):
        return IndexChoice(True, f"with the rows: an ALTER would copy a table of {engine}")
    if wish == "auto" and builders.cluster_wide:
        return IndexChoice(
            True, "with the rows: each ALTER would stop the writes of the whole Galera cluster"
        )
    if wish == "auto" and entry.wire_bytes < INLINE_MAX_BYTES:
        return IndexChoice(
            True, f"with the rows: below {INLINE_MAX_BYTES >> 20} MiB a pass each costs more"
        )
    asked = ": --indexes after" if wish == "after" else ""
    by = f", {builders.threads} threads of the server build one" if builders.threads > 1 else ""
    return IndexChoice(False, f"after the rows, one ALTER each{by}{asked}")

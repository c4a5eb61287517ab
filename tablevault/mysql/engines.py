"""What storage engines can do: read many rows as of one instant, undo a transaction, be read at
all."""

from __future__ import annotations

_TRANSACTIONAL = frozenset({"innodb", "rocksdb", "tokudb"})
_LOCKABLE = frozenset({"myisam", "aria", "memory", "archive", "csv"})


def transactional(engine: str) -> bool:
    """Whether it has consistent reads, and takes back what is not committed."""
    return engine.lower() in _TRANSACTIONAL


def readable(engine: str) -> bool:
    """Whether its rows can be read as of one instant, by a lock if need be."""
    return transactional(engine) or engine.lower() in _LOCKABLE

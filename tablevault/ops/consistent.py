"""One instant for all workers and all tables: the lock, the transactions, the position in the log.

The lock is held only while every connection opens its consistent read and the binary log's
position is read.  Definitions and identities are compared under it and at the end: no error of
the server tells reliably that a table was replaced or altered meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from tablevault.errors import CannotComplete, TablevaultError, Unsupported
from tablevault.model import BinlogPosition, TableDef, TableName
from tablevault.mysql import catalog, ddl, keywalk, locks, sql_tables
from tablevault.mysql import server as servers
from tablevault.mysql.connect import ConnectOptions, Connection, Purpose, connect
from tablevault.ops.options import SnapshotOptions

# Engines whose reads are not of one instant outside a lock.
_TRANSACTIONAL = frozenset({"innodb", "rocksdb", "tokudb", "ndbcluster"})


@dataclass
class ConsistentRead:
    """Connections that all see the same instant; `close` ends them and what is still locked."""

    control: Connection
    readers: list[Connection]
    planner: Connection
    definitions: tuple[TableDef, ...]
    lock: locks.HeldLock | None
    binlog: BinlogPosition
    instant: float  # Unix seconds
    hints: list[str] = field(default_factory=list)

    def changed_tables(self) -> list[TableName]:
        """Tables whose definition or identity is not what it was under the lock."""
        tables = [definition.table for definition in self.definitions]
        now = catalog.identity_now(self.control, tables)
        return [
            definition.table
            for definition in self.definitions
            if now.get(definition.table)
            != (definition.identity, ddl.normalise(definition.create_sql))
        ]


def choose_tables(control: Connection, options: SnapshotOptions) -> list[TableName]:
    """The tables that the patterns name.  Raises UsageError when there are none."""
    tables = catalog.resolve_tables(control, options.patterns)
    if not tables:
        raise UsageErrorNoTables
    return tables

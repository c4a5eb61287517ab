"""On which terms a server takes rows: by which statement, and in transactions of which size.

A transaction is a row group, 16 MiB as a rule, where nothing bounds it below that.  What does: the
cache of the binary log (`max_binlog_cache_size`), group replication and Galera.
The capacity of the redo log does not: InnoDB goes on with its checkpoints under an open
transaction, so that one may be many times as large as the log (docs/DESIGN.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tablevault.mysql import replication
from tablevault.mysql import server as servers
from tablevault.mysql.connect import Connection
from tablevault.ops import index_choice
from tablevault.ops.index_choice import Builders

# Row events are about as large as the values; what a transaction adds beside them, and blocks
# being whole, is covered by staying at half of what the server would take.
_SAFETY = 0.5
_LEAST_BYTES = 16 << 10
_ROW_GROUP_BYTES = 16 << 20  # as far as a single transaction goes otherwise
_BY_INSERT = (
    "local_infile is off on the server: the rows go in by INSERT, proven as ever but several times "
    "slower; SET GLOBAL local_infile = 1 lets them in by LOAD DATA LOCAL"
)
_BINLOG_CACHE = "max_binlog_cache_size"
_GROUP_LIMIT = "group_replication_transaction_size_limit"
_GALERA_LIMIT = "wsrep_max_ws_size"


@dataclass(frozen=True)
class Terms:
    """`transaction_bytes` bounds a transaction below a row group; None: a row group is one.

    `bound_by` is the setting that does, with its value.
    """

    local_infile: bool = True
    transaction_bytes: int | None = None
    bound_by: str | None = None
    builders: Builders = field(default_factory=Builders)
    readers: tuple[str, ...] = ()  # hosts that replicate from the server, and are not watched
    found: tuple[str, ...] = ()  # hints of what was looked at beside them

    def with_hints(self, more: tuple[str, ...]) -> Terms:
        """The same, with more to say."""
        return replace(self, found=(*self.found, *more))

    @property
    def hints(self) -> tuple[str, ...]:
        """What the person should know of them."""
        found = [*self.found] if self.local_infile else [*self.found, _BY_INSERT]
        if self.transaction_bytes is not None:
            found.append(
                f"{self.bound_by} on the server: row groups go in by transactions of at most "
                f"{self.transaction_bytes} bytes, proven together, which takes longer"
            )
        if self.readers:
            found.append(
                f"{', '.join(self.readers)} replicate from the server: how far they are behind is "
                "not to be seen here; name them with --replica and loaders wait for them"
            )
        return tuple(found)


def read_terms(connection: Connection, *, log_bin: bool, watched: bool = False) -> Terms:
    """The server's terms.

    `log_bin`: whether the load is to be written to the binary log; `watched`: whether replicas
    that follow it were named.
    """
    found = servers.settings(
        connection, ["log_bin", _BINLOG_CACHE, _GROUP_LIMIT, _GALERA_LIMIT, *index_choice.SETTINGS]
    )
    local_infile = not servers.local_infile_off(connection)
    logged = log_bin and servers.is_on(found, "log_bin")
    readers = replication.readers(connection) if logged and not watched else ()
    terms = Terms(local_infile, builders=index_choice.read_builders(found), readers=readers)
    limits = dict(_limits(found, logged=logged))
    if not limits:
        return terms
    name = min(limits, key=limits.__getitem__)
    allowed = int(limits[name] * _SAFETY)
    if allowed >= _ROW_GROUP_BYTES:
        return terms
    bound_by = f"{name} = {limits[name]}"
    return replace(terms, transaction_bytes=max(_LEAST_BYTES, allowed), bound_by=bound_by)


def _limits(found: Mapping[str, str], *, logged: bool) -> Iterator[tuple[str, int]]:
    """The settings that bound a transaction here, in bytes; 0 stands for no limit."""
    names = []
    if logged:
        names += [_BINLOG_CACHE, _GROUP_LIMIT]
    if servers.is_on(found, "wsrep_on"):  # a cluster's own limit, whatever the binary log does
        names.append(_GALERA_LIMIT)
    for name in names:
        limit = int(found.get(name, 0))
        if limit:
            yield name, limit

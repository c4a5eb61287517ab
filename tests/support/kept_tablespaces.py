"""Snapshots that keep the tablespaces of their tables, made by hand: FLUSH ... FOR EXPORT, a copy.

For tests of the way back that are to depend on nothing of the way there.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from tablevault.model import Snapshot, TableEntry
from tablevault.mysql.sql_tablespace import file_path
from tablevault.vault.catalog import resolve
from tablevault.vault.manifest import encode_manifest
from tablevault.vault.records import features_of
from tablevault.vault.store import LocalStore, open_store
from tablevault.vault.tablespace import write_tablespace
from tests.servers import Server
from tests.support.facts import literal, quoted


def data_directory(server: Server) -> Path:
    """Where a private server keeps its tables."""
    return Path(server.value("SELECT @@datadir") or "")


def keep_tablespaces(server: Server, vault: Path, snapshot_id: str, *names: str) -> Snapshot:
    """The snapshot, with the tablespaces that its tables (of `names`) have now.

    They must not have changed since.
    """
    store = open_store(str(vault))
    taken = resolve(store, snapshot_id)
    tables = tuple(
        _kept(server, store, taken, entry)
        if not names or entry.definition.table.name in names
        else entry
        for entry in taken.tables
    )
    changed = dataclasses.replace(taken, tables=tables, features=features_of(tables))
    (vault / taken.id / "manifest.json").write_bytes(encode_manifest(changed))
    return changed


def _kept(server: Server, store: LocalStore, taken: Snapshot, entry: TableEntry) -> TableEntry:
    table = entry.definition.table
    path = data_directory(server) / (file_path(table) or "")
    name = f"{quoted(table.schema)}.{quoted(table.name)}"
    row_format = server.value(
        "SELECT ROW_FORMAT FROM information_schema.TABLES WHERE "
        f"TABLE_SCHEMA = {literal(table.schema)} AND TABLE_NAME = {literal(table.name)}"
    )
    connection = server.connect()
    cursor = connection.cursor()
    cursor.execute(f"FLUSH TABLES {name} FOR EXPORT")
    source = os.open(path.with_name(f"{path.name}.ibd"), os.O_RDONLY)
    try:
        files = write_tablespace(
            store,
            taken.id,
            table,
            source,
            path.with_name(f"{path.name}.cfg").read_bytes(),
            taken.server,
            row_format or "",
        )
    finally:
        os.close(source)
        cursor.execute("UNLOCK TABLES")
        connection.close()
    return dataclasses.replace(entry, tablespace=files)

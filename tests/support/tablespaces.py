"""Snapshots that keep tablespaces, and these put back by the server's own statements alone."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tablevault.events import Event
from tablevault.model import Snapshot
from tablevault.ops import tablespace_plan
from tablevault.ops.options import SnapshotOptions
from tablevault.ops.snapshot import snapshot
from tablevault.ops.verify import verify
from tablevault.vault import raw_copy
from tablevault.vault.store import LocalStore
from tests.servers import Server


def unpacked(folder: Path) -> bytes:
    """The tablespace that lies in a table's folder of a snapshot, by docs/FORMAT.md alone."""
    about = json.loads((folder / "tablespace.json").read_text())
    data = (folder / "tablespace.zst").read_bytes()
    whole = bytearray()
    for block in about["blocks"]:
        if "stored" in block:
            frame = data[block["offset"] : block["offset"] + block["stored"]]
            whole += zstandard.ZstdDecompressor().decompress(frame)
        else:
            whole += bytes(block["length"])
    assert len(whole) == about["size_bytes"]
    return bytes(whole)


def imported(server: Server, vault: Path, snapshot: Snapshot, number: int, name: str) -> None:
    """Make table `name` of the snapshot's table `number` by IMPORT TABLESPACE, without a warning.

    The binary log is left out, as a replica could not follow.
    """
    entry = snapshot.tables[number]
    schema = entry.definition.table.schema
    create = entry.definition.create_sql.replace(
        f"CREATE TABLE `{entry.definition.table.name}`", f"CREATE TABLE `{name}`", 1
    )
    connection = server.connect(database=schema)
    cursor = connection.cursor()
    for statement in (
        "SET SESSION sql_log_bin = 0",
        "SET SESSION foreign_key_checks = 0",
        create,
        f"ALTER TABLE `{name}` DISCARD TABLESPACE",
    ):
        cursor.execute(statement)
    cursor.execute("SELECT @@datadir")
    [(folder,)] = cursor.fetchall()
    source, place = vault / snapshot.id / entry.path, Path(folder) / schema
    owner = os.stat(place)
    for suffix, content in (
        (".ibd", unpacked(source)),
        (".cfg", (source / "tablespace.cfg").read_bytes()),
    ):
        path = place / f"{name}{suffix}"
        path.write_bytes(content)
        os.chown(path, owner.st_uid, owner.st_gid)
    cursor.execute(f"ALTER TABLE `{name}` IMPORT TABLESPACE")
    assert cursor.warning_count == 0, cursor.execute("SHOW WARNINGS") or cursor.fetchall()
    connection.close()
    (place / f"{name}.cfg").unlink(missing_ok=True)


def take(
    server: Server,
    store: LocalStore,
    schema: str,
    observer: Callable[[Event], None] = lambda event: None,
    **options: Any,
) -> Snapshot:
    """A snapshot of all tables of a schema, with their tablespaces."""
    return snapshot(
        server.options(),
        store,
        SnapshotOptions(**{"patterns": (f"{schema}.*",), "tablespace": True, **options}),
        observer,
    )


def kept(taken: Snapshot) -> list[str]:
    """The tables of which a tablespace was kept."""
    return [entry.definition.table.name for entry in taken.tables if entry.tablespace]


def assert_tidy(store: LocalStore, taken: Snapshot) -> None:
    """Nothing lies in the snapshot but what its manifest names."""
    folder = store.root / taken.id
    assert [path for path in folder.rglob(".*") if path.is_file()] == []
    assert verify(store, taken.id).findings == ()


def slowed(monkeypatch: pytest.MonkeyPatch, pause_s: float) -> None:
    """Copying under the lock takes steps of 64 KiB, with a pause after each."""
    plain = raw_copy.copy

    def copy(
        source: int,
        target: int,
        size: int,
        on_bytes: Callable[[int], None],
        stopped: Callable[[], bool],
    ) -> bool:
        def count(more: int) -> None:
            on_bytes(more)
            time.sleep(pause_s)

        return plain(source, target, size, count, stopped)

    monkeypatch.setattr(raw_copy, "_STEP_BYTES", 64 << 10)
    monkeypatch.setattr(tablespace_plan, "_try_out", lambda copies, copy: 1e9)
    monkeypatch.setattr(raw_copy, "copy", copy)

"""A snapshot that is to keep tablespaces, and is stopped or killed in the midst of that."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mysql.connector  # noqa: F401  (before the threads do)
import pytest

from tablevault.errors import Interrupted
from tablevault.events import Event, PhaseBegan
from tablevault.vault import tablespace
from tablevault.vault.catalog import list_snapshots
from tablevault.vault.store import LocalStore, open_store
from tablevault.vault.tablespace_record import Block
from tests.servers import Server
from tests.support.shell import Shell
from tests.support.tablespaces import kept, slowed, take


def stopping(phase: str) -> Callable[[Event], None]:
    raised: list[Event] = []

    def observe(event: Event) -> None:
        if event.phase == phase and not isinstance(event, PhaseBegan) and not raised:
            raised.append(event)
            raise KeyboardInterrupt

    return observe


@pytest.mark.parametrize("phase", ["copying", "packing"])
def test_an_interruption_leaves_nothing_behind(
    server: Server, shop: str, store: LocalStore, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    slowed(monkeypatch, 0.5 if phase == "copying" else 0.0)
    if phase == "packing":
        begin = tablespace._packed

        def packed(*words: Any) -> Iterator[tablespace._Packed]:
            for one in begin(*words):
                for _ in range(100):
                    time.sleep(0.1)
                    yield tablespace._Packed(Block(one.block.at, 0, 0, 0, ""), b"")  # of nothing
                yield one

        monkeypatch.setattr(tablespace, "_packed", packed)
    before = set(threading.enumerate())
    with pytest.raises(Interrupted):
        take(server, store, shop, stopping(phase))
    for thread in set(threading.enumerate()) - before:
        thread.join(2)
        assert not thread.is_alive(), "it works on"
    server.sql("SET lock_wait_timeout = 3; ALTER TABLE t ADD COLUMN n INT", shop)
    assert list_snapshots(store) == []
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


SLOW = """
import time
from tablevault.ops import tablespace_plan
from tablevault.vault import raw_copy, tablespace

plain = raw_copy.copy
raw_copy._STEP_BYTES = 64 << 10
raw_copy.copy = lambda source, target, size, on_bytes, stopped: plain(
    source, target, size, lambda more: (on_bytes(more), time.sleep({copying})), stopped
)
tablespace_plan._try_out = lambda copies, copy: 1e9
begin = tablespace._packed

def packed(*words):
    for one in begin(*words):
        time.sleep({packing})
        yield one

tablespace._packed = packed
from tablevault.cli.main import main

main()
"""


@pytest.mark.parametrize("phase", ["copying", "packing"])
def test_a_run_that_is_killed_leaves_a_lock_no_longer_than_its_connection(
    tool: Shell, server: Server, shop: str, tmp_path: Path, phase: str
) -> None:
    events = tmp_path / "events.jsonl"
    slow = {"copying": 0.3, "packing": 0.0} if phase == "copying" else {"copying": 0, "packing": 30}
    words = tool.words("snapshot", f"{shop}.t", "--tablespace", "--events", str(events))
    command = [sys.executable, "-c", SLOW.format(**slow), *words[3:]]
    process = subprocess.Popen(
        command, env=tool.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 30
        while not midway(tool.vault, events, phase) and time.monotonic() < until:
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    assert midway(tool.vault, events, phase), "it was not killed in the midst of it"
    server.sql("SET lock_wait_timeout = 5; ALTER TABLE t ADD COLUMN n INT", shop)
    assert all(not item.complete for item in list_snapshots(open_store(str(tool.vault))))
    done = tool("snapshot", f"{shop}.t", "--tablespace")
    assert done.code == 0, done.stderr
    assert "removed the remains" in done.stderr
    assert not list(tool.vault.rglob(".writing-*"))
    [listed] = list_snapshots(open_store(str(tool.vault)))
    assert listed.snapshot is not None and kept(listed.snapshot) == ["t"]


def midway(vault: Path, events: Path, phase: str) -> bool:
    """Whether it has said that it copies or packs, and something of it lies there."""
    said = events.exists() and f'"{phase}"' in events.read_text()
    where = "*/.writing-*" if phase == "copying" else "*/*/t/.writing-*"
    begun = any(phase == "packing" or path.stat().st_size for path in vault.glob(where))
    return said and begun

"""A shell completes commands, snapshots, tables and runs, and never meets an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tablevault.errors import SnapshotUnusable
from tablevault.ops.runs import header
from tablevault.vault.catalog import resolve
from tablevault.vault.journal import Journal
from tablevault.vault.store import LocalStore, open_store
from tests.servers import ROOT
from tests.unit.vaults import write_snapshot

FIRST, SECOND, THIRD = IDS = (
    "20261122T230000Z-before",
    "20261124T043012Z-before",
    "20261124T180000Z-after",
)


@pytest.fixture
def store(vault: Path) -> LocalStore:
    found = open_store(str(vault), create=True)
    for one in IDS:
        write_snapshot(found, one, name=one.partition("-")[2], rows=10)
    Journal.create(vault / ".runs" / "20261124T050000Z-aaaaaa", "r", header(FIRST, {}, [])).close()
    return found


def complete(vault: Path, typed: str, **environment: str) -> list[str]:
    """What bash is offered for the last word."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from tablevault.cli.main import main; sys.exit(main())",
        ],
        env={
            **{name: value for name, value in os.environ.items() if name != "TABLEVAULT_VAULT"},
            "PYTHONPATH": str(ROOT),
            "_TABLEVAULT_COMPLETE": "bash_complete",
            "COMP_WORDS": f"tablevault {typed}",
            "COMP_CWORD": str(len(f"tablevault {typed}".split(" ")) - 1),
            "TABLEVAULT_VAULT": str(vault),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_commands_and_options(vault: Path) -> None:
    assert complete(vault, "dr") == ["drill"]
    assert "restore" in complete(vault, "")
    assert complete(vault, "verify --su") == ["--subset"]


def test_snapshots_tables_and_runs(vault: Path, store: LocalStore) -> None:
    assert complete(vault, "restore ") == [*("latest", THIRD, SECOND, FIRST, "after", "before")]
    assert complete(vault, "show 20261122") == [FIRST]
    assert complete(vault, "restore before sh") == ["shop.orders"]
    assert complete(vault, "snapshot sh") == ["shop.orders"]
    assert complete(vault, "swap 2026") == ["20261124T050000Z-aaaaaa"]
    assert complete(vault, "restore --resume 2") == ["20261124T050000Z-aaaaaa"]
    assert complete(vault, f"restore --vault {vault} bef", TABLEVAULT_VAULT="/none") == ["before"]


def test_nothing_where_there_is_nothing(vault: Path) -> None:
    assert complete(vault, "restore ") == []
    assert complete(vault, "restore nothing sh") == []
    assert complete(vault, "swap 2") == []


def test_a_snapshot_is_named_by_a_date(store: LocalStore) -> None:
    assert resolve(store, "2026-11-24").id == THIRD
    assert resolve(store, "2026-11-22").id == FIRST
    assert resolve(store, "2026-11-24 12:00").id == SECOND
    assert resolve(store, "2026-11-24T04:30:12Z").id == SECOND
    assert resolve(store, "2026-11-24T04:30:11").id == FIRST
    for none in ("2026-11-23", "2026-11-22T22:59", "2026-13-99", "2026-11"):
        with pytest.raises(SnapshotUnusable, match="no snapshot"):
            resolve(store, none)
    write_snapshot(store, "20261125T000000Z-x", name="2026-11-24", rows=10)
    assert resolve(store, "2026-11-24").id == "20261125T000000Z-x"  # a name goes first

"""`verify` finds what is wrong in a vault of several tables and chunks, and says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import Server
from tests.support.roundtrip import take
from tests.support.shell import Shell


@pytest.fixture
def snapshot_id(server: Server, database: str, vault: Path, small_units: None) -> str:
    """Two tables of several chunks each."""
    rows = ", ".join(f"({n}, REPEAT('x', {n}))" for n in range(60))
    for name in ("left", "right"):
        server.sql(
            f"CREATE TABLE {database}.`{name}` (id INT PRIMARY KEY, v VARCHAR(99));"
            f"INSERT INTO {database}.`{name}` VALUES {rows};"
        )
    taken = take(server, vault, [f"{database}.*"], chunk_bytes=1000)
    assert all(entry.chunk_count > 3 for entry in taken.tables)
    return taken.id


def harm(path: Path, how: str) -> None:
    content = path.read_bytes()
    match how:
        case "missing":
            path.unlink()
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "emptied":
            path.write_bytes(b"")
        case "first bit":
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        case "last bit":
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 128]))
        case "swapped":
            other = path.with_name("part-00001.parquet")
            path.write_bytes(other.read_bytes())


@pytest.mark.parametrize(
    "how", ["missing", "truncated", "emptied", "first bit", "last bit", "swapped"]
)
def test_it_names_the_chunk_and_the_table(
    tool: Shell, database: str, vault: Path, snapshot_id: str, how: str
) -> None:
    harm(vault / snapshot_id / database / "right" / "part-00002.parquet", how)
    for depth in ("files", "rows"):
        found = tool.json("verify", snapshot_id, "--depth", depth, connect=False)
        assert found["status"] == "findings"
        [one] = found["findings"]
        assert (one["table"], one["chunk"]) == (f"{database}.right", 2)


def test_one_damaged_table_leaves_the_others_usable(
    tool: Shell, database: str, vault: Path, snapshot_id: str
) -> None:
    harm(vault / snapshot_id / database / "right" / "part-00002.parquet", "missing")
    done = tool("verify", snapshot_id, connect=False)
    assert done.code == 3, done.stderr
    [line] = [one for one in done.stdout.splitlines() if "chunk 2" in one]
    assert f"{database}.right" in line
    assert tool("verify", snapshot_id, f"{database}.left", connect=False).code == 0
    restored = tool("restore", snapshot_id, f"{database}.left", "--as", f"{database}.copy")
    assert restored.code == 0, restored.stderr
    refused = tool("restore", snapshot_id)
    assert refused.code == 6
    assert "chunk 2" in refused.error


def test_a_whole_snapshot_needs_no_server(tool: Shell, snapshot_id: str) -> None:
    found = tool.json("verify", "latest", connect=False)
    assert (found["status"], found["rows_checked"]) == ("ok", 120)
    assert found["chunks"] == found["chunks_checked"]
    assert tool("verify", snapshot_id, "--budget", "10m", connect=False).code == 0


def test_a_foreign_file_is_a_finding(tool: Shell, vault: Path, snapshot_id: str) -> None:
    (vault / snapshot_id / "notes.txt").write_text("mine")
    done = tool("verify", snapshot_id, connect=False)
    assert done.code == 3
    assert "notes.txt" in done.stdout

"""Rows that a diff keeps: there whole or not at all, and damage is never read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tablevault.errors import CannotComplete
from tablevault.model import TableName
from tablevault.vault.kept_rows import (
    RowsWriter,
    forget_old_rows,
    forget_rows_of_others,
    kept_path,
    open_kept,
)

TABLE = TableName("shop", "a/b")
LINES = [b"C\t1\t\\N", b"M\t", b"E\t\\\\\xff"]


def write(path: Path, lines: list[bytes]) -> None:
    writer = RowsWriter(path)
    for line in lines:
        writer.write(line + b"\n")
    assert open_kept(path) is None
    writer.commit({"run": "r", "columns": ["caf\u00e9"]})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = kept_path(tmp_path, "s", TABLE)
    assert path == tmp_path / "diffs" / "s" / "shop" / "a%2Fb.rows"
    write(path, LINES)
    kept = open_kept(path)
    assert kept is not None
    assert list(kept.lines()) == LINES
    assert list(kept.lines()) == LINES
    assert kept.facts["columns"] == ["caf\u00e9"]
    kept.close()


def test_any_damage_is_found(tmp_path: Path) -> None:
    path = kept_path(tmp_path, "s", TABLE)
    write(path, LINES)
    whole = path.read_bytes()
    for at in range(len(whole) - 1):
        flipped = bytearray(whole)
        flipped[at] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(ValueError):
            open_kept(path)
    for size in range(len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError):
            open_kept(path)


def test_what_is_old_or_of_others_goes(tmp_path: Path) -> None:
    old, new = kept_path(tmp_path, "s", TABLE), kept_path(tmp_path, "t", TABLE)
    write(old, LINES)
    write(new, LINES)
    os.utime(old, (0, 0))
    forget_old_rows(tmp_path, 60)
    assert (old.exists(), new.exists()) == (False, True)
    forget_rows_of_others(tmp_path, ["s", "t"])
    assert new.exists()
    forget_rows_of_others(tmp_path, ["s"])
    assert not new.exists()


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "diffs").write_text("")
    with pytest.raises(CannotComplete, match="cannot be kept"):
        RowsWriter(kept_path(tmp_path, "s", TABLE))

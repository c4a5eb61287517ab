"""Files in a server's data directory: whole before they are seen, and none but a run's own."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tablevault.errors import CannotComplete, Interrupted, UsageError
from tablevault.vault import placing
from tablevault.vault.datadir import in_use
from tablevault.vault.pagezero import read_page_zero
from tablevault.vault.placing import Owner, Placement
from tests.unit.test_vault_pagezero import FULL_CRC32, page_of

PAGE = page_of(FULL_CRC32, 16384)
OWNER = Owner(os.getuid(), os.getgid(), 0o640)


@pytest.fixture
def place(tmp_path: Path) -> Placement:
    return Placement(tmp_path, "_tv_new_00000000_orders")


Put = Callable[[int, bytes], None]


def write(place: Placement, *blocks: tuple[int, bytes], size: int = 1 << 20) -> list[int]:
    told: list[int] = []

    def each(put: Put) -> Generator[tuple[int, int]]:
        for at, block in blocks:
            put(at, block)
            yield at, len(block)

    placing.write_waiting(place, each, size, OWNER, told.append)
    return told


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_no_server_looks_at_a_copy_before_it_is_whole(place: Placement) -> None:
    seen: list[list[str]] = []

    def blocks(put: Put) -> Generator[tuple[int, int]]:
        put(0, PAGE)
        yield 0, len(PAGE)
        seen.append(names(place.folder))
        put(512 << 10, b"rows" * 1000)
        yield 512 << 10, 4000

    placing.write_waiting(place, blocks, 1 << 20, OWNER, lambda size: None)
    placing.address(place, 77)
    seen.append(names(place.folder))
    assert not any(name.endswith((".ibd", ".cfg")) for one in seen for name in one)
    placing.put_in_place(place, b"description", OWNER)
    assert names(place.folder) == [place.cfg.name, place.tablespace.name]
    with place.tablespace.open("rb") as file:
        assert read_page_zero(file.fileno()).space_id == 77
    content = place.tablespace.read_bytes()
    assert len(content) == 1 << 20 and content[512 << 10 :].startswith(b"rowsrows")
    assert content[len(PAGE) : 512 << 10].count(0) == (512 << 10) - len(PAGE)
    assert place.cfg.read_bytes() == b"description"


def test_zeros_take_no_room_and_the_rights_are_the_servers(place: Placement) -> None:
    assert write(place, (0, PAGE), (64 << 20, PAGE), size=65 << 20) == [len(PAGE)] * 2
    about = place.waiting.stat()
    assert about.st_size == 65 << 20 and about.st_blocks * 512 < 1 << 20
    assert about.st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "blocks",
    [((1 << 20, b"x"),), (((1 << 20) - 1, b"xx"),), ((10, b"xx"), (11, b"x"))],
    ids=["behind the end", "across the end", "over another"],
)
def test_a_block_where_none_may_be_is_refused(
    place: Placement, blocks: tuple[tuple[int, bytes], ...]
) -> None:
    with pytest.raises(CannotComplete, match="where none may"):
        write(place, *blocks)


def test_nothing_is_written_once_it_was_given_up(place: Placement, tmp_path: Path) -> None:
    """The number of a closed descriptor is soon that of another file."""
    late: list[int] = []

    def blocks(put: Put) -> Generator[tuple[int, int]]:
        try:
            put(0, PAGE)
            yield 0, len(PAGE)
        finally:  # a thread that is still at its block
            put(1 << 16, PAGE)
            late.append(place.waiting.stat().st_size)

    def stop(size: int) -> None:
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        placing.write_waiting(place, blocks, 1 << 20, OWNER, stop)
    assert late == [1 << 20]


def test_what_lies_there_is_never_written_over(place: Placement, tmp_path: Path) -> None:
    target = tmp_path / "somewhere else"
    target.write_bytes(b"precious")
    place.waiting.symlink_to(target)
    with pytest.raises(CannotComplete, match=os.strerror(errno.EEXIST)):
        write(place, (0, PAGE))
    place.waiting.unlink()
    write(place, (0, PAGE))
    place.tablespace.write_bytes(b"precious")
    with pytest.raises(CannotComplete, match="although it was discarded"):
        placing.put_in_place(place, b"", OWNER)
    assert place.tablespace.read_bytes() == target.read_bytes() == b"precious"


def test_only_what_a_run_names_so_is_removed(place: Placement, tmp_path: Path) -> None:
    others = ["orders.ibd", f"{place.stem}2.ibd", f"{place.stem}.frm"]
    ours = [place.waiting, place.waiting_cfg, place.cfg, place.tablespace]
    for path in (*(tmp_path / name for name in others), *ours):
        path.touch()
    assert place.remove(in_place=False) == ours[:3]
    assert names(tmp_path) == sorted([*others, place.tablespace.name])
    assert place.remove() == [place.tablespace]
    assert names(tmp_path) == sorted(others)


@pytest.mark.parametrize("stem", ["orders", "../_tv_new_x", "_tv_new/../../x", ""])
def test_a_journal_cannot_name_anything_else(tmp_path: Path, stem: str) -> None:
    with pytest.raises(UsageError, match="is not touched"):
        Placement(tmp_path, stem)
    with pytest.raises(UsageError):
        Placement(Path("relative"), "_tv_new_x")


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    place = Placement(tmp_path / "gone", "_tv_new_x")
    with pytest.raises(CannotComplete, match=os.strerror(errno.ENOENT)):
        write(place, (0, PAGE))


def _hold(path: str, ready: object, done: object) -> None:
    with open(path, "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        ready.set()  # type: ignore[attr-defined]
        done.wait(60)  # type: ignore[attr-defined]


def test_a_data_directory_is_in_use_while_somebody_locks_it(tmp_path: Path) -> None:
    assert in_use(tmp_path)  # nothing to tell it by
    system = tmp_path / "ibdata1"
    system.touch()
    assert not in_use(tmp_path)
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(str(system), ready, done))
    holder.start()
    try:
        assert ready.wait(60)
        assert in_use(tmp_path)
    finally:
        done.set()
        holder.join()
    assert not in_use(tmp_path)

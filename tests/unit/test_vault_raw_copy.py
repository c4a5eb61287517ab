"""Whole files copied by the kernel: to the end, as far as wanted, and over file systems."""

from __future__ import annotations

import fcntl
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tablevault.errors import CannotComplete
from tablevault.vault import raw_copy

CONTENT = random.Random(3).randbytes((2 << 20) + 77)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """A file with content and an empty one."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(CONTENT)
    descriptors = os.open(source, os.O_RDONLY), os.open(target, os.O_RDWR | os.O_CREAT)
    yield descriptors
    for one in descriptors:
        os.close(one)


def content(descriptor: int) -> bytes:
    return os.pread(descriptor, len(CONTENT) + 1, 0)


@pytest.mark.parametrize("in_kernel", [True, False])
def test_every_byte_is_copied_and_counted(
    pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch, in_kernel: bool
) -> None:
    monkeypatch.setattr(raw_copy, "_STEP_BYTES", 1 << 18)
    if not in_kernel:  # as between two file systems

        def refuse(*_: object) -> int:
            raise OSError(18, "cross-device link")

        monkeypatch.setattr(os, "copy_file_range", refuse)
    counted: list[int] = []
    assert raw_copy.copy(*pair, len(CONTENT), counted.append, lambda: False)
    assert content(pair[1]) == CONTENT
    assert (sum(counted), max(counted)) == (len(CONTENT), 1 << 18)


def test_to_another_file_system(pair: tuple[int, int]) -> None:
    elsewhere = Path("/dev/shm") / f"tablevault-test-{os.getpid()}"
    target = os.open(elsewhere, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    elsewhere.unlink()
    try:
        assert raw_copy.copy(pair[0], target, len(CONTENT), lambda more: None, lambda: False)
        assert content(target) == CONTENT
    finally:
        os.close(target)


def test_it_stops_when_told(pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_copy, "_STEP_BYTES", 1 << 18)
    counted: list[int] = []
    done = raw_copy.copy(*pair, len(CONTENT), counted.append, lambda: len(counted) == 2)
    assert not done
    assert content(pair[1]) == CONTENT[: 2 << 18]


def test_a_file_that_is_shorter_is_an_error(pair: tuple[int, int]) -> None:
    with pytest.raises(CannotComplete, match="shorter"):
        raw_copy.copy(*pair, len(CONTENT) + 1, lambda more: None, lambda: False)


def test_an_error_of_the_disk_is_one(pair: tuple[int, int]) -> None:
    with pytest.raises(OSError, match="Bad file"):
        raw_copy.copy(pair[0], pair[0], len(CONTENT), lambda more: None, lambda: False)


@pytest.mark.parametrize("able", [True, False])
def test_a_clone_is_asked_for_and_may_be_refused(
    pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    """What the kernel is asked; few file systems that tests run on can do it."""
    asked: list[tuple[int, int, int]] = []

    def ioctl(target: int, request: int, source: int) -> int:
        asked.append((target, request, source))
        if not able:
            raise OSError(95, "not supported")
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert raw_copy.clone(*pair) is able
    assert asked == [(pair[1], 0x40049409, pair[0])]

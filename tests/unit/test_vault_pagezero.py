"""The first page of a tablespace: read with its checksum proven, readdressed, refused by reason.

That real servers take these pages is proven in tests/faults/test_tablespace_boot.py.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tablevault.errors import CannotComplete, TablevaultError, Unsupported
from tablevault.vault.pagezero import PageZero, crc32c, read_page_zero, readdress

FULL_CRC32 = 0x15  # as MariaDB 10.11 and 11.8 write it
CRC32 = 0x4021  # as MySQL 9.7 writes it
FULL_CRC32_4K = 0x13
CRC32_64K = 0x21 | 7 << 6


def page_of(flags: int, page_bytes: int, space_id: int = 5) -> bytes:
    """A first page with a body of noise and the checksums of its kind."""
    page = bytearray(random.Random(flags).randbytes(page_bytes))
    struct.pack_into(">I", page, 34, space_id)
    struct.pack_into(">I", page, 38, space_id)
    struct.pack_into(">I", page, 54, flags)
    if flags & 16:
        struct.pack_into(">I", page, page_bytes - 4, crc32c(page[:-4]))
    else:
        checksum = crc32c(page[4:26]) ^ crc32c(page[38:-8])
        struct.pack_into(">I", page, 0, checksum)
        struct.pack_into(">I", page, page_bytes - 8, checksum)
    return bytes(page)


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    number = os.open(tmp_path / "copy", os.O_RDWR | os.O_CREAT)
    yield number
    os.close(number)


KINDS = [(FULL_CRC32, 16384), (CRC32, 16384), (FULL_CRC32_4K, 4096), (CRC32_64K, 65536)]


@pytest.mark.parametrize(("flags", "page_bytes"), KINDS)
def test_a_page_is_readdressed_and_nothing_else_changes(
    descriptor: int, flags: int, page_bytes: int
) -> None:
    rest = b"the second page keeps its id" * 100
    os.pwrite(descriptor, page_of(flags, page_bytes) + rest, 0)
    assert read_page_zero(descriptor) == PageZero(5, flags, page_bytes)
    readdress(descriptor, 777)
    assert read_page_zero(descriptor) == PageZero(777, flags, page_bytes)
    assert os.pread(descriptor, page_bytes + 10_000, 0) == page_of(flags, page_bytes, 777) + rest


@pytest.mark.parametrize(
    ("flags", "page_bytes", "at"),
    [
        (flags, page_bytes, at)
        for flags, page_bytes in KINDS
        for at in (0, 4, 34, 38, 60, 3000, -8, -4)
        # the older checksum does not cover the low half of the page's LSN at its end
        if flags & 16 or at != -4
    ],
)
def test_a_flipped_bit_is_refused(descriptor: int, flags: int, page_bytes: int, at: int) -> None:
    page = bytearray(page_of(flags, page_bytes))
    page[at] ^= 1
    os.pwrite(descriptor, page, 0)
    with pytest.raises(CannotComplete, match="damaged"):
        readdress(descriptor, 777)
    assert os.pread(descriptor, len(page), 0) == page


@pytest.mark.parametrize(
    ("flags", "kind", "reason"),
    [
        (CRC32 | 1 << 13, Unsupported, "encrypted"),
        (CRC32 | 4 << 1, Unsupported, "compressed"),  # ROW_FORMAT=COMPRESSED
        (0x21 | 1 << 16, Unsupported, "compressed"),  # PAGE_COMPRESSED
        (FULL_CRC32 | 1 << 5, Unsupported, "compressed"),
        (0x11, CannotComplete, "no tablespace has flags 0x11"),
    ],
)
def test_what_is_not_taken_is_named(
    descriptor: int, flags: int, kind: type[TablevaultError], reason: str
) -> None:
    os.pwrite(descriptor, page_of(flags, 16384), 0)
    with pytest.raises(kind, match=reason):
        read_page_zero(descriptor)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "too short"),
        (page_of(FULL_CRC32, 16384)[:9000], "ends within its first page"),
        (bytes(16384), "damaged"),  # a table that was made and never flushed
    ],
)
def test_what_is_cut_off_or_empty_is_refused(descriptor: int, content: bytes, reason: str) -> None:
    os.pwrite(descriptor, content, 0)
    with pytest.raises(CannotComplete, match=reason):
        read_page_zero(descriptor)

"""The first page of an InnoDB tablespace: whose it is, and how it is made to be another table's.

A copy of a live table's file that lies in the data directory under another table's name keeps the
server from starting, for as long as both files name the same tablespace id: servers look at the
first page of every file that they find.  A copy whose first page names the id of the table it is
meant for does no harm there, whenever the server is killed; tests/faults/test_tablespace_boot.py
holds the servers to that.  The other pages may keep their id: IMPORT TABLESPACE rewrites them.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from tablevault.errors import CannotComplete, Unsupported

_PAGE_SPACE_AT = 34  # of every page: the tablespace it is of
_SPACE_AT = 38  # of the first page: the tablespace id once more
_FLAGS_AT = 54
_HEADER = slice(4, 26)  # what the older checksum covers, beside the page's body
_BODY_AT = 38
_FULL_CRC32 = 1 << 4  # MariaDB from 10.5: one checksum, at the very end of a page
_MYSQL_ENCRYPTED = 1 << 13
_SMALLEST_PAGE_BYTES = 4 << 10
_POLYNOMIAL = 0x82F63B78  # CRC-32C, as InnoDB uses it; zlib's CRC32 is another


@dataclass(frozen=True)
class PageZero:
    """What the first page says of its tablespace."""

    space_id: int
    flags: int
    page_bytes: int


def read_page_zero(descriptor: int) -> PageZero:
    """The first page of an open file, its checksum proven.

    Raises Unsupported for what is compressed or encrypted, CannotComplete for what is damaged or
    no tablespace.
    """
    return _parse(descriptor)[0]


def readdress(descriptor: int, space_id: int) -> None:
    """Let the first page name tablespace `space_id`; it is on disk on return.  Raises as above.

    Only for a copy: a file that a server has open would be ruined.
    """
    found, page = _parse(descriptor)
    struct.pack_into(">I", page, _PAGE_SPACE_AT, space_id)
    struct.pack_into(">I", page, _SPACE_AT, space_id)
    for at, checksum in _checksums(found.flags, page).items():
        struct.pack_into(">I", page, at, checksum)
    if os.pwrite(descriptor, page, 0) != len(page):
        raise CannotComplete("the first page of the tablespace could not be written whole")
    os.fsync(descriptor)


def _parse(descriptor: int) -> tuple[PageZero, bytearray]:
    head = os.pread(descriptor, _SMALLEST_PAGE_BYTES, 0)
    if len(head) < _SMALLEST_PAGE_BYTES:
        raise CannotComplete("the file is too short for a tablespace")
    flags = _integer(head, _FLAGS_AT)
    page_bytes = _page_bytes(flags)
    page = bytearray(os.pread(descriptor, page_bytes, 0))
    if len(page) < page_bytes:
        raise CannotComplete("the file ends within its first page")
    space_id = _integer(page, _SPACE_AT)
    sound = all(_integer(page, at) == value for at, value in _checksums(flags, page).items())
    if not sound or not space_id or space_id != _integer(page, _PAGE_SPACE_AT):
        raise CannotComplete(
            "the first page is damaged, or has a checksum other than CRC32",
            hint="only files written with innodb_checksum_algorithm crc32 or full_crc32 are taken",
        )
    return PageZero(space_id, flags, page_bytes), page


def _page_bytes(flags: int) -> int:
    """Bytes of a page, as the flags have it.  Raises as `read_page_zero`."""
    if flags & _FULL_CRC32:
        shift, compressed, encrypted = flags & 15, flags >> 5 & 7, 0
    else:
        shift = flags >> 6 & 15 or 5
        # ROW_FORMAT=COMPRESSED; PAGE_COMPRESSED of MariaDB
        compressed, encrypted = flags >> 1 & 15 or flags >> 16, flags & _MYSQL_ENCRYPTED
    if encrypted:
        raise Unsupported("the tablespace is encrypted")
    if compressed:
        raise Unsupported("the tablespace is compressed")
    if not 3 <= shift <= 7:  # 4 KiB to 64 KiB
        raise CannotComplete(f"no tablespace has flags {flags:#x}")
    return 512 << shift


def _checksums(flags: int, page: bytearray) -> dict[int, int]:
    """Where checksums stand in the page, and what they are to be."""
    if flags & _FULL_CRC32:
        return {len(page) - 4: crc32c(page[:-4])}
    checksum = crc32c(page[_HEADER]) ^ crc32c(page[_BODY_AT:-8])
    return {0: checksum, len(page) - 8: checksum}


def _table() -> tuple[int, ...]:
    values = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        values.append(value)
    return tuple(values)


_TABLE = _table()


def crc32c(data: bytes | bytearray) -> int:
    """CRC-32C of some bytes; for a page or two: it runs at about 5 MB/s.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 255] ^ value >> 8
    return value ^ 0xFFFFFFFF


def _integer(page: bytes | bytearray, at: int) -> int:
    return int.from_bytes(page[at : at + 4], "big")

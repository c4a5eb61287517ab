"""The digest of a row in plain Python: the definition that the codec and the server compute."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence

from tablevault.model import Digest, Fingerprint
from tablevault.rows.kinds import ColumnSpec, DigestClass

Row = Sequence[bytes | None]


def _crc32(value: bytes) -> bytes:
    return b"%d" % zlib.crc32(value)


def _sha256(value: bytes) -> bytes:
    return hashlib.sha256(value).hexdigest().encode()


def canonical_row(
    specs: Sequence[ColumnSpec], row: Row, summed: Callable[[bytes], bytes] = _crc32
) -> bytes:
    """The bytes of a row that are hashed: one head field a column, then the texts.

    The head has the values of the FIXED columns, the byte lengths of the TEXT columns, and
    length and sum (CRC32) of the LOB columns, each group in column order; NULL is N.
    """
    fixed, lengths, sums, tail = [], [], [], []
    for spec, value in zip(specs, row, strict=True):
        if spec.digest is DigestClass.FIXED:
            fixed.append(b"N" if value is None else value)
        elif spec.digest is DigestClass.TEXT:
            lengths.append(b"N" if value is None else b"%d" % len(value))
            tail.append(value or b"")
        else:
            sums.append(b"N" if value is None else b"%d:%b" % (len(value), summed(value)))
    return b"|".join([*fixed, *lengths, *sums, b"".join(tail)])


def row_hash(specs: Sequence[ColumnSpec], row: Row) -> int:
    """CRC32 of the decimal text of the canonical row's CRC32.

    One CRC alone is linear: exchanging values between rows could leave the sum as it was.
    """
    return zlib.crc32(b"%d" % zlib.crc32(canonical_row(specs, row)))


def digest_of(specs: Sequence[ColumnSpec], rows: Iterable[Row]) -> Digest:
    """The digest of a set of rows."""
    hashes = [row_hash(specs, row) for row in rows]
    return Digest(len(hashes), len(hashes), sum(hashes))


def fingerprint_of(specs: Sequence[ColumnSpec], rows: Sequence[Row]) -> Fingerprint:
    """The fingerprint of a set of rows."""
    hashes = [hashlib.sha256(canonical_row(specs, row, _sha256)).digest() for row in rows]
    return Fingerprint(len(rows), sum(int.from_bytes(one[:8]) for one in hashes))

"""The row codec again, slow and plain: what rowcodec.pyx must do, for the tests to compare.

A value's cell is found by one function and its text by another, both written for clarity; a
value goes to the exact column when its text does not come back from its cell.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from tablevault.model import Digest
from tablevault.rows.buffers import ColumnBuffers, RowBatch
from tablevault.rows.charsets import Form, MultiByte, multi_byte
from tablevault.rows.digest import digest_of
from tablevault.rows.kinds import ColumnSpec, Storage

Row = list[bytes | None]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")
_TIME = re.compile(r"(-?)([0-9]{2,3}):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,6}))?")
_ESCAPES = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\0": b"\\0"}
_WITH_OFFSETS = (Storage.BYTES, Storage.TEXT, Storage.TABLE, Storage.WIDE)
_UNICODE = {
    Form.UCS2: "utf-16-be",
    Form.UTF16: "utf-16-be",
    Form.UTF16LE: "utf-16-le",
    Form.UTF32: "utf-32-be",
}
_EPOCH = date(1970, 1, 1)

Cell = int | float | bytes


def encode_value(spec: ColumnSpec, cell: Cell) -> bytes:
    """The server's text of a cell."""
    match spec.storage:
        case Storage.BYTES | Storage.TEXT:
            assert isinstance(cell, bytes)
            return cell
        case Storage.TABLE:
            assert isinstance(cell, bytes) and spec.charset_table is not None
            return bytes(spec.charset_table.index(ord(char)) for char in cell.decode())
        case Storage.WIDE:
            assert isinstance(cell, bytes)
            return _widened(spec, cell.decode())
        case Storage.FLOAT | Storage.DOUBLE:
            return _double_text(spec, float(cell)).encode()
    assert isinstance(cell, int)
    match spec.storage:
        case Storage.DECIMAL:
            digits = f"{abs(cell):0{spec.scale + 1}d}"
            if spec.scale:
                digits = f"{digits[: -spec.scale]}.{digits[-spec.scale :]}"
            return (("-" if cell < 0 else "") + digits.zfill(spec.pad)).encode()
        case Storage.DATE:
            return (_EPOCH + timedelta(cell)).isoformat().encode()
        case Storage.DATETIME:
            moment = datetime(1970, 1, 1) + timedelta(microseconds=cell)
            return _with_fraction(moment.isoformat(" ", "microseconds"), spec.scale)
        case Storage.TIME:
            seconds, micros = divmod(abs(cell), 1_000_000)
            hours, rest = divmod(seconds, 3600)
            clock = f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}.{micros:06d}"
            return _with_fraction(("-" if cell < 0 else "") + clock, spec.scale)
    return str(cell).zfill(spec.pad).encode()


def _with_fraction(text: str, scale: int) -> bytes:
    return text[: len(text) - 6 + scale - (scale == 0)].encode()


def _double_text(spec: ColumnSpec, value: float) -> str:
    """The shortest digits that read back (as repr finds them), in the server's notation."""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0") or "0"
    if digits == "0":
        point = 1
    sign = "-" if repr(value).startswith("-") else ""
    if point <= 0:
        fixed = "0." + "0" * -point + digits
    elif point < len(digits):
        fixed = f"{digits[:point]}.{digits[point:]}"
    else:
        fixed = digits + "0" * (point - len(digits))
    if spec.precision:
        behind = max(len(digits) - point, 0)
        if behind < spec.scale:
            fixed += ("" if behind else ".") + "0" * (spec.scale - behind)
    elif not (-15 < point <= 15 or 0 < point < len(digits)) or (
        spec.text_width and len(sign + fixed) > spec.text_width
    ):
        fixed = digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + f"e{point - 1}"
    return (sign + fixed).rjust(spec.pad, "0")


def decode_value(spec: ColumnSpec, value: bytes) -> Cell | None:
    """The cell of a value, None when no cell gives its text back."""
    if spec.pad and value.startswith(b"-"):
        return None  # ZEROFILL makes a column unsigned
    try:
        cell = _cell(spec, value)
        if cell is None or encode_value(spec, cell) != value:
            return None
        pack_cell(spec, cell)
    except (ValueError, OverflowError, struct.error):
        return None
    return cell


def _cell(spec: ColumnSpec, value: bytes) -> Cell | None:
    if spec.storage is Storage.BYTES:
        return value
    if spec.storage is Storage.TEXT:
        return value.decode().encode()
    if spec.storage is Storage.TABLE:
        assert spec.charset_table is not None
        points = [spec.charset_table[byte] for byte in value]
        return None if -1 in points else "".join(map(chr, points)).encode()
    if spec.storage is Storage.WIDE:
        return _narrowed(spec, value).encode()
    text = value.decode("ascii")
    match spec.storage:
        case Storage.DATE:
            return (date.fromisoformat(text) - _EPOCH).days if _DATE.fullmatch(text) else None
        case Storage.DATETIME:
            if not _DATETIME.fullmatch(text):
                return None
            form = "%Y-%m-%d %H:%M:%S.%f" if "." in text else "%Y-%m-%d %H:%M:%S"
            return (datetime.strptime(text, form) - datetime(1970, 1, 1)) // timedelta(
                microseconds=1
            )
        case Storage.TIME:
            found = _TIME.fullmatch(text)
            if found is None:
                return None
            sign, hours, minutes, seconds, fraction = found.groups()
            whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
            micros = whole * 1_000_000 + int((fraction or "0").ljust(6, "0"))
            return -micros if sign else micros
    if not _NUMBER.fullmatch(text):
        return None
    if spec.storage in (Storage.FLOAT, Storage.DOUBLE):
        return _float_cell(spec, float(text))
    if spec.storage is Storage.DECIMAL:
        cell = int(text.replace(".", ""))
        return cell if len(str(abs(cell))) <= min(spec.precision or 38, 38) else None
    return int(text)


def _charset(spec: ColumnSpec) -> MultiByte:
    charset = multi_byte(spec.wide_charset)
    assert charset is not None
    return charset


def _widened(spec: ColumnSpec, text: str) -> bytes:
    charset = _charset(spec)
    if charset.form is not Form.TABLE:
        if charset.form is Form.UCS2 and any(ord(char) > 0xFFFF for char in text):
            raise ValueError("no character of ucs2")
        return text.encode(_UNICODE[charset.form])
    wide = b""
    for char in text:
        (found,) = struct.unpack_from("<I", charset.from_point, 4 * ord(char))
        if not found:
            raise ValueError("no character of the charset")
        wide += (found & 0xFFFFFF).to_bytes(found >> 24)
    return wide


def _narrowed(spec: ColumnSpec, value: bytes) -> str:
    charset = _charset(spec)
    if charset.form is not Form.TABLE:
        return value.decode(_UNICODE[charset.form])
    points = memoryview(charset.to_point).cast("H")
    text, at = "", 0
    while at < len(value):
        head = value[at : at + 3]
        places = [
            (1, head[0]),
            (3, 0x10000 + int.from_bytes(head[1:])) if head[0] == 0x8F and len(head) > 2 else None,
            (2, int.from_bytes(head[:2])) if head[0] > 0x7F and len(head) > 1 else None,
        ]
        for size, place in filter(None, places):
            if points[place] or value[at] == 0:
                text += chr(points[place])
                at += size
                break
        else:
            raise ValueError("no character of the charset")
    return text


def _float_cell(spec: ColumnSpec, value: float) -> float | None:
    if value in (float("inf"), float("-inf")):
        return None
    if spec.storage is Storage.FLOAT and struct.unpack("<f", struct.pack("<f", value))[0] != value:
        return None
    return value


def pack_cell(spec: ColumnSpec, cell: Cell) -> bytes:
    """The bytes of a cell in its column's data buffer."""
    if isinstance(cell, bytes):
        return cell
    if isinstance(cell, float):
        return struct.pack("<f" if spec.storage is Storage.FLOAT else "<d", cell)
    return cell.to_bytes(spec.width, "little", signed=spec.storage is not Storage.UINT)


def build_batch(
    specs: Sequence[ColumnSpec], rows: Sequence[Row], key_columns: Sequence[int] = ()
) -> RowBatch:
    """The row group that the decoder must make of rows of wire values."""
    columns: list[list[bytes | None]] = [[] for _ in specs]
    exact: list[bytes | None] = []
    for row in rows:
        cell = b""
        for position, (spec, value) in enumerate(zip(specs, row, strict=True)):
            typed = None if value is None else decode_value(spec, value)
            columns[position].append(None if typed is None else pack_cell(spec, typed))
            if value is not None and typed is None:
                cell += struct.pack("<HI", position, len(value)) + value
        exact.append(cell or None)
    sizes = [len(row_packet(row)) for row in rows]
    return RowBatch(
        len(rows),
        sum(sizes),
        max(sizes, default=0),
        digest_of(specs, rows),
        tuple(rows[0][column] or b"" for column in key_columns) if rows else (),
        [
            _buffers(cells, 0 if spec.storage in _WITH_OFFSETS else spec.width)
            for spec, cells in zip(specs, columns, strict=True)
        ],
        _buffers(exact, 0),
    )


def _buffers(cells: Sequence[bytes | None], width: int) -> ColumnBuffers:
    data, offsets, bits, nulls = bytearray(), [0], bytearray((len(cells) + 7) // 8), 0
    for row, cell in enumerate(cells):
        data += bytes(width) if cell is None else cell
        offsets.append(len(data))
        nulls += cell is None
        bits[row // 8] |= (cell is not None) << (row % 8)
    return ColumnBuffers(
        bytes(bits) if nulls else None,
        None if width else struct.pack(f"<{len(offsets)}i", *offsets),
        bytes(data),
        nulls,
    )


def row_packet(row: Row) -> bytes:
    """The payload of a row packet."""
    return b"".join(b"\xfb" if value is None else _length(len(value)) + value for value in row)


def _length(size: int) -> bytes:
    if size < 0xFB:
        return bytes([size])
    if size < 1 << 16:
        return b"\xfc" + size.to_bytes(2, "little")
    return (
        b"\xfd" + size.to_bytes(3, "little")
        if size < 1 << 24
        else (b"\xfe" + size.to_bytes(8, "little"))
    )


def packets(payload: bytes, max_payload: int = 0xFFFFFF) -> Iterator[bytes]:
    """A payload cut into the payloads of the packets that carry it."""
    for start in range(0, len(payload) + 1, max_payload):
        yield payload[start : start + max_payload]


def wire(payloads: Sequence[bytes], sequence: int = 0, max_payload: int = 0xFFFFFF) -> bytes:
    """Payloads as they travel: split, numbered, each with its header."""
    stream = bytearray()
    for payload in payloads:
        for part in packets(payload, max_payload):
            stream += len(part).to_bytes(3, "little") + bytes([sequence & 0xFF]) + part
            sequence += 1
    return bytes(stream)


def load_text(rows: Sequence[Row]) -> bytes:
    """LOAD DATA text of rows of wire values."""
    return b"".join(
        b"\t".join(b"\\N" if value is None else _escaped(value) for value in row) + b"\n"
        for row in rows
    )


def _escaped(value: bytes) -> bytes:
    return b"".join(_ESCAPES.get(bytes([byte]), bytes([byte])) for byte in value)


def sum_of(batches: Sequence[RowBatch]) -> Digest:
    """The digest of several row groups."""
    return sum((batch.digest for batch in batches), Digest())

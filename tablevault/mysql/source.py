"""Rows out of the server: a SELECT's row packets, from the socket into the codec.

The fast path receives on the connection's own socket into one reusable buffer and lets the codec
parse after every read; no Python runs for a single row.  Where the driver does not offer its
socket, rows come through its public API and are put into packets again: slower, with the same
result.  What is read is a stream of `RowBatch`, closed when it is full and at the end.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from tablevault.errors import ConnectionLost
from tablevault.mysql import failures, wire
from tablevault.mysql.connect import Connection
from tablevault.rows.buffers import RowBatch
from tablevault.rows.kinds import ColumnSpec
from tablevault.rows.rowcodec import (
    END,
    ERROR,
    FULL,
    MalformedPacket,
    RowDecoder,
)

BUFFER_BYTES = 1 << 20
ROW_GROUP_BYTES = 16 << 20
_LARGEST_PAYLOAD = 0xFFFFFF
_EOF = 0xFE


class RowSource:
    """The row groups of one SELECT, in the order the server sends the rows.

    Iterate it once.  `rows_seen` and `bytes_seen` grow with every read and may be read from any
    thread.  When the iteration ends, or a StatementFailed came from it, the connection can be
    used again; when it is left early (`close`), or the connection was lost, it cannot.
    """

    def __init__(
        self,
        conn: Connection,
        sql: str | bytes,
        specs: Sequence[ColumnSpec],
        key_columns: Sequence[int] = (),
        limit_bytes: int = ROW_GROUP_BYTES,
        *,
        buffer_bytes: int = BUFFER_BYTES,
        public_api: bool = False,
    ) -> None:
        """`public_api` takes the slow path even where the fast one is possible."""
        wire.refuse_compression(conn.driver)
        self.rows_seen = 0
        self.bytes_seen = 0
        self._conn = conn
        self._sql = sql
        self._columns = len(specs)
        self._decoder = RowDecoder(specs, key_columns, limit_bytes)
        self._buffer_bytes = max(buffer_bytes, 64)
        self._public_api = public_api
        self._rows_closed = 0
        self._batches: Iterator[RowBatch] | None = None

    def __iter__(self) -> Iterator[RowBatch]:
        if self._batches is None:
            self._batches = self._read()
        return self._batches

    def close(self) -> None:
        """Stop reading: an unfinished result costs the connection, which is closed at once."""
        if self._batches is not None:
            self._batches.close()  # type: ignore[attr-defined]

    def __enter__(self) -> RowSource:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _read(self) -> Iterator[RowBatch]:
        # any exit but the regular one and an error packet leaves an answer half read: `doing`
        # closes the connection then, also when the consumer abandons this generator
        with self._conn.doing(self._sql):
            self._send()
            sock = None if self._public_api else wire.reader(self._conn.driver)
            if sock is None:
                yield from self._by_driver()
            else:
                yield from self._by_socket(sock)
        if self._decoder.rows:  # out here the connection is free, whatever becomes of this batch
            yield self._take()

    def _send(self) -> None:
        result = self._conn.send_query(self._sql)
        columns = len(result.get("columns", ()))
        if columns != self._columns:
            raise ConnectionLost(
                f"a result of {columns} columns came where {self._columns} were selected"
            )

    def _by_socket(self, sock: socket.socket) -> Iterator[RowBatch]:
        decoder = self._decoder
        buffer = bytearray(self._buffer_bytes)
        end = 0
        while True:
            with memoryview(buffer) as view:
                received = sock.recv_into(view[end:])
            if received == 0:
                raise wire.lost(self._conn.statement, "the server closed the connection")
            self.bytes_seen += received
            start, end = 0, end + received
            while True:
                start, state = self._feed(buffer, start, end)
                if state == FULL:
                    yield self._take()
                elif state in (END, ERROR):
                    self._finish(state, end - start)
                    return
                else:
                    break
            buffer, end = self._make_room(buffer, start, end, decoder.needed)

    def _make_room(
        self, buffer: bytearray, start: int, end: int, needed: int
    ) -> tuple[bytearray, int]:
        """Bring the unparsed rest to the front of a buffer that can hold the row it begins.

        A larger buffer is kept only while a row needs it; it grows by half at least, so that a
        row whose size shows up bit by bit is not copied again for each.
        """
        rest, size = end - start, self._buffer_bytes
        if needed > len(buffer):
            size = max(needed, len(buffer) + len(buffer) // 2)
        elif max(needed, rest + 1) > size:
            size = len(buffer)
        with memoryview(buffer) as view:
            if size == len(buffer):
                if start:
                    view[:rest] = view[start:end]
                return buffer, rest
            other = bytearray(size)
            other[:rest] = view[start:end]
        return other, rest

    def _by_driver(self) -> Iterator[RowBatch]:
        """One row a call: the driver buffers what it is asked for, however large the rows are."""
        driver, sequence = self._conn.driver, 0
        while True:
            rows, eof = driver.get_rows(1, raw=True)
            for row in rows:
                packets, sequence = row_packets(row, sequence)
                self.bytes_seen += len(packets)
                start = 0
                while start < len(packets):
                    start, state = self._feed(packets, start, len(packets))
                    if state == FULL:
                        yield self._take()
            if eof is not None:
                self._conn.warning_count = eof.get("warning_count", 0)
                return

    def _feed(self, buffer: bytearray, start: int, end: int) -> tuple[int, int]:
        try:
            consumed, state = self._decoder.feed(buffer, start, end)
        except MalformedPacket as error:
            raise wire.lost(self._conn.statement, f"malformed row packet: {error}") from error
        self.rows_seen = self._rows_closed + self._decoder.rows
        return consumed, state

    def _take(self) -> RowBatch:
        batch: RowBatch = self._decoder.take()
        self._rows_closed += batch.rows
        return batch

    def _finish(self, state: int, behind: int) -> None:
        driver, decoder = self._conn.driver, self._decoder
        if behind:
            raise wire.lost(self._conn.statement, f"{behind} bytes came behind the result's end")
        if state == ERROR:
            wire.end_result(driver, None)
            raise failures.packet_error(decoder.error_packet, self._conn.statement)
        wire.end_result(driver, decoder.status_flags)
        self._conn.warning_count = decoder.warning_count


def row_packets(row: Sequence[bytes | None], sequence: int) -> tuple[bytearray, int]:
    """A row as the server sent it: packets of the text protocol, and the next sequence number."""
    payload = bytearray()
    for value in row:
        if value is None:
            payload.append(0xFB)
        else:
            payload += _length(len(value))
            payload += value
    packets = bytearray()
    for start in range(0, len(payload) + 1, _LARGEST_PAYLOAD):
        part = payload[start : start + _LARGEST_PAYLOAD]
        packets += len(part).to_bytes(3, "little") + bytes([sequence])
        packets += part
        sequence = (sequence + 1) & 0xFF
    return packets, sequence


def _length(size: int) -> bytes:
    if size < 0xFB:
        return bytes([size])
    for mark, width in ((0xFC, 2), (0xFD, 3)):
        if size < 1 << (8 * width):
            return bytes([mark]) + size.to_bytes(width, "little")
    return bytes([_EOF]) + size.to_bytes(8, "little")

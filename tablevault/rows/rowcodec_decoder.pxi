# The class that reads a result; its steps are in rowcodec_decode.pxi.


cdef class RowDecoder:
    """Parses the rows of one result into row groups. See rowcodec.pyi."""

    cdef Layout layout
    cdef Group group
    cdef int* keys
    cdef size_t* key_sizes
    cdef int key_count
    cdef Field* fields
    cdef Bytes scratch
    cdef Bytes whole
    cdef size_t limit
    cdef int64_t max_rows
    cdef size_t max_payload
    cdef int next_sequence
    cdef int fault
    cdef bint busy
    cdef bint ended
    cdef int64_t rows_before
    cdef readonly Py_ssize_t needed
    cdef readonly int status_flags
    cdef readonly int warning_count
    cdef readonly bytes error_packet

    def __cinit__(
        self, specs, key_columns=(), limit_bytes=16 << 20, *,
        max_rows=1 << 31, max_payload=MAX_PAYLOAD, sequence=None,
    ):
        self.layout = Layout(specs)
        key_columns = tuple(key_columns)
        if any(not 0 <= column < self.layout.table.count for column in key_columns):
            raise ValueError("a key column is not among the columns")
        self.key_count = <int>len(key_columns)
        self.keys = <int*>calloc(self.key_count + 1, sizeof(int))
        self.key_sizes = <size_t*>calloc(self.key_count + 1, sizeof(size_t))
        if not 0 < limit_bytes <= LARGEST_GROUP or not 0 < max_rows <= 1 << 31:
            raise ValueError("a row group holds 1 byte to 1 GiB and 1 to 2**31 rows")
        if not 9 <= max_payload <= MAX_PAYLOAD:
            raise ValueError("max_payload must be between 9 and 0xffffff")
        self.limit = limit_bytes
        self.max_rows = max_rows
        self.max_payload = max_payload
        self.sequence = sequence
        self.error_packet = b""
        self.fields = <Field*>calloc(self.layout.table.count, sizeof(Field))
        self.group.columns = <ColumnOut*>calloc(self.layout.table.count + 1, sizeof(ColumnOut))
        if (
            self.keys == NULL or self.key_sizes == NULL
            or self.fields == NULL or self.group.columns == NULL
        ):
            raise MemoryError
        for i, column in enumerate(key_columns):
            self.keys[<int>i] = column
        if make_rows(&self.layout.table, &self.group, 64) < 0:
            raise MemoryError

    def __dealloc__(self):
        cdef int i
        if self.group.columns != NULL:
            for i in range(self.layout.table.count + 1):
                drop(&self.group.columns[i].data)
                drop(&self.group.columns[i].offsets)
                drop(&self.group.columns[i].validity)
        free(self.group.columns)
        drop(&self.group.first_key)
        drop(&self.scratch)
        drop(&self.whole)
        free(self.fields)
        free(self.keys)
        free(self.key_sizes)

    @property
    def rows(self):
        return self.group.rows

    @property
    def wire_bytes(self):
        return self.group.wire_bytes

    @property
    def sequence(self):
        return None if self.next_sequence < 0 else self.next_sequence

    @sequence.setter
    def sequence(self, value):
        if value is not None and not 0 <= value <= 255:
            raise ValueError("a sequence number is a byte")
        self.next_sequence = -1 if value is None else value

    def feed(self, buffer, Py_ssize_t start, Py_ssize_t end):
        cdef Py_buffer view
        cdef Py_ssize_t consumed = start
        cdef int state
        if self.busy:
            raise RuntimeError("the row decoder is in use by another thread")
        if self.ended:
            raise ValueError("the result has ended")
        if self.fault:
            self.complain()
        PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
        try:
            if not 0 <= start <= end <= view.len:
                raise ValueError("start and end must lie inside the buffer")
            self.busy = True
            with nogil:
                state = self.parse(<const uint8_t*>view.buf, &consumed, end)
            self.busy = False
            if state == 3:
                self.error_packet = PyBytes_FromStringAndSize(
                    <const char*>self.fields[0].data, <Py_ssize_t>self.fields[0].size
                )
        finally:
            PyBuffer_Release(&view)
        if state < 0:
            self.fault = state
            self.complain()
        self.ended = state >= 2
        return consumed, state

    cdef int complain(self) except -1:
        if self.fault == OUT_OF_MEMORY:
            raise MemoryError
        number = self.rows_before + self.group.rows + 1
        raise MalformedPacket(f"malformed row packet {number}: {FAULTS[self.fault]}")

    cdef int parse(
        self, const uint8_t* buffer, Py_ssize_t* consumed, Py_ssize_t end
    ) noexcept nogil:
        """Parse packets until something is to be said: a state, or a fault below zero."""
        cdef Packet packet
        cdef int state
        while True:
            state = find_packet(
                buffer, consumed[0], end, self.max_payload, self.next_sequence,
                &packet, &self.needed,
            )
            if state <= 0:
                return state
            if packet.size == 0:
                return EMPTY_PACKET
            if packet.payload[0] == 0xFF:
                if packet.split:
                    return SPLIT_ERROR
                self.fields[0].data = packet.payload
                self.fields[0].size = packet.size
                state = 3
            elif packet.payload[0] == 0xFE and packet.size < 9:
                if packet.size != 5:
                    return NO_CLASSIC_EOF
                self.warning_count = packet.payload[1] | packet.payload[2] << 8
                self.status_flags = packet.payload[3] | packet.payload[4] << 8
                state = 2
            elif self.is_full(packet.size):
                return 1
            else:
                state = self.take_row(buffer, consumed[0], &packet)
                if state < 0:
                    return state
            consumed[0] = packet.end
            self.next_sequence = packet.sequence
            if state:
                return state

    cdef bint is_full(self, size_t row) noexcept nogil:
        """Would a row of so many wire bytes lift the group above its limits?"""
        cdef Table* t = &self.layout.table
        cdef size_t used
        if self.group.rows == 0:
            return False
        if self.group.rows >= self.max_rows:
            return True
        used = (
            self.group.variable_bytes
            + <size_t>(self.group.rows + 1) * (t.row_fixed + 4)
            + <size_t>(t.count + 1) * (<size_t>(self.group.rows >> 3) + 6 + EXACT_HEADER)
        )
        return used + row * (WIDEST_UTF8 if t.tables else 1) > self.limit

    cdef int take_row(
        self, const uint8_t* buffer, Py_ssize_t position, Packet* packet
    ) noexcept nogil:
        cdef Table* t = &self.layout.table
        cdef uint32_t hashed
        cdef int state
        if packet.split and join_packet(buffer, position, packet, &self.whole) < 0:
            return OUT_OF_MEMORY
        state = split_row(t, packet.payload, packet.size, self.fields)
        if state < 0:
            return state
        if row_hash(t, self.fields, &self.scratch, &hashed) < 0:
            return OUT_OF_MEMORY
        if self.group.rows == self.group.room:
            if make_rows(t, &self.group, 2 * self.group.room) < 0:
                return OUT_OF_MEMORY
        if self.group.rows == 0:
            state = self.keep_key()
            if state < 0:
                return state
        if put_row(t, &self.group, self.fields) < 0:
            return OUT_OF_MEMORY
        self.group.hash_total += hashed
        self.group.wire_bytes += <int64_t>packet.size
        if <int64_t>packet.size > self.group.largest_row:
            self.group.largest_row = <int64_t>packet.size
        if packet.split:
            drop(&self.whole)  # a rare and large row must not hold its memory for good
        return 0

    cdef int keep_key(self) noexcept nogil:
        cdef int i
        cdef Field* f
        self.group.first_key.used = 0
        for i in range(self.key_count):
            f = &self.fields[self.keys[i]]
            if f.data == NULL:
                return NULL_KEY
            if reserve(&self.group.first_key, f.size) < 0:
                return OUT_OF_MEMORY
            memcpy(self.group.first_key.data + self.group.first_key.used, f.data, f.size)
            self.group.first_key.used += f.size
            self.key_sizes[i] = f.size
        return 0

    def take(self):
        cdef int i, count = self.layout.table.count
        cdef Group* g = &self.group
        cdef int64_t rows = g.rows
        if self.busy:
            raise RuntimeError("the row decoder is in use by another thread")
        columns = [self.take_column(i) for i in range(count + 1)]
        batch = RowBatch(
            rows, g.wire_bytes, g.largest_row, Digest(rows, rows, g.hash_total),
            self.taken_key(), columns[:count], columns[count],
        )
        self.rows_before += rows
        g.rows = g.wire_bytes = g.largest_row = 0
        g.variable_bytes = 0
        g.hash_total = 0
        if make_rows(&self.layout.table, g, max(rows, 64)) < 0:
            raise MemoryError
        return batch

    cdef tuple taken_key(self):
        cdef int i
        cdef Py_ssize_t at = 0
        values = []
        if self.group.rows:
            for i in range(self.key_count):
                values.append(
                    PyBytes_FromStringAndSize(
                        <const char*>self.group.first_key.data + at,
                        <Py_ssize_t>self.key_sizes[i],
                    )
                )
                at += <Py_ssize_t>self.key_sizes[i]
        return tuple(values)

    cdef object take_column(self, int i):
        cdef ColumnOut* o = &self.group.columns[i]
        cdef int64_t rows = self.group.rows
        cdef bint fixed = i < self.layout.table.count and self.layout.table.columns[i].width
        cdef size_t variable = 0 if fixed else o.data.used
        validity = offsets = None
        nulls = o.nulls
        if nulls:
            o.validity.used = <size_t>(rows + 7) >> 3
            if rows & 7:
                o.validity.data[rows >> 3] &= <uint8_t>((1 << (rows & 7)) - 1)
            validity = hand_out(&o.validity, 0)
        drop(&o.validity)
        o.nulls = 0
        if not fixed:
            offsets = hand_out(&o.offsets, 0)
        # the next group will be much like this one: growing by steps would copy it again
        data = hand_out(&o.data, variable + (variable >> 3))
        return ColumnBuffers(validity, offsets, data, nulls)

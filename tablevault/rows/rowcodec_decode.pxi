# Row packets of the text protocol -> column buffers and digest.

cdef enum:
    LARGEST_ROW = 0x7FF00000  # bytes; int32 offsets must hold any row, exact headers included
    WIDEST_UTF8 = 3  # bytes of UTF-8 that one byte of another charset becomes at most

cdef enum:
    WENT_WELL = 0
    OUT_OF_MEMORY = -1
    WRONG_SEQUENCE = -2
    PAST_PACKET = -3
    BEHIND_ROW = -4
    NO_LENGTH = -5
    EMPTY_PACKET = -6
    NO_CLASSIC_EOF = -7
    SPLIT_ERROR = -8
    ROW_TOO_LARGE = -9
    NULL_KEY = -10

FAULTS = {
    WRONG_SEQUENCE: "its sequence number is not the next one",
    PAST_PACKET: "a value runs past the end of its packet",
    BEHIND_ROW: "bytes are left behind its last value",
    NO_LENGTH: "a value begins with a byte that is no length",
    EMPTY_PACKET: "it is empty",
    NO_CLASSIC_EOF: "it ends the result in another form than a classic EOF packet",
    SPLIT_ERROR: "an error packet is split",
    ROW_TOO_LARGE: "its row is larger than 2 GiB",
    NULL_KEY: "a key column is NULL",
}

cdef struct ColumnOut:
    Bytes data
    Bytes offsets
    Bytes validity  # empty until the first NULL
    int64_t nulls

cdef struct Group:
    ColumnOut* columns  # one more than the table has: the last is the exact column
    Bytes first_key
    int64_t rows
    int64_t room  # rows that fixed-width data, offsets and validity have memory for
    int64_t wire_bytes
    int64_t largest_row
    size_t variable_bytes
    uint64_t hash_total


cdef int start_validity(ColumnOut* o, int64_t room) noexcept nogil:
    cdef size_t size = <size_t>(room + 7) >> 3
    cdef size_t had = o.validity.used
    if reserve(&o.validity, size - had) < 0:
        return OUT_OF_MEMORY
    memset(o.validity.data + had, 0xFF, size - had)
    o.validity.used = size
    return 0


cdef int make_rows(const Table* t, Group* g, int64_t room) noexcept nogil:
    """Memory for `room` rows in every column."""
    cdef int i
    cdef ColumnOut* o
    cdef int width
    for i in range(t.count + 1):
        o = &g.columns[i]
        width = t.columns[i].width if i < t.count else 0
        if width:
            if reserve(&o.data, <size_t>room * width - o.data.used) < 0:
                return OUT_OF_MEMORY
        else:
            if reserve(&o.offsets, <size_t>(room + 1) * 4 - o.offsets.used) < 0:
                return OUT_OF_MEMORY
            if o.offsets.used == 0:
                memset(o.offsets.data, 0, 4)
                o.offsets.used = 4
        if o.validity.used and start_validity(o, room) < 0:
            return OUT_OF_MEMORY
    g.room = room
    return 0


cdef inline int put_null(ColumnOut* o, Group* g) noexcept nogil:
    if o.validity.used == 0 and start_validity(o, g.room) < 0:
        return OUT_OF_MEMORY
    o.validity.data[g.rows >> 3] &= <uint8_t>~(1 << (g.rows & 7))
    o.nulls += 1
    return 0


cdef inline int end_cell(ColumnOut* o) noexcept nogil:
    """Close a cell of a column with offsets."""
    cdef int32_t end = <int32_t>o.data.used
    memcpy(o.offsets.data + o.offsets.used, &end, 4)
    o.offsets.used += 4
    return 0


cdef int put_exact(Group* g, ColumnOut* exact, int position, const Field* f) noexcept nogil:
    cdef uint16_t column = <uint16_t>position
    cdef uint32_t size = <uint32_t>f.size
    if reserve(&exact.data, f.size + EXACT_HEADER) < 0:
        return OUT_OF_MEMORY
    memcpy(exact.data.data + exact.data.used, &column, 2)
    memcpy(exact.data.data + exact.data.used + 2, &size, 4)
    memcpy(exact.data.data + exact.data.used + EXACT_HEADER, f.data, f.size)
    exact.data.used += f.size + EXACT_HEADER
    g.variable_bytes += f.size + EXACT_HEADER
    return 0


cdef int put_transcoded(const Column* c, ColumnOut* o, const Field* f) noexcept nogil:
    """1: stored; 0: a byte without a code point of its own; -1: memory is out."""
    cdef size_t i
    cdef uint8_t* start
    cdef uint8_t* p
    cdef const uint8_t* entry
    if f.size > LARGEST_ROW // WIDEST_UTF8:
        return 0
    if reserve(&o.data, f.size * WIDEST_UTF8) < 0:
        return OUT_OF_MEMORY
    start = o.data.data + o.data.used
    p = start
    for i in range(f.size):
        entry = c.utf8 + 4 * f.data[i]
        if entry[0] == 0:
            return 0
        p[0] = entry[1]
        if entry[0] > 1:
            p[1] = entry[2]
            p[2] = entry[3]
        p += entry[0]
    o.data.used += <size_t>(p - start)
    return 1


cdef int put_widened(const Column* c, ColumnOut* o, const Field* f) noexcept nogil:
    """The same for a multi-byte charset."""
    cdef bint ok = False
    cdef size_t size
    if f.size > LARGEST_ROW // WIDEST_UTF8:
        return 0
    if reserve(&o.data, f.size * WIDEST_UTF8) < 0:
        return OUT_OF_MEMORY
    size = wide_to_utf8(c, f, o.data.data + o.data.used, &ok)
    o.data.used += size
    return ok


cdef int put_row(const Table* t, Group* g, const Field* fields) noexcept nogil:
    """Append one row to the open group."""
    cdef int i, state
    cdef bint stored
    cdef const Column* c
    cdef const Field* f
    cdef ColumnOut* o
    cdef ColumnOut* exact = &g.columns[t.count]
    cdef size_t before
    cdef size_t exact_before = exact.data.used
    for i in range(t.count):
        c = &t.columns[i]
        o = &g.columns[i]
        f = &fields[i]
        stored = False
        before = o.data.used
        if c.width:
            if f.data != NULL:
                stored = read_value(c, f.data, f.size, o.data.data + before)
            if not stored:
                memset(o.data.data + before, 0, c.width)
            o.data.used = before + c.width
        else:
            if f.data != NULL:
                if c.storage >= TABLE:
                    state = put_transcoded(c, o, f) if c.storage == TABLE else (
                        put_widened(c, o, f)
                    )
                    if state < 0:
                        return state
                    stored = state
                elif c.storage == BYTES or is_utf8(f.data, f.size):
                    if reserve(&o.data, f.size) < 0:
                        return OUT_OF_MEMORY
                    copy_bytes(o.data.data + before, f.data, f.size)
                    o.data.used = before + f.size
                    stored = True
            g.variable_bytes += o.data.used - before
            end_cell(o)
        if not stored:
            if put_null(o, g) < 0:
                return OUT_OF_MEMORY
            if f.data != NULL and put_exact(g, exact, i, f) < 0:
                return OUT_OF_MEMORY
    if exact.data.used == exact_before and put_null(exact, g) < 0:
        return OUT_OF_MEMORY
    end_cell(exact)
    g.rows += 1
    return 0


cdef int split_row(const Table* t, const uint8_t* p, size_t n, Field* fields) noexcept nogil:
    """Find the values of a row packet's payload."""
    cdef const uint8_t* end = p + n
    cdef uint64_t size
    cdef int i, k, more
    for i in range(t.count):
        if p == end:
            return PAST_PACKET
        size = p[0]
        p += 1
        if size >= 0xFB:
            if size == 0xFB:
                fields[i].data = NULL
                fields[i].size = 0
                continue
            if size == 0xFF:
                return NO_LENGTH
            more = 2 if size == 0xFC else (3 if size == 0xFD else 8)
            if end - p < more:
                return PAST_PACKET
            size = 0
            for k in range(more):
                size |= <uint64_t>p[k] << (8 * k)
            p += more
        if size > <uint64_t>(end - p):
            return PAST_PACKET
        fields[i].data = p
        fields[i].size = <size_t>size
        p += size
    return 0 if p == end else BEHIND_ROW


cdef struct Packet:
    const uint8_t* payload  # of the first packet
    size_t size  # of all of them
    size_t first
    Py_ssize_t end  # position behind the last of them
    int sequence  # the one that must follow
    bint split


cdef int find_packet(
    const uint8_t* buffer, Py_ssize_t position, Py_ssize_t end, size_t max_payload,
    int sequence, Packet* packet, Py_ssize_t* needed
) noexcept nogil:
    """One whole packet with its continuations. 1: found; 0: incomplete, see needed; < 0: fault.

    `sequence` is what its first packet must carry, -1: anything.
    """
    cdef Py_ssize_t at = position
    cdef size_t size = 0
    packet.size = 0
    packet.split = False
    while True:
        if end - at < 4:
            needed[0] = at - position + 4
            return 0
        size = buffer[at] | <size_t>buffer[at + 1] << 8 | <size_t>buffer[at + 2] << 16
        if sequence >= 0 and buffer[at + 3] != sequence:
            return WRONG_SEQUENCE
        sequence = (buffer[at + 3] + 1) & 0xFF
        if size > max_payload:
            return ROW_TOO_LARGE
        if packet.size + size > LARGEST_ROW:
            return ROW_TOO_LARGE
        if at == position:
            packet.payload = buffer + at + 4
            packet.first = size
        packet.size += size
        at += 4 + <Py_ssize_t>size
        if size < max_payload:
            break
        packet.split = True
    if end < at:
        needed[0] = at - position
        return 0
    packet.end = at
    packet.sequence = sequence
    return 1


cdef int join_packet(
    const uint8_t* buffer, Py_ssize_t position, Packet* packet, Bytes* whole
) noexcept nogil:
    """Put a split row together."""
    cdef size_t size
    whole.used = 0
    if reserve(whole, packet.size) < 0:
        return OUT_OF_MEMORY
    while position < packet.end:
        size = (
            buffer[position] | <size_t>buffer[position + 1] << 8
            | <size_t>buffer[position + 2] << 16
        )
        memcpy(whole.data + whole.used, buffer + position + 4, size)
        whole.used += size
        position += 4 + <Py_ssize_t>size
    packet.payload = whole.data
    return 0

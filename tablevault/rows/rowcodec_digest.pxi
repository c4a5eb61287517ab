# The canonical row and its hash: the same code over wire bytes and over rebuilt values.

cdef enum:
    COPIED = 96  # bytes up to which a text is copied beside its neighbours before the CRC

cdef struct Field:
    const uint8_t* data  # NULL: the value is NULL
    size_t size
    bint plain  # has no byte that LOAD DATA text must escape


cdef inline size_t head_room(const Table* t, const Field* fields) noexcept nogil:
    """Bytes that `write_head` takes at most."""
    cdef size_t room = <size_t>t.count * 24 + <size_t>t.crcs * 64
    cdef int i
    for i in range(t.heads):
        room += fields[t.head[i]].size
    return room


cdef inline uint8_t* write_head(
    const Table* t, const Field* fields, uint8_t* p, bint strong
) noexcept nogil:
    """The canonical row up to the texts; large values by SHA-256 if `strong`, else by CRC32."""
    cdef int i
    cdef const Field* f
    for i in range(t.heads):
        f = &fields[t.head[i]]
        if f.data == NULL:
            p[0] = 78
            p += 1
        else:
            copy_bytes(p, f.data, f.size)
            p += f.size
        p[0] = 124
        p += 1
    for i in range(t.tails):
        f = &fields[t.tail[i]]
        if f.data == NULL:
            p[0] = 78
            p += 1
        else:
            p += write_unsigned(f.size, p)
        p[0] = 124
        p += 1
    for i in range(t.crcs):
        f = &fields[t.crc[i]]
        if f.data == NULL:
            p[0] = 78
            p += 1
        else:
            p += write_unsigned(f.size, p)
            p[0] = 58
            p += 1
            if strong:
                p += write_sha(f.data, f.size, p)
            else:
                p += write_unsigned(crc_of(f.data, f.size), p)
        p[0] = 124
        p += 1
    return p


cdef int row_hash(
    const Table* t, const Field* fields, Bytes* scratch, uint32_t* out
) noexcept nogil:
    """CRC32 of the decimal text of CRC32(canonical row); -1 when memory is out."""
    cdef int i
    cdef const Field* f
    cdef uint8_t* p
    cdef uint32_t crc = 0xFFFFFFFFu
    scratch.used = 0
    if reserve(scratch, head_room(t, fields) + <size_t>t.tails * COPIED + 1) < 0:
        return -1
    p = write_head(t, fields, scratch.data, False)
    for i in range(t.tails):
        f = &fields[t.tail[i]]
        if f.size <= COPIED:
            copy_bytes(p, f.data, f.size)
            p += f.size
        else:
            crc = crc_update(crc, scratch.data, <size_t>(p - scratch.data))
            crc = crc_update(crc, f.data, f.size)
            p = scratch.data
    crc = ~crc_update(crc, scratch.data, <size_t>(p - scratch.data))
    out[0] = crc_of(scratch.data, write_unsigned(crc, scratch.data))
    return 0


cdef int row_print(
    const Table* t, const Field* fields, Bytes* scratch, uint64_t* out
) noexcept nogil:
    """The first eight bytes of SHA-256(canonical row, strong), big-endian; -1: memory is out."""
    cdef size_t room = head_room(t, fields) + 1
    cdef int i
    cdef const Field* f
    cdef uint8_t* p
    cdef uint32_t state[8]
    for i in range(t.tails):
        room += fields[t.tail[i]].size
    scratch.used = 0
    if reserve(scratch, room) < 0:
        return -1
    p = write_head(t, fields, scratch.data, True)
    for i in range(t.tails):
        f = &fields[t.tail[i]]
        copy_bytes(p, f.data, f.size)
        p += f.size
    sha_of(scratch.data, <size_t>(p - scratch.data), state)
    out[0] = (<uint64_t>state[0] << 32) | state[1]
    return 0

# The canonical row and its hash: the same code over wire bytes and over rebuilt values.

cdef enum:
    COPIED = 96  # bytes up to which a text is copied beside its neighbours before the CRC

cdef struct Field:
    const uint8_t* data  # NULL: the value is NULL
    size_t size
    bint plain  # has no byte that LOAD DATA text must escape


cdef int row_hash(
    const Table* t, const Field* fields, Bytes* scratch, uint32_t* out
) noexcept nogil:
    """CRC32 of the decimal text of CRC32(canonical row); -1 when memory is out."""
    cdef size_t room = <size_t>t.count * 24 + <size_t>t.tails * COPIED + 1
    cdef int i
    cdef const Field* f
    cdef uint8_t* p
    cdef uint32_t crc = 0xFFFFFFFFu
    for i in range(t.heads):
        room += fields[t.head[i]].size
    scratch.used = 0
    if reserve(scratch, room) < 0:
        return -1
    p = scratch.data
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
            p += 1 + write_unsigned(crc_of(f.data, f.size), p + 1)
        p[0] = 124
        p += 1
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

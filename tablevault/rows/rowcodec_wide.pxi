# Multi-byte charsets: their bytes to UTF-8 and back.
# A sequence that does not come back from its code point is refused, and so kept as bytes.

cdef inline unsigned int unit_at(const uint8_t* p, bint little) noexcept nogil:
    return p[0] | <unsigned int>p[1] << 8 if little else <unsigned int>p[0] << 8 | p[1]


cdef inline void put_unit(unsigned int unit, bint little, uint8_t* out) noexcept nogil:
    out[1 if little else 0] = <uint8_t>(unit >> 8)
    out[0 if little else 1] = <uint8_t>unit


cdef inline size_t put_utf8(unsigned int point, uint8_t* out) noexcept nogil:
    if point < 0x80:
        out[0] = <uint8_t>point
        return 1
    if point < 0x800:
        out[0] = <uint8_t>(0xC0 | point >> 6)
        out[1] = <uint8_t>(0x80 | (point & 0x3F))
        return 2
    if point < 0x10000:
        out[0] = <uint8_t>(0xE0 | point >> 12)
        out[1] = <uint8_t>(0x80 | (point >> 6 & 0x3F))
        out[2] = <uint8_t>(0x80 | (point & 0x3F))
        return 3
    out[0] = <uint8_t>(0xF0 | point >> 18)
    out[1] = <uint8_t>(0x80 | (point >> 12 & 0x3F))
    out[2] = <uint8_t>(0x80 | (point >> 6 & 0x3F))
    out[3] = <uint8_t>(0x80 | (point & 0x3F))
    return 4


cdef size_t table_point(
    const Column* c, const uint8_t* p, size_t n, unsigned int* point
) noexcept nogil:
    """Bytes of the character at p, 0 where there is none."""
    cdef uint16_t found
    cdef size_t at = p[0], size = 1
    if p[0] == 0:
        point[0] = 0
        return 1
    memcpy(&found, c.to_point + 2 * at, 2)
    if found == 0 and p[0] >= 0x80 and n > 1:
        if p[0] == 0x8F and n > 2:  # a lead of three bytes, or else of two
            at = 0x10000 + (<size_t>p[1] << 8 | p[2])
            memcpy(&found, c.to_point + 2 * at, 2)
            size = 3
        if found == 0:
            at = <size_t>p[0] << 8 | p[1]
            memcpy(&found, c.to_point + 2 * at, 2)
            size = 2
    point[0] = found
    return size if found else 0


cdef size_t unit_point(
    const Column* c, const uint8_t* p, size_t n, unsigned int* point
) noexcept nogil:
    """The same for the Unicode forms."""
    cdef unsigned int unit, low
    cdef bint little = c.form == UTF16LE
    if c.form == UTF32:
        if n < 4 or p[0]:
            return 0
        point[0] = <unsigned int>p[1] << 16 | <unsigned int>p[2] << 8 | p[3]
        return 0 if point[0] > 0x10FFFF or 0xD800 <= point[0] <= 0xDFFF else 4
    if n < 2:
        return 0
    unit = unit_at(p, little)
    point[0] = unit
    if not 0xD800 <= unit <= 0xDFFF:
        return 2
    if c.form == UCS2 or unit > 0xDBFF or n < 4:
        return 0
    low = unit_at(p + 2, little)
    if not 0xDC00 <= low <= 0xDFFF:
        return 0
    point[0] = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
    return 4


cdef size_t put_wide_point(const Column* c, unsigned int point, uint8_t* out) noexcept nogil:
    """The character's bytes in the column's charset, 0 where it has none."""
    cdef uint32_t found
    cdef size_t size, i
    cdef bint little = c.form == UTF16LE
    if c.form == UTF32:
        put_unit(point >> 16, False, out)
        put_unit(point & 0xFFFF, False, out + 2)
        return 4
    if c.form == BY_TABLE:
        if point > 0xFFFF:
            return 0
        memcpy(&found, c.from_point + 4 * <size_t>point, 4)
        size = found >> 24
        for i in range(size):
            out[i] = <uint8_t>(found >> 8 * (size - 1 - i))
        return size
    if point < 0x10000:
        put_unit(point, little, out)
        return 2
    if c.form == UCS2:
        return 0
    put_unit(0xD800 + ((point - 0x10000) >> 10), little, out)
    put_unit(0xDC00 + ((point - 0x10000) & 0x3FF), little, out + 2)
    return 4


cdef size_t wide_to_utf8(const Column* c, const Field* f, uint8_t* out, bint* ok) noexcept nogil:
    """Bytes written; `ok` is whether every character has a code point of its own."""
    cdef const uint8_t* p = f.data
    cdef const uint8_t* end = f.data + f.size
    cdef uint8_t* start = out
    cdef unsigned int point = 0
    cdef size_t size
    ok[0] = True
    while p < end:
        if c.form == BY_TABLE:
            size = table_point(c, p, <size_t>(end - p), &point)
        else:
            size = unit_point(c, p, <size_t>(end - p), &point)
        if size == 0:
            ok[0] = False
            return 0
        p += size
        out += put_utf8(point, out)
    return <size_t>(out - start)


cdef bint utf8_to_wide(const Column* c, Field* f, uint8_t* out) noexcept nogil:
    """Turn valid UTF-8 into the column's charset; `out` has room for four times its bytes."""
    cdef const uint8_t* p = f.data
    cdef const uint8_t* end = f.data + f.size
    cdef uint8_t* start = out
    cdef unsigned int point
    cdef int more
    cdef size_t size
    while p < end:
        point = p[0]
        more = 0
        if point >= 0xF0:
            point &= 0x07
            more = 3
        elif point >= 0xE0:
            point &= 0x0F
            more = 2
        elif point >= 0xC0:
            point &= 0x1F
            more = 1
        p += 1
        while more:
            point = point << 6 | (p[0] & 0x3F)
            p += 1
            more -= 1
        size = put_wide_point(c, point, out)
        if size == 0:
            return False
        out += size
    f.data = start
    f.size = <size_t>(out - start)
    return True

# CRC-32 of the zlib polynomial, sixteen bytes a step.
# Own tables, so that building needs no zlib headers.

cdef uint32_t CRC_TABLE[16][256]


cdef void crc_init() noexcept:
    cdef uint32_t value
    cdef int byte, bit, step
    for byte in range(256):
        value = <uint32_t>byte
        for bit in range(8):
            value = (value >> 1) ^ (0xEDB88320u if value & 1 else 0)
        CRC_TABLE[0][byte] = value
    for step in range(1, 16):
        for byte in range(256):
            value = CRC_TABLE[step - 1][byte]
            CRC_TABLE[step][byte] = (value >> 8) ^ CRC_TABLE[0][value & 0xFF]


cdef inline uint32_t crc_four(uint32_t word, int step) noexcept nogil:
    """What four bytes, `step` + 4 bytes before the end of a stride, add to it."""
    return (
        CRC_TABLE[step + 3][word & 0xFF]
        ^ CRC_TABLE[step + 2][(word >> 8) & 0xFF]
        ^ CRC_TABLE[step + 1][(word >> 16) & 0xFF]
        ^ CRC_TABLE[step][word >> 24]
    )


cdef uint32_t crc_update(uint32_t crc, const uint8_t* p, size_t n) noexcept nogil:
    """Carry the inverted `crc` over `n` bytes; start with ~0 and invert the end."""
    cdef uint32_t words[4]
    while n >= 16:
        memcpy(words, p, 16)
        crc = (
            crc_four(words[0] ^ crc, 12)
            ^ crc_four(words[1], 8)
            ^ crc_four(words[2], 4)
            ^ crc_four(words[3], 0)
        )
        p += 16
        n -= 16
    if n >= 8:
        memcpy(words, p, 8)
        crc = crc_four(words[0] ^ crc, 4) ^ crc_four(words[1], 0)
        p += 8
        n -= 8
    if n >= 4:
        memcpy(words, p, 4)
        crc = crc_four(words[0] ^ crc, 0)
        p += 4
        n -= 4
    while n > 0:
        crc = (crc >> 8) ^ CRC_TABLE[0][(crc ^ p[0]) & 0xFF]
        p += 1
        n -= 1
    return crc


cdef inline uint32_t crc_of(const uint8_t* p, size_t n) noexcept nogil:
    return ~crc_update(0xFFFFFFFFu, p, n)


crc_init()

# SHA-256 of one piece of memory (FIPS 180-4), eight bytes of the answer.
# Its constants are fractions of roots of the first primes, so they are computed.

cdef uint32_t SHA_ROUND[64]
cdef uint32_t SHA_START[8]


cdef void sha_init():
    primes = [n for n in range(2, 312) if all(n % d for d in range(2, n))]
    cdef int i
    for i in range(64):
        SHA_ROUND[i] = <uint32_t>(whole_root(primes[i] << 96, 3) & 0xFFFFFFFF)
    for i in range(8):
        SHA_START[i] = <uint32_t>(whole_root(primes[i] << 64, 2) & 0xFFFFFFFF)


def whole_root(number, degree):
    """The largest integer whose power of `degree` is not above `number`."""
    root = 0
    for bit in reversed(range(number.bit_length() // degree + 1)):
        if (root | 1 << bit) ** degree <= number:
            root |= 1 << bit
    return root


cdef inline uint32_t turned(uint32_t x, int n) noexcept nogil:
    return (x >> n) | (x << (32 - n))


cdef inline uint32_t big_endian(const uint8_t* p) noexcept nogil:
    return (
        (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | <uint32_t>p[3]
    )


cdef void sha_block(uint32_t* state, const uint8_t* p) noexcept nogil:
    """Mix 64 bytes into the state."""
    cdef uint32_t w[64]
    cdef uint32_t a = state[0], b = state[1], c = state[2], d = state[3]
    cdef uint32_t e = state[4], f = state[5], g = state[6], h = state[7]
    cdef uint32_t first, second
    cdef int i
    for i in range(16):
        w[i] = big_endian(p + 4 * i)
    for i in range(16, 64):
        first, second = w[i - 15], w[i - 2]
        w[i] = (
            w[i - 16]
            + (turned(first, 7) ^ turned(first, 18) ^ (first >> 3))
            + w[i - 7]
            + (turned(second, 17) ^ turned(second, 19) ^ (second >> 10))
        )
    for i in range(64):
        first = (
            h
            + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25))
            + (g ^ (e & (f ^ g)))
            + SHA_ROUND[i]
            + w[i]
        )
        second = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) | (c & (a | b)))
        h, g, f, e = g, f, e, d + first
        d, c, b, a = c, b, a, first + second
    state[0] += a
    state[1] += b
    state[2] += c
    state[3] += d
    state[4] += e
    state[5] += f
    state[6] += g
    state[7] += h


cdef void sha_of(const uint8_t* p, size_t n, uint32_t* state) noexcept nogil:
    """The hash of `n` bytes, as eight words."""
    cdef uint8_t last[128]
    cdef uint64_t bits = <uint64_t>n * 8
    cdef size_t end
    cdef int i
    memcpy(state, SHA_START, 32)
    while n >= 64:
        sha_block(state, p)
        p += 64
        n -= 64
    memset(last, 0, 128)
    if n:
        memcpy(last, p, n)
    last[n] = 0x80
    end = 64 if n < 56 else 128
    for i in range(8):
        last[end - 1 - i] = <uint8_t>(bits >> (8 * i))
    sha_block(state, last)
    if end == 128:
        sha_block(state, last + 64)


cdef inline size_t write_sha(const uint8_t* p, size_t n, uint8_t* out) noexcept nogil:
    """Write the hash of `n` bytes as 64 lowercase hex digits."""
    cdef uint32_t state[8]
    cdef uint32_t digit
    cdef int i
    sha_of(p, n, state)
    for i in range(64):
        digit = (state[i >> 3] >> (28 - 4 * (i & 7))) & 15
        out[i] = <uint8_t>(digit + (48 if digit < 10 else 87))
    return 64


sha_init()

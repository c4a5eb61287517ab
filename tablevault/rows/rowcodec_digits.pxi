# Decimal digits to and from machine words.

cdef uint64_t POWERS[20]
cdef uint8_t PAIRS[200]  # the digits of 00 to 99


cdef void powers_init() noexcept:
    cdef int i
    for i in range(100):
        PAIRS[2 * i] = <uint8_t>(48 + i // 10)
        PAIRS[2 * i + 1] = <uint8_t>(48 + i % 10)
    POWERS[0] = 1
    for i in range(1, 20):
        POWERS[i] = POWERS[i - 1] * 10


powers_init()


cdef inline size_t write_unsigned(uint64_t value, uint8_t* out) noexcept nogil:
    """Write a decimal number; at most 20 bytes."""
    cdef size_t size = 1, n
    cdef unsigned int small
    if value < 10:
        out[0] = <uint8_t>(48 + value)
        return 1
    while size < 20 and value >= POWERS[size]:
        size += 1
    n = size
    while value > 0xFFFFFFFFULL:
        n -= 1
        out[n] = <uint8_t>(48 + value % 10)
        value //= 10
    small = <unsigned int>value
    while n >= 2:
        n -= 2
        memcpy(out + n, PAIRS + 2 * (small % 100), 2)
        small //= 100
    if n:
        out[0] = <uint8_t>(48 + small)
    return size


cdef inline void write_digits(uint64_t value, size_t n, uint8_t* out) noexcept nogil:
    """Write the last `n` digits of a decimal number."""
    while n >= 2:
        n -= 2
        memcpy(out + n, PAIRS + 2 * (value % 100), 2)
        value //= 100
    if n:
        out[0] = <uint8_t>(48 + value % 10)


cdef inline size_t write_padded(uint64_t value, int digits, uint8_t* out) noexcept nogil:
    """Write a decimal number with at least `digits` digits, zeros in front."""
    if digits < 20:
        if value >= POWERS[digits]:
            return write_unsigned(value, out)
        write_digits(value, <size_t>digits, out)
        return <size_t>digits
    memset(out, 48, <size_t>digits - 20)
    write_digits(value, 20, out + digits - 20)
    return <size_t>digits


cdef inline void write_two(int value, uint8_t* out) noexcept nogil:
    memcpy(out, PAIRS + 2 * value, 2)


cdef inline int read_two(const uint8_t* p) noexcept nogil:
    """Two digits, -1 when they are none."""
    cdef unsigned int tens = <unsigned int>p[0] - 48, ones = <unsigned int>p[1] - 48
    return <int>(10 * tens + ones) if tens < 10 and ones < 10 else -1


cdef inline bint eight_digits(uint64_t word, uint64_t* out) noexcept nogil:
    """The number whose eight digits are the bytes of a word, the first digit lowest."""
    if (
        (word & 0xF0F0F0F0F0F0F0F0ULL)
        | (((word + 0x0606060606060606ULL) & 0xF0F0F0F0F0F0F0F0ULL) >> 4)
    ) != 0x3333333333333333ULL:
        return False
    word -= 0x3030303030303030ULL
    word = word * 10 + (word >> 8)  # pairs of digits, in every other byte
    out[0] = (
        (word & 0x000000FF000000FFULL) * 0x000F424000000064ULL
        + ((word >> 16) & 0x000000FF000000FFULL) * 0x0000271000000001ULL
    ) >> 32
    return True


cdef inline uint64_t load_digits(const uint8_t* p, size_t n) noexcept nogil:
    """A word of 1 to 8 digits as `eight_digits` takes it, zeros in front."""
    cdef uint64_t word
    cdef uint32_t halves[2]
    cdef int shift
    if n >= 8:
        memcpy(&word, p, 8)
        return word
    shift = 64 - 8 * <int>n
    if n >= 4:
        memcpy(&halves[0], p, 4)
        memcpy(&halves[1], p + n - 4, 4)
        word = <uint64_t>halves[0] << shift | <uint64_t>halves[1] << 32
    else:
        word = (
            <uint64_t>p[0] << shift
            | <uint64_t>p[n >> 1] << (shift + 8 * <int>(n >> 1))
            | <uint64_t>p[n - 1] << 56
        )
    return word | 0x3030303030303030ULL >> (64 - shift)


cdef inline bint read_digits(const uint8_t* p, size_t n, uint64_t* out) noexcept nogil:
    """Up to 19 digits, eight at a time."""
    cdef uint64_t value = 0, part
    cdef size_t step
    while n:
        step = n if n < 8 else 8
        if not eight_digits(load_digits(p, step), &part):
            return False
        value = value * POWERS[step] + part
        p += step
        n -= step
    out[0] = value
    return True

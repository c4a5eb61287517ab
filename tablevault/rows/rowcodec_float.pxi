# Doubles to and from the servers' text, without the C library's locale.
#
# To text: the shortest digits that read back as the same double, by the Schubfach method
# (R. Giulietti), then the servers' choice between fixed and exponent form.  From text: a
# 128-bit estimate, accepted only when the shortest digits of it (or of a neighbour) are the
# digits that were read.  A wrong estimate therefore cannot produce a wrong value.


cdef enum:
    POW10_LOW = -345
    POW10_HIGH = 330
    MAX_DIGITS = 17  # significant decimal digits of a double's shortest text

cdef uint64_t POW10_TOP[676]  # 10**k as 128 bits with the top bit set, rounded up
cdef uint64_t POW10_LOWER[676]


cdef int pow10_init() except -1:
    for k in range(POW10_LOW, POW10_HIGH + 1):
        if k >= 0:
            power = 10**k
            shift = power.bit_length() - 128
            scaled = power << -shift if shift <= 0 else -(-power >> shift)
        else:
            power = 10**-k
            scaled = -(-(1 << (power.bit_length() + 127)) // power)
        POW10_TOP[k - POW10_LOW] = scaled >> 64
        POW10_LOWER[k - POW10_LOW] = scaled & 0xFFFFFFFFFFFFFFFF
    return 0


cdef inline int floor_log2_pow10(int k) noexcept nogil:
    return (k * 1741647) >> 19


cdef inline uint64_t round_to_odd(uint64_t top, uint64_t low, uint64_t factor) noexcept nogil:
    """(top:low * factor) >> 128, its last bit set when anything was cut off."""
    cdef uint64_t carry, middle, high, sum_
    tv_multiply(low, factor, &carry)
    middle = tv_multiply(top, factor, &high)
    sum_ = middle + carry
    if sum_ < middle:
        high += 1
    return high | (sum_ > 1)


cdef void shortest_digits(uint64_t bits, uint64_t* digits, int* exponent) noexcept nogil:
    """The shortest decimal, nearest the value, of a finite double > 0 (sign bit clear)."""
    cdef uint64_t fraction = bits & 0xFFFFFFFFFFFFFULL
    cdef int biased = <int>(bits >> 52)
    cdef uint64_t c = fraction | (1ULL << 52) if biased else fraction
    cdef int q = biased - 1075 if biased else -1074
    cdef bint regular = fraction != 0 or biased <= 1
    cdef uint64_t odd = c & 1
    cdef int k, h
    cdef uint64_t top, low, lower, value, upper, s, tenth
    cdef bint under, over
    k = (q * 1262611 - (0 if regular else 524031)) >> 22
    h = q + floor_log2_pow10(-k) + 1
    top = POW10_TOP[-k - POW10_LOW]
    low = POW10_LOWER[-k - POW10_LOW]
    lower = round_to_odd(top, low, (4 * c - (2 if regular else 1)) << h) + odd
    value = round_to_odd(top, low, (4 * c) << h)
    upper = round_to_odd(top, low, (4 * c + 2) << h) - odd
    s = value >> 2
    if s >= 10:
        tenth = s / 10
        under = lower <= 40 * tenth
        over = 40 * tenth + 40 <= upper
        if under != over:
            digits[0] = tenth + over
            exponent[0] = k + 1
            strip_zeros(digits, exponent)
            return
    under = lower <= 4 * s
    over = 4 * s + 4 <= upper
    if under == over:  # both fit, or none: the nearer one, the even one of two
        over = value + (s & 1) > 4 * s + 2
    digits[0] = s + over
    exponent[0] = k
    strip_zeros(digits, exponent)


cdef inline void strip_zeros(uint64_t* digits, int* exponent) noexcept nogil:
    while digits[0] % 10 == 0:
        digits[0] /= 10
        exponent[0] += 1


cdef bint estimate_bits(uint64_t digits, int exponent, uint64_t* bits) noexcept nogil:
    """The bits of a double at most one step from digits * 10**exponent; False: out of range."""
    cdef uint64_t m, high, middle, carry
    cdef int shift, e, lead
    if exponent < POW10_LOW or exponent > POW10_HIGH:
        return False
    lead = tv_leading_zeros(digits)
    m = digits << lead
    middle = tv_multiply(m, POW10_TOP[exponent - POW10_LOW], &high)
    tv_multiply(m, POW10_LOWER[exponent - POW10_LOW], &carry)
    if middle + carry < middle:
        high += 1
    e = floor_log2_pow10(exponent) + 64 - lead  # exponent of the top bit of `high`
    if high >> 63 == 0:
        high = (high << 1) | ((middle + carry) >> 63)
        e -= 1
    if e > 1023:
        return False
    shift = 11 if e >= -1022 else 11 + (-1022 - e)
    if shift > 63:
        bits[0] = 0
        return True
    m = (high >> shift) + ((high >> (shift - 1)) & 1)
    bits[0] = m + (<uint64_t>(e + 1022) << 52) if e >= -1022 else m
    return bits[0] < 0x7FF0000000000000ULL


cdef bint nearest_double(uint64_t digits, int exponent, uint64_t* bits) noexcept nogil:
    """The double whose shortest decimal is digits * 10**exponent (no trailing zeros), if any."""
    cdef uint64_t guess, back
    cdef int back_exponent, step
    if not estimate_bits(digits, exponent, &guess):
        return False
    for step in range(3):
        bits[0] = guess + (0 if step == 0 else (1 if step == 1 else -1))
        if bits[0] == 0 or bits[0] >= 0x7FF0000000000000ULL:
            continue
        shortest_digits(bits[0], &back, &back_exponent)
        if back == digits and back_exponent == exponent:
            return True
    return False


cdef bint read_decimal(
    const uint8_t* p, size_t n, uint64_t* digits, int* exponent, bint* negative
) noexcept nogil:
    """Read [-]digits[.digits][e[-]digits] as digits * 10**exponent without trailing zeros.

    False when it is not of that form or has more significant digits than a double can show.
    Zero gives digits 0.  The exact spelling is checked later, by writing it again.
    """
    cdef size_t i = 0
    cdef int zeros = 0, count = 0, scale = 0, power = 0
    cdef bint point = False, any_digit = False, minus = False
    cdef uint64_t value = 0
    negative[0] = n > 0 and p[0] == 45
    if negative[0]:
        i = 1
    if n > 400:
        return False
    while i < n:
        if p[i] == 46 and not point:
            point = True
        elif 48 <= p[i] <= 57:
            any_digit = True
            scale += point
            if p[i] == 48:
                zeros += value != 0
            else:
                count += zeros + 1
                if count > MAX_DIGITS:
                    return False
                while zeros:
                    value *= 10
                    zeros -= 1
                value = value * 10 + (p[i] - 48)
        else:
            break
        i += 1
    if not any_digit:
        return False
    if i < n:
        if p[i] != 101:
            return False
        i += 1
        if i < n and p[i] == 45:
            minus = True
            i += 1
        if i == n or n - i > 3:
            return False
        while i < n:
            if not 48 <= p[i] <= 57:
                return False
            power = power * 10 + (p[i] - 48)
            i += 1
        if minus:
            power = -power
    digits[0] = value
    exponent[0] = power - scale + zeros
    return True


cdef bint parse_double(
    const Column* c, const uint8_t* p, size_t n, double* out
) noexcept nogil:
    """The double that `write_double` writes as exactly these bytes, if there is one."""
    cdef uint64_t digits, bits = 0
    cdef int exponent
    cdef bint negative
    cdef uint8_t text[VALUE_ROOM]
    if not read_decimal(p, n, &digits, &exponent, &negative) or (negative and c.pad):
        return False
    if digits and not nearest_double(digits, exponent, &bits):
        return False
    if negative:
        bits |= 1ULL << 63
    memcpy(out, &bits, 8)
    return write_double(c, out[0], text) == n and memcmp(text, p, n) == 0


cdef size_t write_double(const Column* c, double value, uint8_t* out) noexcept nogil:
    """Write a finite double as the server does; at most VALUE_ROOM bytes."""
    cdef uint64_t bits, digits = 0
    cdef int exponent = 0, count, point, fixed_size
    cdef size_t n = 0, size
    cdef uint8_t text[24]
    memcpy(&bits, &value, 8)
    if bits >> 63:
        out[0] = 45
        n = 1
        bits &= ~(1ULL << 63)
    if bits:
        shortest_digits(bits, &digits, &exponent)
    count = <int>write_unsigned(digits, text)
    point = count + exponent if digits else 1  # digits before the point
    if c.precision:
        n += write_fixed(text, count, point, c.scale, out + n)
    else:
        fixed_size = count + 1 if 0 < point < count else (
            2 - point + count if point <= 0 else point
        )
        if (
            -15 < point <= 15 or 0 < point < count
        ) and not (c.text_width and <int>n + fixed_size > c.text_width):
            n += write_fixed(text, count, point, 0, out + n)
        else:
            n += write_exponent(text, count, point - 1, out + n)
    if n < <size_t>c.pad:
        size = n
        n = <size_t>c.pad
        memmove(out + (n - size), out, size)
        memset(out, 48, n - size)
    return n


cdef size_t write_fixed(
    const uint8_t* digits, int count, int point, int scale, uint8_t* out
) noexcept nogil:
    """Write digits with `point` of them before the point and at least `scale` behind it."""
    cdef size_t n = 0
    cdef int behind = count - point
    cdef int i
    if point <= 0:
        out[0] = 48
        n = 1
    else:
        for i in range(point):
            out[n] = digits[i] if i < count else 48
            n += 1
    if behind > 0 or scale > 0:
        out[n] = 46
        n += 1
    for i in range(behind):
        out[n] = digits[point + i] if point + i >= 0 else 48
        n += 1
    for i in range(max(behind, 0), scale):
        out[n] = 48
        n += 1
    return n


cdef size_t write_exponent(
    const uint8_t* digits, int count, int exponent, uint8_t* out
) noexcept nogil:
    cdef size_t n = 1
    out[0] = digits[0]
    if count > 1:
        out[1] = 46
        memcpy(out + 2, digits + 1, count - 1)
        n = count + 1
    out[n] = 101
    n += 1
    if exponent < 0:
        out[n] = 45
        n += 1
        exponent = -exponent
    return n + write_unsigned(<uint64_t>exponent, out + n)


pow10_init()

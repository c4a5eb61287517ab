# Text -> cell.  Each read_* accepts exactly those texts that write_value gives for some cell, so
# that a value which is stored typed comes back byte for byte.

cdef int DAYS_BEFORE_MONTH[13]
DAYS_BEFORE_MONTH[:] = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]

cdef enum:
    DAYS_TO_EPOCH = 719162  # from 0001-01-01 to 1970-01-01
    DAYS_TO_END = 2932896  # from 1970-01-01 to 9999-12-31


cdef inline bint padded_as(const uint8_t* p, size_t n, size_t whole, int pad) noexcept nogil:
    """Are the leading zeros of `whole` digits before the point those of a text of `n` bytes?"""
    if pad and n <= <size_t>pad:
        return n == <size_t>pad
    return whole == 1 or p[0] != 48


cdef bint read_integer(const Column* c, const uint8_t* p, size_t n, int64_t* out) noexcept nogil:
    cdef uint64_t value, limit
    cdef unsigned int last
    cdef bint negative = c.storage == INT and n > 1 and p[0] == 45
    if negative:
        p += 1
        n -= 1
        if c.pad or p[0] == 48:
            return False
    if n == 0 or not padded_as(p, n, n, c.pad):
        return False
    while n > 19 and p[0] == 48:
        p += 1
        n -= 1
    if n > 20 or not read_digits(p, n if n < 19 else 19, &value):
        return False
    if n == 20:
        last = <unsigned int>p[19] - 48
        if last > 9 or value > 1844674407370955161ULL:
            return False
        if value == 1844674407370955161ULL and last > 5:
            return False
        value = value * 10 + last
    if c.storage == UINT:
        limit = 0xFFFFFFFFFFFFFFFFULL >> (64 - 8 * c.width)
    else:
        limit = (0x7FFFFFFFFFFFFFFFULL >> (64 - 8 * c.width)) + negative
    if value > limit:
        return False
    out[0] = <int64_t>(0 - value if negative else value)
    return True


cdef bint read_scaled(
    const Column* c, const uint8_t* p, size_t n, uint64_t* low, uint64_t* high
) noexcept nogil:
    """[-]digits.digits with exactly `scale` digits behind the point, as a 128-bit integer."""
    cdef size_t scale = <size_t>c.scale, whole, digits, i
    cdef int precision = c.precision if 0 < c.precision < 38 else 38
    cdef bint negative = n > 1 and p[0] == 45
    cdef uint8_t text[40]
    cdef uint64_t upper = 0, lower
    if negative:
        p += 1
        n -= 1
        if c.pad:
            return False
    whole = n - scale - 1 if scale else n
    if n < scale + 1 or whole < 1 or whole > n or (scale and p[whole] != 46):
        return False
    if not padded_as(p, n, whole, c.pad):
        return False
    while whole > 1 and p[0] == 48:
        p += 1
        whole -= 1
    i = 1 if p[0] == 48 else 0  # a single zero before the point is no digit of the precision
    if whole - i + scale > <size_t>precision:
        return False
    digits = whole + scale
    if digits <= 18:
        if not read_digits(p, whole, &upper) or not read_digits(p + whole + 1, scale, &lower):
            return False
        low[0] = upper * POWERS[scale] + lower
        high[0] = 0
    else:
        memcpy(text, p, whole)
        memcpy(text + whole, p + whole + 1, scale)
        if digits > 38:  # 0.d{38}
            if text[0] != 48:
                return False
            memmove(text, text + 1, 38)
            digits = 38
        if not read_digits(text, digits - 19, &upper):
            return False
        if not read_digits(text + digits - 19, 19, &lower):
            return False
        tv_multiply_add(upper, POWERS[19], lower, low, high)
    if c.width == 8 and (high[0] or low[0] > 0x7FFFFFFFFFFFFFFFULL + negative):
        return False
    if negative:
        if low[0] == 0 and high[0] == 0:
            return False
        low[0] = 0 - low[0]
        high[0] = ~high[0] + (low[0] == 0)
    return True


cdef inline bint is_leap(int year) noexcept nogil:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


cdef bint read_date(const uint8_t* p, int32_t* out) noexcept nogil:
    """Ten bytes YYYY-MM-DD, a day of the calendar from year 1 on; days since 1970."""
    cdef uint32_t years
    cdef uint16_t parts[2]
    cdef uint64_t number
    cdef int year, month, day, last
    memcpy(&years, p, 4)
    memcpy(&parts[0], p + 5, 2)
    memcpy(&parts[1], p + 8, 2)
    if p[4] != 45 or p[7] != 45 or not eight_digits(
        years | <uint64_t>parts[0] << 32 | <uint64_t>parts[1] << 48, &number
    ):
        return False
    year = <int>(number // 10000)
    month = <int>(number // 100 % 100)
    day = <int>(number % 100)
    if not 1 <= month <= 12:
        return False
    if month == 12:
        last = 31
    else:
        last = DAYS_BEFORE_MONTH[month + 1] - DAYS_BEFORE_MONTH[month]
        if month == 2 and is_leap(year):
            last = 29
    if year < 1 or not 1 <= day <= last:
        return False
    if month > 2 and is_leap(year):
        day += 1
    year -= 1
    out[0] = (
        365 * year + year // 4 - year // 100 + year // 400
        + DAYS_BEFORE_MONTH[month] + day - 1 - DAYS_TO_EPOCH
    )
    return True


cdef bint read_clock(
    const uint8_t* p, size_t n, int scale, int64_t hours, int64_t* out
) noexcept nogil:
    """:MM:SS and a fraction of exactly `scale` digits; microseconds with `hours` added."""
    cdef int minute, second
    cdef uint64_t fraction = 0
    if n != <size_t>(6 if scale == 0 else 7 + scale) or p[0] != 58 or p[3] != 58:
        return False
    minute = read_two(p + 1)
    second = read_two(p + 4)
    if not (0 <= minute < 60 and 0 <= second < 60):
        return False
    if scale and (p[6] != 46 or not read_digits(p + 7, scale, &fraction)):
        return False
    out[0] = (
        (hours * 3600 + minute * 60 + second) * 1000000 + <int64_t>(fraction * POWERS[6 - scale])
    )
    return True


cdef bint read_datetime(const Column* c, const uint8_t* p, size_t n, int64_t* out) noexcept nogil:
    cdef int32_t days
    cdef int hour
    if n < 19 or p[10] != 32 or not read_date(p, &days):
        return False
    hour = read_two(p + 11)
    if not 0 <= hour < 24 or not read_clock(p + 13, n - 13, c.scale, hour, out):
        return False
    out[0] += days * MICROS_PER_DAY
    return True


cdef bint read_time(const Column* c, const uint8_t* p, size_t n, int64_t* out) noexcept nogil:
    """[-]HH:MM:SS with two digits of hours or three, as the server keeps them (838 at most)."""
    cdef size_t clock = <size_t>(6 if c.scale == 0 else 7 + c.scale)
    cdef size_t digits
    cdef uint64_t hours
    cdef bint negative = n > 0 and p[0] == 45
    if negative:
        p += 1
        n -= 1
    if n < clock + 2:
        return False
    digits = n - clock
    if digits > 3 or (digits == 3 and p[0] == 48) or not read_digits(p, digits, &hours):
        return False
    if not read_clock(p + digits, clock, c.scale, <int64_t>hours, out):
        return False
    if negative:
        if out[0] == 0:
            return False
        out[0] = -out[0]
    return True


cdef bint is_utf8(const uint8_t* p, size_t n) noexcept nogil:
    """Strict: no overlong form, no surrogate, nothing above U+10FFFF."""
    cdef size_t i = 0, more
    cdef uint64_t word
    cdef uint8_t b, low, high
    while i < n:
        while n - i >= 8:
            memcpy(&word, p + i, 8)
            if word & 0x8080808080808080ULL:
                break
            i += 8
        if n - i >= 4 and n - i < 8 and not load_short(p + i, n - i) & 0x8080808080808080ULL:
            break
        if i == n:
            break
        b = p[i]
        i += 1
        if b < 0x80:
            continue
        low = 0x80
        high = 0xBF
        if 0xC2 <= b <= 0xDF:
            more = 1
        elif 0xE0 <= b <= 0xEF:
            more = 2
            if b == 0xE0:
                low = 0xA0
            elif b == 0xED:
                high = 0x9F
        elif 0xF0 <= b <= 0xF4:
            more = 3
            if b == 0xF0:
                low = 0x90
            elif b == 0xF4:
                high = 0x8F
        else:
            return False
        if n - i < more or not low <= p[i] <= high:
            return False
        i += 1
        more -= 1
        while more:
            if p[i] & 0xC0 != 0x80:
                return False
            i += 1
            more -= 1
    return True


cdef bint read_value(const Column* c, const uint8_t* p, size_t n, uint8_t* cell) noexcept nogil:
    """Fill the cell of a fixed-width column; False when its text would not come back."""
    cdef int64_t number
    cdef int32_t days
    cdef uint64_t parts[2]
    cdef double real
    cdef float single
    if c.storage == INT or c.storage == UINT:
        if not read_integer(c, p, n, &number):
            return False
        memcpy(cell, &number, c.width)
    elif c.storage == DECIMAL:
        if not read_scaled(c, p, n, &parts[0], &parts[1]):
            return False
        memcpy(cell, parts, c.width)
    elif c.storage == DATE:
        if n != 10 or not read_date(p, &days):
            return False
        memcpy(cell, &days, 4)
    elif c.storage == DATETIME or c.storage == TIME:
        if c.storage == TIME:
            if not read_time(c, p, n, &number):
                return False
        elif not read_datetime(c, p, n, &number):
            return False
        memcpy(cell, &number, 8)
    else:
        if not parse_double(c, p, n, &real):
            return False
        if c.storage == FLOAT:
            single = <float>real
            if <double>single != real:
                return False
            memcpy(cell, &single, 4)
        else:
            memcpy(cell, &real, 8)
    return True

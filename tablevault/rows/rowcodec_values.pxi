# One value: its text to the typed cell and back.  Each read_* accepts exactly those texts that
# write_value gives for some cell, so that a value which is stored typed comes back byte for byte.

cdef int DAYS_BEFORE_MONTH[13]
DAYS_BEFORE_MONTH[:] = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
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


cdef enum:
    DAYS_TO_EPOCH = 719162  # from 0001-01-01 to 1970-01-01
    DAYS_TO_END = 2932896  # from 1970-01-01 to 9999-12-31


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
    if digits < 20 and value < POWERS[digits]:
        write_digits(value, <size_t>digits, out)
        return <size_t>digits
    if digits <= 20:
        return write_unsigned(value, out)
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


cdef size_t write_date(int64_t days, uint8_t* out) noexcept nogil:
    """Ten bytes; 0 when it is no day of the years 1 to 9999."""
    cdef int n, cycles, centuries, fours, year, month, day
    if not -DAYS_TO_EPOCH <= days <= DAYS_TO_END:
        return 0
    n = <int>days + DAYS_TO_EPOCH
    cycles = n // 146097
    n -= cycles * 146097
    centuries = n // 36524 if n < 146096 else 3
    n -= centuries * 36524
    fours = n // 1461
    n -= fours * 1461
    year = n // 365 if n < 1460 else 3
    n -= year * 365
    year += 400 * cycles + 100 * centuries + 4 * fours + 1
    month = n // 32 + 1  # one too small at most
    day = n + 1
    if month < 12 and n >= DAYS_BEFORE_MONTH[month + 1] + (month + 1 > 2 and is_leap(year)):
        month += 1
    day -= DAYS_BEFORE_MONTH[month] + (month > 2 and is_leap(year))
    write_two(year // 100, out)
    write_two(year % 100, out + 2)
    out[4] = 45
    write_two(month, out + 5)
    out[7] = 45
    write_two(day, out + 8)
    return 10


cdef size_t write_clock(int64_t micros, int scale, uint8_t* out) noexcept nogil:
    """HH:MM:SS and fraction; 0 when hours or fraction do not fit the column."""
    cdef int64_t seconds = micros // 1000000
    cdef int fraction = <int>(micros - seconds * 1000000)
    cdef int hours, rest
    cdef size_t n
    if seconds >= 3600000 or fraction % <int>POWERS[6 - scale]:
        return 0
    hours = <int>(seconds // 3600)
    rest = <int>(seconds - <int64_t>hours * 3600)
    n = write_padded(<uint64_t>hours, 2, out)
    out[n] = 58
    write_two(rest // 60, out + n + 1)
    out[n + 3] = 58
    write_two(rest % 60, out + n + 4)
    n += 6
    if scale:
        out[n] = 46
        n += 1 + write_padded(fraction // POWERS[6 - scale], scale, out + n + 1)
    return n


cdef size_t write_scaled(const Column* c, const uint8_t* cell, uint8_t* out) noexcept nogil:
    cdef uint64_t low, high, upper, lower
    cdef bint negative
    cdef size_t n, start = 0, digits, size
    cdef size_t scale = <size_t>c.scale
    cdef uint8_t text[48]
    memcpy(&low, cell, 8)
    if c.width == 16:
        memcpy(&high, cell + 8, 8)
    else:
        high = 0xFFFFFFFFFFFFFFFFULL if low >> 63 else 0
    negative = high >> 63
    if negative:
        low = 0 - low
        high = ~high + (low == 0)
    if high == 0 and c.pad == 0 and scale < 19:
        if negative:
            out[0] = 45
            start = 1
        upper = low // POWERS[scale]
        n = start + write_unsigned(upper, out + start)
        if scale:
            out[n] = 46
            write_digits(low - upper * POWERS[scale], scale, out + n + 1)
            n += 1 + scale
        return n
    if high == 0:
        digits = write_unsigned(low, text)
    else:
        tv_divide(high, low, POWERS[19], &upper, &lower)
        if upper >= POWERS[19]:
            return 0  # 39 digits: no DECIMAL of the server
        digits = write_unsigned(upper, text)
        digits += write_padded(lower, 19, text + digits)
    if digits <= scale:
        memmove(text + (scale + 1 - digits), text, digits)
        memset(text, 48, scale + 1 - digits)
        digits = scale + 1
    if negative:
        out[0] = 45
        start = 1
    size = digits + (1 if scale else 0)
    n = start
    if not negative and size < <size_t>c.pad:
        memset(out, 48, <size_t>c.pad - size)
        n = <size_t>c.pad - size
    memcpy(out + n, text, digits - scale)
    n += digits - scale
    if scale:
        out[n] = 46
        memcpy(out + n + 1, text + (digits - scale), scale)
        n += 1 + scale
    return n


cdef size_t write_integer(const Column* c, const uint8_t* cell, uint8_t* out) noexcept nogil:
    cdef uint64_t value = 0
    cdef int unused = 64 - 8 * c.width
    memcpy(&value, cell, c.width)
    if c.storage == INT and value >> (63 - unused):
        out[0] = 45
        value = 0 - <uint64_t>(<int64_t>(value << unused) >> unused)
        return 1 + write_unsigned(value, out + 1)
    return write_padded(value, c.pad, out) if c.pad else write_unsigned(value, out)


cdef size_t write_value(const Column* c, const uint8_t* cell, uint8_t* out) noexcept nogil:
    """The server's text of a fixed-width cell; 0 for a cell that no server value has."""
    cdef int32_t days
    cdef int64_t micros, day
    cdef double real
    cdef float single
    cdef size_t n
    if c.storage == INT or c.storage == UINT:
        return write_integer(c, cell, out)
    if c.storage == DECIMAL:
        return write_scaled(c, cell, out)
    if c.storage == DATE:
        memcpy(&days, cell, 4)
        return write_date(days, out)
    if c.storage == DATETIME:
        memcpy(&micros, cell, 8)
        day = micros // MICROS_PER_DAY
        if day * MICROS_PER_DAY > micros:
            day -= 1
        if write_date(day, out) == 0:
            return 0
        out[10] = 32
        n = write_clock(micros - day * MICROS_PER_DAY, c.scale, out + 11)
        return 11 + n if n else 0
    if c.storage == TIME:
        memcpy(&micros, cell, 8)
        if micros >= 0:
            return write_clock(micros, c.scale, out)
        if micros == INT64_MIN:
            return 0
        out[0] = 45
        n = write_clock(-micros, c.scale, out + 1)
        return 1 + n if n else 0
    if c.storage == FLOAT:
        memcpy(&single, cell, 4)
        real = single
    else:
        memcpy(&real, cell, 8)
    if real - real != 0:  # infinite, or no number
        return 0
    return write_double(c, real, out)


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

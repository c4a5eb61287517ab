# Cell -> text, as the server writes it; 0 bytes for a cell that no value of the server has.

cdef size_t write_date(int64_t days, uint8_t* out) noexcept nogil:
    """Ten bytes; 0 when it is no day of the years 1 to 9999.

    Years begin in March here, so that the leap day is their last (the method is Neri and
    Schneider's: every division is one by a constant).
    """
    cdef uint32_t n, century, day, year, month
    cdef uint64_t product
    if not -DAYS_TO_EPOCH <= days <= DAYS_TO_END:
        return 0
    n = 4 * <uint32_t>(days + DAYS_TO_EPOCH + 306) + 3
    century = n // 146097
    product = 2939745 * <uint64_t>(n % 146097 | 3)
    year = 100 * century + <uint32_t>(product >> 32)
    day = <uint32_t>(product & 0xFFFFFFFFULL) // 2939745 // 4
    month = 2141 * day + 197913
    if day >= 306:  # January and February
        year += 1
        month -= 12 << 16
    write_digits(year, 4, out)
    out[4] = 45
    write_two(<int>(month >> 16), out + 5)
    out[7] = 45
    write_two(<int>((month & 0xFFFF) // 2141 + 1), out + 8)
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

# Column buffers -> the wire values of their rows.
# The buffers come from files, so every size, offset and cell is checked before it is used.

cdef enum:
    # below OUT_OF_MEMORY, which both directions share
    BAD_OFFSETS = -20
    BAD_CELL = -21
    BAD_TEXT = -22
    BAD_EXACT = -23

REFUSALS = {
    BAD_OFFSETS: "its offsets do not lie inside the data",
    BAD_CELL: "its value is none that the column's type has",
    BAD_TEXT: "its text has a character that the column's charset lacks",
    BAD_EXACT: "the row's cell of exact values is malformed",
}

cdef struct ColumnIn:
    const uint8_t* validity  # NULL: no cell is NULL
    const uint8_t* offsets
    const uint8_t* data
    size_t size  # of data
    int64_t offset


cdef inline bint is_valid(const ColumnIn* c, int64_t row) noexcept nogil:
    row += c.offset
    return c.validity == NULL or c.validity[row >> 3] >> (row & 7) & 1


cdef inline int cell_of(const ColumnIn* c, int64_t row, Field* out) noexcept nogil:
    """The bytes of a cell of a column with offsets."""
    cdef int32_t ends[2]
    memcpy(ends, c.offsets + 4 * (row + c.offset), 8)
    if ends[0] < 0 or ends[1] < ends[0] or <size_t>ends[1] > c.size:
        return BAD_OFFSETS
    out.data = c.data + ends[0]
    out.size = <size_t>(ends[1] - ends[0])
    return 0


cdef int narrow_text(const Column* c, Field* f, uint8_t* out) noexcept nogil:
    """Turn UTF-8 into the column's single-byte charset; `out` has room for f.size bytes."""
    cdef size_t i = 0, n = 0
    cdef const uint8_t* p = f.data
    cdef unsigned int point, more
    cdef int16_t byte
    if not is_utf8(p, f.size):
        return BAD_TEXT
    while i < f.size:
        point = p[i]
        more = 0
        if point >= 0xF0:
            return BAD_TEXT
        elif point >= 0xE0:
            point &= 0x0F
            more = 2
        elif point >= 0xC0:
            point &= 0x1F
            more = 1
        i += 1
        while more:
            point = point << 6 | (p[i] & 0x3F)
            i += 1
            more -= 1
        byte = c.narrow[point]
        if byte < 0:
            return BAD_TEXT
        out[n] = <uint8_t>byte
        n += 1
    f.data = out
    f.size = n
    return 0


cdef class Source:
    """The buffers of one batch, held and checked."""

    cdef Py_buffer* views
    cdef int held
    cdef ColumnIn* columns
    cdef Field* fields
    cdef Field* exact
    cdef Py_ssize_t rows
    cdef int bad_column

    def __cinit__(self, Layout layout, columns, exact, Py_ssize_t rows):
        cdef int i, count = layout.table.count
        columns = [*columns, exact]
        if rows < 0 or len(columns) != count + 1:
            raise ValueError(f"{len(columns) - 1} columns given, the row codec has {count}")
        self.rows = rows
        self.views = <Py_buffer*>calloc(3 * (count + 1), sizeof(Py_buffer))
        self.columns = <ColumnIn*>calloc(count + 1, sizeof(ColumnIn))
        self.fields = <Field*>calloc(count, sizeof(Field))
        self.exact = <Field*>calloc(count, sizeof(Field))
        if (
            self.views == NULL or self.columns == NULL
            or self.fields == NULL or self.exact == NULL
        ):
            raise MemoryError
        for i in range(count + 1):
            self.hold(i, columns[i], layout.table.columns[i].width if i < count else 0)

    def __dealloc__(self):
        self.release()
        free(self.views)
        free(self.columns)
        free(self.fields)
        free(self.exact)

    cdef void release(self) noexcept:
        while self.held:
            self.held -= 1
            PyBuffer_Release(&self.views[self.held])

    cdef const uint8_t* view(self, object buffer, Py_ssize_t* size) except? NULL:
        cdef Py_buffer* view = &self.views[self.held]
        PyObject_GetBuffer(buffer, view, PyBUF_SIMPLE)
        self.held += 1
        size[0] = view.len
        return <const uint8_t*>view.buf

    cdef int hold(self, int i, object column, Py_ssize_t width) except -1:
        cdef ColumnIn* c = &self.columns[i]
        cdef Py_ssize_t size = 0, cells, offset = column.offset
        if not 0 <= offset <= 1 << 40 or self.rows > 1 << 40:
            raise ValueError(f"column {i}: offset or number of rows out of range")
        cells = offset + self.rows
        c.offset = offset
        if column.validity is not None:
            c.validity = self.view(column.validity, &size)
            if size < (cells + 7) // 8:
                raise ValueError(f"column {i}: its validity bitmap is too short")
        c.data = self.view(column.data, &size)
        c.size = <size_t>size
        if c.data == NULL:
            c.data = b""  # an empty buffer may have no address, and NULL means a NULL value
        if width:
            if size < cells * width:
                raise ValueError(f"column {i}: its data is too short")
        elif self.rows:
            if column.offsets is None:
                raise ValueError(f"column {i}: it has no offsets")
            c.offsets = self.view(column.offsets, &size)
            if size < (cells + 1) * 4:
                raise ValueError(f"column {i}: its offsets are too short")
        return 0

    cdef int rebuild(self, const Table* t, int64_t row, Bytes* values) noexcept nogil:
        """Fill `fields` with the wire values of a row; `values` keeps those that are rendered."""
        cdef int i, state
        cdef const Column* c
        cdef ColumnIn* column
        cdef Field* f
        cdef size_t room = <size_t>t.count * VALUE_ROOM
        cdef bint exact = is_valid(&self.columns[t.count], row)
        self.bad_column = t.count
        if exact:
            state = self.read_exact(t, row)
            if state < 0:
                return state
        for i in range(t.count):
            if not t.columns[i].width:
                f = &self.fields[i]
                f.data = NULL
                f.size = 0
                if is_valid(&self.columns[i], row):
                    self.bad_column = i
                    state = cell_of(&self.columns[i], row, f)
                    if state < 0:
                        return state
                    if t.columns[i].storage == TABLE:
                        room += f.size
                    elif t.columns[i].storage == WIDE:
                        room += 4 * f.size
        values.used = 0
        if reserve(values, room) < 0:
            return OUT_OF_MEMORY
        for i in range(t.count):
            c = &t.columns[i]
            column = &self.columns[i]
            f = &self.fields[i]
            self.bad_column = i
            f.plain = c.width != 0
            if c.width:
                f.data = NULL
                f.size = 0
                if is_valid(column, row):
                    f.data = values.data + values.used
                    f.size = write_value(
                        c, column.data + (row + column.offset) * c.width,
                        values.data + values.used,
                    )
                    if f.size == 0:
                        return BAD_CELL
                    values.used += f.size
            elif c.storage == TABLE and f.data != NULL:
                state = narrow_text(c, f, values.data + values.used)
                if state < 0:
                    return state
                values.used += f.size
            elif c.storage == WIDE and f.data != NULL:
                if not is_utf8(f.data, f.size) or not utf8_to_wide(
                    c, f, values.data + values.used
                ):
                    return BAD_TEXT
                values.used += f.size
            if exact and self.exact[i].data != NULL:
                if f.data != NULL:
                    return BAD_EXACT
                f[0] = self.exact[i]
        return 0

    cdef int read_exact(self, const Table* t, int64_t row) noexcept nogil:
        """Find the values of the row's exact cell: positions rise, sizes add up."""
        cdef Field cell
        cdef const uint8_t* end
        cdef uint16_t position
        cdef uint32_t size
        cdef int last = -1
        if cell_of(&self.columns[t.count], row, &cell) < 0:
            return BAD_OFFSETS
        if cell.size == 0:
            return BAD_EXACT
        memset(self.exact, 0, <size_t>t.count * sizeof(Field))
        end = cell.data + cell.size
        while cell.data < end:
            if end - cell.data < EXACT_HEADER:
                return BAD_EXACT
            memcpy(&position, cell.data, 2)
            memcpy(&size, cell.data + 2, 4)
            cell.data += EXACT_HEADER
            if <int>position <= last or position >= t.count or size > <size_t>(end - cell.data):
                return BAD_EXACT
            last = position
            self.exact[position].data = cell.data
            self.exact[position].size = size
            cell.data += size
        return 0

# What the codec knows of a column, growing buffers, and the memory that is handed out.

cdef enum:
    # tablevault.rows.kinds.Storage
    INT = 1
    UINT = 2
    DECIMAL = 3
    FLOAT = 4
    DOUBLE = 5
    DATE = 6
    DATETIME = 7
    TIME = 8
    BYTES = 9
    TEXT = 10
    TABLE = 11
    WIDE = 12

cdef enum:
    # tablevault.rows.charsets.Form
    BY_TABLE = 1
    UCS2 = 2
    UTF16 = 3
    UTF16LE = 4
    UTF32 = 5

cdef enum:
    # tablevault.rows.kinds.DigestClass
    IN_HEAD = 1
    IN_TAIL = 2
    AS_CRC = 3

cdef enum:
    VALUE_ROOM = 400  # bytes that the text of any fixed-width value fits in
    SLACK = 64  # spare bytes behind every buffer
    EXACT_HEADER = 6  # uint16 position, uint32 length

cdef struct Column:
    int storage
    int digest
    int width  # bytes of a cell; 0 where offsets are kept
    int scale
    int pad
    int precision
    int text_width
    uint8_t* utf8  # TABLE: 256 entries of (length, up to three bytes)
    int16_t* narrow  # TABLE: byte of each code point below 0x10000, -1 where there is none
    bint borrowed  # TABLE: both belong to an earlier column of the same charset
    int form  # WIDE
    const uint8_t* to_point  # WIDE BY_TABLE: as in charsets.MultiByte
    const uint8_t* from_point

cdef struct Table:
    int count
    Column* columns
    int* head  # positions of the columns by digest class, in column order
    int heads
    int* tail
    int tails
    int* crc
    int crcs
    int tables  # columns of storage TABLE and WIDE
    size_t row_fixed  # bytes of buffers that every row takes

cdef struct Bytes:
    uint8_t* data
    size_t used
    size_t room


cdef inline void copy_bytes(uint8_t* to, const uint8_t* p, size_t n) noexcept nogil:
    """memcpy for values, most of which are short: no call, no byte outside the two."""
    cdef uint64_t words[2]
    cdef uint32_t halves[2]
    cdef uint64_t quads[4]
    if n > 32:
        memcpy(to, p, n)
    elif n > 16:
        memcpy(&quads[0], p, 16)
        memcpy(&quads[2], p + n - 16, 16)
        memcpy(to, &quads[0], 16)
        memcpy(to + n - 16, &quads[2], 16)
    elif n >= 8:
        memcpy(&words[0], p, 8)
        memcpy(&words[1], p + n - 8, 8)
        memcpy(to, &words[0], 8)
        memcpy(to + n - 8, &words[1], 8)
    elif n >= 4:
        memcpy(&halves[0], p, 4)
        memcpy(&halves[1], p + n - 4, 4)
        memcpy(to, &halves[0], 4)
        memcpy(to + n - 4, &halves[1], 4)
    elif n:
        to[0] = p[0]
        if n > 1:
            to[1] = p[1]
            to[n - 1] = p[n - 1]


cdef inline uint64_t load_short(const uint8_t* p, size_t n) noexcept nogil:
    """A word made of all bytes of a value of 4 to 7 bytes, some of them twice."""
    cdef uint32_t halves[2]
    memcpy(&halves[0], p, 4)
    memcpy(&halves[1], p + n - 4, 4)
    return halves[0] | <uint64_t>halves[1] << 32


cdef int reserve(Bytes* b, size_t extra) noexcept nogil:
    """Make room for `extra` more bytes; -1 when memory is out."""
    cdef size_t room
    cdef uint8_t* data
    if b.room - b.used >= extra and b.data != NULL:
        return 0
    room = b.used + extra
    if room < b.room + (b.room >> 1):
        room = b.room + (b.room >> 1)
    data = <uint8_t*>realloc(b.data, room + SLACK)
    if data == NULL:
        return -1
    b.data = data
    b.room = room
    return 0


cdef inline void drop(Bytes* b) noexcept nogil:
    free(b.data)
    b.data = NULL
    b.used = b.room = 0


cdef class CodecBuffer:
    """Memory of the codec, read-only, freed with its last reader."""

    cdef uint8_t* data
    cdef Py_ssize_t size

    def __dealloc__(self):
        free(self.data)

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.size, 1, flags)

    def __len__(self):
        return self.size


cdef CodecBuffer hand_out(Bytes* b, size_t keep_room):
    """Give the buffer away; `b` starts again with `keep_room` bytes of room."""
    cdef CodecBuffer owner = CodecBuffer.__new__(CodecBuffer)
    cdef uint8_t* smaller
    if reserve(b, 0) < 0:
        raise MemoryError
    if b.room - b.used > b.used // 4 + 4096:
        smaller = <uint8_t*>realloc(b.data, b.used + SLACK)
        if smaller != NULL:
            b.data = smaller
    memset(b.data + b.used, 0, SLACK)
    owner.data = b.data
    owner.size = <Py_ssize_t>b.used
    b.data = NULL
    b.used = b.room = 0
    if keep_room and reserve(b, keep_room) < 0:
        raise MemoryError
    return owner


cdef class Layout:
    """The columns of a table as plain memory, for code that runs without the GIL."""

    cdef Table table
    cdef dict known  # charset table → the first column that has it
    cdef list held  # charsets whose memory columns point into

    def __cinit__(self, specs):
        cdef int n, i
        cdef Column* c
        specs = list(specs)
        self.known = {}
        self.held = []
        if not 0 < len(specs) <= 65535:
            raise ValueError("a row codec needs between 1 and 65535 columns")
        n = <int>len(specs)
        self.table.columns = <Column*>calloc(n, sizeof(Column))
        self.table.head = <int*>calloc(n, sizeof(int))
        self.table.tail = <int*>calloc(n, sizeof(int))
        self.table.crc = <int*>calloc(n, sizeof(int))
        if (
            self.table.columns == NULL or self.table.head == NULL
            or self.table.tail == NULL or self.table.crc == NULL
        ):
            raise MemoryError
        self.table.count = n
        for i in range(n):
            c = &self.table.columns[i]
            self.describe(i, c, specs[i])
            self.table.row_fixed += c.width if c.width else 4
            if c.digest == IN_HEAD:
                self.table.head[self.table.heads] = i
                self.table.heads += 1
            elif c.digest == IN_TAIL:
                self.table.tail[self.table.tails] = i
                self.table.tails += 1
            else:
                self.table.crc[self.table.crcs] = i
                self.table.crcs += 1

    def __dealloc__(self):
        cdef int i
        if self.table.columns != NULL:
            for i in range(self.table.count):
                if not self.table.columns[i].borrowed:
                    free(self.table.columns[i].utf8)
                    free(self.table.columns[i].narrow)
        free(self.table.columns)
        free(self.table.head)
        free(self.table.tail)
        free(self.table.crc)

    cdef int describe(self, int i, Column* c, object spec) except -1:
        widths = {
            INT: (1, 2, 4, 8), UINT: (1, 2, 4, 8), DECIMAL: (8, 16), FLOAT: (4,), DOUBLE: (8,),
            DATE: (4,), DATETIME: (8,), TIME: (8,),
        }
        c.storage = spec.storage
        c.digest = spec.digest
        c.scale = spec.scale
        c.pad = spec.pad
        c.precision = spec.precision
        c.text_width = spec.text_width
        largest_scale = {DECIMAL: 38, DOUBLE: 30, FLOAT: 30}.get(c.storage, 6)
        if not (
            INT <= c.storage <= WIDE
            and IN_HEAD <= c.digest <= AS_CRC
            and 0 <= c.scale <= largest_scale
            and 0 <= c.pad <= 255
            and 0 <= c.precision <= 255
            and (c.storage >= BYTES or spec.width in widths[c.storage])
        ):
            raise ValueError(f"column {spec.name!r} has a spec that the row codec does not know")
        if c.storage < BYTES:
            c.width = spec.width
        elif c.storage == TABLE:
            self.table.tables += 1
            first = self.known.setdefault(spec.charset_table, i)
            if first == i:
                self.transcoding(c, spec)
            else:
                c.borrowed = True
                c.utf8 = self.table.columns[<int>first].utf8
                c.narrow = self.table.columns[<int>first].narrow
        elif c.storage == WIDE:
            self.table.tables += 1
            self.widening(c, spec)
        return 0

    cdef int widening(self, Column* c, object spec) except -1:
        charset = multi_byte(spec.wide_charset)
        if charset is None:
            raise ValueError(f"column {spec.name!r} has a charset that the row codec does not know")
        c.form = charset.form
        if c.form == BY_TABLE:
            if len(charset.to_point) != 0x40000 or len(charset.from_point) != 0x40000:
                raise ValueError(f"column {spec.name!r} has a charset whose tables are incomplete")
            self.held.append(charset)
            c.to_point = <const uint8_t*>PyBytes_AsString(charset.to_point)
            c.from_point = <const uint8_t*>PyBytes_AsString(charset.from_point)
        return 0

    cdef int transcoding(self, Column* c, object spec) except -1:
        cdef int byte, point
        table = spec.charset_table
        if table is None or len(table) != 256:
            raise ValueError(f"column {spec.name!r} needs a charset table of 256 code points")
        c.utf8 = <uint8_t*>calloc(256, 4)
        c.narrow = <int16_t*>malloc(65536 * sizeof(int16_t))
        if c.utf8 == NULL or c.narrow == NULL:
            raise MemoryError
        memset(c.narrow, 0xFF, 65536 * sizeof(int16_t))
        for byte in range(256):
            point = table[byte]
            if not -1 <= point <= 0xFFFF or 0xD800 <= point <= 0xDFFF:
                raise ValueError(f"column {spec.name!r} has code point {point} in its charset")
            # of two bytes with one code point only the first can come back
            if point < 0 or c.narrow[point] >= 0:
                continue
            c.narrow[point] = byte
            encoded = chr(point).encode()
            c.utf8[4 * byte] = <uint8_t>len(encoded)
            for position, value in enumerate(encoded):
                c.utf8[4 * byte + 1 + <int>position] = <uint8_t>value
        return 0

# Wire values -> LOAD DATA text, and the classes that write it.

cdef inline bint may_need_escape(uint64_t word) noexcept nogil:
    """Is one of eight bytes below 11 or a backslash? (Seldom yes for others, never no.)"""
    cdef uint64_t slash = word ^ 0x5C5C5C5C5C5C5C5CULL
    return (
        ((word - 0x0B0B0B0B0B0B0B0BULL) & ~word) | ((slash - 0x0101010101010101ULL) & ~slash)
    ) & 0x8080808080808080ULL != 0


cdef inline size_t escape(const uint8_t* p, size_t n, uint8_t* out) noexcept nogil:
    """Copy a value with backslash, tab, newline and zero escaped; at most 2 * n bytes."""
    cdef size_t i = 0, m = 0
    cdef uint64_t word
    cdef uint8_t b
    while i < n:
        # eight bytes at once while none of them is below 11 or a backslash
        while n - i >= 8:
            memcpy(&word, p + i, 8)
            if may_need_escape(word):
                break
            memcpy(out + m, &word, 8)
            i += 8
            m += 8
        if n - i >= 4 and n - i < 8 and not may_need_escape(load_short(p + i, n - i)):
            copy_bytes(out + m, p + i, n - i)
            return m + (n - i)
        if i == n:
            break
        b = p[i]
        i += 1
        if b == 92 or b == 9 or b == 10 or b == 0:
            out[m] = 92
            m += 1
            if b == 9:
                b = 116
            elif b == 10:
                b = 110
            elif b == 0:
                b = 48
        out[m] = b
        m += 1
    return m


cdef int write_line(const Table* t, const Field* fields, Bytes* text) noexcept nogil:
    """Append one row as a line of LOAD DATA text."""
    cdef size_t room = 0
    cdef int i
    cdef const Field* f
    cdef uint8_t* p
    for i in range(t.count):
        room += 2 * fields[i].size + 3
    if reserve(text, room) < 0:
        return OUT_OF_MEMORY
    p = text.data + text.used
    for i in range(t.count):
        f = &fields[i]
        if f.data == NULL:
            p[0] = 92
            p[1] = 78
            p += 2
        elif f.plain:
            copy_bytes(p, f.data, f.size)
            p += f.size
        else:
            p += escape(f.data, f.size, p)
        p[0] = 9
        p += 1
    (p - 1)[0] = 10
    text.used = <size_t>(p - text.data)
    return 0


cdef class LoadBlocks:
    """Iterator over the blocks of one batch's LOAD DATA text. See rowcodec.pyi."""

    cdef Layout layout
    cdef Source source
    cdef Bytes text
    cdef Bytes scratch
    cdef Bytes values
    cdef Bytes hashes
    cdef size_t block_bytes
    cdef bint with_text
    cdef bint with_digest
    cdef bint with_hashes
    cdef bint with_prints
    cdef bint busy
    cdef int64_t done
    cdef uint64_t hash_total
    cdef uint64_t print_low
    cdef uint64_t print_high

    def __dealloc__(self):
        drop(&self.text)
        drop(&self.scratch)
        drop(&self.values)
        drop(&self.hashes)

    @property
    def digest(self):
        if not self.with_digest:
            raise ValueError("these blocks were asked for without a digest")
        return Digest(self.done, self.done, self.hash_total)

    @property
    def fingerprint(self):
        return Fingerprint(self.done, (<object>self.print_high << 64) | self.print_low)

    def __iter__(self):
        return self

    def __next__(self):
        if not self.advance():
            raise StopIteration
        return hand_out(&self.text, 0)

    cdef bint advance(self) except -1:
        """Write the next block into `text`; False when every row is done."""
        cdef int state
        if self.busy:
            raise RuntimeError("the blocks are in use by another thread")
        if self.done >= self.source.rows:
            self.source.release()
            return False
        self.busy = True
        with nogil:
            state = self.fill()
        self.busy = False
        if state == OUT_OF_MEMORY:
            raise MemoryError
        if state < 0:
            raise ValueError(
                f"row {self.done}, column {self.source.bad_column}: {REFUSALS[state]}"
            )
        return True

    cdef int fill(self) noexcept nogil:
        cdef Table* t = &self.layout.table
        cdef uint32_t hashed
        cdef uint64_t printed
        cdef int state
        while self.done < self.source.rows:
            state = self.source.rebuild(t, self.done, &self.values)
            if state < 0:
                return state
            if self.with_digest:
                if row_hash(t, self.source.fields, &self.scratch, &hashed) < 0:
                    return OUT_OF_MEMORY
                self.hash_total += hashed
            if self.with_text:
                if write_line(t, self.source.fields, &self.text) < 0:
                    return OUT_OF_MEMORY
            if self.with_hashes:
                if reserve(&self.hashes, 4) < 0:
                    return OUT_OF_MEMORY
                memcpy(self.hashes.data + self.hashes.used, &hashed, 4)
                self.hashes.used += 4
            if self.with_prints:
                if row_print(t, self.source.fields, &self.scratch, &printed) < 0:
                    return OUT_OF_MEMORY
                self.print_low += printed
                self.print_high += self.print_low < printed
            self.done += 1
            if self.text.used >= self.block_bytes:
                break
        return 0


cdef class RowEncoder:
    """Turns column buffers back into LOAD DATA text and digest. See rowcodec.pyi."""

    cdef Layout layout

    def __cinit__(self, specs):
        self.layout = Layout(specs)

    def encode(self, columns, exact, Py_ssize_t rows, *, bint text=True):
        cdef LoadBlocks blocks = self.blocks(columns, exact, rows, PY_SSIZE_T_MAX, text)
        blocks.advance()
        blocks.source.release()
        return hand_out(&blocks.text, 0) if text else None, blocks.digest

    def hashes(self, columns, exact, Py_ssize_t rows):
        cdef LoadBlocks blocks = self.blocks(columns, exact, rows, PY_SSIZE_T_MAX, False)
        blocks.with_hashes = True
        blocks.advance()
        blocks.source.release()
        return hand_out(&blocks.hashes, 0)

    def fingerprint(self, columns, exact, Py_ssize_t rows):
        cdef LoadBlocks blocks = self.blocks(columns, exact, rows, PY_SSIZE_T_MAX, False)
        blocks.with_prints = True
        blocks.advance()
        blocks.source.release()
        return blocks.digest, blocks.fingerprint

    def encode_blocks(
        self, columns, exact, Py_ssize_t rows, Py_ssize_t block_bytes=1 << 20, *, bint digest=True
    ):
        cdef LoadBlocks blocks
        if block_bytes < 1:
            raise ValueError("a block holds at least one byte")
        blocks = self.blocks(columns, exact, rows, block_bytes, True)
        blocks.with_digest = digest
        return blocks

    cdef LoadBlocks blocks(
        self, object columns, object exact, Py_ssize_t rows, Py_ssize_t block_bytes, bint text
    ):
        cdef LoadBlocks blocks = LoadBlocks.__new__(LoadBlocks)
        blocks.layout = self.layout
        blocks.source = Source(self.layout, columns, exact, rows)
        blocks.block_bytes = <size_t>block_bytes
        blocks.with_text = text
        blocks.with_digest = True
        return blocks

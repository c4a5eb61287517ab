# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, binding=True, embedsignature=False
"""The compiled row codec: row packets to column buffers and digest, and back to LOAD DATA text.

It holds no policy, takes the GIL once a call and never once a row, and reads nothing outside the
buffers it is given.  tablevault/rows/reference.py does the same slowly, for the tests.
One module in parts: the .pxi files beside it, included at the end in the order they build on
each other.
"""

from cpython.buffer cimport (
    PyBUF_SIMPLE,
    PyBuffer_FillInfo,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.stdint cimport (
    INT64_MIN,
    int16_t,
    int32_t,
    int64_t,
    uint8_t,
    uint16_t,
    uint32_t,
    uint64_t,
)
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memmove, memset

from tablevault.model import Digest, Fingerprint
from tablevault.rows.buffers import ColumnBuffers, RowBatch
from tablevault.rows.charsets import multi_byte

cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "column buffers are little-endian, as Arrow's are; this machine is not"
    #endif
    #define TV_MICROS_PER_DAY 86400000000LL
    typedef unsigned __int128 tv_uint128;
    static inline uint64_t tv_multiply(uint64_t a, uint64_t b, uint64_t *high) {
        tv_uint128 product = (tv_uint128)a * b;
        *high = (uint64_t)(product >> 64);
        return (uint64_t)product;
    }
    static inline void tv_multiply_add(
        uint64_t a, uint64_t b, uint64_t c, uint64_t *low, uint64_t *high) {
        tv_uint128 sum = (tv_uint128)a * b + c;
        *high = (uint64_t)(sum >> 64);
        *low = (uint64_t)sum;
    }
    static inline void tv_divide(
        uint64_t high, uint64_t low, uint64_t by, uint64_t *quotient, uint64_t *rest) {
        tv_uint128 value = ((tv_uint128)high << 64) | low;
        tv_uint128 result = value / by;
        *quotient = result >> 64 ? UINT64_MAX : (uint64_t)result;
        *rest = (uint64_t)(value % by);
    }
    static inline int tv_leading_zeros(uint64_t value) { return __builtin_clzll(value); }
    """
    Py_ssize_t PY_SSIZE_T_MAX
    const int64_t MICROS_PER_DAY "TV_MICROS_PER_DAY"
    uint64_t tv_multiply(uint64_t a, uint64_t b, uint64_t* high) noexcept nogil
    void tv_multiply_add(
        uint64_t a, uint64_t b, uint64_t c, uint64_t* low, uint64_t* high
    ) noexcept nogil
    void tv_divide(
        uint64_t high, uint64_t low, uint64_t by, uint64_t* quotient, uint64_t* rest
    ) noexcept nogil
    int tv_leading_zeros(uint64_t value) noexcept nogil

MORE, FULL, END, ERROR = range(4)
MAX_PAYLOAD = 0xFFFFFF
LARGEST_GROUP = 1 << 30


class MalformedPacket(ValueError):
    """Bytes that are no row packets of the text protocol."""


include "rowcodec_crc.pxi"
include "rowcodec_sha.pxi"
include "rowcodec_columns.pxi"
include "rowcodec_digits.pxi"
include "rowcodec_float.pxi"
include "rowcodec_read.pxi"
include "rowcodec_write.pxi"
include "rowcodec_digest.pxi"
include "rowcodec_wide.pxi"
include "rowcodec_decode.pxi"
include "rowcodec_decoder.pxi"
include "rowcodec_source.pxi"
include "rowcodec_encode.pxi"

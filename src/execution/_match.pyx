# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: binding=False, auto_pickle=False, autotestdict=False
"""The kernel: what an order takes from a book, exactly and fast.

The walks are plain C (`_match_*.h`); the parts included here are the boundary to Python. What
keeps it thin: array pointers are taken once, when a Book is made; the hot methods are
positional-only; a result is one object from a free list whose numbers become Python objects
only when they are read.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT,
    PyBUF_STRIDES,
    PyBuffer_Release,
    PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.long cimport PyLong_Check
from cpython.object cimport PyObject, PyTypeObject
from cpython.unicode cimport PyUnicode_Check
from libc.math cimport INFINITY, fabs, isfinite, isnan, nearbyint
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from operator import index as _index
from os import environ as _environ
from types import GenericAlias as _GenericAlias

import numpy as _np

include "_match_c.pxi"
include "_match_convert.pxi"
include "_match_fill.pxi"
include "_match_book.pxi"
include "_match_usual.pxi"
include "_match_walk.pxi"
include "_match_arrays.pxi"
include "_match_text.pxi"

# For tests and comparisons: the plain loop in place of AVX-512.
match_choose_sweep(not _environ.get("EXECUTION_NO_SIMD"))

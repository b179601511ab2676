# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: binding=False, auto_pickle=False, autotestdict=False
"""What every order makes, compiled: its data, its exact texts, and its bytes.

The rules are elsewhere, in Python (`engine`, `settlement`, `server.requests`); this is what they
decide, written down, and for the order that nothing is unusual about, decided and taken to its
commit as well. Every function has a plain twin in `tests/twin`, which it equals.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_ND,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLongLong, PyLong_AsUnsignedLongLong, PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_Check
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, strlen

from execution._match cimport ExactFill, walk_exact

import dataclasses as _dataclasses
import logging as _logging
from collections import OrderedDict as _OrderedDict, deque as _deque

include "_order_c.pxi"
include "_order_words.pxi"
include "_order_model.pxi"
include "_order_report.pxi"
include "_order_text.pxi"
include "_order_quote.pxi"
include "_order_newest.pxi"
include "_order_accounts.pxi"
include "_order_settle.pxi"
include "_order_execute.pxi"
include "_order_json.pxi"
include "_order_entry.pxi"
include "_order_knowledge.pxi"
include "_order_pending.pxi"
include "_order_message.pxi"
include "_order_answer.pxi"
include "_order_lane.pxi"
include "_order_read.pxi"
include "_order_intake.pxi"

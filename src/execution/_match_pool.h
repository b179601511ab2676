/* Where results come from: objects that were let go of, taken again as they are.
 *
 * Cython's own free list clears the object and initialises it anew, which costs as much as the
 * walk of a short book. Here only the reference count is set: the caller writes every field.
 * Without the GIL there is no pool.
 */
#ifndef EXECUTION_MATCH_POOL_H
#define EXECUTION_MATCH_POOL_H

#include <Python.h>

#include "_match_u128.h"

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED) && !defined(Py_TRACE_REFS) && \
    !defined(Py_REF_DEBUG)
#define MATCH_POOLS 1
#else
#define MATCH_POOLS 0
#endif

#define MATCH_POOL_SIZE 64

static PyObject *match_pool[MATCH_POOL_SIZE];
static int match_pooled = 0;
static destructor match_pool_overflow = NULL;

static void match_pool_give(PyObject *object) {
    if (match_pooled < MATCH_POOL_SIZE)
        match_pool[match_pooled++] = object;
    else
        match_pool_overflow(object);
}

/* Once, for a final type without references and without garbage collection. */
static void match_pool_open(PyTypeObject *type) {
#if MATCH_POOLS
    match_pool_overflow = type->tp_dealloc;
    type->tp_dealloc = match_pool_give;
#else
    (void)type;
#endif
}

/* A new reference; its fields hold what they held before. */
MATCH_INLINE PyObject *match_pool_take(PyTypeObject *type) {
#if MATCH_POOLS
    if (match_pooled) {
        PyObject *object = match_pool[--match_pooled];
        Py_SET_REFCNT(object, 1);
        return object;
    }
#endif
    return type->tp_alloc(type, 0);
}

#endif

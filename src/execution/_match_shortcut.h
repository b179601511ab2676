/* Puts a function before a compiled function or method: it sees every call first. */
#ifndef EXECUTION_MATCH_SHORTCUT_H
#define EXECUTION_MATCH_SHORTCUT_H

#include <Python.h>

typedef PyObject *(*match_fastcall)(PyObject *self, PyObject *const *arguments, Py_ssize_t count,
                                    PyObject *names);

/* Returns what was there, for the calls that the shortcut passes on; NULL with an error set
 * where the method does not take its arguments by vector. */
static match_fastcall match_put_before(PyObject *callable, match_fastcall shortcut) {
    const int vector_call = METH_FASTCALL | METH_KEYWORDS;
    PyMethodDef *method = NULL;
    match_fastcall before;
    if (Py_IS_TYPE(callable, &PyMethodDescr_Type))
        method = ((PyMethodDescrObject *)callable)->d_method;
    else if (Py_IS_TYPE(callable, &PyCFunction_Type))
        method = ((PyCFunctionObject *)callable)->m_ml;
    if (!method || (method->ml_flags & vector_call) != vector_call) {
        PyErr_Format(PyExc_SystemError, "%R does not take its arguments by vector", callable);
        return NULL;
    }
    before = (match_fastcall)(void (*)(void))method->ml_meth;
    method->ml_meth = (PyCFunction)(void (*)(void))shortcut;
    return before;
}

#endif

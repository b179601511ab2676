/* What the kernel is measured against: empty calls, and the plain C loop it should approach.
 *
 * Built by contenders.py with -O3 when the benchmarks run; no part of the package.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

typedef unsigned __int128 u128;

/* --- empty calls --------------------------------------------------------------------- */

static PyObject *empty_one(PyObject *self, PyObject *argument) { Py_RETURN_NONE; }

static PyObject *empty_three(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "three arguments");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *empty_two(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "two arguments");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef empty_methods[] = {
    {"one", empty_one, METH_O, NULL},
    {"three", (PyCFunction)(void (*)(void))empty_three, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject empty_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "contenders.Empty",
    .tp_basicsize = sizeof(PyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = empty_methods,
    .tp_new = PyType_GenericNew,
};

/* --- the plain C loop ---------------------------------------------------------------- */

typedef struct {
    int64_t filled, levels, worst;
    u128 notional;
} walked;

static inline walked plain_walk(const int64_t *prices, const int64_t *quantities,
                                Py_ssize_t count, int64_t want, int64_t limit) {
    walked out = {0, 0, 0, 0};
    int64_t left = want;
    Py_ssize_t i = 0;
    while (i < count && prices[i] <= limit) {
        int64_t quantity = quantities[i];
        if (quantity >= left) {
            out.notional += (u128)(uint64_t)prices[i] * (uint64_t)left;
            left = 0;
            i++;
            break;
        }
        out.notional += (u128)(uint64_t)prices[i] * (uint64_t)quantity;
        left -= quantity;
        i++;
    }
    out.filled = want - left;
    out.levels = i;
    out.worst = i ? prices[i - 1] : 0;
    return out;
}

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e9 + now.tv_nsec;
}

static int borrow(PyObject *source, Py_buffer *view) {
    return PyObject_GetBuffer(source, view, PyBUF_SIMPLE);
}

/* loop_ns(prices, quantities, want, limit, repeats): ns a walk, over the same book. */
static PyObject *loop_ns(PyObject *self, PyObject *arguments) {
    PyObject *price_source, *quantity_source;
    long long want, limit, repeats;
    Py_buffer prices, quantities;
    if (!PyArg_ParseTuple(arguments, "OOLLL", &price_source, &quantity_source, &want, &limit,
                          &repeats))
        return NULL;
    if (borrow(price_source, &prices)) return NULL;
    if (borrow(quantity_source, &quantities)) {
        PyBuffer_Release(&prices);
        return NULL;
    }
    double begun = now_ns();
    for (long long i = 0; i < repeats; i++) {
        /* The compiler may neither hoist the walk nor drop its result. */
        __asm__ volatile("" : "+r"(want), "+r"(limit) : : "memory");
        walked out = plain_walk(prices.buf, quantities.buf, prices.len / 8, want, limit);
        __asm__ volatile("" : : "m"(out) : "memory");
    }
    double ended = now_ns();
    PyBuffer_Release(&prices);
    PyBuffer_Release(&quantities);
    return PyFloat_FromDouble((ended - begun) / repeats);
}

/* exported_ns(capsule, prices, quantities, want, repeats): ns a walk by the kernel's own exported
 * function. */
typedef void (*exported_walk)(const int64_t *, const int64_t *, int64_t, int64_t, int64_t, int,
                              void *);

static PyObject *exported_ns(PyObject *self, PyObject *arguments) {
    PyObject *capsule, *price_source, *quantity_source;
    long long want, repeats;
    Py_buffer prices, quantities;
    exported_walk walk;
    if (!PyArg_ParseTuple(arguments, "OOOLL", &capsule, &price_source, &quantity_source, &want,
                          &repeats))
        return NULL;
    walk = (exported_walk)PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule));
    if (!walk || borrow(price_source, &prices)) return NULL;
    if (borrow(quantity_source, &quantities)) {
        PyBuffer_Release(&prices);
        return NULL;
    }
    int64_t out[6];
    double begun = now_ns();
    for (long long i = 0; i < repeats; i++) {
        walk(prices.buf, quantities.buf, prices.len / 8, want, INT64_MAX, 0, out);
        __asm__ volatile("" : : "m"(out) : "memory");
    }
    double ended = now_ns();
    PyBuffer_Release(&prices);
    PyBuffer_Release(&quantities);
    return PyFloat_FromDouble((ended - begun) / repeats);
}

/* --- the plain C loop over many books ------------------------------------------------ */

/* batch_ns(prices, quantities, orders, books|None, depth, filled, remaining, high, low, touched,
 * worst):
 * ns an order; order i meets row i of a dense block, or row books[i]. It writes the results the
 * kernel writes. */
static PyObject *batch_ns(PyObject *self, PyObject *const *arguments, Py_ssize_t count) {
    Py_buffer views[11];
    int taken = 0;
    PyObject *result = NULL;
    if (count != 11) {
        PyErr_SetString(PyExc_TypeError, "eleven arguments");
        return NULL;
    }
    Py_ssize_t depth = PyLong_AsSsize_t(arguments[4]);
    const int64_t *books = NULL;
    memset(views, 0, sizeof views);
    for (; taken < 11; taken++) {
        if (taken == 4 || (taken == 3 && arguments[3] == Py_None)) continue;
        if (borrow(arguments[taken], &views[taken])) goto done;
    }
    if (arguments[3] != Py_None) books = views[3].buf;
    {
        const int64_t *prices = views[0].buf, *quantities = views[1].buf, *orders = views[2].buf;
        int64_t *filled = views[5].buf, *remaining = views[6].buf, *touched = views[9].buf;
        int64_t *worst = views[10].buf;
        uint64_t *high = views[7].buf, *low = views[8].buf;
        Py_ssize_t total = views[2].len / 8;
        double begun = now_ns();
        for (Py_ssize_t i = 0; i < total; i++) {
            Py_ssize_t at = (books ? books[i] : i) * depth;
            walked out = plain_walk(prices + at, quantities + at, depth, orders[i], INT64_MAX);
            filled[i] = out.filled;
            remaining[i] = orders[i] - out.filled;
            high[i] = (uint64_t)(out.notional >> 64);
            low[i] = (uint64_t)out.notional;
            touched[i] = out.levels;
            worst[i] = out.worst;
        }
        result = PyFloat_FromDouble((now_ns() - begun) / total);
    }
done:
    for (int i = 0; i < 11; i++)
        if (views[i].obj) PyBuffer_Release(&views[i]);
    return result;
}

/* floor_ns(prices, quantities, outputs, orders): ns an order to only read the books and write
 * five words of results: what memory alone costs. */
static PyObject *floor_ns(PyObject *self, PyObject *arguments) {
    PyObject *price_source, *quantity_source, *output;
    long long orders;
    Py_buffer prices, quantities, written;
    if (!PyArg_ParseTuple(arguments, "OOOL", &price_source, &quantity_source, &output, &orders))
        return NULL;
    if (borrow(price_source, &prices)) return NULL;
    if (borrow(quantity_source, &quantities)) {
        PyBuffer_Release(&prices);
        return NULL;
    }
    if (PyObject_GetBuffer(output, &written, PyBUF_WRITABLE)) {
        PyBuffer_Release(&prices);
        PyBuffer_Release(&quantities);
        return NULL;
    }
    const uint64_t *price = prices.buf, *quantity = quantities.buf;
    uint64_t sum = 0, *out = written.buf;
    double begun = now_ns();
    for (Py_ssize_t i = 0; i < prices.len / 8; i++) sum += price[i] ^ quantity[i];
    for (Py_ssize_t i = 0; i < written.len / 8; i++) out[i] = sum;
    double ended = now_ns();
    PyBuffer_Release(&prices);
    PyBuffer_Release(&quantities);
    PyBuffer_Release(&written);
    return PyFloat_FromDouble((ended - begun) / orders);
}

/* --- plain C text ---------------------------------------------------------------------- */

/* parse_ns(text, decimals, repeats): ns to read "digits.digits" and scale it, unchecked. */
static PyObject *parse_ns(PyObject *self, PyObject *arguments) {
    const char *text;
    Py_ssize_t length;
    int decimals;
    long long repeats;
    if (!PyArg_ParseTuple(arguments, "s#iL", &text, &length, &decimals, &repeats)) return NULL;
    double begun = now_ns();
    for (long long i = 0; i < repeats; i++) {
        __asm__ volatile("" : "+r"(text), "+r"(decimals) : : "memory");
        uint64_t sum = 0;
        int places = -1;
        for (Py_ssize_t at = 0; at < length; at++) {
            if (text[at] == '.') {
                places = 0;
            } else {
                sum = sum * 10 + (uint64_t)(text[at] - '0');
                places += places >= 0;
            }
        }
        for (int rest = decimals - (places > 0 ? places : 0); rest > 0; rest--) sum *= 10;
        __asm__ volatile("" : : "r"(sum) : "memory");
    }
    return PyFloat_FromDouble((now_ns() - begun) / repeats);
}

/* format_ns(value, decimals, repeats): ns to write it as text without trailing zeros. */
static PyObject *format_ns(PyObject *self, PyObject *arguments) {
    long long value, repeats;
    int decimals;
    char buffer[32];
    if (!PyArg_ParseTuple(arguments, "LiL", &value, &decimals, &repeats)) return NULL;
    double begun = now_ns();
    for (long long i = 0; i < repeats; i++) {
        __asm__ volatile("" : "+r"(value), "+r"(decimals) : : "memory");
        uint64_t rest = (uint64_t)value;
        char *at = buffer + sizeof buffer;
        int place = decimals, started = 0;
        for (; place > 0; place--) {
            char digit = (char)('0' + rest % 10);
            rest /= 10;
            started |= digit != '0';
            if (started) *--at = digit;
        }
        if (started) *--at = '.';
        do {
            *--at = (char)('0' + rest % 10);
            rest /= 10;
        } while (rest);
        __asm__ volatile("" : : "r"(at) : "memory");
    }
    return PyFloat_FromDouble((now_ns() - begun) / repeats);
}

static PyMethodDef functions[] = {
    {"empty_two", (PyCFunction)(void (*)(void))empty_two, METH_FASTCALL, NULL},
    {"parse_ns", parse_ns, METH_VARARGS, NULL},
    {"format_ns", format_ns, METH_VARARGS, NULL},
    {"loop_ns", loop_ns, METH_VARARGS, NULL},
    {"exported_ns", exported_ns, METH_VARARGS, NULL},
    {"batch_ns", (PyCFunction)(void (*)(void))batch_ns, METH_FASTCALL, NULL},
    {"floor_ns", floor_ns, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "contenders_c", NULL, -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit_contenders_c(void) {
    PyObject *made;
    if (PyType_Ready(&empty_type) < 0) return NULL;
    made = PyModule_Create(&module);
    if (made && PyModule_AddObjectRef(made, "Empty", (PyObject *)&empty_type) < 0) {
        Py_DECREF(made);
        return NULL;
    }
    return made;
}

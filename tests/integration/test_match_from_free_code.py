"""The walk from code that is compiled elsewhere: the examples run, and the capsules are there."""

import ctypes
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from execution import _match

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PRICES = np.array([101, 102, 104], np.int64)
QUANTITIES = np.array([2, 3, 5], np.int64)
ORDERS = np.array([1, 4, 99, 0], np.int64)
WORST = [101, 102, 104, 0]


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_other_cython_code_calls_the_walk(tmp_path: Path) -> None:
    pytest.importorskip("Cython")
    source = tmp_path / "walk_from_cython.pyx"
    source.write_text((EXAMPLES / source.name).read_text())
    built = subprocess.run(
        [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "-q", str(source)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (library,) = [*tmp_path.glob("walk_from_cython*.so"), *tmp_path.glob("walk_from_cython*.pyd")]
    worst = np.empty_like(ORDERS)
    load("walk_from_cython", library).worst_prices(PRICES, QUANTITIES, ORDERS, worst)
    assert worst.tolist() == WORST


def test_numba_calls_the_walk() -> None:
    pytest.importorskip("numba")
    example = load("walk_from_numba", EXAMPLES / "walk_from_numba.py")
    assert example.worst_prices(PRICES, QUANTITIES, ORDERS).tolist() == WORST


def exported(name: str, number: type) -> "ctypes._CFunctionType":
    """The C function behind a capsule, as numba and others find it."""
    capsule = _match.__pyx_capi__[name]
    name_of = ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    arguments = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, number, number]
    made = ctypes.CFUNCTYPE(None, *arguments, ctypes.c_int, ctypes.c_void_p)
    return made(pointer_of(capsule, name_of(capsule)))


def test_the_exported_functions_walk_exactly() -> None:
    walk_exact = exported("walk_exact", ctypes.c_int64)
    largest = 2**63 - 1
    prices = np.array([largest], np.int64)
    result = np.empty(6, np.uint64)
    walk_exact(prices.ctypes.data, prices.ctypes.data, 1, largest, largest, 0, result.ctypes.data)
    filled, remaining, worst, levels, low, high = (int(word) for word in result)
    assert (filled, remaining, worst, levels) == (largest, 0, largest, 1)
    assert (high << 64) + low == largest**2


def test_the_exported_functions_walk_floats() -> None:
    walk_approximate = exported("walk_approximate", ctypes.c_double)
    prices, quantities = np.array([2.5, 1.5]), np.array([1.0, 1.0])
    result = np.empty(5, np.float64)
    walk_approximate(prices.ctypes.data, quantities.ctypes.data, 2, 3.0, 2.0, 1, result.ctypes.data)
    filled, remaining, worst, _, notional = result
    assert (filled, remaining, worst, notional) == (1.0, 2.0, 2.5, 2.5)

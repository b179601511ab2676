"""Every example in a docstring runs; modules that need the server's extras are left to it."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import execution

SERVICE = {"adapters", "cli", "client", "embedded", "server", "v1", "__main__"}
"""Parts that need the extra [server]: their examples would need a running service."""


def core_modules() -> list[str]:
    return sorted(
        module.name
        for module in pkgutil.walk_packages(execution.__path__, "execution.")
        if module.name.split(".")[1] not in SERVICE
    )


def examples_written(module: ModuleType) -> int:
    """How many examples the source of the module has, counted as plain text."""
    path = Path(module.__file__ or "")
    sources = [path]
    if path.suffix != ".py":  # compiled: its examples are written in Cython
        folder = Path(__file__).resolve().parents[2] / "src" / "execution"
        name = module.__name__.rpartition(".")[2]
        sources = [file for suffix in ("pyx", "pxi") for file in folder.glob(f"{name}*.{suffix}")]
    return sum(len(re.findall(r"^ *>>> ", file.read_text(), re.MULTILINE)) for file in sources)


def test_the_core_is_found() -> None:
    assert {"execution.decimals", "execution.engine", "execution.testing"} <= set(core_modules())


@pytest.mark.parametrize("name", ["execution", *core_modules()])
def test_the_examples_of_a_module_run(name: str) -> None:
    module = importlib.import_module(name)
    ran = doctest.testmod(module)
    assert ran.failed == 0
    assert ran.attempted == examples_written(module), "an example is not found, so not run"

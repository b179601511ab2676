"""Builds the compiled modules; everything else is declared in pyproject.toml.

Switches, from the environment:
  EXECUTION_DEBUG=1        assertions and debug symbols
  EXECUTION_SANITIZE=LIST  compile and link with -fsanitize=LIST (address,undefined)
  EXECUTION_LINETRACE=1    Cython line tracing, for coverage and profilers
  EXECUTION_NO_INT128=1    the portable 128-bit number that MSVC gets
  EXECUTION_MODULES=LIST   only these of the compiled modules (_match is the kernel alone)
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup


def switched_on(name: str) -> bool:
    """Whether the environment variable is set to anything but 0."""
    return os.environ.get(name, "") not in ("", "0")


# No contraction: a fused multiply-add would make float sums differ between the walk and the
# prefix sums, and between machines.
compile_args = [] if sys.platform == "win32" else ["-O3", "-ffp-contract=off"]
if sys.platform == "linux":
    compile_args.append("-fno-plt")
link_args: list[str] = []
macros: list[tuple[str, str | None]] = []

if switched_on("EXECUTION_DEBUG"):
    compile_args += ["-O1", "-g"]
    macros.append(("CYTHON_CLINE_IN_TRACEBACK", "1"))
if sanitizers := os.environ.get("EXECUTION_SANITIZE"):
    flag = f"-fsanitize={sanitizers}"
    compile_args += ["-O1", "-g", "-fno-omit-frame-pointer", flag]
    link_args.append(flag)
if switched_on("EXECUTION_LINETRACE"):
    macros.append(("CYTHON_TRACE_NOGIL", "1"))
if switched_on("EXECUTION_NO_INT128"):
    macros.append(("EXECUTION_NO_INT128", "1"))

package = Path("src/execution")
modules = os.environ.get("EXECUTION_MODULES", "_match,_order,_call").split(",")


def extension(name: str) -> Extension:
    """The module `name`, built anew when any part of it changes."""
    # The orders use numbers and text of the kernel's headers.
    parts = {*package.glob(f"{name}*"), *package.glob("_match_*.h")}
    return Extension(
        f"execution.{name}",
        [f"src/execution/{name}.pyx"],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        define_macros=macros,
        depends=sorted(str(path) for path in parts if path.suffix in {".h", ".pxi", ".pxd"}),
    )


setup(
    ext_modules=cythonize(
        [extension(name) for name in modules],
        compiler_directives={"linetrace": switched_on("EXECUTION_LINETRACE")},
    )
)

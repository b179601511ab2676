"""The C programs of this folder, compiled when first asked for and kept under build/."""

import hashlib
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE.parents[1] / "build" / "bench"
LIBRARIES = {"load": ("nghttp2",), "script_driver": ()}
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")


class ToolMissingError(Exception):
    """Something to compile with is not installed; says what."""


def built(name: str) -> Path:
    """The program of NAME.c. Raises `ToolMissingError`."""
    sources = sorted([*HERE.glob("*.c"), *HERE.glob("*.h")])
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    program = BUILT / f"{name}-{key}"
    if not program.exists():
        _compile(name, program)
    return program


def _compile(name: str, program: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise ToolMissingError("no C compiler (cc): install gcc or clang")
    BUILT.mkdir(parents=True, exist_ok=True)
    # Under a name of its own first: another run may be compiling the same.
    unfinished = program.with_suffix(".unfinished")
    command = [compiler, *FLAGS, str(HERE / f"{name}.c"), "-o", str(unfinished)]
    command += [f"-l{library}" for library in LIBRARIES[name]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        if "nghttp2/nghttp2.h" in done.stderr or "-lnghttp2" in done.stderr:
            raise ToolMissingError(
                "libnghttp2 is missing: apt install libnghttp2-dev, or brew install libnghttp2"
            )
        raise ToolMissingError(f"{name}.c does not compile:\n{done.stderr}")
    unfinished.replace(program)

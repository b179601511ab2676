"""Makes the virtual environment in the tree, or says plainly what is missing for it.

Uses nothing but the standard library and is readable by every Python 3.6+, because its first
job is to tell an older one that it is too old. Run by the Makefile.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

OLDEST = (3, 11)
COMPILERS = ("cc", "gcc", "clang")


def main() -> None:
    """Checks what the package is built with, then creates the environment named by argv[1]."""
    if sys.version_info < OLDEST:
        give_up(
            f"Python {dotted(OLDEST)} or newer is needed,"
            f" and {sys.executable} is {dotted(sys.version_info[:2])}",
            "name a newer one: make run PYTHON=/path/to/python3.12",
        )
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    if not headers.exists():
        give_up(
            f"the C headers of {sys.executable} are missing ({headers})",
            "install them: on Debian and Ubuntu the package is python3-dev",
        )
    if not any(runs(compiler, "--version") for compiler in COMPILERS):
        give_up(
            f"no C compiler was found (tried {', '.join(COMPILERS)})",
            "install one: on Debian and Ubuntu the package is build-essential",
        )
    create(Path(sys.argv[1]))


def create(venv: Path) -> None:
    """Creates `venv`, replacing one whose Python is gone, with pip in it."""
    bundled_pip = runs(sys.executable, "-c", "import ensurepip")
    options = ["--clear"] if bundled_pip else ["--clear", "--without-pip"]
    subprocess.run([sys.executable, "-m", "venv", *options, str(venv)], check=True)
    if bundled_pip:
        return
    # Debian packs ensurepip apart (python3-venv); the pip outside can install one inside.
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "pip"]
    if subprocess.run(pip, check=False).returncode != 0:
        give_up(
            f"{sys.executable} can put no pip into {venv}",
            "install it: on Debian and Ubuntu the package is python3-venv",
        )


def runs(*command: str) -> bool:
    """Whether the command exists and ends well."""
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def dotted(version: "tuple[int, ...]") -> str:
    """The version as people write it."""
    return ".".join(map(str, version))


def give_up(problem: str, remedy: str) -> None:
    """Ends with the problem and what to do about it."""
    sys.exit(f"error: {problem};\n       {remedy}")


if __name__ == "__main__":
    main()

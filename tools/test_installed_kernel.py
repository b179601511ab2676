"""Tests the kernel as it is installed: with this Python, away from the source tree.

    python tools/test_installed_kernel.py [pytest arguments]

Wants numpy, pytest, pytest-timeout and hypothesis in the environment and nothing of [server]:
`pip install execution-service` is all a user of the kernel does. What is tested is the wheel.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = """\
[pytest]
addopts = -ra --import-mode=importlib --noconftest
pythonpath = tests
timeout = 600
filterwarnings =
    error
markers =
    slow: takes more than a few seconds
"""
ALONE = """
import sys, execution
foreign = {"grpc", "redis", "hiredis", "google", "click", "uvloop"} & set(sys.modules)
assert not foreign, f"import execution drags in {foreign}"
print(f"execution {execution.__version__} at {execution.__file__}")
"""


def main() -> int:
    """Copies the tests away, runs them there, and answers with their exit code."""
    with tempfile.TemporaryDirectory() as directory:
        away = Path(directory)
        (away / "pytest.ini").write_text(SETTINGS)
        for part in ("unit", "property"):
            folder = away / "tests" / part
            folder.mkdir(parents=True)
            for test in (ROOT / "tests" / part).glob("test_match*.py"):
                shutil.copy(test, folder)
        for helper in ("oracle.py", "recorded.py"):
            shutil.copy(ROOT / "tests" / helper, away / "tests")
        subprocess.run([sys.executable, "-c", ALONE], cwd=away, check=True)
        # The recordings are looked for beside the repository, which is not where this runs.
        data = {"EXECUTION_SHARED_DATA": str(ROOT.parent / "shared" / "data")}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "tests", *sys.argv[1:]],
            cwd=away,
            env={**data, **os.environ},
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())

"""The committed protobuf code is what the protos give."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_generated_code_is_fresh() -> None:
    check = subprocess.run(
        [sys.executable, ROOT / "tools/generate_protos.py", "--check"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert check.returncode == 0, check.stderr

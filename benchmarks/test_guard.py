"""The guard catches what it is for: five per cent more work in the walk."""

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import base_against_head
import pytest

ROOT = Path(__file__).resolve().parents[1]
CASE = "fill, L15 with limit"
PLANTED = "    int64_t left = want;\n"  # the beginning of the walk


@pytest.mark.timeout(300)
def test_a_planted_slowdown_of_five_per_cent_fails_the_guard(tmp_path: Path) -> None:
    for tool in ("valgrind", "nm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: instructions cannot be counted")
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy)
    shutil.copytree(
        ROOT / "src" / "execution",
        copy / "src" / "execution",
        ignore=shutil.ignore_patterns("*.so", "_match.c", "_order.c", "__pycache__"),
    )
    package = base_against_head.build(copy)
    baseline = tmp_path / "baseline.json"
    recorded = guard(package, baseline, "--record")
    assert recorded.returncode == 0, recorded.stdout + recorded.stderr
    counted = float(recorded.stdout.split(CASE)[1].split()[0])
    unchanged = guard(package, baseline)
    assert unchanged.returncode == 0, unchanged.stdout + unchanged.stderr

    walk = copy / "src" / "execution" / "_match_walk.h"
    source = walk.read_text()
    assert source.count(PLANTED) == 1
    nops = math.ceil(0.05 * counted)
    slower = f'{PLANTED}    __asm__ volatile(".rept {nops}\\n nop\\n .endr");\n'
    walk.write_text(source.replace(PLANTED, slower))
    base_against_head.build(copy)
    caught = guard(package, baseline)
    assert caught.returncode == 1, caught.stdout + caught.stderr
    assert "SLOWER" in caught.stdout


def guard(package: Path, baseline: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "benchmarks" / "instructions.py")]
    chosen = ["--package", str(package), "--baseline", str(baseline), "--only", CASE]
    return subprocess.run(
        [*command, *chosen, *more],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )

"""The example on recorded data runs and says what it should."""

import subprocess
import sys
from pathlib import Path

import pytest
import recorded

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "cost_of_a_large_order.py"
SETS = ("binance_usdm_BTCUSDT_20240808_L200", "nasdaq_MSFT_20120621_L50")


@pytest.mark.parametrize("name", SETS)
def test_the_cost_of_a_large_order_grows_with_the_share_of_the_book(name: str) -> None:
    if not recorded.data_directory().is_dir():
        pytest.skip(f"no recorded books in {recorded.data_directory()}")
    path = recorded.recording(name).path
    ran = subprocess.run(
        [sys.executable, str(EXAMPLE), str(path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    medians = [float(line.split()[2]) for line in ran.stdout.splitlines() if "%  " in line[:22]]
    assert len(medians) == 5
    assert medians == sorted(medians)
    assert medians[-1] > medians[0]
    assert "within 1 bp of the best ask" in ran.stdout

"""What would a large order have cost, minute by minute of a recorded day?

A notebook as a script: run it whole, or cell by cell where `# %%` is known.

    python examples/cost_of_a_large_order.py [RECORDING.book.csv.gz] [--picture cost.png]

The recording is that of ../shared/data; each snapshot is one row of a batch, so that the whole
day is one call of the kernel for each size of order. The picture needs matplotlib.
"""

# %% What is read, and how large the orders are
import argparse
import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import numpy.typing as npt

from execution import Fills, walk_batch

parser = argparse.ArgumentParser(description="What a large order would have cost.")
parser.add_argument(
    "recording",
    nargs="?",
    type=Path,
    default=Path(__file__).resolve().parents[2]
    / "shared/data/binance_usdm_BTCUSDT_20240808_L200.book.csv.gz",
)
parser.add_argument("--picture", type=Path, help="where to write the plot")
options = parser.parse_args()
SHARES = (0.01, 0.05, 0.20, 0.50, 0.80)  # of all the quantity the book shows


# %% The recording as scaled integers: exact, one snapshot a row
def scaled(text: str, decimals: int) -> int:
    """The decimal text of a cell as an integer; 0 where there is no level."""
    return int(Decimal(text).scaleb(decimals)) if text else 0


checks = json.loads(
    options.recording.with_name(
        options.recording.name.replace(".book.csv.gz", ".meta.json")
    ).read_text()
)["checks"]
depth = checks["levels"]
price_decimals, quantity_decimals = checks["price_decimals"], checks["qty_decimals"]

times, rows = [], []
with gzip.open(options.recording, "rt", newline="") as file:
    lines = csv.reader(file)
    next(lines)
    for line in lines:
        times.append(int(line[0]))
        cells = line[3:]
        rows.append(
            [
                scaled(cell, quantity_decimals if (column // depth) % 2 else price_decimals)
                for column, cell in enumerate(cells)
            ]
        )
book = np.array(rows, np.int64)
bid_prices, bid_quantities, ask_prices, ask_quantities = (
    book[:, side * depth : (side + 1) * depth] for side in range(4)
)
seconds = (np.array(times) - times[0]) / 1e9

# A missing level is no liquidity; its price repeats the one before, so that prices stay sorted.
for prices in (bid_prices, ask_prices):
    for level in range(1, depth):
        missing = prices[:, level] == 0
        prices[missing, level] = prices[missing, level - 1]


# %% One call for all snapshots: slippage from the best price, in basis points
def slippage_bps(fills: Fills, best: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How much worse than the best price the average is, a buy counted like a sale."""
    worse: npt.NDArray[np.float64] = np.abs(fills.average_price - best) / best * 1e4
    return worse


shown = ask_quantities.sum(axis=1)
costs = {}
for share in SHARES:
    wants = (shown * share).astype(np.int64)
    bought = walk_batch(ask_prices, ask_quantities, wants)
    costs[share] = slippage_bps(bought, ask_prices[:, 0])

# %% The table
unit = 10.0**-quantity_decimals
print(
    f"{options.recording.name}: {len(book)} snapshots, {seconds[-1]:.0f} s, {depth} levels a side"
)
print(f"{'share of the book':>18} {'quantity':>12} {'median bps':>11} {'95 % bps':>9} {'worst':>7}")
for share, bps in costs.items():
    size = float(np.median(shown)) * share * unit
    middle, high = np.percentile(bps, [50, 95])
    print(f"{share:>18.0%} {size:>12.3f} {middle:>11.3f} {high:>9.3f} {np.max(bps):>7.3f}")

# %% And how much can be had within a bound, at every moment: limits are one an order
within = 1  # basis points from the best ask
limits = ask_prices[:, 0] * (10_000 + within) // 10_000
everything = walk_batch(ask_prices, ask_quantities, shown, limits)
print(
    f"within {within} bp of the best ask: {np.median(everything.filled) * unit:.3f} at the median,"
    f" {everything.filled.min() * unit:.3f} at the worst moment"
)

# %% The plot
if options.picture:
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(
        2, 1, figsize=(9, 6), sharex=True, constrained_layout=True
    )
    for share, bps in costs.items():
        above.plot(seconds, bps, label=f"{share:.0%} of the asks", linewidth=0.9)
    above.set_ylabel("slippage, basis points")
    above.set_title(f"What buying a share of the book costs: {options.recording.name}")
    above.set_ylim(top=1.25 * max(bps.max() for bps in costs.values()))
    above.legend(loc="upper left", ncols=len(costs), fontsize=8)
    below.plot(seconds, everything.filled * unit, color="#0b7a4b", linewidth=0.9)
    below.set_ylabel(f"to be had within {within} bp")
    below.set_xlabel("seconds of the recording")
    figure.savefig(options.picture, dpi=120)
    print(f"written: {options.picture}")

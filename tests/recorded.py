"""Reads the recorded books of the shared data set as exact text and as scaled integers."""

import csv
import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import numpy.typing as npt

SETS = (
    "binance_spot_BTCUSDT_20240808",
    "binance_usdm_BTCUSDT_20240808",
    "binance_usdm_BTCUSDT_20240808_L1",
    "binance_usdm_BTCUSDT_20240808_L200",
    "bybit_linear_XRPUSDT_20241201_L200",
    "coinbase_spot_DASH-BTC_20210417",
    "coinbase_spot_SKL-USD_20210417",
    "nasdaq_MSFT_20120621_L50",
)

Levels = list[tuple[Decimal, Decimal]]
Ints = npt.NDArray[np.int64]


def data_directory() -> Path:
    """Where the recordings lie: EXECUTION_SHARED_DATA, or ../shared/data beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("EXECUTION_SHARED_DATA", beside))


@dataclass(frozen=True, slots=True)
class RecordedBook:
    """One snapshot, best level first, as the decimals of the source."""

    bids: Levels
    asks: Levels


@dataclass(frozen=True, slots=True)
class Recording:
    """One set: its scales, and its snapshots when asked for."""

    path: Path
    price_decimals: int
    quantity_decimals: int
    depth: int

    def books(self, every: int = 1) -> Iterator[RecordedBook]:
        """Every n-th snapshot, beginning with the first."""
        with gzip.open(self.path, "rt", newline="") as file:
            rows = csv.reader(file)
            next(rows)
            for number, row in enumerate(rows):
                if number % every == 0:
                    yield self._book(row[3:])

    def _book(self, cells: list[str]) -> RecordedBook:
        depth = self.depth
        bid_px, bid_qty, ask_px, ask_qty = (
            cells[part * depth : (part + 1) * depth] for part in range(4)
        )
        return RecordedBook(_levels(bid_px, bid_qty), _levels(ask_px, ask_qty))

    def scaled(self, levels: Levels) -> tuple[Ints, Ints]:
        """(prices, quantities) as integers at the scales of the set; inexact is an error."""
        prices = [_scaled(price, self.price_decimals) for price, _ in levels]
        quantities = [_scaled(quantity, self.quantity_decimals) for _, quantity in levels]
        return np.array(prices, np.int64), np.array(quantities, np.int64)


def recording(name: str) -> Recording:
    directory = data_directory()
    checks = json.loads((directory / f"{name}.meta.json").read_text())["checks"]
    return Recording(
        path=directory / f"{name}.book.csv.gz",
        price_decimals=checks["price_decimals"],
        quantity_decimals=checks["qty_decimals"],
        depth=checks["levels"],
    )


def _levels(prices: list[str], quantities: list[str]) -> Levels:
    pairs = zip(prices, quantities, strict=True)
    return [(Decimal(price), Decimal(quantity)) for price, quantity in pairs if price]


def _scaled(value: Decimal, decimals: int) -> int:
    scaled = value.scaleb(decimals)
    whole = int(scaled)
    if whole != scaled:
        raise ValueError(f"{value} has more than {decimals} decimals")
    return whole

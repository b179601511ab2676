"""Recorded books: what is in a `*.book.csv.gz` file and its trades, read lazily.

The book file is gzip'd CSV, one header line, one row per snapshot::

    ts_ns,recv_ns,seq,bid_px_00..,bid_qty_00..,ask_px_00..,ask_qty_00..

Level 00 is the best; a missing level is an empty cell. The trades file has the
columns `ts_ns` and `price` among others. Rows count from 1, the header apart.

A file is read whole once, when it is opened, so that every malformed cell is
found before anything is served; after that never more than a row is held.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeAlias

from execution.decimals import INT64_MAX, MAX_DECIMALS
from execution.embedded.market.feed import MarketBook
from execution.errors import StartupError
from execution.model import SymbolSpec

LEVELS_MAX: Final = 5_000
LINE_BYTES_MAX: Final = 1 << 20
ROWS_MAX: Final = 50_000_000
META_BYTES_MAX: Final = 1 << 20

_BOOK_SUFFIX: Final = ".book.csv.gz"
_FIXED: Final = ("ts_ns", "recv_ns", "seq")
_SIDES: Final = ("bid_px", "bid_qty", "ask_px", "ask_qty")
_INTEGER: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)

Cells: TypeAlias = list[str]


class BadRecording(StartupError):
    """A recorded file cannot be served; says which cell of it, and why."""

    def __init__(
        self, path: Path, problem: str, row: int | None = None, column: str | None = None
    ) -> None:
        place = [str(path)]
        if row is not None:
            place.append(f"row {row}" if row else "header")
        if column is not None:
            place.append(f"column {column}")
        super().__init__(f"{', '.join(place)}: {problem}")
        self.path = path
        self.row = row
        self.column = column


@dataclass(frozen=True, slots=True)
class Recording:
    """A book file that was read and found good. Made by `open_recording`."""

    path: Path
    trades_path: Path | None
    spec: SymbolSpec
    levels: int
    rows: int
    first_ts_ns: int
    last_ts_ns: int
    sequenced: bool
    """Whether `seq` is the sequence of the books; otherwise the row's number is."""

    def books(self, last_price: int | None = None) -> Iterator[tuple[int, MarketBook]]:
        """(ts_ns, book) of every row and, between rows, of every trade.

        A trade repeats the book before it, sequence and source time included,
        with a new last price. Trades before the first row, and at the time of
        a row, show in that row. Raises `BadRecording` where the file is no
        longer what it was when it was opened.
        """
        trades = self._trades()
        trade = next(trades, None)
        book: MarketBook | None = None
        for ts_ns, row_book in self._rows():
            while trade is not None and trade[0] <= ts_ns:
                last_price = trade[1]
                if book is not None and trade[0] < ts_ns:
                    book = replace(book, last_price=last_price)
                    yield trade[0], book
                trade = next(trades, None)
            book = replace(row_book, last_price=last_price)
            yield ts_ns, book
        if book is None:
            return
        while trade is not None:
            yield trade[0], replace(book, last_price=trade[1])
            trade = next(trades, None)

    def _rows(self) -> Iterator[tuple[int, MarketBook]]:
        rows = _table(self.path)
        header = next(rows)[1]
        levels = self.levels
        if _levels_of(self.path, header) != levels:
            raise BadRecording(self.path, f"had {levels} levels when it was opened", 0)
        scales = (self.spec.price_decimals, self.spec.quantity_decimals) * 2
        for number, cells in rows:
            bid_px, bid_qty, ask_px, ask_qty = (
                tuple(
                    _scaled(self.path, number, header[i], cells[i], scale)
                    for i in range(start, start + levels)
                    if cells[i]
                )
                for start, scale in zip(range(3, 3 + 4 * levels, levels), scales, strict=True)
            )
            ts_ns = _integer(self.path, number, "ts_ns", cells[0])
            seq = _integer(self.path, number, "seq", cells[2]) if self.sequenced else number
            yield ts_ns, MarketBook(seq, ts_ns, bid_px, bid_qty, ask_px, ask_qty)

    def _trades(self) -> Iterator[tuple[int, int]]:
        if self.trades_path is None:
            return
        path, scale = self.trades_path, self.spec.price_decimals
        rows = _table(path)
        at, price = _trade_columns(path, next(rows)[1])
        for number, cells in rows:
            ts_ns = _integer(path, number, "ts_ns", cells[at])
            yield ts_ns, _scaled(path, number, "price", cells[price], scale)


def open_recording(path: Path, symbol: str, trades_path: Path | None = None) -> Recording:
    """Reads the files through and returns what `symbol` can be served from.

    The scales are the digits the data needs, or those of the `.meta.json`
    beside the file where they are finer. The `seq` column is the sequence if
    every row has one and it grows from row to row; otherwise rows are numbered.
    Raises `BadRecording` naming file, row and column.
    """
    prices, quantities = _Extent(), _Extent()
    levels, rows, first_ts_ns, last_ts_ns, sequenced = _scan_books(path, prices, quantities)
    if trades_path is not None:
        _scan_trades(trades_path, prices)
    meta_price, meta_quantity = _meta_decimals(path)
    return Recording(
        path=path,
        trades_path=trades_path,
        spec=SymbolSpec(
            symbol=symbol,
            price_decimals=prices.decimals(meta_price),
            quantity_decimals=quantities.decimals(meta_quantity),
        ),
        levels=levels,
        rows=rows,
        first_ts_ns=first_ts_ns,
        last_ts_ns=last_ts_ns,
        sequenced=sequenced,
    )


class _Extent:
    """How many digits the numbers of one kind need, and which cell needs the most."""

    def __init__(self) -> None:
        self._fraction = 0
        self._whole = 0
        self._widest: tuple[Path, int, str] | None = None

    def add(self, path: Path, row: int, column: str, cell: str) -> None:
        """Takes a cell into account; refuses what is no number."""
        whole, fraction = _parts(path, row, column, cell)
        if len(fraction) > self._fraction:
            if len(fraction) > MAX_DECIMALS:
                raise BadRecording(
                    path, f"{cell[:64]!r} has more than {MAX_DECIMALS} decimals", row, column
                )
            self._fraction = len(fraction)
        if len(whole) > self._whole:
            self._whole, self._widest = len(whole), (path, row, column)

    def decimals(self, at_least: int) -> int:
        """The scale; refuses a column that no int64 can hold at it."""
        decimals = max(self._fraction, at_least)
        if self._whole + decimals > MAX_DECIMALS and self._widest is not None:
            path, row, column = self._widest
            raise BadRecording(
                path,
                f"{self._whole} digits before the point and {decimals} after it, as the file"
                f" needs, are more than the {MAX_DECIMALS} that fit a 64-bit integer",
                row,
                column,
            )
        return decimals


def _scan_books(
    path: Path, prices: _Extent, quantities: _Extent
) -> tuple[int, int, int, int, bool]:
    table = _table(path)
    header = next(table)[1]
    levels = _levels_of(path, header)
    first_price = len(_FIXED)
    kinds = [quantities if (i // levels) % 2 else prices for i in range(4 * levels)]
    columns = list(zip(range(first_price, len(header)), header[first_price:], kinds, strict=True))
    rows = first_ts_ns = ts_ns = 0
    seq, sequenced = -1, True
    for rows, cells in table:
        ts_ns = _integer(path, rows, "ts_ns", cells[0])
        first_ts_ns = ts_ns if rows == 1 else first_ts_ns
        if cells[2] and (row_seq := _integer(path, rows, "seq", cells[2])) > seq:
            seq = row_seq
        else:
            sequenced = False
        for index, column, extent in columns:
            cell = cells[index]
            if cell:
                extent.add(path, rows, column, cell)
        _check_pairs(path, rows, header, cells, levels)
    if not rows:
        raise BadRecording(path, "has no rows")
    return levels, rows, first_ts_ns, ts_ns, sequenced


def _check_pairs(path: Path, row: int, header: Sequence[str], cells: Cells, levels: int) -> None:
    """A level is there whole or not at all."""
    for start in (len(_FIXED), len(_FIXED) + 2 * levels):
        for price in range(start, start + levels):
            if bool(cells[price]) != bool(cells[price + levels]):
                missing = price if not cells[price] else price + levels
                raise BadRecording(path, "is empty, its level is not", row, header[missing])


def _scan_trades(path: Path, prices: _Extent) -> None:
    table = _table(path)
    at, price = _trade_columns(path, next(table)[1])
    for row, cells in table:
        _integer(path, row, "ts_ns", cells[at])
        prices.add(path, row, "price", cells[price])


def _levels_of(path: Path, header: Sequence[str]) -> int:
    levels, rest = divmod(len(header) - len(_FIXED), len(_SIDES))
    if levels < 1 or rest:
        raise BadRecording(
            path, f"has {len(header)} columns; a book file has 3 and then 4 for each level", 0
        )
    if levels > LEVELS_MAX:
        raise BadRecording(path, f"has {levels} levels; at most {LEVELS_MAX} are served", 0)
    expected = [*_FIXED, *(f"{side}_{level:02d}" for side in _SIDES for level in range(levels))]
    for name, want in zip(header, expected, strict=True):
        if name != want:
            raise BadRecording(path, f"is named {name[:64]!r}", 0, want)
    return levels


def _trade_columns(path: Path, header: Cells) -> tuple[int, int]:
    for column in ("ts_ns", "price"):
        if column not in header:
            raise BadRecording(path, "is missing", 0, column)
    return header.index("ts_ns"), header.index("price")


def _table(path: Path) -> Iterator[tuple[int, Cells]]:
    """(row, cells) of every line, the header as row 0; all rows have its width."""
    row = width = 0
    try:
        with gzip.open(path, "rb") as lines:
            while line := lines.readline(LINE_BYTES_MAX + 1):
                if len(line) > LINE_BYTES_MAX:
                    raise BadRecording(path, f"is longer than {LINE_BYTES_MAX} bytes", row)
                cells = line.decode("ascii").rstrip("\r\n").split(",")
                width = width or len(cells)
                if len(cells) != width:
                    raise BadRecording(path, f"has {len(cells)} cells; the header has {width}", row)
                yield row, cells
                row += 1
                if row > ROWS_MAX:
                    raise BadRecording(path, f"has more than {ROWS_MAX} rows")
    except UnicodeDecodeError:
        raise BadRecording(path, "is not ASCII text", row) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadRecording(path, f"is not a whole gzip file: {error}", row) from error
    except OSError as error:
        raise BadRecording(path, f"cannot be read: {error.strerror or error}") from error
    if not row:
        raise BadRecording(path, "is empty")


def _integer(path: Path, row: int, column: str, cell: str) -> int:
    if not _INTEGER.fullmatch(cell) or (value := int(cell)) > INT64_MAX:
        raise BadRecording(path, f"{cell[:64]!r} is not an integer of up to 63 bits", row, column)
    return value


def _parts(path: Path, row: int, column: str, cell: str) -> tuple[str, str]:
    """The digits before and after the point, without the zeros that say nothing."""
    if not _NUMBER.fullmatch(cell):
        raise BadRecording(path, f"{cell[:64]!r} is not an unsigned decimal", row, column)
    # A source that sends JSON numbers may have written 1e-05.
    plain = format(Decimal(cell), "f") if "e" in cell or "E" in cell else cell
    whole, _, fraction = plain.partition(".")
    return whole.lstrip("0"), fraction.rstrip("0")


def _scaled(path: Path, row: int, column: str, cell: str, decimals: int) -> int:
    whole, fraction = _parts(path, row, column, cell)
    if len(fraction) > decimals or len(whole) + decimals > MAX_DECIMALS:
        raise BadRecording(path, f"{cell[:64]!r} is not what was opened", row, column)
    return int(whole + fraction.ljust(decimals, "0") or "0")


def _meta_decimals(path: Path) -> tuple[int, int]:
    """The scales of the `.meta.json` beside the file; zeros where there is none."""
    name = path.name.removesuffix(_BOOK_SUFFIX)
    meta_path = path.with_name(f"{name}.meta.json")
    try:
        with meta_path.open("rb") as file:
            meta = json.loads(file.read(META_BYTES_MAX))
    except FileNotFoundError:
        return 0, 0
    except (OSError, ValueError) as error:
        raise BadRecording(meta_path, f"cannot be read: {error}") from error
    checks = meta.get("checks") if isinstance(meta, dict) else None
    if not isinstance(checks, dict):
        return 0, 0
    return _decimals(meta_path, checks, "price_decimals"), _decimals(
        meta_path, checks, "qty_decimals"
    )


def _decimals(meta_path: Path, checks: dict[str, object], key: str) -> int:
    value = checks.get(key, 0)
    if not isinstance(value, int) or not 0 <= value <= MAX_DECIMALS:
        raise BadRecording(meta_path, f"checks.{key} is {value!r}, not a number of decimals")
    return value

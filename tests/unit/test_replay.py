"""Recorded books: read exactly, refused clearly, played at the right pace."""

import asyncio
import gzip
import json
import selectors
from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import recorded

from execution.embedded.market import recording as recording_module
from execution.embedded.market.feed import MarketBook
from execution.embedded.market.recording import BadRecording, Recording, open_recording
from execution.embedded.market.replay import ReplayFeed

SECOND = 1_000_000_000
HEADER = (
    "ts_ns,recv_ns,seq,bid_px_00,bid_px_01,bid_qty_00,bid_qty_01,"
    "ask_px_00,ask_px_01,ask_qty_00,ask_qty_01"
)
ROWS = (
    "1000000000,,11,100.50,100.40,1.5,2.000,100.60,100.70,3,4.25",
    "2000000000,1,12,100.40,,2.000,,100.60,100.70,3,4.25",
    "4000000000,,15,,,,,100.60,,3,",
)
TRADES = (
    "ts_ns,recv_ns,trade_id,price,qty,aggressor",
    "900000000,,1,100.4,1,BUY",
    "1500000000,,2,100.55,1,SELL",
    "2000000000,,3,100.6,1,",
    "9000000000,,4,100.7,1,BUY",
)


def write(path: Path, *lines: str) -> Path:
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    return path


@pytest.fixture
def book_file(tmp_path: Path) -> Path:
    return write(tmp_path / "x.book.csv.gz", HEADER, *ROWS)


@pytest.fixture
def trades_file(tmp_path: Path) -> Path:
    return write(tmp_path / "x.trades.csv.gz", *TRADES)


def books(recording: Recording) -> list[MarketBook]:
    return [book for _, book in recording.books()]


def test_numbers_are_the_files_decimals_as_exact_integers(book_file: Path) -> None:
    recording = open_recording(book_file, "X-Y")
    first = books(recording)[0]
    assert (recording.spec.price_decimals, recording.spec.quantity_decimals) == (1, 2)
    assert first == MarketBook(
        sequence=11,
        source_time_ns=SECOND,
        bid_prices=(1005, 1004),
        bid_quantities=(150, 200),
        ask_prices=(1006, 1007),
        ask_quantities=(300, 425),
    )


def test_empty_cells_are_levels_that_are_not_there(book_file: Path) -> None:
    _, thin, bare = books(open_recording(book_file, "X"))
    assert (thin.bid_prices, thin.bid_quantities) == ((1004,), (200,))
    assert (bare.bid_prices, bare.bid_quantities) == ((), ())
    assert (bare.ask_prices, bare.ask_quantities) == ((1006,), (300,))


def test_a_number_that_a_source_wrote_with_an_exponent_is_exact(tmp_path: Path) -> None:
    row = "1,,1,1E-8,,2.5e+1,,1.5e-7,,1e2,"
    recording = open_recording(write(tmp_path / "e.book.csv.gz", HEADER, row), "X")
    (book,) = books(recording)
    assert (recording.spec.price_decimals, recording.spec.quantity_decimals) == (8, 0)
    assert (book.bid_prices, book.bid_quantities) == ((1,), (25,))
    assert (book.ask_prices, book.ask_quantities) == ((15,), (100,))


def test_a_meta_file_beside_it_makes_the_scales_finer_never_coarser(book_file: Path) -> None:
    meta = book_file.with_name("x.meta.json")
    meta.write_text(json.dumps({"checks": {"price_decimals": 4, "qty_decimals": 0}}))
    recording = open_recording(book_file, "X")
    assert (recording.spec.price_decimals, recording.spec.quantity_decimals) == (4, 2)
    assert books(recording)[0].bid_prices == (1005000, 1004000)


@pytest.mark.parametrize("text", ["{}", "[]", '{"checks": 3}', '{"checks": {}}'])
def test_a_meta_file_that_says_nothing_of_scales_changes_nothing(
    book_file: Path, text: str
) -> None:
    book_file.with_name("x.meta.json").write_text(text)
    assert open_recording(book_file, "X").spec.price_decimals == 1


@pytest.mark.parametrize("text", ["{", '{"checks": {"qty_decimals": "two"}}'])
def test_a_meta_file_that_makes_no_sense_is_named(book_file: Path, text: str) -> None:
    book_file.with_name("x.meta.json").write_text(text)
    with pytest.raises(BadRecording, match=r"x\.meta\.json"):
        open_recording(book_file, "X")


@pytest.mark.parametrize(
    ("seqs", "served"),
    [
        (("5", "9", "100"), [5, 9, 100]),
        (("0", "1", "2"), [0, 1, 2]),
        (("", "", ""), [1, 2, 3]),
        (("5", "", "7"), [1, 2, 3]),
        (("5", "5", "7"), [1, 2, 3]),
        (("5", "4", "7"), [1, 2, 3]),
    ],
)
def test_seq_is_the_sequence_if_it_tells_every_row_from_the_others(
    tmp_path: Path, seqs: tuple[str, ...], served: list[int]
) -> None:
    rows = [f"{number},,{seq},1,,1,,2,,1," for number, seq in enumerate(seqs)]
    recording = open_recording(write(tmp_path / "s.book.csv.gz", HEADER, *rows), "X")
    assert [book.sequence for book in books(recording)] == served


def test_trades_are_the_last_price_from_their_time_on(book_file: Path, trades_file: Path) -> None:
    recording = open_recording(book_file, "X", trades_file)
    assert recording.spec.price_decimals == 2
    played = [(ts_ns, book.sequence, book.last_price) for ts_ns, book in recording.books()]
    assert played == [
        (1_000_000_000, 11, 10040),
        (1_500_000_000, 11, 10055),
        (2_000_000_000, 12, 10060),
        (4_000_000_000, 15, 10060),
        (9_000_000_000, 15, 10070),
    ]


def test_a_trade_between_rows_changes_nothing_but_the_last_price(
    book_file: Path, trades_file: Path
) -> None:
    row, trade, *_ = books(open_recording(book_file, "X", trades_file))
    assert trade.source_time_ns == row.source_time_ns
    assert (trade.bid_prices, trade.ask_quantities) == (row.bid_prices, row.ask_quantities)


def test_without_trades_there_is_no_last_price(book_file: Path) -> None:
    assert {book.last_price for book in books(open_recording(book_file, "X"))} == {None}


Change = Callable[[list[str]], object]


def cell(row: int, column: str, text: str) -> Change:
    """Puts a text into a cell; row 0 is the header."""

    def change(lines: list[str]) -> None:
        cells = lines[row].split(",")
        cells[HEADER.split(",").index(column)] = text
        lines[row] = ",".join(cells)

    return change


@pytest.mark.parametrize(
    ("change", "row", "column", "says"),
    [
        (cell(1, "bid_px_01", "abc"), 1, "bid_px_01", "'abc' is not an unsigned decimal"),
        (cell(2, "ask_qty_01", "-4"), 2, "ask_qty_01", "'-4'"),
        (cell(2, "ask_px_00", "nan"), 2, "ask_px_00", "'nan'"),
        (cell(2, "ask_px_00", "1_000"), 2, "ask_px_00", "'1_000'"),
        (cell(2, "ask_px_00", " 1"), 2, "ask_px_00", "' 1'"),
        (cell(3, "ask_px_00", "0." + "0" * 18 + "1"), 3, "ask_px_00", "more than 18 decimals"),
        (cell(3, "ask_px_00", "9" * 19), 3, "ask_px_00", "64-bit"),
        (cell(3, "ask_qty_00", "9" * 17), 3, "ask_qty_00", "64-bit"),
        (cell(2, "bid_qty_00", ""), 2, "bid_qty_00", "is empty, its level is not"),
        (cell(2, "bid_qty_01", "7"), 2, "bid_px_01", "is empty, its level is not"),
        (cell(1, "ts_ns", "1.5"), 1, "ts_ns", "'1.5' is not an integer"),
        (cell(3, "ts_ns", ""), 3, "ts_ns", "'' is not an integer"),
        (cell(3, "seq", str(2**63)), 3, "seq", "up to 63 bits"),
        (cell(0, "bid_qty_00", "bid_size_00"), 0, "bid_qty_00", "is named 'bid_size_00'"),
        (lambda lines: lines.insert(2, "1,2,3"), 2, None, "has 3 cells; the header has 11"),
        (lambda lines: lines.append("x" * 1_100_000), 4, None, "is longer than"),
        (lambda lines: lines.append("\N{SNOWMAN}"), 4, None, "is not ASCII"),
        (lambda lines: lines.__setitem__(0, "ts_ns,recv_ns,seq"), 0, None, "has 3 columns"),
        (lambda lines: lines.__setitem__(0, "a,b,c,d,e"), 0, None, "has 5 columns"),
        (lambda lines: lines.__delitem__(slice(1, None)), None, None, "has no rows"),
        (lambda lines: lines.clear(), None, None, "is empty"),
    ],
)
def test_a_malformed_file_is_refused_when_it_is_opened_naming_the_cell(
    tmp_path: Path, change: Change, row: int | None, column: str | None, says: str
) -> None:
    lines = [HEADER, *ROWS]
    change(lines)
    file = write(tmp_path / "bad.book.csv.gz", *lines)
    with pytest.raises(BadRecording, match=r"bad\.book\.csv\.gz") as refused:
        open_recording(file, "X")
    assert (refused.value.row, refused.value.column) == (row, column)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 400


def test_too_many_levels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_module, "LEVELS_MAX", 1)
    with pytest.raises(BadRecording, match="has 2 levels; at most 1"):
        open_recording(write(tmp_path / "deep.book.csv.gz", HEADER, *ROWS), "X")


def test_what_is_no_whole_gzip_file_is_refused(tmp_path: Path, book_file: Path) -> None:
    plain, cut = tmp_path / "plain.book.csv.gz", tmp_path / "cut.book.csv.gz"
    plain.write_text(HEADER)
    cut.write_bytes(book_file.read_bytes()[:-12])
    for file in (plain, cut):
        with pytest.raises(BadRecording, match="not a whole gzip file"):
            open_recording(file, "X")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRecording, match="No such file"):
        open_recording(tmp_path / "none.book.csv.gz", "X")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (("ts_ns,px", "1,2"), "header, column price: is missing"),
        (("price,qty", "1,2"), "header, column ts_ns: is missing"),
        (("ts_ns,price", "1,x"), "row 1, column price: 'x'"),
        (("ts_ns,price", "1,2", "1.0,2"), "row 2, column ts_ns: '1.0'"),
    ],
)
def test_malformed_trades_are_refused_when_opened(
    tmp_path: Path, book_file: Path, lines: tuple[str, ...], says: str
) -> None:
    trades = write(tmp_path / "t.csv.gz", *lines)
    with pytest.raises(BadRecording) as refused:
        open_recording(book_file, "X", trades)
    assert says in str(refused.value)


def test_books_are_read_row_by_row(book_file: Path) -> None:
    """The rows before a bad one are served: nobody has read ahead."""
    recording = open_recording(book_file, "X")
    write(book_file, HEADER, *ROWS[:2], "broken")
    assert len(list(islice(recording.books(), 2))) == 2
    with pytest.raises(BadRecording, match="row 3"):
        books(recording)


def test_a_file_that_changed_since_it_was_opened_is_refused(book_file: Path) -> None:
    recording = open_recording(book_file, "X")
    write(book_file, HEADER, ROWS[0].replace("100.50", "100.55"))
    with pytest.raises(BadRecording, match="is not what was opened"):
        books(recording)
    write(book_file, "ts_ns,recv_ns,seq,bid_px_00,bid_qty_00,ask_px_00,ask_qty_00", "1,,1,1,1,2,2")
    with pytest.raises(BadRecording, match="had 2 levels"):
        books(recording)


@pytest.mark.parametrize("name", recorded.SETS)
def test_every_recorded_set_is_served_as_its_decimals_say(name: str) -> None:
    if not recorded.data_directory().is_dir():
        pytest.skip(f"no recorded books in {recorded.data_directory()}")
    reference = recorded.recording(name)
    served = open_recording(reference.path, "X")
    spec = served.spec
    assert (spec.price_decimals, spec.quantity_decimals) == (
        reference.price_decimals,
        reference.quantity_decimals,
    )
    every = 40
    count = 0
    for (_, book), truth in zip(
        islice(served.books(), 0, None, every), reference.books(every), strict=True
    ):
        assert scaled_back(book.bid_prices, book.bid_quantities, reference) == truth.bids
        assert scaled_back(book.ask_prices, book.ask_quantities, reference) == truth.asks
        count += 1
    assert count


def scaled_back(
    prices: tuple[int, ...], quantities: tuple[int, ...], scales: recorded.Recording
) -> recorded.Levels:
    return [
        (
            Decimal(price).scaleb(-scales.price_decimals),
            Decimal(quantity).scaleb(-scales.quantity_decimals),
        )
        for price, quantity in zip(prices, quantities, strict=True)
    ]


class VirtualSelector(selectors.DefaultSelector):
    """Instead of waiting, time jumps: pacing is tested to the instant, in no time."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


class Enough(Exception):
    """Thrown out of a play that would go on for ever."""


Seen = tuple[float, int, int | None]


def played(feed: ReplayFeed, changes: int) -> list[Seen]:
    """(time, sequence, last price) of every change, until there are `changes` or no more."""
    seen: list[Seen] = []

    def publish() -> None:
        now = asyncio.get_running_loop().time()
        seen.append((round(now, 6), feed.book.sequence, feed.book.last_price))
        if len(seen) == changes:
            raise Enough

    async def play() -> None:
        try:
            await feed.play(publish)
        except Enough:
            return

    run_virtually(play)
    return seen


def run_virtually(main: Callable[[], Awaitable[None]]) -> None:
    async def once() -> Any:
        return await main()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(once())


def test_a_feed_shows_the_first_row_before_it_plays(book_file: Path) -> None:
    assert ReplayFeed(open_recording(book_file, "X")).book.sequence == 11


@pytest.mark.parametrize(
    ("speed", "times"),
    [(1.0, [0, 1, 3]), (10.0, [0, 0.1, 0.3]), (0.5, [0, 2, 6]), (float("inf"), [0, 0, 0])],
)
def test_rows_come_when_their_time_has_come_divided_by_the_speed(
    book_file: Path, speed: float, times: list[float]
) -> None:
    seen = played(ReplayFeed(open_recording(book_file, "X"), speed), changes=99)
    assert [(at, sequence) for at, sequence, _ in seen] == list(
        zip(times, (11, 12, 15), strict=True)
    )


def test_trades_come_in_their_own_time(book_file: Path, trades_file: Path) -> None:
    feed = ReplayFeed(open_recording(book_file, "X", trades_file))
    assert played(feed, changes=99) == [
        (0, 11, 10040),
        (0.5, 11, 10055),
        (1, 12, 10060),
        (3, 15, 10060),
        (8, 15, 10070),
    ]


def test_time_that_goes_backwards_in_the_file_delays_nothing(tmp_path: Path) -> None:
    rows = [f"{second * SECOND},,{number},1,,1,,2,,1," for number, second in enumerate((5, 3, 6))]
    file = write(tmp_path / "back.book.csv.gz", HEADER, *rows)
    seen = played(ReplayFeed(open_recording(file, "X")), changes=99)
    assert [at for at, _, _ in seen] == [0, 0, 1]


def test_at_the_end_the_last_book_stays(book_file: Path) -> None:
    feed = ReplayFeed(open_recording(book_file, "X"), speed=float("inf"))
    played(feed, changes=99)
    assert (feed.book.sequence, feed.book.source_time_ns) == (15, 4 * SECOND)


def test_a_loop_begins_again_with_sequences_that_count_on(
    book_file: Path, trades_file: Path
) -> None:
    feed = ReplayFeed(open_recording(book_file, "X", trades_file), loop=True)
    seen = played(feed, changes=15)
    assert [sequence for _, sequence, _ in seen] == [
        *(11, 11, 12, 15, 15),
        *(16, 16, 17, 18, 18),
        *(19, 19, 20, 21, 21),
    ]
    assert seen[5] == (9.0, 16, 10040)  # one mean gap after the end


def test_a_loop_without_trades_before_its_first_row_keeps_the_last_price(
    tmp_path: Path, book_file: Path
) -> None:
    trades = write(tmp_path / "late.csv.gz", "ts_ns,price", "4000000000,100.9")
    feed = ReplayFeed(open_recording(book_file, "X", trades), loop=True)
    assert [last for _, _, last in played(feed, changes=4)] == [None, None, 1009, 1009]


def test_a_loop_over_one_row_leaves_time_for_others(tmp_path: Path) -> None:
    file = write(tmp_path / "one.book.csv.gz", HEADER, ROWS[0])
    seen = played(ReplayFeed(open_recording(file, "X"), speed=float("inf"), loop=True), changes=4)
    assert [(at, sequence) for at, sequence, _ in seen] == [
        (0, 11),
        (0.01, 12),
        (0.02, 13),
        (0.03, 14),
    ]


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_speed_that_is_none_is_refused(book_file: Path, speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        ReplayFeed(open_recording(book_file, "X"), speed)

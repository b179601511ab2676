"""`execution-service symbol-service` as a process."""

import asyncio
import gzip
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from processes import kill, running, start, stop

from execution.v1 import marketdata_pb2, snapshot_pb2
from execution.v1.marketdata_pb2_grpc import MarketDataServiceStub
from execution.v1.snapshot_pb2_grpc import SymbolSnapshotServiceStub

ROWS = """ts_ns,recv_ns,seq,bid_px_00,bid_qty_00,ask_px_00,ask_qty_00
1000000000,,41,100.5,1.25,100.6,2
1001000000,,42,100.4,1.25,100.6,3
"""
TRADES = """ts_ns,recv_ns,trade_id,price,qty,aggressor
1000500000,,1,100.55,1,BUY
"""


@pytest.fixture
def replay(tmp_path: Path) -> list[str]:
    book, trades = tmp_path / "x.book.csv.gz", tmp_path / "x.trades.csv.gz"
    book.write_bytes(gzip.compress(ROWS.encode()))
    trades.write_bytes(gzip.compress(TRADES.encode()))
    return ["--replay", str(book), "--symbol", "X-Y", "--trades", str(trades)]


async def test_a_recording_is_served_over_both_protos_to_its_last_book(
    replay: list[str], tmp_path: Path
) -> None:
    arguments = ["symbol-service", "--listen", "127.0.0.1:0", *replay, "--simulate", "BTC-USDT"]
    async with running(*arguments, cwd=tmp_path) as service:
        assert service.ready["symbols"] == "X-Y,BTC-USDT"
        async with grpc.aio.insecure_channel(service.grpc) as channel:
            request = marketdata_pb2.StreamBooksRequest(symbols=["X-Y"])
            async for book in MarketDataServiceStub(channel).StreamBooks(request):
                if book.sequence == 42:
                    break
            assert list(book.bids.prices) == [10040]
            assert list(book.asks.quantities) == [300]
            assert (book.last_price, book.source_time.nanos) == (10055, 1_000_000)
            top = await SymbolSnapshotServiceStub(channel).GetL1(
                snapshot_pb2.SymbolRequest(symbol="X-Y")
            )
            assert (top.bid.price, top.ask.qty) == (100.4, 3.0)


async def read_to_its_end(stream: AsyncIterator[marketdata_pb2.Book]) -> None:
    async for _ in stream:
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_status_0_also_with_a_stream_open(
    replay: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    service = await start("symbol-service", "--listen", "127.0.0.1:0", *replay, cwd=tmp_path)
    try:
        async with grpc.aio.insecure_channel(service.grpc) as channel:
            stream = aiter(
                MarketDataServiceStub(channel).StreamBooks(marketdata_pb2.StreamBooksRequest())
            )
            await anext(stream)
            service.signal(number)
            with pytest.raises(grpc.aio.AioRpcError):
                await read_to_its_end(stream)
        assert await service.ended() == 0
    finally:
        await kill(service)
    assert service.log.read_text() == ""


async def test_settings_can_come_from_the_environment(tmp_path: Path) -> None:
    env = {
        "EXECUTION_SYMBOL_SERVICE_LISTEN": "127.0.0.1:0",
        "EXECUTION_SYMBOL_SERVICE_DEPTH": "7",
    }
    async with (
        running("symbol-service", cwd=tmp_path, env=env) as service,
        grpc.aio.insecure_channel(service.grpc) as channel,
    ):
        book = await MarketDataServiceStub(channel).GetBook(
            marketdata_pb2.GetBookRequest(symbol="DASH-BTC")
        )
    assert len(book.bids.prices) == len(book.asks.prices) == 7


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--replay", "none.book.csv.gz", "--symbol", "X"], "none.book.csv.gz: cannot be read"),
        (["--listen", "nowhere"], "--listen 'nowhere': must be HOST:PORT"),
        (["--simulate", "A:B"], "symbol 'A:B'"),
        (["--simulate", "A", "A"], "symbol 'A' is named more than once"),
    ],
)
async def test_what_cannot_be_served_ends_with_status_2_and_one_reason(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    service = await start("symbol-service", *arguments, cwd=tmp_path, wait=False)
    try:
        assert await service.ended() == 2
    finally:
        await kill(service)
    log = service.log.read_text()
    assert says in log
    assert "Traceback" not in log


async def test_a_recording_that_breaks_while_it_plays_ends_it_with_a_reason(
    tmp_path: Path,
) -> None:
    file = tmp_path / "x.book.csv.gz"
    file.write_bytes(gzip.compress(ROWS.encode()))
    service = await start(
        *("symbol-service", "--listen", "127.0.0.1:0", "--loop"),
        *("--replay", str(file), "--symbol", "X"),
        cwd=tmp_path,
    )
    try:
        broken = tmp_path / "broken"
        broken.write_bytes(gzip.compress(ROWS.replace("100.4", "what").encode()))
        broken.replace(file)
        assert await asyncio.wait_for(service.process.wait(), 10) == 2
    finally:
        await stop(service)
    assert "row 2, column bid_px_00: 'what'" in service.log.read_text()

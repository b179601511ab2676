"""A simulated world for tests of this service and of systems around it.

Clock, market data and ledger in memory, behind the protocols of
`execution.ports`. Nothing in it reads a real clock, waits for real time or
draws from a global random source: the test decides what happens and when, and
whatever is drawn is drawn from a seed that shows itself in failures.

An order through the whole service, without gRPC and Redis:

>>> import asyncio
>>> from execution.errors import LedgerUnavailable
>>> from execution.executor import Executor, Terms
>>> from execution.model import Direction, Order
>>> from execution.pricing import Liquidity
>>> from execution.settlement import FeeRate
>>> async def buy() -> None:
...     books, ledger, clock = SimulatedBooks(), SimulatedLedger(), SimulatedClock()
...     books.set_book("BTC-USDT", bids=[("99", "1")], asks=[("101", "1"), ("102", "5")])
...     executor = Executor(books, ledger, Liquidity(), clock, Terms(FeeRate()))
...     order = Order("o-1", "ann", "BTC-USDT", Direction.BUY, "3")
...     ledger.inject(Fault.LOST_AFTER)  # written, but nobody hears of it
...     try:
...         await executor.execute(order)
...     except LedgerUnavailable as error:
...         print(error.reason)
...     report = await executor.execute(order)  # the retry finds what was written
...     print(report.status.name, report.filled_quantity, report.notional)
...     print(len(ledger.store.history), "written")
>>> asyncio.run(buy())
REDIS_UNAVAILABLE
FILLED 3 305
1 written
"""

from execution.testing.books import Asked, PendingBook, SimulatedBooks, book_snapshot
from execution.testing.clock import SimulatedClock
from execution.testing.faults import Fault, FaultScript, FaultSource, SeededFaults
from execution.testing.ledger import PendingCommit, SimulatedLedger, SimulatedStore
from execution.testing.stop_stream import SimulatedStopStream

__all__ = [
    "Asked",
    "Fault",
    "FaultScript",
    "FaultSource",
    "PendingBook",
    "PendingCommit",
    "SeededFaults",
    "SimulatedBooks",
    "SimulatedClock",
    "SimulatedLedger",
    "SimulatedStopStream",
    "SimulatedStore",
    "book_snapshot",
]

"""What every entry must be, whatever ledger it goes to.

An entry that breaks these rules is a mistake of ours, and would commit
something else than it says.
"""

from typing import Final

from execution.model import OrderStatus
from execution.ports import Entry

RESTING: Final = frozenset({OrderStatus.UNTRIGGERED, OrderStatus.TRIGGERED})
"""The states in which an order waits for something."""

_FILLING: Final = frozenset({OrderStatus.PARTIAL, OrderStatus.FILLED})


def check_entry(entry: Entry) -> None:
    """Raises `ValueError` for an entry that contradicts itself."""
    report = entry.report
    if report.version != (entry.follows or 0) + 1:
        raise ValueError(f"version {report.version} does not follow version {entry.follows}")
    if (report.filled_quantity != "0") != (report.status in _FILLING):
        raise ValueError(f"an order {report.status.name} has filled {report.filled_quantity}")
    if entry.position is not None and entry.basis is None:
        raise ValueError("an entry that changes a position names the position it rests on")
    for position in (entry.basis, entry.position):
        if position is not None and not (
            position.user_id == report.user_id and position.symbol == report.symbol
        ):
            raise ValueError("an entry's positions are those of its own user and symbol")
    stop = entry.resting
    if (stop is not None) != (report.status in RESTING):
        raise ValueError(f"an order {report.status.name} with the resting stop {stop}")
    if stop is not None and (stop.order_id, stop.version) != (report.order_id, report.version):
        raise ValueError("what rests after an entry is its own order, at its own version")

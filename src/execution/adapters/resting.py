"""What a resting stop looks like in Redis: one line of text, quick to read.

`version|received_time_ns|triggered_time_ns|triggered_by_price|terms`, where the
order id is the name under which it is kept and `terms` is `Order.payload()`,
which has separators of its own and therefore comes last. What is not set is
empty. A text of another form would begin with a letter.
"""

from typing import Final

from execution.model import RestingStop

_SEPARATOR: Final = "|"
_PARTS_BEFORE_TERMS: Final = 4


def stop_to_text(stop: RestingStop) -> str:
    """The stop as text, without its order id. Raises `ValueError`.

    >>> stop_to_text(RestingStop("o-1", 2, "SL|ann|…", 1_700_000_000_000_000_000))
    '2|1700000000000000000|||SL|ann|…'
    """
    if _SEPARATOR in stop.triggered_by_price:
        raise ValueError(f"{stop.triggered_by_price!r} is not a price")
    triggered = "" if stop.triggered_time_ns is None else stop.triggered_time_ns
    return (
        f"{stop.version}|{stop.received_time_ns}|{triggered}|{stop.triggered_by_price}|{stop.terms}"
    )


def stop_from_text(order_id: str, text: str) -> RestingStop:
    """The stop that `stop_to_text` wrote. Raises `ValueError`.

    Does not look into the terms: `RestingStop.order` does.
    """
    version, received, triggered, price, terms = text.split(_SEPARATOR, _PARTS_BEFORE_TERMS)
    return RestingStop(
        order_id,
        int(version),
        terms,
        int(received),
        int(triggered) if triggered else None,
        price,
    )

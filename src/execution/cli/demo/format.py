"""Numbers as people read them; everything exact stays where it is."""

import time
from decimal import Decimal
from typing import Final

SHORT: Final = {
    "INSUFFICIENT_LIQUIDITY": "book end",
    "PRICE_PROTECTION": "limit",
    "NO_LIQUIDITY": "nothing",
    "FOK_UNFILLABLE": "killed",
    "UNKNOWN_SYMBOL": "unknown",
    "BAD_BOOK": "bad book",
    "FILTER": "filter",
    "InvalidArgument": "invalid",
    "OrderIdReused": "id taken",
    "RETRY": "retry",
}
"""Reasons and errors in eight characters; others are cut."""


def fixed(value: int, decimals: int) -> str:
    """A scaled integer with all its digits, so that columns stand still.

    >>> fixed(618000, 1), fixed(5, 3)
    ('61800.0', '0.005')
    """
    return f"{Decimal(value).scaleb(-decimals):.{decimals}f}"


def rounded(text: str, decimals: int) -> str:
    """Decimal text, half-even at so many digits; empty stays empty.

    >>> rounded("61800.12345", 2), rounded("", 2)
    ('61800.12', '')
    """
    return f"{Decimal(text):.{decimals}f}" if text else ""


def signed(value: Decimal, decimals: int) -> str:
    """With its sign; zero has none.

    >>> signed(Decimal("-1.234"), 2), signed(Decimal("0.001"), 2), signed(Decimal("2"), 0)
    ('-1.23', '0.00', '+2')
    """
    text = f"{value:+.{decimals}f}"
    return text if any(digit in text for digit in "123456789") else text[1:]


def duration(seconds: float) -> str:
    """Minutes and seconds, hours where there are any.

    >>> duration(75.9), duration(3_600)
    ('01:15', '1:00:00')
    """
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute:02}:{second:02}"


def latency(milliseconds: float) -> str:
    """Three digits or so.

    >>> latency(0.8412), latency(12.34), latency(123.4)
    ('0.84', '12.3', '123')
    """
    return f"{milliseconds:.{2 if milliseconds < 10 else 1 if milliseconds < 100 else 0}f}"


def quote_currency(symbol: str) -> str:
    """What the symbol is paid in.

    >>> quote_currency("BTC-USDT")
    'USDT'
    """
    return symbol.rpartition("-")[2]


def money_digits(currency: str) -> int:
    """Digits worth showing of an amount of it."""
    return 6 if currency == "BTC" else 2


def clock_time(time_ns: int) -> str:
    """The time of day on this machine."""
    return time.strftime("%H:%M:%S", time.localtime(time_ns // 1_000_000_000))

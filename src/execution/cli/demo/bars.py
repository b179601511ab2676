"""Small pictures in text: heights and lengths in block characters."""

from collections.abc import Sequence

from execution.cli.demo.grid import BLOCKS

_TOP = len(BLOCKS) - 1


def profile(values: Sequence[int], highest: int) -> str:
    """One character a value, as high as its share of `highest`; 0 alone is blank.

    >>> profile([0, 1, 4, 8], 8)
    ' ▁▄█'
    """
    return "".join(
        BLOCKS[min(-(-value * _TOP // highest), _TOP)] if value > 0 else BLOCKS[0]
        for value in values
    )


def sparkline(values: Sequence[int], width: int) -> str:
    """The newest `width` values between their own lowest and highest, the newest at the right.

    >>> sparkline([5, 5, 6, 9], 5)
    ' ▁▁▂█'
    """
    shown = list(values)[-width:] if width > 0 else []
    if not shown:
        return " " * width
    lowest = min(shown)
    span = max(max(shown) - lowest, 1)
    # 1 is the lowest bar: blank would be no value.
    heights = [1 + (value - lowest) * (_TOP - 1) // span for value in shown]
    return profile(heights, _TOP).rjust(width)


def bar(share: float, width: int) -> str:
    """A bar of `share` (0 to 1) of the width; at least one mark if there is anything.

    >>> bar(0.5, 4), bar(0.01, 4), bar(0, 4)
    ('██', '█', '')
    """
    return BLOCKS[-1] * (max(round(share * width), 1) if share > 0 else 0)

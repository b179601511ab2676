"""The connection to symbol-service through our own HTTP/2 client, where that can be."""

import importlib.util
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from execution.http2.client import Channel

NGH2: Final = "ngh2"
"""The module that it takes."""


def h2_wire(target: str, message_bytes_max: int) -> "Channel | None":
    """A channel to a plain HOST:PORT or unix: target; None for any other, or without ngh2."""
    if importlib.util.find_spec(NGH2) is None:
        return None
    # Not at the top: ngh2 is not made for every platform, and grpcio does as well.
    from execution.http2.client import Channel  # noqa: PLC0415 - only where ngh2 is
    from execution.http2.client_link import ClientConfig  # noqa: PLC0415 - only where ngh2 is

    try:
        return Channel(target, ClientConfig(message_bytes_max=message_bytes_max))
    except ValueError:
        return None

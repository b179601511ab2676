"""What keeps the HTTP/2 of a connection: libnghttp2 as it is, or through ngh2's objects.

ngh2 carries the library within its own module. Where that shows the library's symbols, as the
wheels of ngh2 0.3 do, our compiled connection calls them; where it hides them, ngh2 stands between
us, and all is as before but dearer; and what came of a frame whose stream ends within it, which
ngh2 tells nobody of, is then missing from the connection's window for good.
"""

import ctypes
import logging
import os
from typing import Final, TypeAlias

import ngh2
from ngh2 import _core

from execution._call import ServerConnection, find_nghttp2, know_ngh2

CHOICE: Final = "EXECUTION_HTTP2_LIBRARY"
"""Environment: `ngh2` asks for ngh2 itself, for comparisons and for tests."""

_log = logging.getLogger(__name__)


Http2: TypeAlias = ngh2.Connection | ServerConnection
"""The server's side of a connection."""


def server_connection(config: ngh2.Configuration) -> Http2:
    """The state of a new connection."""
    if _DIRECT:
        return ServerConnection(config)
    return ngh2.Connection(ngh2.Role.SERVER, config)


def _is_found() -> bool:
    """Whether every function that we call is there."""
    if os.environ.get(CHOICE) == "ngh2":
        return False
    try:
        library = ctypes.PyDLL(_core.__file__)
    except OSError as error:
        _log.info("libnghttp2 is called through ngh2: %s", error)
        return False

    def address(name: str) -> int | None:
        try:
            return ctypes.cast(library[name], ctypes.c_void_p).value
        except AttributeError:
            _log.info("libnghttp2 is called through ngh2, which hides %s", name)
            return None

    return find_nghttp2(address)


know_ngh2(ngh2)
_DIRECT: Final = _is_found()

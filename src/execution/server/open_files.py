"""Files the process may have open: every connection is one of them."""

import logging
import sys
from typing import Final

RESERVED: Final = 128
"""For everything else: Redis, symbol-service, metrics, what Python opens."""

_log = logging.getLogger(__name__)


def room_for_connections(wanted: int) -> int:
    """Raises the process' own limit as far as `wanted` connections need it and it may.

    Returns how many of them have room. Without it a client that opens more than
    the usual 1,024 takes the files that Redis is reached through.
    """
    if sys.platform == "win32":
        return wanted
    import resource  # noqa: PLC0415 - not everywhere

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, raised), hard))
    except (OSError, ValueError) as error:  # some systems have a limit below their limit
        _log.warning("the limit of open files stays at %s: %s", soft, error)
        raised = soft
    room = max(raised - RESERVED, 1)
    if room < wanted:
        _log.warning(
            "--max-connections %s: there is room for %s, %s files may be open; raise ulimit -n",
            wanted,
            room,
            raised,
        )
    return min(room, wanted)

"""What an error reply of Redis means for us: one table.

Retryable: the state passes, often by a failover, and nothing was written; the
same entries are sent again until the time for a commit is over. All others
need an operator: they are refused at once. Source: DESIGN, Redis.
"""

from typing import Final

from execution.errors import LedgerRefused, LedgerUnavailable

RETRYABLE: Final = frozenset(
    {
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "NOREPLICAS",
        "NOSCRIPT",
        "READONLY",
        "TRYAGAIN",
        "UNBLOCKED",
    }
)
"""Codes after which the same request may succeed on this or a new connection."""

RECONNECT: Final = frozenset({"NOSCRIPT", "READONLY", "UNBLOCKED", "NOAUTH"})
"""Codes that say the connection is not, or no longer, the one we prepared."""

_REFUSED_IF_IT_LASTS: Final = frozenset({"READONLY", "NOSCRIPT"})

_ADVICE: Final = {
    "OOM": "raise maxmemory or free memory; records are not evicted by this service",
    "MISCONF": "Redis cannot save to disk: free disk space or fix its dir, see its log",
    "WRONGTYPE": "a key of this service holds another program's data: rename or remove that key",
    "NOPERM": "grant the Redis user the commands and keys this service uses",
    "NOAUTH": "put the user and password into the Redis URL",
    "WRONGPASS": "correct the user and password in the Redis URL",
    "DENIED": "set a password or turn protected-mode off",
    "READONLY": "this is a read-only replica: point the Redis URL at the primary",
    "NOREPLICAS": "too few replicas are connected: see min-replicas-to-write",
    "BUSY": "another script blocks Redis: SCRIPT KILL it",
    "LOADING": "Redis is reading its data from disk: wait",
    "NOSCRIPT": "something flushes the script cache all the time: stop it",
    "MOVED": "this is Redis Cluster; this version needs a single Redis (or Sentinel's primary)",
    "CROSSSLOT": "this is Redis Cluster; this version needs a single Redis",
    "LOST": "an order this service answered for is gone: Redis was flushed, or went back to an"
    " older state; see durability",
    "CORRUPT": "repair or remove that key; nothing was written over it",
}


def code_of(message: str) -> str:
    """The first word of an error reply, by which it is known."""
    return message.partition(" ")[0]


def is_retryable(message: str) -> bool:
    """Whether the same request may be sent again by us."""
    return code_of(message) in RETRYABLE


def redis_error(message: str, where: str) -> LedgerUnavailable | LedgerRefused:
    """The error to raise for an error reply that no longer may be waited out.

    `where` names the server, and the key if one is concerned.
    """
    code = code_of(message)
    advice = _ADVICE.get(code, "see the log of Redis")
    text = f"{where}: {message} ({advice})"
    metadata = {"redis_error": code}
    if code in RETRYABLE - _REFUSED_IF_IT_LASTS:
        return LedgerUnavailable(text, metadata)
    return LedgerRefused(text, metadata)

"""What has to be true of a write before anybody is told of it.

`memory`: Redis has it. `fsync`: it is on the disk of Redis. `replicated:N`: N
replicas have it too. Two of these are a property of the server, checked when a
connection is made; where a command can confirm it, it is sent after each batch.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from hiredis import ReplyError

from execution.adapters.redis_replies import code_of, redis_error
from execution.adapters.wire import Connection, Reply, pack
from execution.errors import LedgerRefused

_REPLICATED: Final = "replicated:"
_FORBIDDEN: Final = frozenset({"NOPERM", "ERR"})


class DurabilityMode(Enum):
    """How far a write must have gone."""

    MEMORY = "memory"
    FSYNC = "fsync"
    REPLICATED = "replicated"


@dataclass(frozen=True, slots=True)
class Durability:
    """A mode, and for REPLICATED the number of replicas."""

    mode: DurabilityMode = DurabilityMode.MEMORY
    replicas: int = 0

    def __str__(self) -> str:
        return f"{_REPLICATED}{self.replicas}" if self.replicas else self.mode.value


MEMORY: Final = Durability()
FSYNC: Final = Durability(DurabilityMode.FSYNC)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A command sent after every batch, and what its reply must come to."""

    packed: bytes
    required: int
    missing: str
    """What to say where too few confirmed, as an error reply would."""

    def shortfall(self, reply: Reply) -> str | None:
        """None if confirmed; else why not, as an error reply."""
        if isinstance(reply, ReplyError):
            return str(reply)
        # WAIT counts replicas; WAITAOF answers [our own disk, replicas' disks].
        confirmed = reply[0] if isinstance(reply, list) and reply else reply
        if isinstance(confirmed, int) and confirmed >= self.required:
            return None
        return f"NOREPLICAS {self.missing}: {confirmed!r} of {self.required} confirmed it in time"


def parse_durability(text: str) -> Durability:
    """`memory`, `fsync` or `replicated:N` with N of 1 or more.

    Raises `ValueError`.

    >>> str(parse_durability("replicated:2"))
    'replicated:2'
    """
    if text == DurabilityMode.MEMORY.value:
        return MEMORY
    if text == DurabilityMode.FSYNC.value:
        return FSYNC
    count = text.removeprefix(_REPLICATED)
    if text.startswith(_REPLICATED) and count.isascii() and count.isdigit() and int(count) > 0:
        return Durability(DurabilityMode.REPLICATED, int(count))
    raise ValueError(f"durability {text!r} is not memory, fsync or replicated:N")


async def confirmation_for(
    durability: Durability, connection: Connection, where: str, timeout_ms: int
) -> Confirmation | None:
    """What must follow each batch on this server; None if its settings suffice.

    Raises `LedgerRefused` if the server cannot give what was asked for, and
    `ConnectionLost`.
    """
    match durability.mode:
        case DurabilityMode.MEMORY:
            return None
        case DurabilityMode.REPLICATED:
            wait = pack("WAIT", str(durability.replicas), str(timeout_ms))
            return Confirmation(wait, durability.replicas, "replicas do not follow")
        case DurabilityMode.FSYNC:
            return await _fsync_confirmation(connection, where, timeout_ms)


async def _fsync_confirmation(
    connection: Connection, where: str, timeout_ms: int
) -> Confirmation | None:
    settings = await connection.ask(pack("CONFIG", "GET", "append*"))
    if isinstance(settings, list):
        _require_fsync(settings, where)
        return None
    if not isinstance(settings, ReplyError) or code_of(str(settings)) not in _FORBIDDEN:
        raise redis_error(str(settings), where)
    # A managed Redis hides CONFIG; newer ones can be asked about each write.
    wait = pack("WAITAOF", "1", "0", str(timeout_ms))
    answer = await connection.ask(wait)
    if isinstance(answer, list):
        return Confirmation(wait, 1, "the disk does not follow")
    raise LedgerRefused(
        f"{where}: durability fsync cannot be proved: CONFIG GET said {str(settings)!r} and"
        f" WAITAOF said {str(answer)!r}; allow CONFIG GET, use a server with WAITAOF and"
        " appendonly yes, or choose another durability"
    )


def _require_fsync(reply: list[Reply], where: str) -> None:
    texts = [item.decode() for item in reply if isinstance(item, bytes)]
    settings = dict(zip(texts[::2], texts[1::2], strict=False))
    wanted = {"appendonly": "yes", "appendfsync": "always"}
    wrong = [
        f"{name} is {settings.get(name, 'unknown')}, set it to {value}"
        for name, value in wanted.items()
        if settings.get(name) != value
    ]
    if wrong:
        raise LedgerRefused(f"{where}: durability fsync is asked for, but {'; '.join(wrong)}")

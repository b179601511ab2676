"""What the operator writes for durability, and what counts as confirmed."""

import pytest
from hiredis import ReplyError

from execution.adapters.durability import (
    FSYNC,
    MEMORY,
    Confirmation,
    Durability,
    DurabilityMode,
    parse_durability,
)
from execution.adapters.wire import Reply


@pytest.mark.parametrize(
    ("text", "durability"),
    [
        ("memory", MEMORY),
        ("fsync", FSYNC),
        ("replicated:1", Durability(DurabilityMode.REPLICATED, 1)),
        ("replicated:12", Durability(DurabilityMode.REPLICATED, 12)),
    ],
)
def test_durability_is_read_and_written_alike(text: str, durability: Durability) -> None:
    assert parse_durability(text) == durability
    assert str(durability) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "disk",
        "FSYNC",
        "replicated",
        "replicated:",
        "replicated:0",
        "replicated:-1",
        "replicated:two",
        "replicated:1.5",
        "replicated: 1",
        "replicated:²",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not memory, fsync or replicated:N"):
        parse_durability(text)


@pytest.mark.parametrize(
    ("reply", "shortfall"),
    [
        (2, None),
        (3, None),
        (1, "NOREPLICAS too few: 1 of 2 confirmed it in time"),
        ([2, 0], None),
        ([0, 5], "NOREPLICAS too few: 0 of 2 confirmed it in time"),
        ([], "NOREPLICAS too few: [] of 2 confirmed it in time"),
        (None, "NOREPLICAS too few: None of 2 confirmed it in time"),
        (ReplyError("UNBLOCKED by failover"), "UNBLOCKED by failover"),
    ],
)
def test_too_few_confirmations_read_like_an_error_of_redis(
    reply: Reply, shortfall: str | None
) -> None:
    assert Confirmation(b"", 2, "too few").shortfall(reply) == shortfall

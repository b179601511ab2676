"""`verify` on a real Redis with a real history: what it says of the truth, and how it says it."""

import asyncio
import json
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from recorded_history import FEE_BPS, STOPS_END, TWICE, Recorded, names_of, proof_of, trade
from recorded_history import ORDERS as ORDERS_ON_THE_WIRE
from redis_server import RedisServer
from world import running_world

from execution.cli.main import commands
from execution.cli.verify import Watch
from execution.verify.exact import number
from execution.verify.state import Options

if TYPE_CHECKING:
    from execution.verify.proof import Proof

TRADES, ORDERS, REJECTS = "STREAM:TRADE", "STREAM:ORDER", "STREAM:REJECT"
STREAMS = (TRADES, ORDERS, REJECTS)
ORDERS_PLACED = ORDERS_ON_THE_WIRE + 1 + len(STOPS_END)


def test_nothing_is_found_in_what_the_service_wrote(recorded: Recorded) -> None:
    proof = proof_of(recorded.server, Options(fee_bps=number(FEE_BPS)))
    assert proof.findings.shown == []
    assert proof.ok
    assert proof.counts.orders == ORDERS_PLACED
    assert proof.counts.trades > 120
    assert proof.counts.rejects > 50
    assert proof.counts.updates > proof.counts.orders
    assert proof.counts.positions > 7
    assert proof.counts.unproven == 0


def test_the_history_is_worth_proving(recorded: Recorded) -> None:
    """It has every status, rounded averages, rounded costs, and both reasons of a cap."""
    reports = [json.loads(fields[1]) for _, fields in recorded.entries(ORDERS)]
    ends = {report["order_id"]: report["status"] for report in reports}
    assert {order_id: ends[order_id] for order_id in STOPS_END} == STOPS_END
    statuses = {report["status"] for report in reports}
    assert statuses == {
        "UNTRIGGERED", "TRIGGERED", "FILLED", "PARTIAL", "REJECTED", "CANCELED", "EXPIRED"
    }  # fmt: skip
    reasons = {report.get("reason", "") for report in reports}
    assert reasons >= {"REDUCE_ONLY", "REDUCE_ONLY_CAPPED", "FOK_UNFILLABLE", "PRICE_PROTECTION"}
    digits = [len(report.get("average_price", "").partition(".")[2]) for report in reports]
    assert digits.count(9) > 20, "averages that had to be rounded"
    pnl = [json.loads(fields[1])["pnl"] for _, fields in recorded.entries(TRADES)]
    assert sum(value != 0 for value in pnl) > 30


@pytest.mark.parametrize("page", [1, 7])
def test_pages_of_any_size_prove_the_same(recorded: Recorded, page: int) -> None:
    proof = proof_of(recorded.server, Options(page=page))
    assert proof.findings.shown == []
    assert proof.counts == proof_of(recorded.server).counts
    recorded.server.command("XDEL", TRADES, recorded.entries(TRADES)[3][0])
    found = proof_of(recorded.server, Options(page=page))
    assert found.findings == proof_of(recorded.server).findings


def test_an_empty_redis_has_nothing_wrong_with_it(redis_server: RedisServer) -> None:
    proof = proof_of(redis_server)
    assert proof.ok
    assert proof.counts.trades == 0


def test_keys_of_others_are_left_alone(recorded: Recorded) -> None:
    recorded.server.command("SET", "ORDER:BOOK:BTC", "somebody else's")
    recorded.server.command("SET", "STREAM:TRADES", "x")
    recorded.server.command("SET", "POSITIONS", "x")
    assert proof_of(recorded.server).ok


def test_partitions_of_a_cluster_are_proven_by_their_tags(recorded: Recorded) -> None:
    whole = proof_of(recorded.server)
    keys: Any = recorded.server.command("KEYS", "*")
    for key in keys:
        kind, _, name = key.partition(":")
        if kind in {"STREAM", "STOPS"}:
            recorded.server.command("RENAME", key, f"{key}:{{3}}")
        elif kind in {"ORDER", "POSITION"}:
            recorded.server.command("RENAME", key, f"{kind}:{{3}}:{name}")
    tagged = proof_of(recorded.server)
    assert tagged.findings.shown == []
    assert tagged.counts == whole.counts
    recorded.put(f"{TRADES}:{{3}}", 5, recorded.entries(f"{TRADES}:{{3}}")[6][1])
    assert "DUPLICATE_TRADE" in names_of(proof_of(recorded.server))


# --- streams that an operator limits ---


@pytest.mark.parametrize("trimmed", [*((stream,) for stream in STREAMS), STREAMS])
def test_limited_streams_are_proven_from_where_they_begin(
    recorded: Recorded, trimmed: tuple[str, ...]
) -> None:
    for stream in trimmed:
        kept = len(recorded.entries(stream)) // 2
        recorded.server.command("XTRIM", stream, "MAXLEN", kept)
    assert names_of(proof_of(recorded.server)) == {"STREAM_TRIMMED"}
    proof = proof_of(recorded.server, Options(trimmed=True))
    assert proof.findings.shown == []
    assert proof.trimmed.keys() == set(trimmed)
    assert (proof.counts.unproven > 0) == (trimmed != (REJECTS,))


def test_what_is_left_of_a_limited_stream_is_still_proven(recorded: Recorded) -> None:
    recorded.server.command("XTRIM", TRADES, "MAXLEN", len(recorded.entries(TRADES)) // 2)
    entry_id, _ = recorded.entries(TRADES)[40]
    recorded.server.command("XDEL", TRADES, entry_id)
    proof = proof_of(recorded.server, Options(trimmed=True))
    assert names_of(proof) == {"TRADE_MISSING"}


# --- numbers ---


def mutated(rng: random.Random, fields: list[str]) -> list[str]:
    """The entry with one digit of one of its numbers changed: in the JSON, or beside it."""
    text, flat = fields[1], [4 + 1, 6 + 1, 8 + 1]
    spans = [
        *((1, digit.start()) for digit in re.finditer(r"[0-9]", _numbers_only(text))),
        *((field, at) for field in flat for at, char in enumerate(fields[field]) if char.isdigit()),
    ]
    field, at = rng.choice(spans)
    old = fields[field]
    digit = rng.choice([digit for digit in "0123456789" if digit != old[at]])
    return [*fields[:field], old[:at] + digit + old[at + 1 :], *fields[field + 1 :]]


def _numbers_only(text: str) -> str:
    """The JSON with every string blanked out, so that what digits are left are numbers'."""
    return re.sub(r'"[^"]*"', lambda found: " " * len(found[0]), text)


@pytest.mark.parametrize("seed", range(5))
def test_any_changed_digit_of_any_number_of_any_trade_is_found(
    recorded: Recorded, seed: int
) -> None:
    rng = random.Random(seed)
    entries = recorded.entries(TRADES)
    recorded.rewrite(TRADES, [(entry_id, mutated(rng, fields)) for entry_id, fields in entries])
    found = {finding.at for finding in proof_of(recorded.server).findings.shown}
    unnoticed = [entry_id for entry_id, _ in entries if f"{TRADES} {entry_id}" not in found]
    assert unnoticed == [], f"seed {seed}"


@pytest.mark.parametrize("bps", ["0", "2.4999", "2.6", "25"])
def test_a_fee_rate_that_is_not_the_trades_is_contradicted(recorded: Recorded, bps: str) -> None:
    proof = proof_of(recorded.server, Options(fee_bps=number(bps)))
    assert names_of(proof) == {"FEE"}


# --- while the service writes ---


async def test_a_service_at_work_is_proven_at_every_moment(redis_server: RedisServer) -> None:
    """Every proof is of another moment, and none of them finds anything."""
    proofs: list[Proof] = []

    async def work() -> None:
        async with running_world(redis_server, taker_fee_bps=FEE_BPS) as world:
            await asyncio.gather(*(trade(world, 250, seed, f"t{seed}") for seed in range(3)))

    working = asyncio.create_task(work())
    while not working.done():
        # Small pages take long: then much is written while they are read.
        options = Options(page=50 if len(proofs) % 2 else 500)
        proofs.append(await asyncio.to_thread(proof_of, redis_server, options))
    await working
    proofs.append(proof_of(redis_server))
    assert [finding for proof in proofs for finding in proof.findings.shown] == []
    grown = {proof.counts.updates for proof in proofs}
    assert len(grown) > 3, "the proofs saw too little of the work"
    assert proofs[-1].counts.orders == 3 * 250


# --- the command ---


def verify(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(commands, ["verify", *arguments], env=environment)


def test_the_command_says_what_it_proved(recorded: Recorded) -> None:
    result = verify("--redis-url", recorded.server.url, "--taker-fee-bps", "2.50")
    assert result.exit_code == 0
    assert "nothing contradicts the record" in result.stdout
    proof = proof_of(recorded.server)
    lines = [line.split()[:2] for line in result.stdout.splitlines()]
    for name in ("trades", "orders", "positions", "updates", "rejects"):
        assert [name, str(getattr(proof.counts, name))] in lines
    assert ["users", "9"] in lines
    assert ["symbols", "2"] in lines


def test_the_command_takes_its_redis_from_the_environment(recorded: Recorded) -> None:
    result = verify("--json", EXECUTION_REDIS_URL=recorded.server.url)
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert said["ok"] is True
    assert said["proven"]["orders"] == ORDERS_PLACED
    assert (said["findings"], said["counts"], said["trimmed"]) == ([], {}, {})


def test_the_command_fails_with_what_it_found(recorded: Recorded) -> None:
    recorded.set(f"ORDER:{TWICE}", {"executed_qty": "2"})
    result = verify("--redis-url", recorded.server.url)
    assert result.exit_code == 1
    assert f"ORDER_HASH  ORDER:{TWICE}  executed_qty is '2'; its report says '1'" in result.stdout
    assert "FAILED" in result.stdout
    assert "1 finding" in result.stdout
    said = json.loads(verify("--redis-url", recorded.server.url, "--json").stdout)
    assert said["counts"] == {"ORDER_HASH": 1}
    assert said["findings"][0]["name"] == "ORDER_HASH"
    assert said["findings"][0]["at"] == f"ORDER:{TWICE}"


def test_fifty_findings_are_shown_and_all_are_counted(recorded: Recorded) -> None:
    recorded.server.command("DEL", REJECTS)
    missing = proof_of(recorded.server).counts.orders
    result = verify("--redis-url", recorded.server.url)
    shown = [line for line in result.stdout.splitlines() if line.startswith("REJECT_MISSING  ")]
    assert len(shown) == 50
    said = json.loads(verify("--redis-url", recorded.server.url, "--json").stdout)
    assert 50 < said["counts"]["REJECT_MISSING"] < missing
    assert f"... and {said['counts']['REJECT_MISSING'] - 50:,} more" in result.stdout


def test_what_others_wrote_cannot_command_the_terminal(recorded: Recorded) -> None:
    recorded.set(f"ORDER:{TWICE}", {"user": "\x1b[2Jeve\n"})
    result = verify("--redis-url", recorded.server.url)
    assert result.exit_code == 1
    assert "\x1b[2J" not in result.stdout
    recorded.server.command("XADD", TRADES, "*", "trade", b"\xff\xfe")
    assert verify("--redis-url", recorded.server.url, "--json").exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--redis-url", "http://localhost"),
        ("--redis-url", "redis://localhost:port"),
        ("--redis-url", "redis://localhost?colour=red"),
        ("--redis-url", "redis://127.0.0.1:1", "--taker-fee-bps", "-1"),
        ("--redis-url", "redis://127.0.0.1:1", "--taker-fee-bps", "1e3"),
        ("--redis-url", "redis://127.0.0.1:1", "--taker-fee-bps", "10001"),
    ],
)
def test_bad_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    assert verify(*arguments).exit_code == 2


def test_a_redis_that_cannot_be_read_is_status_2_and_no_secret_is_told(tmp_path: Path) -> None:
    result = verify("--redis-url", f"unix://:secret@{tmp_path}/nothing.sock")
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr
    assert "secret" not in result.output


def test_a_redis_that_refuses_us_is_status_2() -> None:
    with RedisServer() as server:
        server.command("CONFIG", "SET", "requirepass", "right")
        result = verify("--redis-url", server.url.replace("://", "://:wr0ng@"))
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr
    assert "wr0ng" not in result.output


def test_progress_is_told_in_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    watch = Watch(quiet_seconds=0)
    watch("STREAM:TRADE", 500, 12_000)
    watch("STREAM:TRADE", 1_000, 12_000)
    watch.end()
    assert capsys.readouterr().err == "STREAM:TRADE: 500 of 12,000 after 0 s\n"


def test_a_short_proof_tells_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    watch = Watch()
    watch("STREAM:TRADE", 500, 12_000)
    watch.end()
    assert capsys.readouterr().err == ""

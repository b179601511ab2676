"""The service's benchmark tells the truth: what it counts is what Redis holds."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_server import RedisServer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from service import books, script
from service.bench import TRANSPORTS
from service.figures import Contender, Figure, Report, ratio
from service.load import Measured, load
from service.processes import NotServedError, Server, start_module, start_service
from service.tools import ToolMissingError, built
from service_picture import draw

from execution.v1 import execution_pb2 as pb

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="measures with what Linux tells of CPU"),
]
CORE = min(os.sched_getaffinity(0)) if sys.platform == "linux" else 0


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    try:
        built("load"), built("script_driver")
    except ToolMissingError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def market() -> Iterator[Server]:
    with start_module("books", CORE) as server:
        yield server


@pytest.fixture(scope="module", params=TRANSPORTS)
def service(
    market: Server, redis_of_the_session: RedisServer, request: pytest.FixtureRequest
) -> Iterator[Server]:
    words = ("--transport", request.param)
    try:
        server = start_service(redis_of_the_session.unix_socket, market.address, CORE, *words)
    except NotServedError as problem:
        if "not in this version" not in str(problem):
            raise
        pytest.skip(str(problem))
    with server:
        yield server


def trades(redis: RedisServer) -> int:
    count = redis.command("XLEN", "STREAM:TRADE")
    assert isinstance(count, int)
    return count


def sent(measured: Measured) -> int:
    assert measured.complaint == ""
    return measured.counted["orders"]


@pytest.mark.parametrize(
    "flags",
    [
        {"in_flight": 16, "requests": 300, "seconds": 60},
        {"in_flight": 8, "connections": 4, "seconds": 0.3},
        {"rate": 400, "seconds": 0.3},
    ],
    ids=["so many", "for so long", "at a pace"],
)
def test_every_answer_is_a_trade_in_redis(
    service: Server, redis_server: RedisServer, flags: dict[str, float]
) -> None:
    measured = load(service.address, "unary", CORE, {"warm_up": 0, **flags}, cpu_of=[service.pids])
    assert sent(measured) == measured.counted["FILLED"] == trades(redis_server)
    assert sent(measured) == flags.get("requests", sent(measured))
    assert measured.latency_us["p50"] <= measured.latency_us["p99"] <= measured.latency_us["max"]
    assert measured.cpu_us[0] > 0


@pytest.mark.parametrize("mode", ["batch", "stream"])
def test_batches_and_streams_are_counted_by_the_order(
    service: Server, redis_server: RedisServer, mode: str
) -> None:
    flags = {"warm_up": 0, "seconds": 30, "in_flight": 4, "batch": 25, "requests": 12}
    measured = load(service.address, mode, CORE, flags)
    if measured.unimplemented:
        pytest.skip(f"{mode} is not served")
    assert sent(measured) == (300 if mode == "batch" else 12) == trades(redis_server)


def test_the_same_orders_again_are_no_new_trades(
    service: Server, redis_server: RedisServer
) -> None:
    flags = {"warm_up": 0, "seconds": 30, "requests": 50}
    first = load(service.address, "unary", CORE, flags, prefix="again")
    second = load(service.address, "unary", CORE, flags, prefix="again")
    assert sent(first) == sent(second) == trades(redis_server)


def test_an_order_is_the_message_that_others_would_have_sent(
    service: Server, redis_server: RedisServer
) -> None:
    sent(load(service.address, "unary", CORE, {"warm_up": 0, "requests": 1}, prefix="one"))
    stored = redis_server.command("HGET", "ORDER:one-000000000000", "report")
    report = json.loads(str(stored))
    drawn = script.order(0, "one")
    assert (report["user_id"], report["symbol"]) == (drawn.user_id, drawn.symbol)
    assert (report["direction"], report["quantity"]) == (drawn.direction.name, drawn.quantity)


def test_orders_that_do_not_fill_make_the_run_invalid(
    service: Server, redis_server: RedisServer
) -> None:
    words = [str(built("load")), "--target", service.address, "--prefix", "unfit"]
    words += ["--warm-up", "0", "--requests", "5", "--quantities", "0.0001"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    counted = json.loads(done.stdout)
    assert counted["errors"] == {"3": 5}, "INVALID_ARGUMENT: more digits than the symbol has"
    assert trades(redis_server) == 0


def test_a_method_that_is_not_there_is_said_to_be_so() -> None:
    with start_module("echo_grpcio", CORE) as echo:
        measured = load(echo.address, "unary", CORE, {"warm_up": 0, "requests": 5})
        assert "wrong" in measured.complaint, "an echo is no report"
        measured = load(echo.address, "echo", CORE, {"warm_up": 0, "requests": 5})
        assert (measured.complaint, measured.counted["calls"]) == ("", 5)


@pytest.mark.parametrize("per_call", [1, 16])
def test_the_bare_script_commits_every_order(
    redis_server: RedisServer, tmp_path: Path, per_call: int
) -> None:
    script.write_packed({per_call: tmp_path / "packed"}, 96)
    driven = script.drive(redis_server, tmp_path / "packed", CORE, window=3)
    assert trades(redis_server) == 96
    assert driven.redis_cpu_us > 0
    with pytest.raises(RuntimeError, match="not committed"):
        script.drive(redis_server, tmp_path / "packed", CORE, window=3)


def test_a_service_that_does_not_start_says_why(redis_server: RedisServer) -> None:
    with pytest.raises(NotServedError, match="--durability"):
        start_service(redis_server.unix_socket, "127.0.0.1:1", CORE, "--durability", "none")


def test_the_books_hold_more_than_a_second_of_orders() -> None:
    book = books.book(7, 1)
    assert len(book.ask_prices) == len(book.bid_prices) == books.DEPTH
    assert book.bid_prices[0] < book.ask_prices[0]


def test_ratios_are_those_of_the_rounds() -> None:
    assert ratio([2.0, 30.0, 8.0], [1.0, 10.0, 2.0], float) == 3.0


def test_a_table_names_what_is_missed_and_what_is_not_served(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = Report(
        [Figure("rate", 5.0, 6.0), Figure("CPU", 0.1, 0.15, at_least=False), Figure("none", None)]
    )
    report.print()
    lines = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split()[-1] for line in lines] == ["no", "yes", "served"]
    assert [figure["met"] for figure in report.as_json()["figures"]] == [False, True, None]


def test_the_picture_shows_every_contender(tmp_path: Path) -> None:
    contenders = [
        Contender("serve, http2", 60_000.0, 14.0),
        Contender("bare script, 64 a call", 90_000.0, None),
    ]
    draw(tmp_path / "picture.svg", Report(contenders=contenders).as_json()["contenders"])
    drawn = (tmp_path / "picture.svg").read_text()
    assert drawn.count("serve, http2") == 2
    assert drawn.count("bare script, 64 a call") == 1, "it has no server"
    assert all(number in drawn for number in ("60,000", "14.0 µs", "90,000"))


def test_the_numbers_of_the_wire_are_those_of_the_proto() -> None:
    header = (Path(script.__file__).with_name("orders.h")).read_text()
    for name in ("PARTIAL", "FILLED", "REJECTED"):
        assert f"#define STATUS_{name} {pb.OrderStatus.Value(f'ORDER_STATUS_{name}')}\n" in header

"""The client without a network: what it sends, when it tries again, what a status means."""

import doctest
import importlib
import pkgutil
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

import execution.client
from execution import errors
from execution.client import AsyncClient, Client, Direction, RetryPolicy, TimeInForce, Tls
from execution.client.failures import typed_error
from execution.client.requests import (
    decimal_text,
    market_order_request,
    modify_request,
    naming_order,
    sl_order_request,
)
from execution.client.retrying import Attempts
from execution.errors import (
    DeadlineExceeded,
    ExecutionError,
    FieldViolation,
    InvalidArgument,
    LedgerUnavailable,
    ModificationRefused,
    Overloaded,
    StatusCode,
    TooLate,
    Unavailable,
    VersionMismatch,
)
from execution.model import (
    ExecutionReport,
    Fill,
    OrderStatus,
    OrderType,
    Reason,
    SnapshotRef,
)
from execution.server.statuses import DETAILS_KEY, status_of
from execution.v1 import execution_pb2 as pb

MANGLED = AnyMessage(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff")
CODES = {code.value[0]: code for code in grpc.StatusCode}
REPORT = ExecutionReport(
    order_id="o-1",
    user_id="u1",
    symbol="BTC-USDT",
    direction=Direction.SELL,
    order_type=OrderType.SL,
    status=OrderStatus.PARTIAL,
    quantity="2",
    effective_quantity="1.5",
    filled_quantity="1",
    remaining_quantity="0.5",
    average_price="100.5",
    notional="100.5",
    fills=(Fill("100.5", "1"),),
    trade_id="t-1",
    reason=Reason.INSUFFICIENT_LIQUIDITY,
    message="the book ended",
    realized_pnl="-0.25",
    fee="0.1",
    trigger_price="101",
    triggered_by_price="100.9",
    reduce_only=True,
    snapshot=SnapshotRef("sim", 7, 1_700_000_000_000_000_001, "100.5", "100.6"),
    received_time_ns=1_700_000_000_123_456_789,
    transact_time_ns=1_700_000_000_123_456_790,
    version=3,
)


class Failed(grpc.RpcError):
    """A failed call as grpcio reports it."""

    def __init__(self, status: Status) -> None:
        super().__init__()
        self.status = status
        self.trailers = ((DETAILS_KEY, status.SerializeToString()),)

    def code(self) -> grpc.StatusCode:
        return CODES[self.status.code]

    def details(self) -> str:
        return str(self.status.message)

    def trailing_metadata(self) -> Any:
        return self.trailers


def order(**fields: Any) -> pb.OrderRequest:
    settings: dict[str, Any] = {
        "order_id": "o-1",
        "user_id": "u1",
        "symbol": "BTC-USDT",
        "direction": Direction.BUY,
        "quantity": "1",
        "reduce_only": False,
        "limit_price": None,
        "max_slippage_bps": None,
        "time_in_force": TimeInForce.IOC,
    }
    return market_order_request(**(settings | fields))


# What is sent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.125", "0.125"),
        ("not a number", "not a number"),
        (0, "0"),
        (-3, "-3"),
        (10**30, "1" + "0" * 30),
        (Decimal("0.10"), "0.10"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-8"), "0.00000001"),
    ],
)
def test_exact_numbers_are_sent_as_plain_text_and_text_as_it_is(value: Any, text: str) -> None:
    assert decimal_text("quantity", value) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value="-1e30", max_value="1e30"))
def test_a_decimal_is_sent_exactly_or_refused(value: Decimal) -> None:
    try:
        text = decimal_text("quantity", value)
    except ValueError as error:
        assert "64 digits" in str(error)  # noqa: PT017 - either way is right
    else:
        assert Decimal(text) == value
        assert "E" not in text


def test_a_float_is_refused_and_told_why() -> None:
    with pytest.raises(TypeError, match=r"quantity: a float is not exact \(0\.1 is 0\.1000000"):
        order(quantity=0.1)
    with pytest.raises(TypeError, match="limit_price: a float is not exact"):
        order(limit_price=61800.5)


@pytest.mark.parametrize("value", [True, None, b"1", object(), [1]])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="quantity: must be str, Decimal or int, not"):
        decimal_text("quantity", value)


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_decimal_that_is_not_finite_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"quantity: .* is no finite number"):
        decimal_text("quantity", Decimal(text))


@pytest.mark.parametrize("text", ["1E+999999", "1E-999999", "0E-999999"])
def test_a_decimal_that_would_fill_the_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="more than 64 digits"):
        decimal_text("quantity", Decimal(text))


def test_absent_fields_stay_absent_and_given_ones_are_sent() -> None:
    assert order() == pb.OrderRequest(
        order_id="o-1",
        user_id="u1",
        symbol="BTC-USDT",
        direction=pb.DIRECTION_BUY,
        quantity="1",
        time_in_force=pb.TIME_IN_FORCE_IOC,
    )
    whole = order(
        direction="SELL",
        quantity=2,
        reduce_only=True,
        limit_price=Decimal("99.5"),
        max_slippage_bps=0,
        time_in_force="FOK",
    )
    assert whole == pb.OrderRequest(
        order_id="o-1",
        user_id="u1",
        symbol="BTC-USDT",
        direction=pb.DIRECTION_SELL,
        quantity="2",
        reduce_only=True,
        limit_price="99.5",
        max_slippage_bps=0,
        time_in_force=pb.TIME_IN_FORCE_FOK,
    )
    assert whole.HasField("max_slippage_bps")


def stop(**fields: Any) -> pb.OrderRequest:
    settings: dict[str, Any] = {
        "order_id": "o-1",
        "user_id": "u1",
        "symbol": "BTC-USDT",
        "direction": Direction.SELL,
        "quantity": "1",
        "reduce_only": False,
        "limit_price": None,
        "max_slippage_bps": None,
        "time_in_force": TimeInForce.IOC,
        "trigger_price": None,
        "trigger_by": None,
        "reject_if_triggered": False,
        "expire_time": None,
    }
    return sl_order_request(**(settings | fields))


def test_what_a_stop_adds_is_absent_unless_it_is_given() -> None:
    bare = stop()
    assert not bare.HasField("trigger_price")
    assert not bare.HasField("expire_time")
    assert (bare.trigger_by, bare.reject_if_triggered) == (0, False)
    full = stop(
        trigger_price=Decimal("1E+2"),
        trigger_by="MARK",
        reject_if_triggered=True,
        expire_time=datetime(2030, 1, 1, 2, microsecond=7, tzinfo=timezone(timedelta(hours=2))),
    )
    assert (full.trigger_price, full.trigger_by) == ("100", pb.TRIGGER_BY_MARK)
    assert full.reject_if_triggered
    assert (full.expire_time.seconds, full.expire_time.nanos) == (1_893_456_000, 7_000)


@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        ({"trigger_price": 0.1}, TypeError, "trigger_price: a float is not exact"),
        ({"trigger_by": "ASK"}, ValueError, "trigger_by: 'ASK' is not one of BID_ASK, LAST, MARK"),
        ({"expire_time": datetime(2030, 1, 1)}, ValueError, "expire_time: has no time zone"),  # noqa: DTZ001 - that is the mistake
    ],
)
def test_a_stop_that_says_something_else_than_meant_is_refused(
    fields: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        stop(**fields)


def test_a_modify_sends_what_is_given() -> None:
    terms: dict[str, Any] = dict.fromkeys(
        ("trigger_price", "quantity", "limit_price", "expected_version")
    )
    key: dict[str, Any] = {"order_id": "o-1", "user_id": "u1"}
    assert modify_request(**key, **terms) == pb.ModifyOrderRequest(**key)
    full = modify_request(
        **key, trigger_price=1, quantity=Decimal("0.5"), limit_price="2", expected_version=3
    )
    assert (full.trigger_price, full.quantity, full.limit_price) == ("1", "0.5", "2")
    assert full.expected_version == 3
    with pytest.raises(TypeError, match="limit_price: a float"):
        modify_request(**key, **(terms | {"limit_price": 0.5}))


def test_a_side_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="direction: 'buy' is not one of BUY, SELL"):
        order(direction="buy")
    with pytest.raises(ValueError, match="time_in_force: 9 is not one of IOC, FOK"):
        order(time_in_force=9)


def test_an_error_names_the_order_it_is_about() -> None:
    with pytest.raises(Unavailable) as caught, naming_order("o-9"):
        raise Unavailable("gone", {"replica": "a"})
    assert caught.value.metadata == {"replica": "a", "order_id": "o-9"}


# When it is tried again


def failed(kind: type[ExecutionError], retry_after_ms: int | None = None) -> ExecutionError:
    error = kind("no answer")
    error.retry_after_ms = retry_after_ms
    return error


@pytest.mark.parametrize("kind", [Unavailable, LedgerUnavailable, DeadlineExceeded, Overloaded])
def test_what_may_pass_is_tried_again(kind: type[ExecutionError]) -> None:
    attempts = Attempts(RetryPolicy(), now=0, randomness=lambda: 0.5)
    assert attempts.wait_seconds(failed(kind), now=0) == 0.025


@pytest.mark.parametrize("kind", [errors.OrderNotFound, errors.OrderIdReused])
def test_what_stays_is_not_tried_again(kind: type[ExecutionError]) -> None:
    attempts = Attempts(RetryPolicy(), now=0, randomness=lambda: 0.5)
    assert attempts.wait_seconds(failed(kind), now=0) is None


def test_the_backoff_doubles_up_to_its_limit() -> None:
    policy = RetryPolicy(timeout_seconds=1e9, backoff_initial_seconds=1, backoff_max_seconds=5)
    attempts = Attempts(policy, now=0, randomness=lambda: 1.0)
    waits = [attempts.wait_seconds(failed(Unavailable), now=0) for _ in range(1_100)]
    assert waits[:4] == [1, 2, 4, 5]
    assert set(waits[4:]) == {5}


def test_what_the_service_asks_for_is_waited_and_chance_on_top() -> None:
    attempts = Attempts(RetryPolicy(), now=0, randomness=lambda: 0.5)
    assert attempts.wait_seconds(failed(Unavailable, 200), now=0) == pytest.approx(0.225)


def test_no_wait_reaches_beyond_the_time_of_the_call() -> None:
    attempts = Attempts(RetryPolicy(timeout_seconds=1), now=100, randomness=lambda: 0.0)
    assert attempts.wait_seconds(failed(Unavailable, 500), now=100.4) == 0.5
    assert attempts.wait_seconds(failed(Unavailable, 500), now=100.5) is None


def test_an_attempt_gets_its_own_limit_and_at_most_what_is_left() -> None:
    policy = RetryPolicy(timeout_seconds=10, attempt_timeout_seconds=3)
    attempts = Attempts(policy, now=0, randomness=lambda: 0.0)
    assert [attempts.attempt_seconds(now) for now in (0, 8, 11)] == [3, 2, 0]
    assert Attempts(policy, 0, lambda: 0.0, timeout_seconds=0.5).attempt_seconds(0) == 0.5


def test_attempts_can_be_counted_too() -> None:
    attempts = Attempts(RetryPolicy(attempts_max=2), now=0, randomness=lambda: 0.0)
    assert attempts.wait_seconds(failed(Unavailable), now=0) is not None
    assert attempts.wait_seconds(failed(Unavailable), now=0) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"timeout_seconds": 0},
        {"timeout_seconds": float("nan")},
        {"attempt_timeout_seconds": -1},
        {"backoff_initial_seconds": 3},
        {"backoff_initial_seconds": -1},
        {"attempts_max": 0},
    ],
)
def test_a_policy_that_cannot_work_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        RetryPolicy(**settings)


def test_a_call_without_time_is_refused() -> None:
    with pytest.raises(ValueError, match="timeout_seconds"):
        Attempts(RetryPolicy(), now=0, randomness=lambda: 0.0, timeout_seconds=0)


# What a status means


def every_error() -> list[ExecutionError]:
    made: list[ExecutionError] = [
        InvalidArgument([FieldViolation("quantity", "is empty"), FieldViolation("symbol", "bad")]),
        TooLate("already filled", REPORT),
        VersionMismatch("it is at version 3", REPORT),
        ModificationRefused("it stays as it is", REPORT),
    ]
    plain = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, ExecutionError)
        if kind not in {ExecutionError, *map(type, made)}
    ]
    assert len(plain) > 10
    return made + [kind("it failed", {"detail": "17"}) for kind in plain]


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_of_the_service_arrives_as_what_it_was(error: ExecutionError) -> None:
    arrived = typed_error(Failed(status_of(error)))
    assert type(arrived) is type(error)
    assert arrived.message == error.message
    assert arrived.metadata == error.metadata
    assert arrived.retry_after_ms == error.retry_after_ms
    if isinstance(error, InvalidArgument):
        assert isinstance(arrived, InvalidArgument)
        assert arrived.violations == error.violations
    if isinstance(error, TooLate):
        assert isinstance(arrived, TooLate)
        assert arrived.report == error.report


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (StatusCode.UNAVAILABLE, Unavailable),
        (StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (StatusCode.RESOURCE_EXHAUSTED, Overloaded),
        (StatusCode.NOT_FOUND, errors.OrderNotFound),
        (StatusCode.FAILED_PRECONDITION, errors.FailedPrecondition),
        (StatusCode.UNAUTHENTICATED, errors.Unauthenticated),
    ],
)
def test_a_status_without_details_is_known_by_its_code(
    code: StatusCode, kind: type[ExecutionError]
) -> None:
    arrived = typed_error(Failed(Status(code=code.value, message="from a proxy")))
    assert type(arrived) is kind
    assert arrived.message == "from a proxy"
    assert arrived.retry_after_ms is None


def test_invalid_argument_without_fields_still_says_what_it_heard() -> None:
    arrived = typed_error(Failed(Status(code=3, message="no good")))
    assert isinstance(arrived, InvalidArgument)
    assert arrived.violations == (FieldViolation("request", "no good"),)


def test_a_reason_of_another_service_is_not_taken_for_ours() -> None:
    info = AnyMessage()
    info.Pack(ErrorInfo(reason="STALE_BOOK", domain="example.com", metadata={"a": "b"}))
    arrived = typed_error(Failed(Status(code=14, message="m", details=[info])))
    assert type(arrived) is Unavailable
    assert arrived.metadata == {}


@pytest.mark.parametrize(
    "trailers",
    [
        (),
        (("other", "x"),),
        ((DETAILS_KEY, b"\xff\xff no status"),),
        ((DETAILS_KEY, Status(details=[MANGLED]).SerializeToString()),),
    ],
)
def test_mangled_details_leave_the_code_alone(trailers: Any) -> None:
    failure = Failed(Status(code=14, message="m"))
    failure.trailers = trailers
    assert type(typed_error(failure)) is Unavailable


@pytest.mark.parametrize("number", [1, 2, 10, 13, 15])
def test_a_status_the_service_never_gives_is_no_typed_error(number: int) -> None:
    assert typed_error(Failed(Status(code=number, message="m"))) is None


def test_too_late_without_the_state_is_still_a_failed_precondition() -> None:
    info = AnyMessage()
    info.Pack(ErrorInfo(reason="TOO_LATE", domain=errors.DOMAIN))
    arrived = typed_error(Failed(Status(code=9, message="m", details=[info])))
    assert type(arrived) is errors.FailedPrecondition


# Secrets and manners


def test_no_secret_shows_in_any_repr() -> None:
    tls = Tls(root_certificates=None, certificate_chain=b"chain", private_key=b"KEY-SECRET")
    assert "KEY-SECRET" not in repr(tls)
    with Client("127.0.0.1:1", token="TOKEN-SECRET") as client:
        assert repr(client) == "<Client '127.0.0.1:1', plain text, with token>"
        assert "TOKEN-SECRET" not in str(client)


async def test_the_async_client_hides_them_too() -> None:
    async with AsyncClient("127.0.0.1:1", token="TOKEN-SECRET", tls=Tls()) as client:
        assert repr(client) == "<AsyncClient '127.0.0.1:1', TLS, with token>"


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ключ"])
def test_a_token_that_is_no_header_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ValueError, match="token: must be printable ASCII") as caught:
        Client("127.0.0.1:1", token=token)
    assert not token or token not in str(caught.value)


def test_half_a_client_certificate_is_refused() -> None:
    with pytest.raises(ValueError, match="give both or none"):
        Tls(certificate_chain=b"chain")


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    def public(kind: type) -> dict[str, Any]:
        return {
            name: (method.__kwdefaults__, str(method.__annotations__).replace(".Async", "."))
            for name, method in vars(kind).items()
            if not name.startswith("_")
        }

    assert public(Client) == public(AsyncClient)


@pytest.mark.parametrize(
    "name",
    [
        f"execution.client.{module.name}"
        for module in pkgutil.iter_modules(execution.client.__path__)
    ],
)
def test_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0

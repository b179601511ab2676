"""Many orders in one call: ExecuteBatch and ExecuteStream.

Every order gets an item of its own, in the order sent; one that a unary call
would have failed gets its status in `error`, and its neighbours never notice.
"""

import asyncio
from collections import deque
from typing import Final

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

from execution.errors import (
    ExecutionError,
    FieldViolation,
    GivenUp,
    InvalidArgument,
    ReplyTooLarge,
    StatusCode,
)
from execution.executor import Cancel
from execution.server.admission import Call
from execution.server.messages import batch_bytes
from execution.server.orders import OrderAnswer, Orders
from execution.server.rpcs import REPLY_BYTES_MAX, Answer, PipelineReplies
from execution.server.statuses import internal_status, not_protobuf, status_of
from execution.v1 import execution_pb2 as pb

BATCH_MAX: Final = 1_000
"""Orders in one batch; its reply has to fit into a message, too."""
ORDERS_A_TURN: Final = 128
"""Of batches, begun in one turn of the event loop."""
_KEPT_BYTES_MAX: Final = 1_024

_BATCH: Final = pb.OrderBatch.DESCRIPTOR.full_name
_ORDERS_FIELD: Final = pb.OrderBatch.ORDERS_FIELD_NUMBER


class BatchOrders:
    """ExecuteBatch: executes all, and answers when the last is committed."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._line: deque[_Batch] = deque()
        """Those that are not all begun, by turns."""
        self._waiting = 0
        """Orders of those that are not begun."""
        self._goes_on = False

    def handle(self, data: bytes, call: Call, answer: Answer) -> None:
        """Raises `InvalidArgument` for what is no batch, or too large a one, and `Overloaded`.

        So many orders may wait for their turn as may be under way.
        """
        requests, line, in_flight = _requests(data), self._line, self._orders.in_flight
        if line and self._waiting + len(requests) > in_flight.limit:
            in_flight.refuse()
        self._stand_in_line(_Batch(self._orders, requests, call, answer))
        if not self._goes_on:
            self._begin_some()

    def _stand_in_line(self, batch: "_Batch") -> None:
        batch.counted = batch.left
        self._waiting += batch.counted
        self._line.append(batch)

    def _begin_some(self) -> None:
        """As many as one turn of the event loop may take: others wait as well."""
        left, line = ORDERS_A_TURN, self._line
        try:
            while line and left > 0:
                batch = line.popleft()
                self._waiting -= batch.counted
                left -= batch.begin(left)
                if batch.left:
                    self._stand_in_line(batch)
        finally:
            self._goes_on = bool(line)
            if line:
                asyncio.get_running_loop().call_soon(self._begin_some)


class _Batch:
    """One batch under way."""

    def __init__(self, orders: Orders, requests: list[bytes], call: Call, answer: Answer) -> None:
        self._orders = orders
        self._requests = requests
        self._call = call
        self._answer = answer
        self.reports = [b""] * len(requests)
        self._missing = len(requests)
        self._next = 0
        self.counted = 0
        """Orders that count as waiting; some may have been given up since."""
        self._cancels: list[Cancel] = []
        if requests:
            answer.on_gone(self._gone)
        else:
            answer.reply(b"")

    @property
    def left(self) -> int:
        """Orders that are not begun, and have to be."""
        return len(self._requests) - self._next

    def begin(self, most: int) -> int:
        """Begins so many orders at most, and says how many; some may be answered by then."""
        count = 0
        while self.left and count < most:
            count += 1
            data, self._requests[self._next] = self._requests[self._next], b""
            item = _Item(self, self._next, data)
            self._next += 1
            cancel = _take(self._orders, data, self._call, item)
            item.data = _kept(data)
            if cancel is not None:
                self._cancels.append(cancel)
        return count

    def _gone(self) -> None:
        """Gives up what is not sent to the ledger yet, and begins no more."""
        self._next = len(self._requests)
        _call_all(self._cancels)

    def answered(self) -> None:
        """One more has its report."""
        self._missing -= 1
        if not self._missing:
            reply = batch_bytes(self.reports)
            if len(reply) <= REPLY_BYTES_MAX:
                self._answer.reply(reply)
            else:
                self._answer.fail(_reply_too_large(len(reply)))


class _Item:
    """The place of one order in a batch."""

    __slots__ = ("_batch", "_number", "data")

    def __init__(self, batch: _Batch, number: int, data: bytes) -> None:
        self._batch = batch
        self._number = number
        self.data = data

    def reply(self, message: bytes) -> None:
        self._batch.reports[self._number] = message
        self._batch.answered()

    def fail(self, error: Exception) -> None:
        self.reply(_error_item(self.data, error))


class OrderPipeline:
    """ExecuteStream: every order is begun as it comes, and answered in its turn."""

    def __init__(self, orders: Orders, call: Call, replies: PipelineReplies) -> None:
        self._orders = orders
        self._call = call
        self._replies = replies
        self._line: deque[_Place] = deque()
        self._ended = False
        self._drained: Exception | None = None

    def message(self, data: bytes) -> None:
        """Begins one order."""
        place = _Place(self, data)
        self._line.append(place)
        if self._drained is not None:
            place.fail(self._drained)
        else:
            place.cancel = _take(self._orders, data, self._call, place)
            place.data = _kept(data)

    def end(self) -> None:
        """The client sends no more."""
        self._ended = True
        self._finish()

    def drain(self, error: Exception) -> None:
        """What is under way is answered; then the stream ends with `error`."""
        self._drained = error
        self._finish()

    def gone(self) -> None:
        """Gives up what is not sent to the ledger yet."""
        _call_all([place.cancel for place in self._line if place.cancel is not None])

    def answered(self) -> None:
        """Sends every answer whose turn it is."""
        line = self._line
        while line and line[0].report is not None:
            self._replies.send(line.popleft().report or b"")
        self._finish()

    def _finish(self) -> None:
        if self._line:
            return
        if self._ended:
            self._replies.finish()
        elif self._drained is not None:
            self._replies.fail(self._drained)


class _Place:
    """An order's place in the line."""

    __slots__ = ("_pipeline", "cancel", "data", "report")

    def __init__(self, pipeline: OrderPipeline, data: bytes) -> None:
        self._pipeline = pipeline
        self.data = data
        self.report: bytes | None = None
        self.cancel: Cancel | None = None

    def reply(self, message: bytes) -> None:
        self.report = message
        self._pipeline.answered()

    def fail(self, error: Exception) -> None:
        self.reply(_error_item(self.data, error))


def _take(orders: Orders, data: bytes, call: Call, answer: OrderAnswer) -> Cancel | None:
    """Begins one order; whatever is wrong with it becomes its own item."""
    try:
        return orders.take(data, None, call, answer)
    except Exception as error:  # noqa: BLE001 - an item's failure, foreseen or not, stays its own
        answer.fail(error)
        return None


def _error_item(data: bytes, error: Exception) -> bytes:
    """A report that says which order it is about, as far as that can be read, and what failed."""
    request = _named(data)
    if isinstance(error, ExecutionError):
        status = status_of(error)
    elif isinstance(error, GivenUp):
        # Nobody hears this.
        status = Status(code=StatusCode.CANCELLED.value, message=str(error))
    else:
        status = internal_status(error, "an item of a batch")
    return pb.ExecutionReport(
        order_id=request.order_id, user_id=request.user_id, symbol=request.symbol, error=status
    ).SerializeToString(deterministic=True)


def _reply_too_large(size: int) -> ReplyTooLarge:
    return ReplyTooLarge(
        f"every order of this batch is executed, but their reports take {size} bytes and a reply"
        f" {REPLY_BYTES_MAX}: GetOrder has each of them; send smaller batches"
    )


def _kept(data: bytes) -> bytes:
    """What is kept of an order under way: enough for `_error_item`.

    A request may be a megabyte, of fields that we do not know, and many may be under way.
    """
    return data if len(data) <= _KEPT_BYTES_MAX else _named(data).SerializeToString()


def _named(data: bytes) -> pb.OrderRequest:
    """Which order it is, as far as that can be read, and no more."""
    try:
        request = pb.OrderRequest.FromString(data)
    except DecodeError:
        return pb.OrderRequest()
    return pb.OrderRequest(
        order_id=request.order_id, user_id=request.user_id, symbol=request.symbol
    )


def _requests(data: bytes) -> list[bytes]:
    requests = _split(data, _ORDERS_FIELD, BATCH_MAX + 1)
    if requests is None:
        # Unknown fields, or nothing of ours: protobuf decides.
        try:
            batch = pb.OrderBatch.FromString(data)
        except DecodeError as error:
            raise not_protobuf(_BATCH) from error
        requests = [request.SerializeToString() for request in batch.orders[: BATCH_MAX + 1]]
    if len(requests) > BATCH_MAX:
        raise InvalidArgument(
            [FieldViolation("orders", f"are too many; send at most {BATCH_MAX} in a batch")]
        )
    return requests


def _call_all(cancels: list[Cancel]) -> None:
    for cancel in cancels:
        cancel()


def _split(data: bytes, number: int, most: int) -> list[bytes] | None:
    """The occurrences of a length-delimited protobuf field with a small number.

    The first `most` of them: a megabyte may hold half a million. None if there is anything else
    before, or what is no message.
    """
    parts: list[bytes] = []
    tag, at, end = number << 3 | 2, 0, len(data)
    while at < end and len(parts) < most:
        if data[at] != tag:
            return None
        at += 1
        size = shift = 0
        while True:
            if at >= end or shift > 28:
                return None
            byte = data[at]
            at += 1
            size |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        if at + size > end:
            return None
        parts.append(data[at : at + size])
        at += size
    return parts

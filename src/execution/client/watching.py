"""A watch that outlives its connections: where it is, and when it is begun anew.

Every connection begins after the last report that was read, so that what a
watch tells has no gap and no double, however often it was cut.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import grpc

from execution.client.failures import typed_error
from execution.client.retrying import Attempts, RetryPolicy
from execution.errors import DeadlineExceeded, ExecutionError, Unavailable
from execution.v1 import execution_pb2 as pb

BEGINS_KEY: Final = "resume-token"
"""Initial metadata key by which the service says that a watch stands, and where it begins."""

# grpcio's types know the calls of its two stubs by other names than its code does.
_Call: TypeAlias = Any
_Open: TypeAlias = Callable[[pb.WatchOrdersRequest], _Call]


class Progress:
    """What was asked for, how far it was read, and how long to go on trying."""

    def __init__(
        self,
        user_id: str,
        order_ids: Iterable[str],
        resume_token: str,
        retry: RetryPolicy,
        fraction: Callable[[], float],
        timeout_seconds: float | None,
    ) -> None:
        self._request = pb.WatchOrdersRequest(
            user_id=user_id, order_ids=order_ids, resume_token=resume_token
        )
        self._retry = retry
        self._fraction = fraction
        self._timeout_seconds = timeout_seconds
        self._outage: Attempts | None = self._new_outage()
        """The attempts to make it stand; None while it does."""

    @property
    def token(self) -> str:
        """Where to go on from: after the report read last, or where the watch began."""
        return self._request.resume_token

    def request(self) -> pb.WatchOrdersRequest:
        """What to ask for now."""
        return self._request

    def attempt_seconds(self) -> float:
        """How long the next attempt may take until the watch stands."""
        return self._present_outage().attempt_seconds(time.monotonic())

    def begun(self, metadata: Iterable[tuple[str, str | bytes]]) -> bool:
        """Whether this is what the service says of a watch that stands."""
        token = dict(metadata).get(BEGINS_KEY)
        if not isinstance(token, str):
            return False
        self._request.resume_token = token
        self._outage = None
        return True

    def read(self, report: pb.ExecutionReport) -> pb.ExecutionReport:
        """The report, which from here on was read."""
        self._request.resume_token = report.resume_token
        return report

    def wait_seconds(self, error: ExecutionError) -> float:
        """How long to wait before the next attempt; raises the error if there is to be none."""
        wait_seconds = self._present_outage().wait_seconds(error, time.monotonic())
        if wait_seconds is None:
            raise error
        return wait_seconds

    def _present_outage(self) -> Attempts:
        if self._outage is None:
            self._outage = self._new_outage()
        return self._outage

    def _new_outage(self) -> Attempts:
        return Attempts(self._retry, time.monotonic(), self._fraction, self._timeout_seconds)


class OrderWatch:
    """The status changes of a user's orders, for one thread; made by `Client.watch_orders`.

    Entering it, or the first `next`, waits until the watch stands. `close` may be
    called by any thread; it ends the iteration.
    """

    def __init__(self, open_call: _Open, progress: Progress) -> None:
        self._open = open_call
        self._progress = progress
        self._call: _Call = None
        self._closed = threading.Event()

    @property
    def token(self) -> str:
        """Where to go on from: after the report read last, or where the watch began."""
        return self._progress.token

    def close(self) -> None:
        """Ends the watch."""
        self._closed.set()
        if self._call is not None:
            self._call.cancel()

    def __enter__(self) -> Self:
        while self._call is None and not self._closed.is_set():
            self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> pb.ExecutionReport:
        """The next change, waited for. Raises `ExecutionError` as every call does."""
        while not self._closed.is_set():
            if self._call is None:
                self._begin()
                continue
            try:
                return self._progress.read(next(self._call))
            except StopIteration:
                self._cut(Unavailable("the service ended the stream"))
            except grpc.RpcError as failure:
                if not self._closed.is_set():
                    self._cut(_typed(failure))
        raise StopIteration

    def _begin(self) -> None:
        """One attempt."""
        call = self._open(self._progress.request())
        late = threading.Event()

        def give_up() -> None:
            late.set()
            call.cancel()

        timer = threading.Timer(self._progress.attempt_seconds(), give_up)
        timer.start()
        try:
            if self._progress.begun(call.initial_metadata()):
                self._call = call
                return
            call.code()  # waits for the end
        finally:
            timer.cancel()
        self._cut(_late() if late.is_set() else _typed(call))

    def _cut(self, error: ExecutionError) -> None:
        self._call = None
        if not self._closed.is_set():
            self._closed.wait(self._progress.wait_seconds(error))


class AsyncOrderWatch:
    """The status changes of a user's orders, for one task; made by `AsyncClient.watch_orders`.

    Entering it, or the first `anext`, waits until the watch stands. An `anext`
    that is cancelled loses nothing.
    """

    def __init__(self, open_call: _Open, progress: Progress) -> None:
        self._open = open_call
        self._progress = progress
        self._call: _Call = None
        self._closed = False

    @property
    def token(self) -> str:
        """Where to go on from: after the report read last, or where the watch began."""
        return self._progress.token

    def close(self) -> None:
        """Ends the watch."""
        self._closed = True
        self._drop()

    async def __aenter__(self) -> Self:
        while self._call is None and not self._closed:
            await self._begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pb.ExecutionReport:
        """The next change, waited for. Raises `ExecutionError` as every call does."""
        while not self._closed:
            if self._call is None:
                await self._begin()
                continue
            try:
                report = await self._call.read()
            except grpc.RpcError as failure:
                await self._cut(_typed(failure))
            except asyncio.CancelledError:
                # grpcio has cancelled the call with its reader.
                self._drop()
                raise
            else:
                if report is not grpc.aio.EOF:
                    return self._progress.read(report)
                await self._cut(Unavailable("the service ended the stream"))
        raise StopAsyncIteration

    async def _begin(self) -> None:
        """One attempt."""
        call = self._open(self._progress.request())
        begun = False
        try:
            async with asyncio.timeout(self._progress.attempt_seconds()):
                begun = self._progress.begun(await call.initial_metadata())
                if not begun:
                    await call.read()  # raises what became of it
        except TimeoutError:
            error: ExecutionError = _late()
        except grpc.RpcError as failure:
            error = _typed(failure)
        else:
            error = Unavailable("the service ended the stream")
        finally:
            if not begun:
                call.cancel()
        if begun:
            self._call = call
        else:
            await self._cut(error)

    async def _cut(self, error: ExecutionError) -> None:
        self._drop()
        if not self._closed:
            await asyncio.sleep(self._progress.wait_seconds(error))

    def _drop(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None


def _late() -> DeadlineExceeded:
    return DeadlineExceeded("the service did not begin to answer in time")


def _typed(failure: grpc.RpcError) -> ExecutionError:
    """The error it means; raises what nobody foresaw as it came."""
    error = typed_error(failure)
    if error is None:
        raise failure
    error.__cause__ = failure
    return error
